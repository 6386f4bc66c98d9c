"""One applies, all start; nothing half done; nothing older over something newer."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo
from pytest_postgresql.executors import NoopExecutor

from outboxd.db import migrate, schema, scripts
from outboxd.errors import Broken, DatabaseUnavailable, SchemaError
from tests import cluster
from tests.proofs import proves
from tests.waiting import until


class Sql:
    """A small SQL tree of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("migrations/0001_first.sql", "-- expand\ncreate table outbox.things (id int primary key);")
        self.write("functions/double.sql", _function("double", "p_x int", "select p_x * 2"))
        self.write("views/all_things.sql", "create view outbox.all_things as select id from outbox.things;")

    def write(self, path: str, body: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()


def _function(name: str, arguments: str, body: str) -> str:
    return f"create or replace function outbox.{name}({arguments}) returns int\nlanguage sql as $$ {body} $$;"


@pytest.fixture
def sql(tmp_path: Path) -> Sql:
    return Sql(tmp_path / "sql")


@pytest.fixture
def admin(empty_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        yield conn


def _ask(admin: psycopg.Connection, question: str) -> object:
    row = admin.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


async def test_an_empty_database_becomes_current(empty_dsn: str, sql: Sql, admin: psycopg.Connection) -> None:
    before = await migrate.check(empty_dsn, root=sql.root)
    done = await migrate.migrate(empty_dsn, root=sql.root)
    after = await migrate.check(empty_dsn, root=sql.root)

    assert before.pending == ("migrations/0001_first.sql", "functions and views")
    assert done.migrations == ("migrations/0001_first.sql",)
    assert done.refreshed
    assert after.current
    assert _ask(admin, "select outbox.double(4)") == 8


async def test_a_second_run_does_nothing(empty_dsn: str, sql: Sql, admin: psycopg.Connection) -> None:
    await migrate.migrate(empty_dsn, root=sql.root)
    first = _ask(admin, "select oid from pg_class where relname = 'all_things'")

    done = await migrate.migrate(empty_dsn, root=sql.root)

    assert (done.migrations, done.refreshed) == ((), False)
    assert _ask(admin, "select oid from pg_class where relname = 'all_things'") == first


@proves("G11")
@pytest.mark.parametrize("runs", [2, 10])
async def test_many_at_once_apply_once_and_all_succeed(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection, runs: int
) -> None:
    sql.write("migrations/0002_index.sql", CONCURRENT)
    done = await asyncio.gather(*(migrate.migrate(empty_dsn, root=sql.root) for _ in range(runs)))

    assert sorted(len(one.migrations) for one in done) == [0] * (runs - 1) + [2]
    assert (await migrate.check(empty_dsn, root=sql.root)).current


CONCURRENT = """-- expand
-- no transaction
create index concurrently if not exists things_twice on outbox.things ((id * 2));
create index concurrently if not exists things_thrice on outbox.things ((id * 3));
"""


async def test_a_concurrent_index_stands_between_two_transactions(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write("migrations/0002_index.sql", CONCURRENT)
    sql.write("migrations/0003_more.sql", "-- expand\nalter table outbox.things add more text;")

    done = await migrate.migrate(empty_dsn, root=sql.root)

    assert len(done.migrations) == 3
    assert (
        _ask(
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

    assert _ask(admin, "select to_regclass('outbox.things') is null")
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
        await until(lambda: _ask(admin, "select count(*) from pg_index where not indisvalid") == 1)
        child.send_signal(signal.SIGKILL)
        child.wait()
        await until(lambda: not _running(admin, "create index concurrently"))
    assert _ask(admin, "select count(*) from pg_index where not indisvalid") == 1

    await migrate.migrate(empty_dsn, root=sql.root)

    assert _ask(admin, "select count(*) from pg_index where not indisvalid") == 0
    assert _ask(admin, "select to_regclass('outbox.things_twice') is not null")


async def test_a_failing_file_is_named_and_nothing_stays(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    for body, said in (
        ("select nowhere", r"outbox\.broken\(\): column"),
        ("create function;", r"functions/broken\.sql failed"),
    ):
        sql.write("functions/broken.sql", body if ";" in body else _function("broken", "", body))
        with pytest.raises(SchemaError, match=said):
            await migrate.migrate(empty_dsn, root=sql.root)

    assert _ask(admin, "select to_regnamespace('outbox') is null")


async def test_a_function_may_come_before_the_one_it_calls(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write("functions/a_caller.sql", _function("a_caller", "", "select outbox.double(3)"))

    await migrate.migrate(empty_dsn, root=sql.root)

    assert _ask(admin, "select outbox.a_caller()") == 6


async def test_an_edited_migration_is_refused(empty_dsn: str, sql: Sql) -> None:
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.write("migrations/0001_first.sql", "-- expand\ncreate table outbox.others (id int primary key);")

    for verb in (migrate.migrate, migrate.check):
        with pytest.raises(SchemaError, match="edited"):
            await verb(empty_dsn, root=sql.root)


@proves("G11")
async def test_a_newer_database_is_refused_only_when_breaking(empty_dsn: str, sql: Sql) -> None:
    sql.write("migrations/0002_new.sql", "-- contract\ncreate table outbox.more ();")
    sql.write("functions/double.sql", _function("double", "p_x int", "select p_x + p_x"))
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.remove("migrations/0002_new.sql")
    sql.write("functions/double.sql", _function("double", "p_x int", "select 2 * p_x"))

    older = await migrate.migrate(empty_dsn, root=sql.root)
    assert not older.refreshed

    sql.write("migrations/0003_break.sql", "-- breaking\nselect 1;")
    sql.write("migrations/0002_new.sql", "-- contract\ncreate table outbox.more ();")
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.remove("migrations/0003_break.sql")
    with pytest.raises(SchemaError, match="newer"):
        await migrate.check(empty_dsn, root=sql.root)


@proves("G11")
async def test_an_older_release_leaves_newer_functions_alone(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    await migrate.migrate(empty_dsn, root=sql.root, version="1.10.0")
    sql.write("functions/double.sql", _function("double", "p_x int", "select 0"))

    assert (await migrate.check(empty_dsn, root=sql.root, version="1.9.0")).current
    await migrate.migrate(empty_dsn, root=sql.root, version="1.9.0")
    assert _ask(admin, "select outbox.double(4)") == 8

    await migrate.migrate(empty_dsn, root=sql.root, version="1.11.0")
    assert _ask(admin, "select outbox.double(4)") == 0


async def test_functions_without_a_file_go_and_those_of_others_stay(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write("functions/gone.sql", _function("gone", "", "select 1"))
    await migrate.migrate(empty_dsn, root=sql.root)
    admin.execute(_function("theirs", "", "select 1").encode())
    sql.remove("functions/gone.sql")
    sql.write(
        "functions/double.sql", _function("double", "p_x int, p_times int default 2", "select p_x * p_times")
    )

    await migrate.migrate(empty_dsn, root=sql.root)

    left = """
    select string_agg(oid::regprocedure::text, ' ' order by proname)
    from pg_proc where pronamespace = 'outbox'::regnamespace
    """
    assert _ask(admin, left) == "outbox.double(integer,integer) outbox.theirs()"


async def test_views_follow_each_other_and_their_tables(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write(
        "views/a_first.sql",
        "-- after: all_things\ncreate view outbox.a_first as select id from outbox.all_things;",
    )
    await migrate.migrate(empty_dsn, root=sql.root)
    sql.write("migrations/0002_change.sql", "-- contract\nalter table outbox.things alter id type text;")

    await migrate.migrate(empty_dsn, root=sql.root)

    assert (
        _ask(
            admin,
            "select pg_typeof(id)::text from (select null::outbox.a_first as r) t, lateral (select (r).id) i",
        )
        == "text"
    )


async def test_functions_are_nobodys_but_those_the_grants_name(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    await migrate.migrate(empty_dsn, root=sql.root)

    assert (
        _ask(admin, "select has_function_privilege('pg_monitor', 'outbox.double(int)', 'execute')") is False
    )


async def test_without_the_right_to_create_roles_it_goes_on_and_says_what_is_left(
    server: NoopExecutor, empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    role = f"plain_{os.getpid()}"
    sql.write(
        "grants.sql",
        "do $$ begin create role outbox_nobody_has; exception when duplicate_object then null; end $$;\n"
        "grant usage on schema outbox to outbox_nobody_has;\n"
        f"grant usage on schema outbox to {role};\n",
    )
    admin.execute(f"create role {role} login password 'x'".encode())
    try:
        admin.execute(
            f"grant create on database {conninfo.conninfo_to_dict(empty_dsn)['dbname']} to {role}".encode()
        )
        plain = conninfo.make_conninfo(empty_dsn, user=role, password="x")

        done = await migrate.migrate(plain, root=sql.root)

        assert [one.split()[0] for one in done.for_admin] == ["do", "grant"]
        assert (await migrate.check(plain, root=sql.root)).current
    finally:
        admin.execute(f"drop owned by {role} cascade".encode())
        admin.execute(f"drop role {role}".encode())


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


def test_a_circle_and_a_migration_without_its_kind_are_defects(sql: Sql) -> None:
    sql.write("functions/a.sql", "-- after: b\n")
    sql.write("functions/b.sql", "-- after: a\n")
    with pytest.raises(Broken, match="circle"):
        scripts.read(sql.root)

    sql.remove("functions/a.sql")
    sql.write("migrations/0002_x.sql", "create table x ();")
    with pytest.raises(Broken, match="0002_x"):
        scripts.read(sql.root)


def test_statements_are_split_where_they_end() -> None:
    body = b"select ';' ; -- no; end\ndo $a$ begin; $$;$$ end $a$;\n/* ; */ select \";\";\n-- last;\n"

    assert scripts.statements(body) == [
        b"select ';' ;",
        b"-- no; end\ndo $a$ begin; $$;$$ end $a$;",
        b'/* ; */ select ";";',
    ]


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
