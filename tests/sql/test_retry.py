"""retry: every row of the table in http-api.md §6, for unkeyed and keyed jobs."""

import asyncio
from datetime import timedelta

import psycopg
import pytest

from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import MINUTE, Conn, Engine


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_an_ended_job_begins_a_new_series_due_now(engine: Engine, state: str) -> None:
    worker = await engine.worker()
    job = await engine.in_state(state, worker)
    assert [{"before": state, "after": "queued", "series": 1}] == await engine.call("retry", job)
    claimed = await engine.claim_one(worker)
    assert (job, 1, 1) == (claimed["job_id"], claimed["attempt"], claimed["series"])
    assert [] == await engine.misplaced()


async def test_a_queued_job_is_due_now_and_its_hold_lifted(engine: Engine) -> None:
    job = await engine.enqueue(runAt=(engine.clock.now + MINUTE).isoformat())
    await engine.call("snooze", job, engine.clock.now + 2 * MINUTE, "budget")
    assert [{"before": "queued", "after": "queued", "series": 0}] == await engine.call("retry", job)
    assert job == (await engine.claim_one(await engine.worker()))["job_id"]
    assert [] == await engine.ledger(job)
    details = await engine.value(
        "select details from outbox.audit_log where action = 'job.retried_by_operator'"
    )
    assert "noop_already_queued" == details["outcome"]


@pytest.mark.parametrize(
    ("queue", "state", "words"),
    [
        (
            "work",
            "processing",
            "Generation job is currently processing; cancel or wait for completion before retrying",
        ),
        ("work", "completed", "Job already completed"),
        ("observe", "completed", "Generation job already completed; retrying would duplicate observations"),
    ],
)
async def test_running_and_completed_jobs_are_refused(
    engine: Engine, queue: str, state: str, words: str
) -> None:
    handler = "observe" if queue == "observe" else "pull:work"
    worker = (await engine.row("select * from outbox.enlist('w', %s)", [handler]))["worker_id"]
    job = await engine.enqueue(queue, handler=handler)
    claimed = await engine.claim_one(worker)
    if state == "completed":
        await engine.settle(worker, claimed)
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("retry", job)
    assert ("OX409", words) == (refused.value.sqlstate, refused.value.diag.message_primary)


async def test_a_purged_dead_letter_is_refused(engine: Engine) -> None:
    job = await engine.in_state("failed", await engine.worker())
    await engine.call("purge", {"ids": [str(job)]})
    with pytest.raises(psycopg.Error, match="purged") as refused:
        await engine.call("retry", job)
    assert "OX409" == refused.value.sqlstate


async def test_the_retrying_caller_is_the_authority_for_what_follows(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.in_state("failed", worker)
    key = "11111111-1111-7111-8111-111111111111"
    caller = f"row(null, null, true, '{key}', 'key:somebody', 'r-1')::outbox.caller"
    await engine.call("retry", job, "try again", caller=caller)
    claimed = await engine.claim_one(worker)
    assert (key, "key:somebody") == (str(claimed["key_id"]), claimed["actor"])
    row = await engine.row("select * from outbox.attempts where job_id = %s and outcome = 'retried'", job)
    assert ("key:somebody", "try again", 1) == (row["actor"], row["error"], row["series"])


@proves("R9")
async def test_old_attempts_stay_readable(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.in_state("failed", worker)
    await engine.call("retry", job)
    await engine.settle(worker, await engine.claim_one(worker))
    rows = await engine.rows(
        "select no, attempt, series, outcome from outbox.attempts where job_id = %s order by no", job
    )
    assert [(1, 1, 0, "failed"), (2, 0, 1, "retried"), (3, 1, 1, "completed")] == [
        tuple(row.values()) for row in rows
    ]


async def test_a_unique_key_is_taken_back_or_refused(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.dead(worker, uniqueKey="k")
    other = await engine.enqueue(uniqueKey="k")
    with pytest.raises(psycopg.Error, match=str(other)) as refused:
        await engine.call("retry", job)
    assert "OX409" == refused.value.sqlstate
    assert "failed" == (await engine.state(job))["state"]
    await engine.call("cancel", other)
    await engine.call("retry", job)
    assert job == await engine.enqueue(uniqueKey="k")


async def test_a_retried_job_still_expires(engine: Engine, clock: Clock) -> None:
    worker = await engine.worker()
    job = await engine.dead(worker, expiresAt=(clock.now + MINUTE).isoformat())
    await engine.value("select outbox.expire()")
    await engine.call("retry", job)
    clock.forward(2 * MINUTE)
    assert 1 == await engine.value("select outbox.expire()")
    assert "cancelled" == (await engine.state(job))["state"]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
@proves("R9", "L17")
async def test_two_retries_at_once_make_one_series(engine: Engine, dsn: str, state: str) -> None:
    job = await engine.in_state(state, await engine.worker())
    retry = "select before, series from outbox.retry(outbox.me(), %s)"
    async with (
        await psycopg.AsyncConnection.connect(dsn) as one,
        await psycopg.AsyncConnection.connect(dsn) as two,
    ):
        first = await (await one.execute(retry, [job])).fetchone()
        waiting = asyncio.ensure_future(two.execute(retry, [job]))
        await engine.somebody_waits()
        await one.commit()
        second = await (await waiting).fetchone()
        await two.commit()
    assert ((state, 1), ("queued", 1)) == (first, second)
    assert [1] == [
        row["n"]
        for row in await engine.rows(
            "select count(*) as n from outbox.attempts where job_id = %s and outcome = 'retried'", job
        )
    ]
    assert [] == await engine.misplaced()


async def test_a_long_reason_is_refused(engine: Engine) -> None:
    job = await engine.enqueue()
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("retry", job, "x" * 501)
    assert "OX400" == refused.value.sqlstate


async def test_a_wake_is_sent_with_the_commit(engine: Engine, conn: Conn) -> None:
    job = await engine.in_state("failed", await engine.worker())
    await conn.execute("listen outbox_wake")
    await engine.call("retry", job)
    async for hint in conn.notifies(timeout=5, stop_after=1):
        assert "q:work" == hint.payload


# Lanes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["advance", "block"])
@proves("C16")
async def test_a_dead_head_that_is_retried_runs_before_what_waits(engine: Engine, policy: str) -> None:
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": policy})
    first, second, third = [await engine.publish("k") for _ in range(3)]
    worker = await engine.worker()
    await engine.fail(worker, await engine.claim_one(worker))
    if policy == "advance":
        await engine.settle(worker, await engine.claim_one(worker))
    else:
        assert [] == await engine.claim(worker)
    await engine.call("retry", first)
    rest = []
    while claimed := await engine.claim(worker):
        rest.append(claimed[0]["job_id"])
        await engine.settle(worker, claimed[0])
    assert ([first, third] if policy == "advance" else [first, second, third]) == rest


async def test_a_dead_letter_whose_lane_is_gone_opens_it_again(engine: Engine) -> None:
    await engine.route()
    worker = await engine.worker()
    job = await engine.publish("k")
    await engine.fail(worker, await engine.claim_one(worker))
    assert await engine.lane(job) is None
    await engine.call("retry", job)
    later = await engine.publish("k")
    claimed = await engine.claim_one(worker)
    assert job == claimed["job_id"]
    await engine.settle(worker, claimed)
    assert later == (await engine.claim_one(worker))["job_id"]


async def test_a_cancelled_job_goes_to_the_end_of_its_lane(engine: Engine) -> None:
    await engine.route()
    worker = await engine.worker()
    first, second = await engine.publish("k"), await engine.publish("k")
    await engine.call("cancel", first)
    await engine.call("retry", first)
    order = []
    while claimed := await engine.claim(worker):
        order.append(claimed[0]["job_id"])
        await engine.settle(worker, claimed[0])
    assert [second, first] == order


async def test_a_head_in_backoff_is_due_now(engine: Engine) -> None:
    await engine.route()
    worker = await engine.worker()
    job = await engine.publish("k")
    await engine.settle(worker, await engine.claim_one(worker), "failed", retryInMs=60_000)
    assert [] == await engine.claim(worker)
    await engine.call("retry", job)
    assert job == (await engine.claim_one(worker))["job_id"]


async def test_a_future_job_behind_others_moves_up_but_not_past_them(engine: Engine) -> None:
    await engine.route()
    worker = await engine.worker()
    first = await engine.publish("k")
    second = await engine.publish("k", run_at=engine.clock.now + timedelta(hours=1))
    third = await engine.publish("k")
    await engine.call("retry", second)
    order = []
    while claimed := await engine.claim(worker):
        order.append(claimed[0]["job_id"])
        await engine.settle(worker, claimed[0])
    assert [first, second] == order
    await engine.call("retry", third)
    assert third == (await engine.claim_one(worker))["job_id"]


async def test_a_retry_does_not_take_a_running_lane_away(engine: Engine) -> None:
    await engine.route()
    worker = await engine.worker()
    first, second = await engine.publish("k"), await engine.publish("k")
    await engine.fail(worker, await engine.claim_one(worker))
    running = await engine.claim_one(worker)
    assert second == running["job_id"]
    await engine.call("retry", first)
    assert [] == await engine.claim(worker)
    assert (await engine.settle(worker, running))["accepted"]
    assert first == (await engine.claim_one(worker))["job_id"]
