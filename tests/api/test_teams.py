"""POST, GET, PATCH /v1/teams: operators make them, a team's admin changes its own."""

from typing import Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import problem, serving

Conn = AsyncConnection[DictRow]


async def test_an_operator_makes_a_team_and_its_first_key(db: Database, conn: Conn) -> None:
    _, operator = await seed.key(conn, None, "memories:read")
    async with serving(db, operator) as served:
        reply = await served.http.post("/v1/teams", json={"name": "acme"})
        keyed = await served.http.post("/v1/teams", json={"name": "apex", "firstKey": {"label": "boss"}})
        taken = await served.http.post("/v1/teams", json={"name": "ACME"})

    team = reply.json()["team"]
    assert (201, "acme", {}, {}, 1) == (
        reply.status_code, team["name"], team["metadata"], team["budgets"], team["revision"],
    )  # fmt: skip
    # Whatever else it may do, it makes no wider key than itself.
    assert (403, 409) == (keyed.status_code, taken.status_code)


async def test_the_first_key_opens_the_new_team(db: Database, conn: Conn) -> None:
    _, operator = await seed.key(conn, None, "admin")
    async with serving(db, operator) as served:
        body = {"name": "apex", "metadata": {"plan": "free"}, "firstKey": {"label": "boss"}}
        made = (await served.http.post("/v1/teams", json=body)).json()
        async with served.client(made["firstKey"]["apiKey"]) as first:
            me = (await first.get("/v1/me")).json()

    assert ("apex", "boss", ["admin"]) == (me["team"]["name"], me["key"]["name"], me["key"]["scopes"])
    assert {"plan": "free"} == made["team"]["metadata"]


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 121}, {"name": " "}, {"name": "a", "colour": 1}, {"name": 7}]
)
async def test_a_team_without_a_proper_name_is_400(db: Database, conn: Conn, body: dict[str, Any]) -> None:
    _, operator = await seed.key(conn, None, "admin")
    async with serving(db, operator) as served:
        assert 400 == (await served.http.post("/v1/teams", json=body)).status_code


async def test_only_operators_make_teams_and_hear_so_before_their_body_is_read(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        refused = await served.http.post("/v1/teams", content=b"{")

    assert 403 == refused.status_code


async def test_a_key_sees_its_own_team_and_an_operator_all(db: Database, conn: Conn) -> None:
    a, b = await seed.tenant(conn, "a", "events:write"), await seed.tenant(conn, "b")
    _, operator = await seed.key(conn, None, "admin")
    async with serving(db, a.key) as served, served.client(operator) as all_seeing:
        own = (await served.http.get("/v1/teams")).json()
        one = await served.http.get(f"/v1/teams/{a.team}")
        others = [await served.http.get(f"/v1/teams/{id_}") for id_ in (b.team, uuid4(), "nonsense")]
        first = (await all_seeing.get("/v1/teams", params={"limit": 1})).json()
        rest = (await all_seeing.get("/v1/teams", params={"cursor": first["nextCursor"]})).json()
        any_team = await all_seeing.get(f"/v1/teams/{b.team}")
        unknown = await all_seeing.get(f"/v1/teams/{uuid4()}")

    assert ([str(a.team)], None) == ([team["id"] for team in own["teams"]], own["nextCursor"])
    assert (200, str(a.team)) == (one.status_code, one.json()["team"]["id"])
    assert [404] * 3 == [reply.status_code for reply in others]
    assert 1 == len({reply.text.replace(problem(reply)["requestId"], "") for reply in others})
    assert [str(b.team), str(a.team)] == [team["id"] for team in first["teams"] + rest["teams"]]
    assert (200, 404) == (any_team.status_code, unknown.status_code)


async def test_an_admin_renames_the_team_and_the_trail_has_old_and_new(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme")
    key, whole = await seed.key(conn, tenant.team, "admin")
    async with serving(db, whole) as served:
        path = f"/v1/teams/{tenant.team}"
        first = await served.http.patch(path, json={"name": "apex", "metadata": {"a": {"b": 1}, "c": 2}})
        merged = await served.http.patch(path, json={"metadata": {"a": {"d": 3}, "c": None}})
        stale = await served.http.patch(path, json={"name": "x"}, headers={"if-match": '"1"'})
        fresh = await served.http.patch(path, json={"name": "x"}, headers={"if-match": '"3"'})
        nothing = await served.http.patch(path, json={})
    cur = await conn.execute("select * from outbox.audit_log where action = 'team.updated' order by id")
    rows = await cur.fetchall()

    assert ("apex", 2) == (first.json()["team"]["name"], first.json()["team"]["revision"])
    assert {"a": {"b": 1, "d": 3}} == merged.json()["team"]["metadata"]
    assert (412, 200, 400) == (stale.status_code, fresh.status_code, nothing.status_code)
    assert ("acme", "apex") == (rows[0]["details"]["old"]["name"], rows[0]["details"]["new"]["name"])
    assert {key} == {row["key_id"] for row in rows}


async def test_who_may_change_a_team(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, reader = await seed.key(conn, tenant.team, "memories:read")
    _, whole = await seed.key(conn, tenant.team, "admin")
    _, operator = await seed.key(conn, None, "memories:read")
    other = await seed.tenant(conn, "other")
    _, stranger = await seed.key(conn, other.team, "admin")
    found = {}
    async with serving(db, tenant.key) as served:
        for name, secret in (
            ("project", tenant.key), ("reader", reader), ("team", whole), ("operator", operator),
            ("stranger", stranger),
        ):  # fmt: skip
            async with served.client(secret) as client:
                path = f"/v1/teams/{tenant.team}"
                found[name] = [
                    (await client.patch(path, json=body)).status_code
                    for body in ({"metadata": {"x": 1}}, {"budgets": {"tokensPerMonth": 5}})
                ]

    assert {
        "project": [403, 403],
        "reader": [403, 403],
        "team": [200, 403],
        "operator": [200, 200],
        "stranger": [404, 404],
    } == found


async def test_budgets_of_a_team_are_merged_and_checked(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, operator = await seed.key(conn, None, "admin")
    async with serving(db, operator) as served:
        path = f"/v1/teams/{tenant.team}"
        bodies = [
            {"budgets": {"tokensPerMonth": 5, "requestsPerMonth": 7}},
            {"budgets": {"tokensPerMonth": None, "callsPerHour": 0}},
        ]
        said = [(await served.http.patch(path, json=body)).json()["team"]["budgets"] for body in bodies]
        faulty: list[Any] = [{"tokensPerMonth": -1}, {"tokensPerMonth": 1.5}, {"colour": 1}, []]
        wrong = [(await served.http.patch(path, json={"budgets": budgets})).status_code for budgets in faulty]
        cleared = await served.http.patch(path, json={"budgets": None})

    assert [{"tokensPerMonth": 5, "requestsPerMonth": 7}, {"requestsPerMonth": 7, "callsPerHour": 0}] == said
    assert [400] * 4 == wrong
    assert {} == cleared.json()["team"]["budgets"]
