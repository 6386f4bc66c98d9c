"""snooze and unhold."""

from datetime import timedelta

import psycopg
import pytest

from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import MINUTE, Conn, Engine


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


async def order(engine: Engine) -> list[object]:
    worker = await engine.worker()
    found = []
    while claimed := await engine.claim(worker):
        for job in claimed:
            found.append(job["job_id"])
            await engine.settle(worker, job)
    return found


@pytest.mark.parametrize("later", [False, True])
async def test_a_queued_job_is_put_off(engine: Engine, clock: Clock, later: bool) -> None:
    job = await engine.enqueue(runAt=(clock.now + MINUTE).isoformat() if later else None)
    until = clock.now + 5 * MINUTE
    assert [{"snooze": until}] == await engine.call("snooze", job, until, "not before lunch")
    state = await engine.state(job)
    assert ("later", "not before lunch", until) == (state["place"], state["held"], state["run_at"])
    clock.forward(5 * MINUTE)
    await engine.rows("select outbox.stage()")
    assert [job] == await order(engine)


async def test_attempts_and_series_stay(engine: Engine, clock: Clock) -> None:
    job = await engine.enqueue()
    worker = await engine.worker()
    await engine.settle(worker, await engine.claim_one(worker), "failed", retryInMs=1000)
    before = await engine.state(job)
    await engine.call("snooze", job, clock.now + MINUTE)
    after = await engine.state(job)
    assert [before[name] for name in ("attempt", "no", "series")] == [
        after[name] for name in ("attempt", "no", "series")
    ]
    assert "snoozed" == after["held"]


@pytest.mark.parametrize("state", ["processing", "completed", "failed", "cancelled"])
async def test_only_queued_jobs_can_be_put_off(engine: Engine, state: str) -> None:
    job = await engine.in_state(state, await engine.worker())
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("snooze", job, engine.clock.now + MINUTE)
    assert ("OX409", f"the job is {state}, not queued") == (
        refused.value.sqlstate,
        refused.value.diag.message_primary,
    )


@pytest.mark.parametrize("until", [None, timedelta(0), timedelta(days=31), timedelta(minutes=6)])
async def test_the_time_is_ahead_and_not_past_the_deadline(engine: Engine, until: timedelta | None) -> None:
    deadline = (engine.clock.now + 5 * MINUTE).isoformat() if until == 6 * MINUTE else None
    job = await engine.enqueue(deadline=deadline)
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("snooze", job, until if until is None else engine.clock.now + until)
    assert "OX400" == refused.value.sqlstate


async def test_a_snoozed_head_holds_its_lane_and_no_other(engine: Engine, clock: Clock) -> None:
    await engine.route()
    head, behind, other = await engine.publish("k"), await engine.publish("k"), await engine.publish("l")
    await engine.call("snooze", head, clock.now + MINUTE)
    assert [other] == await order(engine)
    clock.forward(2 * MINUTE)
    assert [head, behind] == await order(engine)


@proves("C14")
async def test_a_snoozed_job_behind_others_keeps_its_place_in_the_order(engine: Engine, clock: Clock) -> None:
    await engine.route()
    head, middle, last = [await engine.publish("k") for _ in range(3)]
    await engine.call("snooze", middle, clock.now + MINUTE)
    assert [head] == await order(engine)
    newer = await engine.publish("k")
    assert [] == await order(engine)
    clock.forward(2 * MINUTE)
    assert [middle, last, newer] == await order(engine)


async def test_a_job_without_a_place_cannot_be_put_off_yet(engine: Engine) -> None:
    await engine.route()
    job = await engine.publish("k", place=False)
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("snooze", job, engine.clock.now + MINUTE)
    assert "OX503" == refused.value.sqlstate


async def test_it_is_on_record(engine: Engine) -> None:
    job = await engine.enqueue()
    await engine.call("snooze", job, engine.clock.now + MINUTE, "lunch")
    row = await engine.row("select action, resource_id, details from outbox.audit_log")
    assert ("job.snoozed", str(job), "lunch") == (row["action"], row["resource_id"], row["details"]["reason"])


async def test_unhold_frees_jobs_and_lanes_that_wait_for_that(engine: Engine) -> None:
    await engine.route()
    unkeyed, keyed, other = await engine.publish(), await engine.publish("k"), await engine.enqueue()
    until = engine.clock.now + MINUTE
    for job, held in ((unkeyed, "budget"), (keyed, "budget"), (other, "provider")):
        await engine.call("snooze", job, until, held)
    assert [{"unhold": 2}] == await engine.call("unhold", "budget")
    assert {unkeyed, keyed} == set(await order(engine))
    assert [{"unhold": 0}] == await engine.call("unhold", "budget")


async def test_unhold_stays_within_the_limit_the_project_and_the_caller(engine: Engine) -> None:
    theirs = await engine.add_project(await engine.add_team())
    jobs = [await engine.enqueue(), await engine.enqueue(), await engine.enqueue(project=theirs)]
    for job in jobs:
        await engine.call("snooze", job, engine.clock.now + MINUTE, "budget")
    caller = f"row('{engine.team}', null, false, null, 'key:x', null)::outbox.caller"
    assert [{"unhold": 1}] == await engine.call("unhold", "budget", p_limit=1)
    assert [{"unhold": 1}] == await engine.call("unhold", "budget", caller=caller)
    assert [{"unhold": 1}] == await engine.call("unhold", "budget", theirs)
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("unhold", "budget", theirs, caller=caller)
    assert "OX404" == refused.value.sqlstate
    for held, limit in ((None, 10), ("x", 0), ("x", 10001)):
        with pytest.raises(psycopg.Error) as refused:
            await engine.call("unhold", held, p_limit=limit)
        assert "OX400" == refused.value.sqlstate
