"""Order of deliveries, and their limits: one at a time in a lane, so many of an endpoint."""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.egress.scripted import Server, serving
from tests.handlers.desk import Desk, says
from tests.proofs import proves
from tests.waiting import until

Judge = Callable[[dict[str, Any]], int]


class Receiver:
    """Keeps what arrived, when, and how many calls were in flight, in all and of a key."""

    def __init__(self, judge: Judge, takes: float = 0) -> None:
        self.server: Server
        self.judge = judge
        self.takes = takes
        self.url = ""
        self.got: list[tuple[int, dict[str, Any], int]] = []
        """(position, data, answered)"""
        self.at: list[float] = []
        self.flying: dict[Any, int] = defaultdict(int)
        self.most: dict[Any, int] = defaultdict(int)

    async def act(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await self.server.request(reader)
            head = self.server.heads[-1].decode().lower()
            data = json.loads(body)["data"]
            self.at.append(time.monotonic())
            for each in {None, data.get("key")}:
                self.flying[each] += 1
                self.most[each] = max(self.most[each], self.flying[each])
            position = next(
                (int(line.rpartition("-")[2]) for line in head.split("\r\n") if "outboxd-position" in line), 0
            )
            await asyncio.sleep(self.takes)
            status = self.judge(data)
            self.got.append((position, data, status))
            for each in {None, data.get("key")}:
                self.flying[each] -= 1
            writer.write(says(status))
            await writer.drain()

    def taken(self, key: Any = None) -> list[int]:
        """Positions that were answered well, of that key or of all."""
        return [at for at, data, status in self.got if status < 300 and key in {None, data.get("key")}]


@asynccontextmanager
async def receiving(judge: Judge = lambda _: 204, takes: float = 0) -> AsyncIterator[Receiver]:
    made = Receiver(judge, takes)
    async with serving(made.act) as made.server:
        made.url = f"http://127.0.0.1:{made.server.port}/"
        yield made


@asynccontextmanager
async def working(post: Desk, workers: int) -> AsyncIterator[None]:
    """Workers, and what numbers and places for them."""
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(post.crew.at_work([post.handler]))
        placing = asyncio.create_task(keep_placing(post))
        try:
            yield
        finally:
            placing.cancel()
            await asyncio.wait([placing])


async def keep_placing(post: Desk) -> None:
    while True:
        async with post.crew.db.connection() as conn:
            await conn.execute("select outbox.sequence(array[%s::uuid])", [post.crew.project])
            await conn.execute("select * from outbox.place(%s)", [post.crew.project])
        await asyncio.sleep(0.02)


def sometimes() -> Judge:
    """Fails now and then, never so often in a row that the endpoint would have to rest."""
    dice, well = random.Random(7), 0

    def judge(_: dict[str, Any]) -> int:
        nonlocal well
        fails = well >= 3 and dice.random() < 0.5
        well = 0 if fails else well + 1
        return 500 if fails else 204

    return judge


@proves("C14")
async def test_each_key_is_in_order_and_one_at_a_time_through_retries_and_the_others_go_on(
    post: Desk,
) -> None:
    keys, each = 50, 5
    async with receiving(sometimes(), 0.003) as receiver, working(post, 6):
        await post.endpoint(receiver.url, ordering="key", retrySchedule=[0] * 20, disableAfterHours=0)
        for n in range(keys * each):
            key = f"k{n % keys}"
            await post.publish({"key": key, "n": n}, ordering_key=key)
        await until(lambda: len(receiver.taken()) >= keys * each, 60)

    for key in {f"k{n}" for n in range(keys)}:
        taken = receiver.taken(key)
        assert (each, sorted(taken)) == (len(taken), taken)
        assert 1 == receiver.most[key], "never two in flight"
    assert receiver.most[None] > 1
    assert any(status == 500 for _, _, status in receiver.got)


async def test_an_endpoint_in_order_takes_one_at_a_time(post: Desk) -> None:
    async with receiving(sometimes(), 0.005) as receiver, working(post, 2):
        await post.endpoint(receiver.url, ordering="endpoint", retrySchedule=[0] * 20)
        for n in range(20):
            await post.publish({"key": f"k{n}"}, ordering_key=f"k{n}" if n % 2 else None)
        await until(lambda: len(receiver.taken()) == 20, 30)

    assert 1 == receiver.most[None]
    assert sorted(receiver.taken()) == receiver.taken()


@pytest.mark.parametrize("policy", ["advance", "block"])
@proves("C16")
async def test_behind_a_head_that_died_the_lane_goes_on_or_stands_until_somebody_decides(
    post: Desk, policy: str
) -> None:
    poisoned = True

    def judge(data: dict[str, Any]) -> int:
        return 413 if poisoned and data["n"] == 0 else 204

    async with receiving(judge) as receiver, working(post, 2):
        endpoint = await post.endpoint(receiver.url, ordering="key", onDead=policy)
        events = [await post.publish({"key": "k", "n": n}, ordering_key="k") for n in range(3)]
        await post.publish({"key": "other", "n": 9}, ordering_key="other")
        await until(lambda: len(receiver.taken("other")) == 1 and len(receiver.got) >= 2)
        stood, head = [], None
        if policy == "block":
            await until(lambda: says_blocked(post))
            stood = receiver.taken("k")
            poisoned = False
            (head,) = await post.deliveries(events[0])
            await post.do("select outbox.retry(outbox.me(), %s, 'mended')", head)
        await until(lambda: len(receiver.taken("k")) == (3 if policy == "block" else 2))
    order = [data["n"] for _, data, status in receiver.got if status < 300 and data["key"] == "k"]
    said = await post.crew.rows("select payload from outbox.events where type = 'lane.blocked'")

    if policy == "advance":
        assert ([1, 2], []) == (order, said)
        return
    assert ([], [0, 1, 2]) == (stood, order)
    ((payload,),) = [row.values() for row in said]
    assert (str(endpoint), "k", str(head), str(events[0])) == tuple(
        payload[name] for name in ("endpointId", "orderingKey", "jobId", "eventId")
    )


async def says_blocked(post: Desk) -> bool:
    return bool(await post.crew.rows("select id from outbox.events where type = 'lane.blocked'"))


@proves("C9", "C10")
async def test_concurrency_and_rate_hold_over_workers(post: Desk) -> None:
    limit, rate, burst, events = 3, 20, 4, 40
    async with receiving(takes=0.05) as receiver, working(post, 2):
        await post.endpoint(receiver.url, concurrency=limit, ratePerSecond=rate, burst=burst)
        for n in range(events):
            await post.publish({"n": n})
        await until(lambda: len(receiver.taken()) == events, 30)

    assert receiver.most[None] <= limit
    for first in range(events):
        for last in range(first, events):
            window = receiver.at[last] - receiver.at[first]
            # Between claim and arrival lie some milliseconds, more for one than for another.
            assert last - first + 1 <= burst + rate * (window + 0.25), (first, last, window)


async def test_the_first_entry_of_the_schedule_is_waited_for_before_the_first_attempt(post: Desk) -> None:
    async with receiving() as receiver, working(post, 1):
        await post.endpoint(receiver.url, retrySchedule=[3600, 5])
        (job,) = await post.deliveries(await post.publish({"n": 1}))
        [row] = await post.crew.rows(
            "select extract(epoch from run_at - outbox.clock())::float8 as wait from outbox.later"
            " where job_id = %s",
            job,
        )
        await post.crew.hurry_up()
        await post.crew.attempt(job, "completed")

    assert 3600 * 0.79 < row["wait"] < 3600 * 1.2
