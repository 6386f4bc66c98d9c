"""Who may do what: the matrix of sql/README.md over every function, view and table."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from tests.clock import Clock
from tests.promised import CALLED_BY_VIEWS
from tests.sql.engine import Conn, Engine
from tests.sql.test_views import VIEWS

QUESTIONS = {"ask", "answer", "use_suggestion", "withdraw", "expire_interactions"}
PRODUCER = {"me", "publish", "publish_many", "enqueue", "match_routes", "position"} | QUESTIONS
WORKER = {
    "me",
    "enlist",
    "beat",
    "poll",
    "look",
    "claim",
    "settle",
    "extend",
    "release",
    "report",
    "payload",
    "retire",
}
READER = {"me", "why", "timeline", "position"} | CALLED_BY_VIEWS
OPERATOR = READER | {
    "enqueue",
    "match_routes",
    "cancel",
    "retry",
    "snooze",
    "redrive",
    "cancel_many",
    "purge",
    "unhold",
    "pause",
    "resume",
    "configure_queue",
    "weigh",
    "add_route",
    "change_route",
    "remove_route",
    "add_handler",
    "reset_stream",
    "remove_handler",
    "resume_provider",
    "recover",
    "revoke_key",
    "expunge",
    "disable_schedule",
    "remove_schedule",
    "run_schedule",
}
MAY = {
    "outbox_producer": PRODUCER,
    "outbox_worker": WORKER,
    "outbox_reader": READER,
    "outbox_operator": OPERATOR,
}


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


@pytest.fixture
async def logins(engine: Engine, conn: Conn) -> AsyncIterator[Engine]:
    """One login a role, `t_<role>`, and `t_nobody`."""
    for role in [*MAY, "nobody"]:
        await conn.execute(f"create role t_{role} login")
        if role != "nobody":
            await conn.execute(f"grant {role} to t_{role}")
    yield engine
    await conn.execute("reset session authorization")
    for role in [*MAY, "nobody"]:
        await conn.execute(f"drop owned by t_{role}")
        await conn.execute(f"drop role t_{role}")


async def become(engine: Engine, role: str) -> None:
    await engine.conn.execute(f"set session authorization t_{role}")


@pytest.mark.parametrize("role", [*MAY, "public"])
async def test_functions(engine: Engine, role: str) -> None:
    rows = await engine.rows(
        "select proname from pg_proc where pronamespace = 'outbox'::regnamespace"
        " and has_function_privilege(%s, oid, 'execute')",
        role,
    )
    assert MAY.get(role, set()) == {row["proname"] for row in rows}


@pytest.mark.parametrize("role", [*MAY, "public"])
async def test_views_and_tables(engine: Engine, role: str) -> None:
    cursor = await engine.conn.execute(
        """
        select relname from pg_class
        where relnamespace = 'outbox'::regnamespace and relkind in ('r', 'p', 'v', 'S')
          and case relkind
            when 'S' then has_sequence_privilege(%(role)s, oid, 'usage, select, update')
            else has_table_privilege(%(role)s, oid, 'select, insert, update, delete, truncate') end
        """,
        {"role": role},
    )
    rows = await cursor.fetchall()
    seen = set(VIEWS) if role in ("outbox_reader", "outbox_operator") else set()
    assert seen == {row["relname"] for row in rows}


@pytest.mark.parametrize("name", VIEWS)
async def test_each_view_can_be_read_by_a_reader(logins: Engine, name: str) -> None:
    await logins.route()
    await logins.publish()
    await logins.publish("k")
    await become(logins, "outbox_reader")
    await logins.rows(f"select * from outbox.{name}")


@pytest.mark.parametrize("role", ["outbox_reader", "outbox_operator"])
async def test_whoever_sets_the_role_reads_every_view_and_no_table(engine: Engine, role: str) -> None:
    await engine.route()
    job = await engine.publish("k")
    event = await engine.value("select event_id from outbox.jobs where id = %s", job)
    await engine.conn.execute(f"set role {role}".encode())
    for view in VIEWS:
        await engine.rows(f"select * from outbox.{view} limit 10")
    assert await engine.rows("select * from outbox.why(%s)", job)
    assert await engine.call("timeline", event)
    assert await engine.value("select outbox.position(%s)", engine.project)
    for table in ("events", "jobs", "keys", "audit_log"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await engine.rows(f"select * from outbox.{table}")
    await engine.conn.execute("reset role")


async def test_of_tables_only_one_is_written_to_and_by_producers_only(engine: Engine) -> None:
    rows = await engine.rows(
        "select r.role, c.relname from unnest(%s::text[]) r(role), pg_class c"
        " where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p')"
        " and has_any_column_privilege(r.role, c.oid, 'select, insert, update, references')",
        list(MAY),
    )
    assert [("outbox_producer", "outboxevent")] == [tuple(row.values()) for row in rows]
    theirs = await engine.rows(
        "select attname from pg_attribute where attrelid = 'outbox.outboxevent'::regclass and attnum > 0"
        " and has_column_privilege('outbox_producer', attrelid, attnum, 'insert')"
    )
    assert "producer" not in {row["attname"] for row in theirs}


async def test_every_granted_verb_runs_as_its_owner(engine: Engine) -> None:
    plain = {"clock", "uuid7_time"}
    rows = await engine.rows(
        "select proname from pg_proc where pronamespace = 'outbox'::regnamespace and proname = any(%s)"
        " and not (prosecdef and proconfig @> '{\"search_path=pg_catalog, pg_temp\"}')",
        [list(set().union(*MAY.values()) - plain)],
    )
    assert [] == [row["proname"] for row in rows]


async def test_an_operator_operates(logins: Engine) -> None:
    job = await logins.enqueue()
    await become(logins, "outbox_operator")
    await logins.call("cancel", job)
    await logins.call("retry", job)
    await logins.call("pause", "work")
    await logins.call("configure_queue", "work", {"attempts": 3})
    assert ["queue_paused", "no_worker"] == [
        row["reason"] for row in await logins.rows("select * from outbox.why(%s)", job)
    ]
    await logins.conn.execute("reset session authorization")
    actors = {row["actor"] for row in await logins.rows("select actor from outbox.audit_log")}
    assert {"sql:t_outbox_operator"} == actors


async def test_an_operator_ends_a_key_for_a_reason(logins: Engine) -> None:
    key = await logins.value(
        "insert into outbox.keys (id, hash, prefix, team_id, scopes, actor, created_at)"
        " values (gen_random_uuid(), sha256('x'), 'x', %s, '{admin}', 'key:x', outbox.clock()) returning id",
        logins.team,
    )
    await become(logins, "outbox_operator")
    (first,) = await logins.call("revoke_key", key, "it leaked")
    assert first == (await logins.call("revoke_key", key, "once more"))[0]
    assert "OX404" == await logins.refused("revoke_key", logins.project, "no such key")
    [told] = await logins.rows("select * from outbox.audit_trail where resource_id = %s", str(key))
    assert ("api_key.revoke", "sql:t_outbox_operator", {"reason": "it leaked"}) == (
        told["action"],
        told["actor"],
        told["details"],
    )


async def test_an_operator_expunges_and_a_reader_reads_what_followed(logins: Engine) -> None:
    await logins.route()
    job = await logins.publish()
    event = await logins.value("select event_id from outbox.jobs where id = %s", job)
    await become(logins, "outbox_operator")
    assert [{"observations": 0, "jobs": 0}] == await logins.call("expunge", event)
    await logins.conn.execute("reset session authorization")
    await become(logins, "outbox_reader")
    told = await logins.call("timeline", event)
    assert [("received", None), ("sequenced", None), ("job_queued", job), ("audit", None)] == [
        (row["kind"], row["job_id"]) for row in told
    ]
    assert "event.expunged" == told[-1]["details"]["action"]
    assert "OX404" == await logins.refused("timeline", logins.project)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await logins.call("expunge", event)


async def test_a_caller_cannot_be_made_up(logins: Engine) -> None:
    theirs = await logins.add_project(await logins.add_team())
    await logins.rows(
        "insert into outbox.producers values ('t_outbox_producer', %s) returning 1", logins.project
    )
    await become(logins, "outbox_producer")
    everywhere = "row(null, null, true, null, 'root', null)::outbox.caller"
    for caller, project in ((everywhere, logins.project), ("outbox.me()", theirs)):
        with pytest.raises(psycopg.Error) as refused:
            await logins.call("enqueue", "work", {}, project, caller=caller)
        assert refused.value.sqlstate in ("OX403", "OX404")
    with pytest.raises(psycopg.Error) as refused:
        await logins.rows("select * from outbox.match_routes(%s, 'a')", theirs)
    assert "OX403" == refused.value.sqlstate
    assert [] == await logins.rows("select * from outbox.match_routes(%s, 'a')", logins.project)


async def test_nobody_gets_in(logins: Engine) -> None:
    await become(logins, "nobody")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await logins.rows("select * from outbox.queue_depth")


async def test_whoever_may_not_make_roles_can_migrate(empty_dsn: str) -> None:
    """The schema is there, and what an administrator should run is said."""
    from outboxd.db import migrate

    owner = "t_owner"
    async with await AsyncConnection[dict[str, Any]].connect(
        empty_dsn, autocommit=True, row_factory=dict_row
    ) as admin:
        await admin.execute(f"create role {owner} login password 'x'")
        database = admin.info.dbname
        await admin.execute(f"grant create on database {database} to {owner}")
        try:
            dsn = psycopg.conninfo.make_conninfo(empty_dsn, user=owner, password="x")
            applied = await migrate.migrate(dsn)
            assert any("pg_monitor" in statement for statement in applied.for_admin)
        finally:
            await admin.execute(f"drop owned by {owner}")
            await admin.execute(f"drop role {owner}")
