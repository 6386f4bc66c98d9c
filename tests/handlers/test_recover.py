"""Recoveries: what an endpoint was owed in a time of the feed is delivered once more, and only that."""

import asyncio
import signal
import sys
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from outboxd.errors import Conflict, Invalid
from outboxd.handlers import recover
from outboxd.model.contract import Handler
from outboxd.store import endpoint_orders
from outboxd.store.endpoint_orders import Recovery, Span
from tests.handlers.desk import OPERATOR, Desk, Target
from tests.waiting import until

PUBLISHED = """
select outbox.publish_many(array(select jsonb_build_object('eventType', 'order.paid', 'payload',
  jsonb_build_object('n', n)) from generate_series(%s::int, %s::int) n), %s)
"""
STAGGER = """
select j.event_id, j.priority, coalesce(j.run_at, outbox.uuid7_time(j.id)) as due
from outbox.jobs j where j.priority = -10 order by due
"""


class Ground:
    """An endpoint, events that it was never sent, and recoveries of it."""

    def __init__(self, post: Desk, endpoint: UUID) -> None:
        self.post = post
        self.endpoint = endpoint

    @property
    def handlers(self) -> list[Handler]:
        return [self.post.handler, recover.handler(self.post.crew.db)]

    async def number(self) -> None:
        while await self.post.crew.rows(
            "select * from outbox.sequence(array[%s::uuid])", self.post.crew.project
        ):
            while await self.post.crew.rows("select from outbox.unplaced"):
                await self.post.do("select outbox.place(%s)", self.post.crew.project)

    async def publish(self, n: int) -> None:
        for first in range(0, n, 500):
            await self.post.do(PUBLISHED, first, min(first + 500, n) - 1, self.post.crew.project)
        await self.number()

    async def owed(self, n: int) -> None:
        """Events that were published while it was disabled."""
        await self.post.do("update outbox.endpoints set state = 'disabled'")
        await self.publish(n)
        await self.post.do("update outbox.endpoints set state = 'enabled'")

    async def recover(self, *, dry_run: bool = False, **more: Any) -> Recovery:
        now = await self.post.crew.value("select outbox.clock()")
        span = Span(
            **{
                "since": now - timedelta(hours=1),
                "until": None,
                "only": "undelivered",
                "types": None,
                "rate": 1000.0,
                **more,
            }
        )
        return await self.post.crew.db.run(
            lambda conn: endpoint_orders.recover(conn, OPERATOR, self.endpoint, span, dry_run=dry_run)
        )

    async def begun(self, **more: Any) -> UUID:
        job = (await self.recover(**more)).job_id
        assert job is not None
        return job

    async def made(self) -> Counter[UUID]:
        return Counter(row["event_id"] for row in await self.post.crew.rows(STAGGER))


@pytest.fixture
async def ground(post: Desk, target: Target) -> Ground:
    return Ground(post, await post.endpoint(target.url, concurrency=64))


async def test_recover_delivers_each_undelivered_event_once_and_as_many_as_the_dry_run_said(
    ground: Ground, target: Target
) -> None:
    await ground.owed(20)
    await ground.publish(3)
    dry = await ground.recover(dry_run=True)
    async with ground.post.crew.at_work(ground.handlers):
        await until(lambda: len(target.got) == 3)
        job = await ground.begun()
        told = await ground.post.crew.attempt(job, "completed", limit=20)
        await until(lambda: len(target.got) == 23, 20)

    assert (20, True) == (dry.matched, dry.exact)
    assert {"scanned": 23, "made": 20} == told["output"]
    assert {1} == set(Counter(post.headers["webhook-id"] for post in target.got).values())
    again = await ground.recover(dry_run=True)
    assert (0, None, None) == (again.matched, again.oldest, again.newest)


async def test_recover_of_all_sends_again_what_was_delivered_and_leaves_out_what_is_live(
    ground: Ground, target: Target
) -> None:
    async with ground.post.crew.at_work(ground.handlers):
        await ground.publish(2)
        await until(lambda: _settled(ground, 2))
    await ground.publish(1)
    dry = await ground.recover(dry_run=True, only="all")
    async with ground.post.crew.at_work([recover.handler(ground.post.crew.db)]):
        told = await ground.post.crew.attempt(await ground.begun(only="all"), "completed")
    async with ground.post.crew.at_work(ground.handlers):
        await until(lambda: len(target.got) == 5)

    assert 2 == dry.matched == told["output"]["made"]
    assert [1, 2, 2] == sorted(Counter(post.headers["webhook-id"] for post in target.got).values())


async def test_failed_and_cancelled_deliveries_are_owed_and_types_narrow_what_is_made(ground: Ground) -> None:
    dead, cancelled = await ground.post.delivery(), await ground.post.delivery()
    await ground.post.publish(type_="other")
    await ground.number()
    await ground.post.do("select outbox.cancel(outbox.me(), %s)", cancelled)
    await ground.post.do(
        "with gone as (delete from outbox.ready where job_id = %s returning *)"
        " insert into outbox.dead_letters"
        " (job_id, team_id, project_id, queue_id, failed_at, place, attempt, no, series)"
        " select g.job_id, j.team_id, j.project_id, g.queue_id, outbox.clock(), g.run_at, 1, 1, 0"
        " from gone g join outbox.jobs j on j.id = g.job_id",
        dead,
    )
    matched = [
        (await ground.recover(dry_run=True, types=types)).matched
        for types in (None, ["order.*"], ["other"], ["nothing", "order.paid"])
    ]

    assert [2, 2, 0, 2] == matched


async def test_what_no_longer_matches_or_is_gone_is_not_made(ground: Ground, target: Target) -> None:
    await ground.owed(3)
    await ground.post.do(
        "update outbox.events set expunged_at = outbox.clock(), payload = '{}'"
        " where id = (select event_id from outbox.feed order by seq limit 1)"
    )
    await ground.post.do(
        "update outbox.events set expires_at = outbox.clock()"
        " where id = (select event_id from outbox.feed order by seq desc limit 1)"
    )
    assert 1 == (await ground.recover(dry_run=True)).matched
    await ground.post.change(ground.endpoint, url=target.url, contains={"n": 99})
    assert 0 == (await ground.recover(dry_run=True)).matched


async def test_a_recovery_takes_only_the_time_that_it_was_given(ground: Ground) -> None:
    crew = ground.post.crew
    times = []
    for _ in range(4):
        await ground.owed(2)
        times.append(await crew.value("select max(sequenced_at) from outbox.feed"))
        await asyncio.sleep(0.002)
    tick = timedelta(microseconds=1)
    spans = [(times[0] + tick, times[2] + tick), (times[0], None), (times[3] + tick, None)]
    found = [await ground.recover(dry_run=True, since=since, until=until_) for since, until_ in spans]

    assert [4, 8, 0] == [each.matched for each in found]
    assert (times[1], times[2]) == (found[0].oldest, found[0].newest)


async def test_the_rate_stands_in_the_due_times_and_the_next_step_waits_until_it_is_needed(
    ground: Ground,
) -> None:
    await ground.owed(600)
    async with ground.post.crew.at_work([recover.handler(ground.post.crew.db)]):
        job = await ground.begun(rate=5.0)
        attempt = await ground.post.crew.attempt(job, "snoozed")
        rows = await ground.post.crew.rows(STAGGER)

    gaps = {round((b["due"] - a["due"]).total_seconds(), 2) for a, b in pairwise(rows)}
    assert (500, {0.2}) == (len(rows), gaps)
    # The last is due after 99.8 s.
    waits = attempt["retry_at"] - attempt["at"]
    assert timedelta(seconds=38) < waits <= timedelta(seconds=40)
    (left,) = await ground.post.crew.rows("select checkpoint, progress from outbox.checkpoints")
    assert (500, 500) == (left["checkpoint"]["scanned"], left["checkpoint"]["made"])
    assert left["checkpoint"]["position"] == 500
    assert "500 made of 500 looked at" == left["progress"]["note"]


async def test_cancelling_a_recovery_stops_it_and_another_goes_on_with_what_is_left(ground: Ground) -> None:
    await ground.owed(600)
    async with ground.post.crew.at_work([recover.handler(ground.post.crew.db)]):
        job = await ground.begun(rate=5.0)
        await ground.post.crew.attempt(job, "snoozed")
        with pytest.raises(Conflict, match=str(job)):
            await ground.recover()
        await ground.post.do("select outbox.cancel(outbox.me(), %s)", job)
    dry = await ground.recover(dry_run=True)

    assert (500, 100) == ((await ground.made()).total(), dry.matched)


async def test_a_disabled_or_deleted_endpoint_ends_its_recovery(ground: Ground) -> None:
    await ground.owed(3)
    job = await ground.begun()
    await ground.post.do("select outbox.switch_endpoint(outbox.me(), %s, false)", ground.endpoint)
    with pytest.raises(Conflict, match="disabled"):
        await ground.recover()
    async with ground.post.crew.at_work([recover.handler(ground.post.crew.db)]):
        told = await ground.post.crew.attempt(job, "cancelled")
        await ground.post.do("select outbox.switch_endpoint(outbox.me(), %s, true)", ground.endpoint)
        second = await ground.begun(rate=1.0)
        await ground.post.remove(ground.endpoint)
        after = await ground.post.crew.attempt(second)

    assert ("endpoint_disabled", "endpoint_deleted") == (told["class"], after["class"])
    assert 0 == (await ground.made()).total()


async def test_a_job_that_the_endpoint_does_not_name_recovers_nothing(ground: Ground) -> None:
    await ground.owed(3)
    payload = {
        "endpointId": str(ground.endpoint),
        "after": 0,
        "upto": 3,
        "only": "all",
        "types": None,
        "rate": 1,
    }
    async with ground.post.crew.at_work([recover.handler(ground.post.crew.db)]):
        job = await ground.post.crew.enqueue("recover", payload, queue="recover")
        told = await ground.post.crew.attempt(job)

    assert ("cancelled", "replaced", 0) == (told["outcome"], told["class"], (await ground.made()).total())


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": None},
        {"until": "since"},
        {"only": "some"},
        {"rate": 0.5},
        {"rate": 1001.0},
        {"types": []},
        {"types": ["a.*.b"]},
    ],
    ids=str,
)
async def test_a_wrong_argument_is_refused_and_nothing_begins(ground: Ground, wrong: dict[str, Any]) -> None:
    if wrong.get("until") == "since":
        wrong = {"until": await ground.post.crew.value("select outbox.clock() - interval '1 hour 1 s'")}
    with pytest.raises(Invalid):
        await ground.recover(**wrong)
    assert [] == await ground.post.crew.rows("select from outbox.jobs")


async def test_a_time_that_the_feed_no_longer_holds_is_refused(ground: Ground) -> None:
    await ground.owed(3)
    await ground.post.do("delete from outbox.feed where seq <= 2")
    await ground.post.do("update outbox.streams set floor = 2")
    with pytest.raises(Invalid, match="goes back to"):
        await ground.recover()
    since = await ground.post.crew.value("select sequenced_at from outbox.feed")
    assert 1 == (await ground.recover(dry_run=True, since=since)).matched


async def test_a_recovered_delivery_of_a_keyed_event_comes_after_newer_ones_of_its_key(
    ground: Ground, target: Target
) -> None:
    await ground.post.change(ground.endpoint, url=target.url, ordering="key", state="disabled")
    old = await ground.post.publish({"n": 1}, ordering_key="k")
    await ground.number()
    await ground.post.do("select outbox.switch_endpoint(outbox.me(), %s, true)", ground.endpoint)
    await ground.post.do("update outbox.queues set probing = false")
    new = await ground.post.publish({"n": 2}, ordering_key="k")
    await ground.number()
    async with ground.post.crew.at_work([recover.handler(ground.post.crew.db)]):
        await ground.post.crew.attempt(await ground.begun(), "completed")
    async with ground.post.crew.at_work(ground.handlers):
        await until(
            lambda: (
                len([each for each in target.got if each.headers["webhook-id"] in {str(old), str(new)}]) == 2
            )
        )

    ids = [each.headers["webhook-id"] for each in target.got]
    assert [str(new), str(old)] == [each for each in ids if each in {str(old), str(new)}]


@pytest.mark.parametrize("many", [500, pytest.param(10_000, marks=pytest.mark.nightly)])
async def test_killing_the_worker_of_a_recovery_again_and_again_loses_and_doubles_nothing(
    ground: Ground, many: int
) -> None:
    await ground.owed(many)
    dry = await ground.recover(dry_run=True)
    job = await ground.begun()
    for _ in range(3):
        await _killed(ground, job)
    async with ground.post.crew.at_work([recover.handler(ground.post.crew.db)]):
        await ground.post.crew.attempt(job, "completed", limit=120)

    made = await ground.made()
    assert (many, {1}) == (len(made), set(made.values()))
    assert (many, many < 10_000) == (dry.matched, dry.exact)
    assert "lost" in await ground.post.crew.outcomes(job)


async def _killed(ground: Ground, job: UUID) -> None:
    """A worker that dies while it has the job in hand."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.handlers.recovering", ground.post.crew.dsn
    )
    await until(lambda: _in_hand(ground, job), 20)
    child.send_signal(signal.SIGKILL)
    await child.wait()


async def _in_hand(ground: Ground, job: UUID) -> bool:
    return await ground.post.crew.where(job) == ["leases"]


async def _settled(ground: Ground, n: int) -> bool:
    found = await ground.post.crew.value("select count(*) from outbox.attempts where outcome = 'completed'")
    return bool(n == found)
