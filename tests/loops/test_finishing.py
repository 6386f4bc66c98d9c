"""Writes of a handler, its events and its job's end are one transaction, of whoever holds the job."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from outboxd.db.pool import Database
from outboxd.errors import Refused, Unavailable
from outboxd.handlers import python
from outboxd.model import Done, Job, Snooze
from outboxd.model.contract import Ended
from tests.loops.crew import Crew
from tests.proxy import Proxy
from tests.waiting import until

proves = pytest.mark.proves


@pytest.fixture(autouse=True)
async def effects(crew: Crew) -> None:
    await crew.conn.execute("create table effects (job uuid, note text)")


async def written(crew: Crew) -> list[tuple[UUID, str]]:
    return [(row["job"], row["note"]) for row in await crew.rows("select * from effects")]


@proves("L2")
async def test_writes_and_completion_commit_together(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> Done:
        async def write(conn: Any) -> None:
            await conn.execute("insert into effects values (%s, 'done')", [job.id])
            await seen_from_outside()

        return Done(output=1, write=write)

    seen: list[Any] = []

    async def seen_from_outside() -> None:
        seen.append((await written(crew), await crew.attempts(job)))

    job = await crew.enqueue()
    async with crew.at_work(python.App(handlers={"work": work}, writes=["work"])):
        attempt = await crew.attempt(job)

    assert [([], [])] == seen
    assert [(job, "done")] == await written(crew)
    assert ("completed", 1) == (attempt["outcome"], attempt["output"])


@proves("L2")
@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (ValueError("no"), ("failed", "ValueError", "later")),
        (Refused("never"), ("failed", "BadRequest", "dead_letters")),
        (Unavailable("not now"), ("failed", "Overloaded", "later")),
    ],
)
async def test_a_write_that_raises_leaves_nothing_and_fails_the_attempt(
    crew: Crew, raised: Exception, outcome: tuple[str, str, str]
) -> None:
    async def work(job: Job, run: Any) -> Done:
        async def write(conn: Any) -> None:
            await conn.execute("insert into effects values (%s, 'lost')", [job.id])
            raise raised

        return Done(write=write)

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert [] == await written(crew)
    assert outcome == (attempt["outcome"], attempt["class"], (await crew.where(job))[0])


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("select 1/0", ("22012", "later")),
        ("insert into effects values ('no uuid')", ("22P02", "later")),
        ("select outbox.refuse(404, 'no such order')", ("NotFound", "dead_letters")),
        ("select outbox.refuse(503, 'not now')", ("Overloaded", "later")),
    ],
)
async def test_an_sqlstate_in_a_write_is_final_only_if_it_is_ours_and_4xx(
    crew: Crew, statement: str, found: tuple[str, str]
) -> None:
    async def work(job: Job, run: Any) -> Done:
        async def write(conn: Any) -> None:
            await conn.execute(statement.encode())

        return Done(write=write)

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert found == (attempt["class"], (await crew.where(job))[0])


async def test_a_write_that_lost_against_another_transaction_is_made_again_without_its_handler(
    crew: Crew,
) -> None:
    calls: list[str] = []

    async def work(job: Job, run: Any) -> Done:
        calls.append("handler")

        async def write(conn: Any) -> None:
            calls.append("write")
            if calls.count("write") < 3:
                raise psycopg.errors.SerializationFailure
            await conn.execute("insert into effects values (%s, 'done')", [job.id])

        return Done(write=write)

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        await crew.attempt(job, "completed")

    assert (["handler"], [(job, "done")]) == (calls[:1], await written(crew))
    assert ["completed"] == await crew.outcomes(job)


@proves("L2", "L4", "L13")
async def test_when_the_answer_of_the_commit_is_lost_the_writes_happen_once(crew: Crew) -> None:
    calls = 0
    async with Proxy.before(crew.dsn) as (proxy, through), Database.open(through) as cut_off:

        async def work(job: Job, run: Any) -> Done:
            nonlocal calls
            calls += 1

            async def write(conn: Any) -> None:
                await conn.execute("insert into effects values (%s, 'done')", [job.id])
                execute = conn.execute

                async def last_words(statement: Any, *given: Any, **named: Any) -> Any:
                    if statement == b"commit":
                        proxy.cut_answers()
                    return await execute(statement, *given, **named)

                conn.execute = last_words

            return Done(write=write)

        job = await crew.enqueue()
        async with crew.at_work({"work": work}, db=cut_off):
            await crew.attempt(job, "completed")
            await until(lambda: nothing_leased(crew))

    assert (1, [(job, "done")], ["completed"]) == (calls, await written(crew), await crew.outcomes(job))


@proves("L16")
async def test_a_job_cancelled_between_its_handlers_end_and_its_settle_writes_nothing(crew: Crew) -> None:
    ended = asyncio.Event()

    async def work(job: Job, run: Any) -> Done:
        async def write(conn: Any) -> None:
            await conn.execute("insert into effects values (%s, 'late')", [job.id])

        ended.set()
        return Done(write=write)

    job = await crew.enqueue()
    async with crew.at_work({"work": work}) as shop:
        # The semaphore is the barrier: whoever wants to write waits here.
        writers = shop.worker._means.writers
        for _ in range(4):
            await writers.acquire()
        await crew.enqueue(priority=-1)
        await ended.wait()
        await crew.conn.execute("select outbox.cancel(outbox.me(), %s)", [job])
        for _ in range(4):
            writers.release()
        await until(lambda: shop.worker.running == 0)

    assert ["cancelled"] == await crew.outcomes(job)
    assert job not in {about for about, _ in await written(crew)}


@proves("L1")
async def test_a_job_that_was_taken_away_is_not_written(crew: Crew) -> None:
    ended = asyncio.Event()

    async def work(job: Job, run: Any) -> Done:
        async def write(conn: Any) -> None:
            await conn.execute("insert into effects values (%s, 'late')", [job.id])

        if job.attempt == 1:
            await crew.conn.execute("update outbox.leases set deadline_at = '-infinity'")
            await crew.conn.execute("select outbox.reap()")
            ended.set()
        return Done(write=write)

    job = await crew.enqueue(maxAttempts=1)
    async with crew.at_work({"work": work}, upkeep=False) as shop:
        await ended.wait()
        await until(lambda: shop.worker.running == 0)

    assert ([], ["timed_out"]) == (await written(crew), await crew.outcomes(job))
    assert "hung" == (await crew.attempts(job))[0]["class"]


async def test_events_of_a_handler_are_stored_with_its_end_and_are_caused_by_its_event(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> Done:
        return Done(publish=[{"eventType": "order.shipped", "payload": {"by": "post"}, "subject": "order 7"}])

    async with crew.at_work(python.App(handlers={"work": work}, open=["work"])):
        await crew.conn.execute(
            "select outbox.add_route(outbox.me(), 'order.paid', 'work', %s, '{\"handler\": \"work\"}')",
            [crew.project],
        )
        await crew.conn.execute("select outbox.publish('order.paid', '{}', p_project => %s)", [crew.project])
        await until(lambda: shipped(crew))

    (event,) = await crew.rows("select * from outbox.events where type = 'order.shipped'")
    (cause,) = await crew.rows("select * from outbox.events where type = 'order.paid'")
    assert ({"by": "post"}, "order 7", "handler") == (event["payload"], event["subject"], event["adapter"])
    assert (1, cause["actor"], crew.project) == (event["hops"], event["actor"], event["project_id"])


@pytest.mark.parametrize(
    "events",
    [
        [{"payload": {}}],
        [{"eventType": "a.b", "projectId": "0197f1c2-7a00-7000-8000-000000000001"}],
        [{"eventType": "a.b"}] * 101,
        [{"eventType": "a.b", "payload": object()}],
    ],
)
async def test_events_that_cannot_be_published_fail_the_job_for_good_and_leave_nothing(
    crew: Crew, events: list[dict[str, Any]]
) -> None:
    async def work(job: Job, run: Any) -> Done:
        async def write(conn: Any) -> None:
            await conn.execute("insert into effects values (%s, 'lost')", [job.id])

        return Done(write=write, publish=events)

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ([], "failed", ["dead_letters"]) == (
        await written(crew),
        attempt["outcome"],
        await crew.where(job),
    )


async def test_a_snooze_and_a_failure_may_write_too(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> Snooze | Ended:
        async def write(conn: Any) -> None:
            await conn.execute("insert into effects values (%s, %s)", [job.id, job.payload["how"]])

        if job.payload["how"] == "snoozed":
            return Snooze(timedelta(hours=1), "budget", write)
        return Ended(outcome="failed", class_="server_error", write=write)

    ids = [await crew.enqueue(payload={"how": how}) for how in ("snoozed", "failed")]
    async with crew.at_work({"work": work}):
        seen = [(await crew.attempt(job))["outcome"] for job in ids]

    assert ["snoozed", "failed"] == seen
    assert {(ids[0], "snoozed"), (ids[1], "failed")} == set(await written(crew))


async def test_a_job_that_writes_does_not_hold_up_the_others_of_its_claim(crew: Crew) -> None:
    inside = asyncio.Event()
    leave = asyncio.Event()

    async def work(job: Job, run: Any) -> Done:
        async def write(conn: Any) -> None:
            if job.payload:
                inside.set()
                await leave.wait()

        return Done(write=write)

    slow = await crew.enqueue(payload={"slow": True}, priority=1)
    quick = await crew.enqueue()
    async with crew.at_work(python.App(handlers={"work": work}, writes=["work"])):
        await inside.wait()
        await crew.attempt(quick, "completed")
        held = await crew.where(slow)
        leave.set()
        await crew.attempt(slow, "completed")

    assert ["leases"] == held


async def nothing_leased(crew: Crew) -> bool:
    return not await crew.rows("select from outbox.leases")


async def shipped(crew: Crew) -> bool:
    return bool(await crew.rows("select from outbox.events where type = 'order.shipped'"))
