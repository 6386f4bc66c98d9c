"""why: each reason produced once, the decisive one first."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import MINUTE, Conn, Engine

pytestmark = proves("G10")

REASONS = {
    *("ended", "dead", "running", "not_due", "not_numbered", "queue_paused", "share_paused", "queue_closed"),
    *("lane", "no_slot", "no_token", "no_worker", "busy", "will_end", "pinned", "not_found"),
}
"""Of jobs.md §15: each has its case here."""


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


async def why(engine: Engine, job: UUID) -> list[dict[str, Any]]:
    rows = await engine.rows("select * from outbox.why(%s)", job)
    assert list(range(1, len(rows) + 1)) == [row["rank"] for row in rows]
    return rows


async def first(engine: Engine, job: UUID) -> tuple[str, str, Any]:
    row = (await why(engine, job))[0]
    return row["reason"], row["detail"], row["until"]


async def test_not_found(engine: Engine) -> None:
    reason, detail, _ = await first(engine, UUID("00000000-0000-7000-8000-000000000001"))
    assert ("not_found", "no such job, or the transaction that makes it has not committed") == (
        reason,
        detail,
    )


@pytest.mark.parametrize("state", ["completed", "cancelled"])
async def test_ended(engine: Engine, state: str) -> None:
    job = await engine.in_state(state, await engine.worker())
    reason, detail, _ = await first(engine, job)
    assert "ended" == reason
    assert f"outcome {state}" in detail


async def test_dead(engine: Engine) -> None:
    job = await engine.in_state("failed", await engine.worker())
    (only,) = await why(engine, job)
    assert "dead" == only["reason"]
    assert "class Boom, 1 attempts" in only["detail"]
    assert "may be retried" in only["detail"]
    await engine.call("purge", {"ids": [str(job)]})
    assert "may not be retried" in (await first(engine, job))[1]


async def test_running(engine: Engine) -> None:
    worker = await engine.worker(host="box-1")
    job = await engine.in_state("processing", worker)
    (only,) = await why(engine, job)
    assert "running" == only["reason"]
    assert "tester on box-1" in only["detail"]
    assert "silent" not in only["detail"]


async def test_running_on_a_silent_worker(engine: Engine, clock: Clock) -> None:
    worker = await engine.worker()
    job = await engine.in_state("processing", worker)
    beat = clock.now
    clock.forward(timedelta(seconds=10))
    reason, detail, until = await first(engine, job)
    assert "running" == reason
    assert "worker_silent" in detail
    assert timedelta(seconds=15) >= until - beat > timedelta(seconds=14)


async def test_not_due_because_scheduled(engine: Engine) -> None:
    due = engine.clock.now + MINUTE
    job = await engine.enqueue(runAt=due.isoformat())
    reason, detail, until = await first(engine, job)
    assert ("not_due", due) == (reason, until)
    assert "scheduled" in detail


@pytest.mark.parametrize("key", [None, "k"])
async def test_not_due_because_it_failed(engine: Engine, key: str | None) -> None:
    await engine.route()
    job = await engine.publish(key)
    worker = await engine.worker()
    await engine.settle(
        worker, await engine.claim_one(worker), "failed", retryInMs=60_000, **{"class": "Boom"}
    )
    reason, detail, until = await first(engine, job)
    assert ("not_due", engine.clock.now + MINUTE) == (reason, until)
    assert "retry after failure 1 (Boom)" in detail


@pytest.mark.parametrize("key", [None, "k"])
async def test_not_due_because_held_or_snoozed(engine: Engine, key: str | None) -> None:
    await engine.route()
    job = await engine.publish(key)
    await engine.call("snooze", job, engine.clock.now + MINUTE, "budget")
    assert "held: budget" in (await first(engine, job))[1]
    await engine.call("snooze", job, engine.clock.now + MINUTE)
    assert "snoozed" in (await first(engine, job))[1]


async def test_not_numbered(engine: Engine) -> None:
    await engine.route()
    job = await engine.publish("k", place=False)
    assert "not_numbered" == (await first(engine, job))[0]
    await engine.rows("select outbox.sequence(array[%s::uuid])", engine.project)
    reason, detail, _ = await first(engine, job)
    assert "not_numbered" == reason
    assert "place" in detail


async def test_queue_paused(engine: Engine) -> None:
    job = await engine.enqueue()
    until = engine.clock.now + MINUTE
    await engine.call("pause", "work", p_until=until, p_reason="the bill")
    reason, detail, ends = await first(engine, job)
    assert ("queue_paused", until) == (reason, ends)
    assert "the bill" in detail


async def test_share_paused(engine: Engine) -> None:
    job = await engine.enqueue()
    await engine.call("pause", "work", engine.project)
    assert "share_paused" == (await first(engine, job))[0]


async def test_queue_closed(engine: Engine) -> None:
    job = await engine.enqueue()
    until = engine.clock.now + MINUTE
    await engine.rows(
        "update outbox.queues set closed_until = %s, closed_reason = 'breaker' returning id", until
    )
    reason, detail, ends = await first(engine, job)
    assert ("queue_closed", until) == (reason, ends)
    assert "breaker" in detail


async def test_lane_whose_head_runs_waits_and_blocks(engine: Engine) -> None:
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": "block"})
    head, job = await engine.publish("k"), await engine.publish("k")
    worker = await engine.worker()
    claimed = await engine.claim_one(worker)
    assert ("lane", f"behind job {head}, which runs; 1 ahead", None) == await first(engine, job)
    await engine.settle(worker, claimed, "failed", retryInMs=60_000)
    reason, detail, until = await first(engine, job)
    assert ("lane", engine.clock.now + MINUTE) == (reason, until)
    assert f"behind job {head}, which waits until" in detail
    engine.clock.forward(MINUTE)
    worker = await engine.worker()
    await engine.fail(worker, await engine.claim_one(worker))
    assert "which blocks since" in (await first(engine, job))[1]


async def test_a_lane_that_waits_for_a_worker_is_not_the_reason(engine: Engine) -> None:
    await engine.route()
    await engine.publish("k")
    job = await engine.publish("k")
    assert ["no_worker", "lane"] == [row["reason"] for row in await why(engine, job)]


async def test_no_slot(engine: Engine) -> None:
    job = await engine.enqueue()
    await engine.call("configure_queue", "work", {"concurrency": 1})
    worker = await engine.worker()
    await engine.claim_one(worker)
    job = await engine.enqueue()
    reason, detail, _ = await first(engine, job)
    assert ("no_slot", "1 of 1 run, on tester") == (reason, detail)


async def test_no_token(engine: Engine) -> None:
    await engine.enqueue()
    await engine.call("configure_queue", "work", {"rate": {"perSecond": 0.1, "burst": 1}})
    await engine.claim_one(await engine.worker())
    claimed_at = engine.clock.now
    job = await engine.enqueue()
    reason, _, until = await first(engine, job)
    assert "no_token" == reason
    assert timedelta(seconds=10) >= until - claimed_at > timedelta(seconds=9.9)


async def test_no_worker(engine: Engine) -> None:
    job = await engine.enqueue()
    assert (
        "no_worker",
        "no live worker knows pull:work and subscribes to work; none is on record",
        None,
    ) == await first(engine, job)
    await engine.worker("other")
    await engine.worker("work", host="box-2")
    engine.clock.forward(timedelta(seconds=30))
    await engine.rows("select outbox.fence_dead()")
    reason, detail, _ = await first(engine, job)
    assert "no_worker" == reason
    assert "tester on box-2, last seen" in detail


async def test_busy(engine: Engine) -> None:
    worker = await engine.worker()
    await engine.in_state("processing", worker)
    await engine.enqueue()
    job = await engine.enqueue()
    detail = "1 workers, 1 of 10 slots in use; 1 jobs ahead in its share, 1 shares in turn"
    assert ("busy", detail, None) == await first(engine, job)


async def test_will_end(engine: Engine, clock: Clock) -> None:
    job = await engine.enqueue(expiresAt=(clock.now + MINUTE).isoformat())
    clock.forward(2 * MINUTE)
    await engine.worker()
    assert ["will_end", "busy"] == [row["reason"] for row in await why(engine, job)]


async def test_will_end_with_its_project_or_key(engine: Engine, clock: Clock) -> None:
    key = "11111111-1111-7111-8111-111111111111"
    await engine.rows(
        "insert into outbox.keys (id, hash, prefix, team_id, scopes, actor, created_at, revoked_at)"
        " values (%s, sha256('x'), 'x', %s, '{}', 'key:x', outbox.clock(), outbox.clock()) returning id",
        key,
        engine.team,
    )
    caller = f"row(null, null, true, '{key}', 'key:x', null)::outbox.caller"
    (made,) = await engine.call("enqueue", "work", {}, engine.project, caller=caller)
    await engine.rows("update outbox.projects set archived_at = outbox.clock() returning id")
    details = [row["detail"] for row in await why(engine, made["job_id"]) if row["reason"] == "will_end"]
    assert 2 == len(details)


async def test_will_end_past_its_deadline(engine: Engine, clock: Clock) -> None:
    job = await engine.enqueue(deadline=(clock.now + MINUTE).isoformat())
    clock.forward(2 * MINUTE)
    await engine.worker()
    rows = await why(engine, job)
    assert "will_end" == rows[0]["reason"]
    assert "deadline" in rows[0]["detail"]


async def test_pinned(engine: Engine, dsn: str) -> None:
    job = await engine.enqueue()
    assert "pinned" not in [row["reason"] for row in await why(engine, job)]
    async with await psycopg.AsyncConnection.connect(dsn, application_name="report") as old:
        await old.execute("set transaction isolation level repeatable read")
        await old.execute("select 1")
        # The server's own clock says how old a snapshot is: the bound is moved instead of the time.
        rows = await engine.rows("select * from outbox.why_pinned(interval '0')")
        assert "report" in rows[0]["detail"]


async def test_a_stuck_job_is_never_without_a_reason(engine: Engine) -> None:
    await engine.route()
    worker = await engine.worker()
    jobs = [
        await engine.in_state(state, worker) for state in ("failed", "completed", "cancelled", "processing")
    ]
    jobs += [await engine.enqueue(), await engine.publish("k"), await engine.publish("k")]
    assert [] == [job for job in jobs if not await why(engine, job)]


def test_each_reason_has_its_case_and_there_is_no_other() -> None:
    cases = Path(__file__).read_text().partition("async def test_not_found")[2]
    assert [] == [reason for reason in REASONS if f'"{reason}"' not in cases and reason != "not_found"]
    functions = (Path(__file__).parents[2] / "sql" / "functions").glob("why*.sql")
    # Each function gives (weight, reason, …).
    given = {name for file in functions for name in re.findall(r"[0-9.]+, '(\w+)',", file.read_text())}
    assert given <= REASONS
    assert {"ended", "dead", "running", "no_worker", "pinned"} <= given
