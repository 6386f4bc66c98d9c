"""The examples of sql/README.md, each run as it stands there on a made situation, and what it says."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests import promised as contract
from tests.clock import Clock
from tests.sql.engine import MINUTE, Conn, Engine

Rows = list[dict[str, Any]]


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    clock.set(clock.now.replace(second=0, microsecond=0))
    return await Engine.made(conn, clock)


def examples() -> list[str]:
    """Of the block of the contract, without their comments."""
    [block] = re.findall(r"## From the shell\n\n```sql\n(.*?)```", contract.FILE.read_text(), re.DOTALL)
    text = re.sub(r"--.*", "", block)
    return [" ".join(each.split()) for each in re.split(r";\s*\n", text) if each.strip()]


async def said(engine: Engine, containing: str, *, meant: object = "") -> Rows:
    """The one example with these words, run; `meant` stands for its dots."""
    [statement] = [each for each in examples() if containing in each]
    statement = statement.replace("…", str(meant)).replace("0197f1c2-7a00-7000-8000-000000000001", str(meant))
    cursor = await engine.conn.execute(statement.encode())
    return await cursor.fetchall() if cursor.description else []


def test_there_are_no_others() -> None:
    assert set(TRIED) == {words for each in examples() for words in TRIED if words in each}
    assert len(examples()) == len(TRIED)


async def test_what_waits(engine: Engine, clock: Clock) -> None:
    await engine.enqueue("late")
    clock.forward(MINUTE)
    await engine.enqueue("fresh")
    rows = [row for row in await said(engine, "from outbox.queue_depth") if row["due"]]
    assert [("late", 1, 0, False), ("fresh", 1, 0, False)] == [
        tuple(row[name] for name in ("queue", "due", "workers", "paused")) for row in rows
    ]
    assert rows[0]["lag"] > MINUTE


async def test_why_it_does_not_run(engine: Engine) -> None:
    job = await engine.enqueue()
    assert ["no_worker"] == [row["reason"] for row in await said(engine, "outbox.why(", meant=job)]


async def test_who_floods_and_how_to_calm_it(engine: Engine) -> None:
    other = await engine.add_project()
    for project in (other, other, engine.project):
        await engine.enqueue("observe", project, handler="observe")
    rows = await said(engine, "from outbox.tenant_depth")
    assert [(other, 2), (engine.project, 1)] == [(row["project_id"], row["due"]) for row in rows]
    await said(engine, "interval '10 min'", meant=other)
    assert [True, False] == [row["paused"] for row in await said(engine, "from outbox.tenant_depth")]


async def test_what_fails_and_is_retried_twenty_a_second(engine: Engine, clock: Clock) -> None:
    worker = await engine.worker()
    jobs = [await engine.dead(worker) for _ in range(3)]
    assert [("Boom", None, 3)] == [tuple(row.values()) for row in await said(engine, "outbox.failure_groups")]
    [look] = await said(engine, "outbox.redrive(")
    assert (True, 3, 3) == (look["dry_run"], look["matched"], look["affected"])
    assert ["failed"] * 3 == await engine.states(*jobs)
    assert timedelta(milliseconds=100) == look["last_due_at"] - look["first_due_at"]


async def test_how_much_a_minute(engine: Engine, clock: Clock) -> None:
    worker = await engine.worker()
    for state in ("completed", "completed", "failed"):
        await engine.in_state(state, worker)
    [row] = await said(engine, "from outbox.throughput")
    assert (2, 1) == (row["done"], row["failed"])
    assert row["wait"] is not None


async def test_who_holds_vacuum_back(engine: Engine, dsn: str) -> None:
    async with await Conn.connect(dsn) as old:
        await old.execute("set transaction isolation level repeatable read")
        await old.execute("select 1")
        rows = await said(engine, "outbox.vacuum_pins")
        assert old.info.backend_pid in [row["pid"] for row in rows]


async def test_an_endpoint_gets_what_it_was_owed(engine: Engine) -> None:
    endpoint = await engine_with_endpoint(engine)
    [row] = await said(engine, "outbox.recover(", meant=endpoint)
    assert 1 == await engine.value("select count(*) from outbox.endpoints where recovery_job is not null")
    assert row["recover"]


async def test_spending_stops_for_an_hour(engine: Engine) -> None:
    await engine.rows("select outbox.open_queue('observe', 'observe')")
    await said(engine, "provider bill")
    row = await engine.row("select * from outbox.queues where name = 'observe'")
    assert (True, "provider bill") == (row["paused"], row["paused_reason"])
    assert row["paused_until"] is not None


async def test_whether_generation_is_held(engine: Engine) -> None:
    await engine.rows("select outbox.provider_failed('claude', 'quota_exhausted', null, true)")
    [row] = await said(engine, "outbox.provider_health")
    assert ("claude", "quota_exhausted", 0) == (row["provider"], row["class"], row["failed_1h"])
    assert row["held_until"] is not None


async def test_who_spent_tokens(engine: Engine, clock: Clock) -> None:
    await engine.rows(
        "insert into outbox.usage_calls (id, at, team_id, project_id, job_id, provider, model, class,"
        " tokens_in, tokens_out, estimated, ms) values (gen_random_uuid(), %s, %s, %s, gen_random_uuid(),"
        " 'claude', 'm', 'ok', 7, 3, false, 1) returning id",
        *(clock.now, engine.team, engine.project),
    )
    [row] = await said(engine, "outbox.usage_by_day")
    assert (engine.project, 10) == (row["project_id"], row["total"])


async def test_one_events_story(engine: Engine) -> None:
    await engine.route()
    event = await engine.value("select event_id from outbox.jobs where id = %s", await engine.publish())
    rows = await said(engine, "outbox.audit_trail", meant=event)
    assert ["event.received", "job.queued"] == [row["action"] for row in rows]
    rows = await said(engine, "outbox.timeline(", meant=event)
    assert ["received", "sequenced", "job_queued"] == [row["kind"] for row in rows]


async def test_who_died(engine: Engine, clock: Clock) -> None:
    await engine.worker(host="box-1")
    assert [] == await said(engine, "state = 'silent'")
    clock.forward(MINUTE)
    assert ["box-1"] == [row["host"] for row in await said(engine, "state = 'silent'")]


async def test_a_row_and_its_event_are_committed_together(engine: Engine) -> None:
    await engine.conn.execute("create table orders (id int)")
    await engine.conn.execute(f"set outbox.project = '{engine.project}'".encode())
    await said(engine, "begin;")
    assert 1 == await engine.value("select count(*) from orders")
    assert 1 == await engine.value("select count(*) from outbox.events where type = 'order.paid'")


async def engine_with_endpoint(engine: Engine) -> UUID:
    """With one delivery that it has completed."""
    made: UUID = await engine.value(
        "insert into outbox.endpoints (id, team_id, project_id, queue_id, url, created_at, updated_at)"
        " values (gen_random_uuid(), %s, %s, outbox.open_queue('endpoint:x', 'deliver'), 'https://h.test',"
        " outbox.clock(), outbox.clock()) returning id",
        *(engine.team, engine.project),
    )
    return made


TRIED = (
    *("from outbox.queue_depth", "outbox.why(", "from outbox.tenant_depth", "interval '10 min'"),
    *("outbox.failure_groups", "outbox.redrive(", "from outbox.throughput", "outbox.vacuum_pins"),
    *("outbox.recover(", "provider bill", "outbox.provider_health", "outbox.usage_by_day"),
    *("outbox.audit_trail", "outbox.timeline(", "state = 'silent'", "begin;"),
)
"""By what each example is told from the others."""
