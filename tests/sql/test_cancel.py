"""cancel: every row of the table in http-api.md §6, for unkeyed and keyed jobs."""

import asyncio

import psycopg
import pytest

from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import MINUTE, Conn, Engine


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


@pytest.mark.parametrize(
    ("state", "before"),
    [("queued", "queued"), ("processing", "processing"), ("failed", "failed"), ("cancelled", "cancelled")],
)
async def test_a_job_is_over_whatever_it_did(engine: Engine, state: str, before: str) -> None:
    worker = await engine.worker()
    job = await engine.in_state(state, worker)
    assert [{"before": before, "after": "cancelled"}] == await engine.call("cancel", job)
    assert "cancelled" == (await engine.state(job))["state"]
    assert [] == await engine.misplaced()
    assert [] == await engine.claim(worker)


async def test_a_completed_job_cannot_be_cancelled(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.in_state("completed", worker)
    with pytest.raises(psycopg.Error, match="already completed; cannot cancel") as refused:
        await engine.call("cancel", job)
    assert "OX409" == refused.value.sqlstate


async def test_a_purged_dead_letter_stays_failed(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.in_state("failed", worker)
    await engine.call("purge", {"ids": [str(job)]})
    with pytest.raises(psycopg.Error, match="purged") as refused:
        await engine.call("cancel", job)
    assert "OX409" == refused.value.sqlstate
    assert "failed" == (await engine.state(job))["state"]


async def test_the_late_result_of_a_cancelled_job_is_refused_and_its_worker_is_told(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.enqueue()
    claimed = await engine.claim_one(worker)
    await engine.call("cancel", job, "not needed")
    told = await engine.row("select * from outbox.beat(%s, 1)", worker)
    assert [job] == told["cancelled"]
    assert [] == (await engine.row("select * from outbox.beat(%s, 1)", worker))["cancelled"]
    late = await engine.settle(worker, claimed)
    assert (False, "lease_over") == (late["accepted"], late["note"])
    assert ["cancelled"] == await engine.ledger(job)


async def test_the_rest_of_a_lease_goes_on(engine: Engine) -> None:
    worker = await engine.worker()
    first, second = await engine.enqueue(), await engine.enqueue()
    claimed = {row["job_id"]: row for row in await engine.claim(worker)}
    await engine.call("cancel", first)
    assert "not_in_lease" == (await engine.settle(worker, claimed[first]))["note"]
    assert (await engine.settle(worker, claimed[second]))["accepted"]


async def test_a_cancel_is_on_record_with_who_and_why(engine: Engine) -> None:
    job = await engine.enqueue()
    await engine.call("cancel", job, "no longer wanted")
    await engine.call("cancel", job)
    ledger = await engine.row("select outcome, error, actor from outbox.attempts where job_id = %s", job)
    me = await engine.value("select (outbox.me()).actor")
    assert {"outcome": "cancelled", "error": "no longer wanted", "actor": me} == ledger
    first, second = await engine.rows(
        "select action, resource_type, resource_id, details from outbox.audit_log order by id"
    )
    assert ("job.cancelled_by_operator", "job", str(job)) == (
        first["action"],
        first["resource_type"],
        first["resource_id"],
    )
    assert {"previousStatus": "queued", "currentStatus": "cancelled", "reason": "no longer wanted"} == first[
        "details"
    ]
    assert "noop_already_cancelled" == second["details"]["outcome"]


async def test_a_generation_job_has_the_names_of_generation_in_the_trail(engine: Engine) -> None:
    job = await engine.enqueue("observe", handler="observe")
    await engine.call("cancel", job)
    row = await engine.row("select action, resource_type from outbox.audit_log")
    assert {
        "action": "generation_job.cancelled_by_operator",
        "resource_type": "observation_generation_job",
    } == row


async def test_a_unique_key_and_a_checkpoint_go_with_the_job(engine: Engine) -> None:
    job = await engine.enqueue(uniqueKey="k")
    await engine.call("cancel", job)
    assert job != await engine.enqueue(uniqueKey="k")


async def test_unknown_and_foreign_jobs_are_not_found(engine: Engine) -> None:
    job = await engine.enqueue()
    stranger = "row(%s, null, false, null, 'key:x', null)::outbox.caller"
    other = await engine.add_team()
    for caller, wanted in [
        ("outbox.me()", "00000000-0000-7000-8000-000000000000"),
        (stranger.replace("%s", f"'{other}'"), job),
    ]:
        with pytest.raises(psycopg.Error) as refused:
            await engine.call("cancel", wanted, caller=caller)
        assert ("OX404", "Job not found") == (refused.value.sqlstate, refused.value.diag.message_primary)
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("cancel", None)
    assert "OX400" == refused.value.sqlstate


async def test_other_isolation_levels_are_refused(engine: Engine, conn: Conn) -> None:
    job = await engine.enqueue()
    await conn.execute("begin isolation level repeatable read")
    assert "OX500" == await engine.refused("cancel", job)


# Lanes ------------------------------------------------------------------------------------------------


async def test_the_lane_goes_on_without_its_head(engine: Engine) -> None:
    await engine.route()
    first, second = await engine.publish("k"), await engine.publish("k")
    await engine.call("cancel", first)
    assert second == (await engine.claim_one(await engine.worker()))["job_id"]


async def test_the_last_of_a_lane_takes_the_lane_along(engine: Engine) -> None:
    await engine.route()
    job = await engine.publish("k")
    await engine.call("cancel", job)
    assert await engine.lane(job) is None


@proves("C14")
async def test_a_waiting_job_leaves_its_lane_as_it_was(engine: Engine, clock: Clock) -> None:
    await engine.route()
    head, middle = await engine.publish("k"), await engine.publish("k")
    worker = await engine.worker()
    await engine.settle(worker, await engine.claim_one(worker), "failed", retryInMs=60_000)
    lane = await engine.lane(head)
    await engine.call("cancel", middle)
    assert lane == await engine.lane(head)
    assert [] == await engine.claim(worker)
    clock.forward(MINUTE)
    assert head == (await engine.claim_one(await engine.worker()))["job_id"]


async def test_a_running_head_gives_its_lane_to_the_next(engine: Engine) -> None:
    await engine.route()
    first, second = await engine.publish("k"), await engine.publish("k")
    worker = await engine.worker()
    await engine.claim_one(worker)
    await engine.call("cancel", first)
    assert second == (await engine.claim_one(worker))["job_id"]


@proves("C16")
async def test_a_dead_head_that_is_cancelled_frees_its_lane(engine: Engine) -> None:
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": "block"})
    first, second = await engine.publish("k"), await engine.publish("k")
    worker = await engine.worker()
    await engine.fail(worker, await engine.claim_one(worker))
    assert [] == await engine.claim(worker)
    await engine.call("cancel", first)
    assert second == (await engine.claim_one(worker))["job_id"]


async def test_a_job_that_waits_behind_a_block_leaves_the_block(engine: Engine) -> None:
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": "block"})
    first, second = await engine.publish("k"), await engine.publish("k")
    worker = await engine.worker()
    await engine.fail(worker, await engine.claim_one(worker))
    await engine.call("cancel", second)
    lane = await engine.lane(first)
    assert lane is not None
    assert first == lane["blocked_by"]


@pytest.mark.parametrize("numbered", [False, True])
async def test_a_job_without_a_place_yet_never_gets_one(engine: Engine, numbered: bool) -> None:
    await engine.route()
    job = await engine.publish("k", place=False)
    if numbered:
        await engine.rows("select outbox.sequence(array[%s::uuid])", engine.project)
    assert [{"before": "queued", "after": "cancelled"}] == await engine.call("cancel", job)
    other = await engine.publish("k")
    assert [other] == [row["job_id"] for row in await engine.claim(await engine.worker())]
    assert "cancelled" == (await engine.state(job))["state"]


async def test_two_cancels_at_once_end_it_once(engine: Engine, dsn: str) -> None:
    await engine.route()
    for key in (None, "k"):
        job = await engine.publish(key)
        async with (
            await psycopg.AsyncConnection.connect(dsn) as one,
            await psycopg.AsyncConnection.connect(dsn) as two,
        ):
            cursor = await one.execute("select before from outbox.cancel(outbox.me(), %s)", [job])
            assert ("queued",) == await cursor.fetchone()
            second = asyncio.ensure_future(
                two.execute("select before from outbox.cancel(outbox.me(), %s)", [job])
            )
            await engine.somebody_waits()
            await one.commit()
            assert ("cancelled",) == await (await second).fetchone()
            await two.commit()
        assert ["cancelled"] == await engine.ledger(job)
