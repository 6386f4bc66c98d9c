"""What a job of generation waits for is said where operators look: in held_jobs, by why, in the metrics."""

from typing import Any
from uuid import UUID

from outboxd.daemon.figures import Figures
from tests.fake_provider import fails, says
from tests.memory.brain import Brain
from tests.memory.test_observe import NOTHING, block
from tests.memory.test_summarize import ended, quiet, session
from tests.proofs import proves
from tests.telemetry.test_metrics import values


async def held(mind: Brain) -> dict[str, int]:
    rows = await mind.rows("select * from outbox.held_jobs where project_id = %s", mind.project)
    return {row["held"]: row["jobs"] for row in rows}


async def why(mind: Brain, job: UUID) -> tuple[str, str]:
    rows = await mind.rows("select * from outbox.why(%s) order by rank", job)
    return rows[0]["reason"], rows[0]["detail"]


@proves("G10")
async def test_a_spent_budget(mind: Brain) -> None:
    await mind.settle_on(budgets={"tokensPerMonth": 10})
    event = await mind.event()
    async with mind.at_work():
        await mind.end(event, "snoozed")
    reason, detail = await why(mind, await mind.job(event))
    assert ("not_due", True) == (reason, "held: budget" in detail)
    assert {"budget": 1} == await held(mind)


@proves("G10")
async def test_a_provider_that_is_left_alone(mind: Brain) -> None:
    mind.fake.script(fails(429))
    event = await mind.event()
    async with mind.at_work():
        await mind.end(event, "snoozed")
        other = await mind.event({"n": "2"})
    assert "held: provider" in (await why(mind, await mind.job(event)))[1]
    reason, detail = await why(mind, await mind.job(other))
    assert ("queue_closed", True) == (reason, detail.startswith("provider, until"))
    # The one that met it, and the one that stays where it is.
    assert {"provider": 2} == await held(mind)
    await Figures(mind.crew.db).refresh()
    assert {("claude",): 1, ("provider",): 2} == {
        **{labels: n for labels, n in values("provider_held").items() if labels == ("claude",)},
        **{labels: n for labels, n in values("jobs_held").items() if labels == ("provider",)},
    }


@proves("G10")
async def test_a_session_that_is_open(mind: Brain) -> None:
    await mind.settle_on(generation={"policy": "end-of-session"})
    one = await session(mind)
    await mind.event(session=one)
    await mind.crew.conn.execute("select outbox.sequence(array[%s::uuid])", [mind.project])
    await mind.crew.conn.execute("select outbox.place(%s)", [mind.project])
    job = await mind.value("select job_id from outbox.gatherings where session_id = %s", one)
    reason, detail = await why(mind, job)
    assert ("not_due", True) == (reason, "held: session_open" in detail)
    assert {"session_open": 1} == await held(mind)


@proves("G10")
async def test_a_session_that_goes_on(mind: Brain) -> None:
    one = await session(mind)
    await mind.settle_on(summary={"quietSeconds": 3600}, generation={"policy": "off"})
    async with mind.at_work():
        await mind.event({"n": "1"}, session=one)
        job = await ended(mind, one)
        await mind.event({"n": "2"}, session=one)
        await mind.crew.hurry_up()
        await mind.crew.attempt(job, "snoozed")
    assert "held: session_active" in (await why(mind, job))[1]
    assert {"session_active": 1} == await held(mind)


@proves("G10")
async def test_observations_that_are_not_over(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    mind.fake.script(fails(500))
    async with mind.at_work():
        event = await mind.event(session=one)
        await mind.end(event, "failed")
        job = await ended(mind, one)
        await mind.crew.attempt(job, "snoozed")
    assert "held: observing" in (await why(mind, job))[1]
    assert {"observing": 1} == await held(mind)


@proves("G9")
async def test_outcomes_are_counted_when_their_ends_are_accepted(mind: Brain) -> None:
    before = values("generation_outcomes_total")
    mind.fake.script(says(block("Seen")), says(NOTHING), fails(500))
    async with mind.at_work(environ={"OUTBOXD_OBSERVE_BATCH": "1"}, slots=1):
        for payload in ({"n": "1"}, {"n": "2"}):
            await mind.end(await mind.event(payload), "completed")
        await mind.end(await mind.event({"text": "<private>all of it</private>"}), "completed")
        await mind.end(await mind.event({"n": "3"}), "failed")
    after = values("generation_outcomes_total")
    moved = {labels[0]: n - before.get(labels, 0) for labels, n in after.items()}
    assert {"observed": 1, "skipped": 1, "private": 1} == {name: n for name, n in moved.items() if n}


@proves("M5")
async def test_a_database_error_while_observations_are_written_is_not_final(mind: Brain) -> None:
    """Nobody thought of this error: the relation is not there."""
    await mind.crew.conn.execute("alter table outbox.observations rename to elsewhere")
    event = await mind.event()
    async with mind.at_work():
        end: dict[str, Any] = await mind.end(event, "failed")
        assert ("42P01", True) == (end["class"], end["retry_at"] is not None)
        await mind.crew.conn.execute("alter table outbox.elsewhere rename to observations")
        await mind.crew.hurry_up()
        await mind.end(event, "completed")
    assert 1 == len(await mind.observations())
