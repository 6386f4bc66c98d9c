"""Every table that grows with the work says whose its rows are: a sharding Postgres may spread them."""

import pytest

from tests.clock import Clock
from tests.sql.engine import Conn, Engine

WHOSE = ("project_id", "team_id")

EVERYWHERE = {
    # What the whole cluster reads, and is small: kept on every node.
    "teams": "the tenants themselves",
    "queues": "shared by tenants; an endpoint's is found by its own row",
    "gates": "one row a queue with an exact limit",
    "handlers": "names, declared by operators",
    "settings": "of the server",
    "migrations": "of the server",
    "chores": "of the server",
    "provider_holds": "one row a provider",
    "usage_closed": "one row",
    "endpoint_ends": "one row a deleted endpoint's queue, while it drains",
}
BY_ID = {
    # Rows of a job, or of another row that says whose it is: found by its id, placed with it.
    "ready": "its lane is the project's number, or a row of `lanes`, which says the project",
    "later": "as ready",
    "leases": "one row a claimed batch of several projects: of the claiming side, short-lived",
    "attempts": "job_id",
    "expiries": "job_id",
    "checkpoints": "job_id",
    "members": "job_id",
    "endpoint_secrets": "endpoint_id",
    "idle": "worker_id, unlogged, a hint",
    "idempotency": "scope_id is a project or a team",
    "budget_marks": "scope_id is a project or a team",
    "usage_hours": "scope_id is a project or a team",
    "rate_windows": "subject is a key or a project, unlogged, a hint",
    "console_sessions": "key_id",
}


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


async def test_each_table_says_whose_its_rows_are_or_why_it_need_not(engine: Engine) -> None:
    rows = await engine.rows(
        "select c.relname, array(select a.attname::text from pg_attribute a where a.attrelid = c.oid"
        " and a.attname = any (%s) and a.attnum > 0 and not a.attisdropped) as whose"
        " from pg_class c where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p')"
        " and not c.relispartition",
        list(WHOSE),
    )
    without = {row["relname"] for row in rows if not row["whose"]}
    assert without - EVERYWHERE.keys() - BY_ID.keys() == set()


async def test_no_table_is_excused_that_says_it(engine: Engine) -> None:
    """Excuses are of tables that are there, and need them."""
    rows = await engine.rows(
        "select c.relname, exists (select from pg_attribute a where a.attrelid = c.oid"
        " and a.attname = 'project_id' and not a.attisdropped) as says"
        " from pg_class c where c.relnamespace = 'outbox'::regnamespace"
        " and c.relkind in ('r', 'p') and not c.relispartition"
    )
    excused = EVERYWHERE.keys() | BY_ID.keys()
    assert set() == excused - {row["relname"] for row in rows}
    assert set() == excused & {row["relname"] for row in rows if row["says"]}


async def test_what_grows_most_is_found_by_its_project(engine: Engine) -> None:
    """The project is among the first two columns of an index: one tenant's rows are read without others'."""
    rows = await engine.rows(
        "select distinct i.indrelid::regclass::text as name from pg_index i"
        " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey[0:1])"
        " where a.attname = 'project_id'"
    )
    most = {"events", "jobs", "feed", "pending", "observations", "sessions", "lanes", "event_keys"}
    assert most <= {row["name"].removeprefix("outbox.") for row in rows}
