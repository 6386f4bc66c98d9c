"""One applies, all start; nothing half done; nothing over something newer."""

import asyncio
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from pytest_postgresql.executors import NoopExecutor

from outboxd.db import migrate, schema, scripts
from outboxd.errors import DatabaseUnavailable, SchemaError
from tests import cluster
from tests.db.trees import CONCURRENT, Sql, ask, function
from tests.proofs import proves
from tests.waiting import until


async def test_an_empty_database_becomes_current(empty_dsn: str, sql: Sql, admin: psycopg.Connection) -> None:
    before = await migrate.check(empty_dsn, root=sql.root)
    done = await migrate.migrate(empty_dsn, root=sql.root)
    after = await migrate.check(empty_dsn, root=sql.root)

    assert before.pending == ("migrations/0001_first.sql", "functions and views")
    assert done.migrations == ("migrations/0001_first.sql",)
    assert done.refreshed
    assert after.current
    assert ask(admin, "select outbox.double(4)") == 8


async def test_a_second_run_does_nothing(empty_dsn: str, sql: Sql, admin: psycopg.Connection) -> None:
    await migrate.migrate(empty_dsn, root=sql.root)
    first = ask(admin, "select oid from pg_class where relname = 'all_things'")

    done = await migrate.migrate(empty_dsn, root=sql.root)

    assert (done.migrations, done.refreshed) == ((), False)
    assert ask(admin, "select oid from pg_class where relname = 'all_things'") == first


@proves("G11")
@pytest.mark.parametrize("runs", [2, 10])
async def test_many_at_once_apply_once_and_all_succeed(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection, runs: int
) -> None:
    sql.write("migrations/0002_index.sql", CONCURRENT)
    done = await asyncio.gather(*(migrate.migrate(empty_dsn, root=sql.root) for _ in range(runs)))

    assert sorted(len(one.migrations) for one in done) == [0] * (runs - 1) + [2]
    assert (await migrate.check(empty_dsn, root=sql.root)).current


async def test_a_concurrent_index_stands_between_two_transactions(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write("migrations/0002_index.sql", CONCURRENT)
    sql.write("migrations/0003_more.sql", "-- expand\nalter table outbox.things add more text;")

    done = await migrate.migrate(empty_dsn, root=sql.root)

    assert len(done.migrations) == 3
    assert (
        ask(
            admin,
            "select count(*) from pg_index where indisvalid and indexrelid::regclass::text ~ 'things_t'",
        )
        == 2
    )


async def test_a_migrator_killed_in_the_middle_leaves_nothing_and_the_next_finishes(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write("migrations/0002_slow.sql", "-- expand\ncreate table outbox.more (); select pg_sleep(600);")
    child = _migrating(empty_dsn, sql)
    await until(lambda: _running(admin, "pg_sleep"))
    child.send_signal(signal.SIGKILL)
    child.wait()

    assert ask(admin, "select to_regclass('outbox.things') is null")
    sql.write("migrations/0002_slow.sql", "-- expand\ncreate table outbox.more ();")
    await migrate.migrate(empty_dsn, root=sql.root)
    assert (await migrate.check(empty_dsn, root=sql.root)).current


async def test_killed_while_building_an_index_the_next_run_builds_it_again(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.write("migrations/0002_index.sql", CONCURRENT)
    with psycopg.connect(empty_dsn) as other:
        other.execute("insert into outbox.things values (1)")  # the build waits for this transaction
        child = _migrating(empty_dsn, sql)
        await until(lambda: ask(admin, "select count(*) from pg_index where not indisvalid") == 1)
        child.send_signal(signal.SIGKILL)
        child.wait()
        await until(lambda: not _running(admin, "create index concurrently"))
    assert ask(admin, "select count(*) from pg_index where not indisvalid") == 1

    await migrate.migrate(empty_dsn, root=sql.root)

    assert ask(admin, "select count(*) from pg_index where not indisvalid") == 0
    assert ask(admin, "select to_regclass('outbox.things_twice') is not null")


async def test_an_edited_migration_is_refused(empty_dsn: str, sql: Sql) -> None:
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.write("migrations/0001_first.sql", "-- expand\ncreate table outbox.others (id int primary key);")

    for verb in (migrate.migrate, migrate.check):
        with pytest.raises(SchemaError, match="edited"):
            await verb(empty_dsn, root=sql.root)


@proves("G11")
async def test_a_newer_database_is_refused_only_when_breaking(empty_dsn: str, sql: Sql) -> None:
    sql.write("migrations/0002_new.sql", "-- contract\ncreate table outbox.more ();")
    sql.write("functions/double.sql", function("double", "p_x int", "select p_x + p_x"))
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.remove("migrations/0002_new.sql")
    sql.write("functions/double.sql", function("double", "p_x int", "select 2 * p_x"))

    older = await migrate.migrate(empty_dsn, root=sql.root)
    assert not older.refreshed

    sql.write("migrations/0003_break.sql", "-- breaking\nselect 1;")
    sql.write("migrations/0002_new.sql", "-- contract\ncreate table outbox.more ();")
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.remove("migrations/0003_break.sql")
    with pytest.raises(SchemaError, match="newer"):
        await migrate.check(empty_dsn, root=sql.root)


async def test_the_printed_sql_does_what_a_run_does(server: NoopExecutor, empty_dsn: str, sql: Sql) -> None:
    sql.write("migrations/0002_index.sql", CONCURRENT)
    sql.write("grants.sql", "grant usage on schema outbox to pg_monitor;\n")
    text = await migrate.print_sql(None, root=sql.root, owner=server.user)
    with cluster.Janitor(server, cluster.unique()) as other:
        await migrate.migrate(other.dsn, root=sql.root)

        _psql(empty_dsn, text)

        assert (await migrate.check(empty_dsn, root=sql.root)).current
        assert await schema.describe(empty_dsn) == await schema.describe(other.dsn)
    assert await migrate.print_sql(empty_dsn, root=sql.root) == ""


async def test_a_database_that_is_not_there_is_unavailable_in_time() -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate.migrate("host=/nowhere", wait=timedelta(milliseconds=200))


async def test_a_held_lock_is_given_up_in_time(empty_dsn: str, sql: Sql, admin: psycopg.Connection) -> None:
    admin.execute("select pg_advisory_lock(28515, 0)")

    with pytest.raises(DatabaseUnavailable, match="another migration"):
        await migrate.migrate(empty_dsn, root=sql.root, wait=timedelta(milliseconds=200))


def _migrating(dsn: str, sql: Sql) -> subprocess.Popen[bytes]:
    code = (
        "import asyncio, pathlib, sys\nfrom outboxd.db import migrate\n"
        "asyncio.run(migrate.migrate(sys.argv[1], root=pathlib.Path(sys.argv[2])))"
    )
    return subprocess.Popen([sys.executable, "-c", code, dsn, str(sql.root)], cwd=Path(__file__).parents[2])


def _running(admin: psycopg.Connection, what: str) -> bool:
    found = admin.execute(
        "select from pg_stat_activity where query like %s and pid <> pg_backend_pid()", [f"%{what}%"]
    )
    return found.rowcount > 0


def _psql(dsn: str, text: str) -> None:
    """As psql does it: statement by statement, without its own commands."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in scripts.statements(text.split("\n", 1)[1].encode()):
            conn.execute(statement)
