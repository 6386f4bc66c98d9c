"""add_route, change_route, remove_route, match_routes, add_handler, remove_handler."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.clock import Clock
from tests.sql.engine import Conn, Engine


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


async def add(
    engine: Engine, pattern: str, queue: str = "work", *more: Any, caller: str = "outbox.me()", **options: Any
) -> UUID:
    (made,) = await engine.call("add_route", pattern, queue, *more, caller=caller, p_options=options)
    route: UUID = made["add_route"]
    return route


def caller(team: UUID, *projects: UUID) -> str:
    only = f"array[{','.join(repr(str(project)) for project in projects)}]::uuid[]" if projects else "null"
    return f"row('{team}', {only}, false, null, 'key:x', null)::outbox.caller"


async def decides(engine: Engine, kind: str, payload: str = "{}") -> dict[UUID, bool]:
    rows = await engine.rows("select * from outbox.match_routes(%s, %s, %s)", engine.project, kind, payload)
    return {row["route_id"]: row["decides"] for row in rows}


async def test_the_narrowest_route_decides(engine: Engine) -> None:
    everywhere = await add(engine, "a.b")
    team = await add(engine, "a.b", teamId=str(engine.team))
    star = await add(engine, "*", "work", engine.project)
    prefix = await add(engine, "a.*", "work", engine.project)
    exact = await add(engine, "a.b", "work", engine.project)
    younger = await add(engine, "a.b", "work", engine.project)
    expected = [exact, younger, prefix, star, team, everywhere]
    while expected:
        assert {route: route == expected[0] for route in expected} == await decides(engine, "a.b")
        await engine.call("remove_route", expected.pop(0))
    assert {} == await decides(engine, "a.b")


async def test_a_route_with_contents_matches_only_those(engine: Engine) -> None:
    route = await add(engine, "a", "work", engine.project, contains={"paid": True})
    assert {} == await decides(engine, "a")
    assert {route: True} == await decides(engine, "a", '{"paid": true, "n": 1}')


async def test_what_matches_is_what_publish_does(engine: Engine) -> None:
    await add(engine, "x.y", "work")
    await add(engine, "x.y", "work", engine.project, enabled=False)
    await add(engine, "x.y", "mail", engine.project, priority=5, maxAttempts=2, timeoutMs=5000, delayMs=60000)
    rows = await engine.rows("select * from outbox.match_routes(%s, 'x.y')", engine.project)
    assert [("mail", True, True), ("work", True, False), ("work", False, True)] == [
        (row["queue"], row["decides"], row["enabled"]) for row in rows
    ]
    job = await engine.publish()
    row = await engine.row("select j.*, q.name from outbox.jobs j join outbox.queues q on q.id = j.queue_id")
    assert (job, "mail", 5, 2) == (row["id"], row["name"], row["priority"], row["max_attempts"])
    assert 60 == (row["run_at"] - engine.clock.now).total_seconds()


@pytest.mark.parametrize("pattern", [None, "", "a.*.b", "*.a", "a*", "**", "a\n", "x" * 256])
async def test_a_wrong_pattern_is_refused(engine: Engine, pattern: str | None) -> None:
    assert "OX400" == await engine.refused("add_route", pattern, "work")


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": 1},
        {"contains": [1]},
        {"contains": {"x": "y" * 4096}},
        {"priority": 101},
        {"priority": "high"},
        {"delayMs": -1},
        {"delayMs": 367 * 86_400_000},
        {"maxAttempts": 0},
        {"timeoutMs": 10},
        {"handler": "nobody_knows"},
    ],
)
async def test_a_wrong_option_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    assert "OX400" == await engine.refused("add_route", "a", "work", p_options=wrong)
    assert 0 == await engine.value("select count(*) from outbox.routes")


async def test_only_open_handlers_can_be_named(engine: Engine) -> None:
    for handler in ("observe", "deliver"):
        assert "OX403" == await engine.refused("add_route", "a", "gen", p_options={"handler": handler})
    await engine.call("add_handler", "resize", False)
    assert "OX403" == await engine.refused("add_route", "a", "img", p_options={"handler": "resize"})
    await engine.call("add_handler", "resize")
    await add(engine, "a", "img", handler="resize")
    await add(engine, "b", "img")
    assert "OX409" == await engine.refused("add_route", "a", "img", p_options={"handler": "pull:other"})


async def test_scopes_follow_the_caller(engine: Engine) -> None:
    other = await engine.add_team()
    theirs = await engine.add_project(other)
    project = await add(engine, "a", caller=caller(engine.team, engine.project))
    team = await add(engine, "a", caller=caller(engine.team))
    rows = await engine.rows("select id, team_id, project_id from outbox.routes")
    assert {project: engine.project, team: None} == {row["id"]: row["project_id"] for row in rows}
    assert {engine.team} == {row["team_id"] for row in rows}
    assert "OX404" == await engine.refused("add_route", "a", "work", theirs, caller=caller(engine.team))
    for wrong in (engine.project, "no uuid"):
        assert "OX404" == await engine.refused("add_route", "a", "work", p_options={"teamId": str(wrong)})


async def test_a_project_sees_at_most_100_routes(engine: Engine) -> None:
    for n in range(60):
        await add(engine, f"a{n}", "work", engine.project)
    for n in range(20):
        await add(engine, f"b{n}", caller=caller(engine.team))
        await add(engine, f"c{n}")
    assert "OX409" == await engine.refused("add_route", "z", "work", engine.project)
    assert "OX409" == await engine.refused("add_route", "z", "work", caller=caller(engine.team))
    assert "OX409" == await engine.refused("add_route", "z", "work")
    other = await engine.add_project()
    await add(engine, "z", "work", other)


async def test_a_change_is_checked_and_on_record(engine: Engine) -> None:
    route = await add(engine, "a", "work", engine.project, priority=5)
    await engine.call("change_route", route, {"priority": None, "pattern": "b.*", "enabled": False})
    row = await engine.row("select pattern, priority, enabled from outbox.routes")
    assert {"pattern": "b.*", "priority": None, "enabled": False} == row
    details = await engine.value("select details from outbox.audit_log where action = 'route.changed'")
    assert {
        "old": {"enabled": True, "pattern": "a", "priority": 5},
        "new": {"enabled": False, "pattern": "b.*"},
    } == details
    for wrong in (
        {"queue": "x"},
        {"handler": "x"},
        {"pattern": "*.x"},
        {"pattern": None},
        {"priority": 1000},
    ):
        assert "OX400" == await engine.refused("change_route", route, wrong)


async def test_wider_routes_are_not_for_narrower_callers(engine: Engine) -> None:
    everywhere, team = await add(engine, "a"), await add(engine, "a", caller=caller(engine.team))
    mine = caller(engine.team, engine.project)
    for route, who in ((everywhere, mine), (everywhere, caller(engine.team)), (team, mine)):
        assert "OX403" == await engine.refused("change_route", route, {"enabled": False}, caller=who)
        assert "OX403" == await engine.refused("remove_route", route, caller=who)


async def test_foreign_routes_are_not_there(engine: Engine) -> None:
    route = await add(engine, "a", "work", engine.project)
    stranger = caller(await engine.add_team())
    assert "OX404" == await engine.refused("change_route", route, {"enabled": False}, caller=stranger)
    assert [{"remove_route": False}] == await engine.call("remove_route", route, caller=stranger)
    assert [{"remove_route": True}] == await engine.call("remove_route", route)
    assert [{"remove_route": False}] == await engine.call("remove_route", route)
    assert ["route.added", "route.removed"] == [
        row["action"] for row in await engine.rows("select action from outbox.audit_log order by id")
    ]


async def test_match_routes_needs_a_project_that_is_there(engine: Engine) -> None:
    for project, state in ((None, "OX400"), (engine.team, "OX404")):
        with pytest.raises(psycopg.Error) as failed:
            await engine.rows("select * from outbox.match_routes(%s, 'a')", project)
        assert state == failed.value.sqlstate


async def test_a_sql_handler_must_be_there_with_the_right_signature(engine: Engine, conn: Conn) -> None:
    await conn.execute(
        "create schema app;"
        "create function app.good(outbox.claimed) returns jsonb language sql as $$ select '{}'::jsonb $$;"
        "create function app.bad(outbox.claimed) returns text language sql as $$ select '' $$;"
        "create function outbox.inside(outbox.claimed) returns jsonb language sql as $$ select '{}'::jsonb $$"
    )
    assert [{"add_handler": True}] == await engine.call("add_handler", "sql:app.good")
    assert [{"add_handler": False}] == await engine.call("add_handler", "sql:app.good")
    for wrong in (
        "sql:app.bad",
        "sql:app.none",
        "sql:good",
        "sql:outbox.inside",
        "sql:pg_catalog.now",
        "sql:information_schema.x",
        "sql:a.b.c",
    ):
        assert "OX400" == await engine.refused("add_handler", wrong)


@pytest.mark.parametrize("name", [None, "", "observe", "deliver", "pull:x", "two words", "x" * 101])
async def test_other_names_are_refused(engine: Engine, name: str | None) -> None:
    assert "OX400" == await engine.refused("add_handler", name)


async def test_handlers_are_the_operators_and_on_record(engine: Engine) -> None:
    await engine.call("add_handler", "resize")
    assert [{"remove_handler": True}] == await engine.call("remove_handler", "resize")
    assert [{"remove_handler": False}] == await engine.call("remove_handler", "resize")
    assert ["handler.added", "handler.removed"] == [
        row["action"] for row in await engine.rows("select action from outbox.audit_log order by id")
    ]
    for verb in ("add_handler", "remove_handler"):
        assert "OX403" == await engine.refused(verb, "resize", caller=caller(engine.team))
