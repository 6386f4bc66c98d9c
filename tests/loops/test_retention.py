"""Retention lets go what is old and over, and nothing that lives: partitions, and what is swept in them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from outboxd import config
from outboxd.config import Config
from outboxd.db.pool import Database
from outboxd.loops.chores import chores
from outboxd.loops.partitions import Partitions
from outboxd.loops.wakes import Wakes
from outboxd.store import partitions
from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import Conn, Engine

DAY = timedelta(days=1)
STATES = ("completed", "cancelled", "purged", "failed", "leased", "ready", "later", "not numbered")
"""Of a job, each on a day of its own; the first three are over."""
OVER = 3
ATTACHED = """
select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = ('outbox.' || %s)::regclass order by 1
"""


def settings(dsn: str, **days: int) -> Config:
    given = {f"OUTBOXD_{name.upper()}_DAYS": str(value) for name, value in days.items()}
    return config.read(
        {"OUTBOXD_DATABASE_URL": dsn, "OUTBOXD_WORKER_QUEUES": "work", **given}, command="work"
    )


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    """With partitions as in production: a day each."""
    for parent in ("events", "feed", "jobs", "attempts", "audit_log"):
        await conn.execute(f"drop table outbox.{parent}_all".encode())
    clock.set(clock.now.replace(hour=1, minute=0, second=0))
    await conn.execute("select outbox.make_partitions(60)")
    return await Engine.made(conn, clock)


async def attached(engine: Engine, parent: str) -> list[str]:
    return [row["name"] for row in await engine.rows(ATTACHED, parent)]


def partition(parent: str, clock: Clock) -> str:
    return f"{parent}_{clock.now:%Y%m%d}"


async def brought_to(engine: Engine, state: str, worker: UUID) -> UUID:
    """A job of today in that state."""
    match state:
        case "completed" | "cancelled" | "failed":
            return await engine.in_state(state, worker)
        case "purged":
            job = await engine.in_state("failed", worker)
            assert 1 == await engine.value("select outbox.purge_dead(outbox.clock() + interval '1 s')")
            return job
        case "leased":
            job = await engine.enqueue()
            await engine.claim_one(worker)
            return job
        case "later":
            return await engine.enqueue(runAt=(engine.clock.now + 59 * DAY).isoformat(), deadline=None)
        case "not numbered":
            await engine.route()
            return await engine.publish(key="k", place=False)
        case _:
            return await engine.enqueue(queue="nobody")


@proves("R8")
async def test_partitions_go_when_they_are_old_and_nothing_in_them_lives(
    dsn: str, engine: Engine, clock: Clock
) -> None:
    days, jobs = {}, {}
    for state in STATES:
        days[state] = partition("jobs", clock)
        jobs[state] = await brought_to(engine, state, await engine.worker())
        clock.forward(DAY)
    first = clock.now - len(STATES) * DAY
    chore = Partitions(dsn, settings(dsn, job=6, feed=6, event=40))

    # Its day ended six days ago, to the second.
    clock.set((first + 7 * DAY).replace(hour=0, minute=0, second=0) - timedelta(seconds=1))
    await chore.drop()
    assert set(days.values()) <= set(await attached(engine, "jobs"))
    clock.forward(timedelta(seconds=1))
    await chore.drop()
    assert days["completed"] not in await attached(engine, "jobs")
    assert set(list(days.values())[1:]) <= set(await attached(engine, "jobs"))

    clock.forward(9 * DAY)
    await chore.drop()
    left = set(await attached(engine, "jobs"))
    assert [] == [state for state in STATES[:OVER] if days[state] in left]
    assert [] == [state for state in STATES[OVER:] if days[state] not in left]
    assert len(await attached(engine, "attempts")) == len(left)
    alive = {job for state, job in jobs.items() if state in STATES[OVER:]}
    found = await engine.value("select count(*) from outbox.jobs where id = any (%s)", list(alive))
    assert len(alive) == found
    assert {str(jobs["later"]), str(jobs["ready"])} <= await holders(engine)


async def holders(engine: Engine) -> set[str]:
    """Jobs that, as the view says, keep a partition."""
    await engine.rows("insert into outbox.settings values ('job_days', '6') returning 1")
    rows = await engine.rows("select held_by::text from outbox.held_partitions where table_name = 'jobs'")
    return {row["held_by"] for row in rows}


@proves("R8")
async def test_a_job_that_is_retried_while_its_partition_is_detached_lives(
    dsn: str, engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [partition("jobs", clock), partition("attempts", clock)]
    job = await engine.in_state("cancelled", await engine.worker())
    clock.forward(10 * DAY)
    detach, retried = partitions.detach, False

    async def just_before(conn: Any, part: partitions.Partition) -> None:
        nonlocal retried
        if part.name in names and not retried:
            # It was seen to be over a moment ago.
            retried = await engine.call("retry", job) != []
        await detach(conn, part)

    monkeypatch.setattr(partitions, "detach", just_before)
    await Partitions(dsn, settings(dsn, job=2, feed=2, event=40)).drop()

    assert retried
    assert set(names) <= {*await attached(engine, "jobs"), *await attached(engine, "attempts")}
    assert job == (await engine.claim_one(await engine.worker()))["job_id"]
    assert [] == await engine.misplaced()


@proves("R8", "R7")
async def test_a_detaching_that_was_cut_is_ended_by_the_next_run(
    dsn: str, engine: Engine, clock: Clock
) -> None:
    worker = await engine.worker()
    name = partition("jobs", clock)
    await engine.in_state("completed", worker)
    clock.forward(10 * DAY)
    chore = Partitions(dsn, settings(dsn, job=2, feed=2, event=40))
    with psycopg.connect(dsn) as reader:
        reader.execute("select count(*) from outbox.jobs")
        with pytest.raises(Exception, match="database"):
            await chore.drop()
        assert await engine.value("select exists (select from pg_inherits where inhdetachpending)")
    await chore.drop()
    assert name not in await attached(engine, "jobs")
    assert not await engine.value("select exists (select from pg_class where relname = %s)", name)


@proves("R8")
async def test_events_stay_while_a_job_needs_one_and_as_long_as_the_most_patient_project_keeps_them(
    dsn: str, engine: Engine, clock: Clock
) -> None:
    await engine.rows("insert into outbox.settings values ('event_days', '10') returning 1")
    await engine.route("nobody")
    day = clock.now
    job = await engine.publish()
    name = await engine.value("select relname from outbox.events e join pg_class c on c.oid = e.tableoid")
    chore = Partitions(dsn, settings(dsn, job=2, feed=2, event=10))
    clock.forward(25 * DAY)
    await chore.drop()
    assert name in await attached(engine, "events")
    held = await engine.rows("select held_by from outbox.held_partitions where table_name = 'events'")
    assert {"held_by": job} in held

    await engine.call("cancel", job)
    patient = Jsonb({"retention": {"eventDays": 30}})
    await engine.rows("update outbox.projects set settings = %s returning 1", patient)
    await chore.drop()
    assert name in await attached(engine, "events")
    clock.set(day + 40 * DAY)
    await chore.drop()
    assert name not in await attached(engine, "events")
    assert 0 == await engine.value("select count(*) from outbox.events")


@proves("R8")
async def test_a_run_of_retention_takes_what_is_older_than_its_setting_and_no_more(
    dsn: str, db: Database, engine: Engine, clock: Clock
) -> None:
    given = settings(dsn, dead=3, interaction=3)
    (retention,) = [each for each in chores(db, Wakes(), given, dsn) if each.name == "retention"]
    old = await engine.in_state("failed", await engine.worker())
    asked = "select id from (select interaction_id as id from outbox.ask(%s, 'chat', '*', %s, %s)) a"
    await engine.value(asked, engine.project, Jsonb({"text": "deploy?"}), "old")
    await engine.rows("select outbox.withdraw('old', %s, 'chat')", engine.project)
    clock.forward(2 * DAY)
    young = await engine.in_state("failed", await engine.worker())
    await engine.value(asked, engine.project, Jsonb({"text": "deploy?"}), "pending")

    await retention.once()
    assert {old, young} == {
        row["job_id"] for row in await engine.rows("select job_id from outbox.dead_letters")
    }
    assert 2 == await engine.value("select count(*) from outbox.interactions")
    clock.forward(DAY + timedelta(seconds=1))
    assert 1 == await retention.once()
    assert {young} == {row["job_id"] for row in await engine.rows("select job_id from outbox.dead_letters")}
    assert ["purged"] == (await engine.ledger(old))[-1:]
    assert ["pending"] == [row["id"] for row in await engine.rows("select id from outbox.interactions")]


@proves("R8")
async def test_the_audit_log_goes_by_its_own_time(dsn: str, engine: Engine, clock: Clock) -> None:
    await engine.enqueue()
    await engine.call("pause", "work")
    clock.forward(58 * DAY)
    await Partitions(dsn, settings(dsn, audit=60)).drop()
    assert 1 <= await engine.value("select count(*) from outbox.audit_log")
    await Partitions(dsn, settings(dsn, audit=20)).drop()
    assert 0 == await engine.value("select count(*) from outbox.audit_log")
