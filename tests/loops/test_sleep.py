"""A worker with nothing to do sleeps, says so, and loses no wake."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from outboxd.handlers import python
from outboxd.model import Job
from outboxd.store import workers
from tests.loops.crew import Crew, Shop
from tests.waiting import until

proves = pytest.mark.proves


async def nothing(job: Job, run: Any) -> None: ...


async def asleep(crew: Crew) -> bool:
    return bool(await crew.rows("select from outbox.idle where handler = 'work'"))


@proves("C6")
@pytest.mark.parametrize("how", ["here", "elsewhere"])
async def test_a_wake_between_found_nothing_and_sleep_is_not_lost(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    made: list[Any] = []
    shop_is: list[Shop] = []
    sleeps = workers.sleeps

    async def just_before(*given: Any) -> None:
        if not made:
            made.append(await crew.enqueue())
            if how == "here":
                shop_is[0].wakes.committed({"work": "work"})
        await sleeps(*given)

    monkeypatch.setattr(workers, "sleeps", just_before)
    async with crew.at_work({"work": nothing}, upkeep=False) as shop:
        shop_is.append(shop)
        await until(lambda: bool(made))
        attempt = await crew.attempt(made[0], limit=1)

    assert "completed" == attempt["outcome"]


async def test_a_sleeping_worker_asks_for_hints_and_a_busy_one_does_not(crew: Crew) -> None:
    go_on = asyncio.Event()

    async def work(job: Job, run: Any) -> None:
        await go_on.wait()

    async with crew.at_work({"work": work}, slots=1, upkeep=False) as shop:
        await until(lambda: asleep(crew))
        await crew.enqueue()
        shop.wakes.committed({"work": "work"})
        await until(lambda: shop.worker.running == 1)
        await until(lambda: awake(crew))
        go_on.set()
        await until(lambda: asleep(crew))


async def test_a_wake_starts_the_job_within_milliseconds(crew: Crew) -> None:
    begun: list[float] = []

    async def work(job: Job, run: Any) -> None:
        begun.append(time.perf_counter())

    waits = []
    async with crew.at_work({"work": work}, upkeep=False) as shop:
        for n in range(10):
            await until(lambda: asleep(crew))
            await crew.enqueue()
            committed = time.perf_counter()
            shop.wakes.committed({"work": "work"})
            await until(lambda n=n: len(begun) == n + 1)
            waits.append(begun[-1] - committed)

    assert sorted(waits)[5] < 0.02


async def test_no_statement_is_sent_while_nothing_happens(crew: Crew) -> None:
    async with crew.at_work({"work": nothing}, upkeep=False) as shop:
        await until(lambda: asleep(crew))
        claimer = shop.worker._shift.claimer  # type: ignore[union-attr]
        looks = []
        look = claimer._look

        async def counted() -> None:
            looks.append(1)
            await look()

        claimer._look = counted  # type: ignore[method-assign]
        await asyncio.sleep(0.7)

    assert [] == looks


@proves("C9")
async def test_a_queue_at_its_limit_is_not_asked_in_a_hurry(crew: Crew) -> None:
    go_on = asyncio.Event()
    running = most = 0

    async def work(job: Job, run: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1

    ids = await crew.enqueue_many(4)
    await crew.conn.execute("select outbox.configure_queue(outbox.me(), 'work', '{\"concurrency\": 1}')")
    async with crew.at_work({"work": work}, upkeep=False) as shop:
        await until(lambda: shop.worker.running == 1)
        claimer = shop.worker._shift.claimer  # type: ignore[union-attr]
        before = claimer._gates
        await asyncio.sleep(1)
        asked = claimer._gates - before
        go_on.set()
        for job in ids:
            await crew.attempt(job, "completed", limit=3)

    assert 1 == most
    assert 0 < asked < 15


async def test_lanes_follow_each_other_without_a_poll(crew: Crew) -> None:
    seen: list[int] = []

    async def work(job: Job, run: Any) -> None:
        seen.append(job.payload["n"])

    async with crew.at_work(python.App(handlers={"work": work}, open=["work"]), upkeep=False) as shop:
        await crew.conn.execute(
            "select outbox.add_route(outbox.me(), 'a.b', 'work', %s, '{\"handler\": \"work\"}')",
            [crew.project],
        )
        for n in range(5):
            await crew.conn.execute(
                "select outbox.publish('a.b', %s, p_project => %s, p_ordering_key => 'k')",
                [f'{{"n": {n}}}', crew.project],
            )
        await crew.conn.execute("select outbox.sequence(array[%s::uuid])", [crew.project])
        await crew.conn.execute("select outbox.place(%s)", [crew.project])
        shop.wakes.committed({"work": "work"})
        await until(lambda: len(seen) == 5, limit=3)

    assert [0, 1, 2, 3, 4] == seen


@proves("L9")
async def test_blocking_jobs_are_claimed_for_free_threads_only(crew: Crew) -> None:
    go_on = asyncio.Event()
    begun: Counter[str] = Counter()

    def blocks(job: Job, run: Any) -> None:
        begun["blocks"] += 1
        run.cancelled.wait(0.1) if go_on.is_set() else run.cancelled.wait(2)

    async def work(job: Job, run: Any) -> None:
        begun["work"] += 1

    for _ in range(6):
        await crew.enqueue("blocks")
    async with crew.at_work({"blocks": blocks, "work": work}, slots=10, threads=2, upkeep=False) as shop:
        await until(lambda: begun["blocks"] == 2)
        held = await crew.value("select sum(cardinality(job_ids))::int from outbox.leases")
        await crew.enqueue()
        shop.wakes.committed({"work": "work"})
        await until(lambda: begun["work"] == 1, limit=1.5)
        go_on.set()
        await until(lambda: begun["blocks"] == 6)

    assert 2 == held


async def awake(crew: Crew) -> bool:
    return not await asleep(crew)
