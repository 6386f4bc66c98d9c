"""Functions, views and grants follow their files; what is not ours stays as it is."""

import os

import psycopg
import pytest
from psycopg import conninfo
from pytest_postgresql.executors import NoopExecutor

from outboxd.db import migrate, scripts
from outboxd.errors import Broken, SchemaError
from tests.db.trees import Sql, ask, function
from tests.proofs import proves


async def test_a_failing_file_is_named_and_nothing_stays(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    for body, said in (
        ("select nowhere", r"outbox\.broken\(\): column"),
        ("create function;", r"functions/broken\.sql failed"),
    ):
        sql.write("functions/broken.sql", body if ";" in body else function("broken", "", body))
        with pytest.raises(SchemaError, match=said):
            await migrate.migrate(empty_dsn, root=sql.root)

    assert ask(admin, "select to_regnamespace('outbox') is null")


async def test_a_function_may_come_before_the_one_it_calls(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write("functions/a_caller.sql", function("a_caller", "", "select outbox.double(3)"))

    await migrate.migrate(empty_dsn, root=sql.root)

    assert ask(admin, "select outbox.a_caller()") == 6


@proves("G11")
async def test_an_older_release_leaves_newer_functions_alone(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    await migrate.migrate(empty_dsn, root=sql.root, version="1.10.0")
    sql.write("functions/double.sql", function("double", "p_x int", "select 0"))

    assert (await migrate.check(empty_dsn, root=sql.root, version="1.9.0")).current
    await migrate.migrate(empty_dsn, root=sql.root, version="1.9.0")
    assert ask(admin, "select outbox.double(4)") == 8

    await migrate.migrate(empty_dsn, root=sql.root, version="1.11.0")
    assert ask(admin, "select outbox.double(4)") == 0


async def test_functions_without_a_file_go_and_those_of_others_stay(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write("functions/gone.sql", function("gone", "", "select 1"))
    await migrate.migrate(empty_dsn, root=sql.root)
    admin.execute(function("theirs", "", "select 1").encode())
    sql.remove("functions/gone.sql")
    sql.write(
        "functions/double.sql", function("double", "p_x int, p_times int default 2", "select p_x * p_times")
    )

    await migrate.migrate(empty_dsn, root=sql.root)

    left = """
    select string_agg(oid::regprocedure::text, ' ' order by proname)
    from pg_proc where pronamespace = 'outbox'::regnamespace
    """
    assert ask(admin, left) == "outbox.double(integer,integer) outbox.theirs()"


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
        ask(
            admin,
            "select pg_typeof(id)::text from (select null::outbox.a_first as r) t, lateral (select (r).id) i",
        )
        == "text"
    )


async def test_functions_are_nobodys_but_those_the_grants_name(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    await migrate.migrate(empty_dsn, root=sql.root)

    assert ask(admin, "select has_function_privilege('pg_monitor', 'outbox.double(int)', 'execute')") is False


async def test_what_was_granted_to_others_stays_when_views_and_functions_are_made_anew(
    empty_dsn: str, sql: Sql, admin: psycopg.Connection
) -> None:
    sql.write(
        "functions/twice.sql", "drop function if exists outbox.twice;\n" + function("twice", "", "select 2")
    )
    sql.write("functions/gone.sql", function("gone", "", "select 1"))
    await migrate.migrate(empty_dsn, root=sql.root)
    role = f"dashboards_{os.getpid()}"
    admin.execute(f"create role {role}".encode())
    try:
        admin.execute(f"grant select on outbox.all_things to {role} with grant option".encode())
        admin.execute(f"grant execute on function outbox.twice, outbox.gone to {role}".encode())
        admin.execute(b"grant select on outbox.all_things to public")
        sql.remove("functions/gone.sql")

        await migrate.migrate(empty_dsn, root=sql.root)

        assert ask(
            admin,
            f"select has_table_privilege('{role}', 'outbox.all_things', 'select with grant option')"
            f" and has_function_privilege('{role}', 'outbox.twice()', 'execute')",
        )
        assert not ask(admin, f"select has_table_privilege('{role}', 'outbox.all_things', 'insert')")
    finally:
        admin.execute(f"drop owned by {role}; drop role {role}".encode())


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
