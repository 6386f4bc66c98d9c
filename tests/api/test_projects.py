"""POST, GET, PATCH /v1/projects: made and changed by admins, seen by every key of theirs."""

from typing import Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db import rows
from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import problem, serving

Conn = AsyncConnection[DictRow]
FIELDS = {
    "id", "teamId", "name", "metadata", "archived", "settings", "createdAtEpoch", "updatedAtEpoch",
    "revision",
}  # fmt: skip


async def test_a_team_key_makes_projects_of_its_team(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme")
    _, whole = await seed.key(conn, tenant.team, "admin")
    async with serving(db, whole) as served:
        body = {"name": "shop", "metadata": {"a": 1}, "settings": {"summary.enabled": False}}
        reply = await served.http.post("/v1/projects", json=body)
        made = reply.json()["project"]
        taken = await served.http.post("/v1/projects", json={"name": "SHOP"})
        event = {"projectId": made["id"], "eventType": "x"}
        published = await served.http.post("/v1/events", json=event)

    assert (201, FIELDS) == (reply.status_code, set(made))
    assert (str(tenant.team), {"a": 1}, {"summary": {"enabled": False}}, False, 1) == (
        made["teamId"], made["metadata"], made["settings"], made["archived"], made["revision"],
    )  # fmt: skip
    assert (409, 201) == (taken.status_code, published.status_code)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 121},
        {"name": "x", "colour": 1},
        {"name": "x", "settings": {"colour": 1}},
        {"name": "x", "settings": {"generation": {"quietMs": 1}}},
        {"name": "x", "metadata": []},
        {"name": "x", "metadata": {"a": "x" * 65_536}},
    ],
)
async def test_a_project_that_is_not_well_said_is_400(db: Database, conn: Conn, body: dict[str, Any]) -> None:
    tenant = await seed.tenant(conn)
    _, whole = await seed.key(conn, tenant.team, "admin")
    async with serving(db, whole) as served:
        assert 400 == (await served.http.post("/v1/projects", json=body)).status_code


async def test_neither_project_keys_nor_readers_nor_operators_make_projects(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, reader = await seed.key(conn, tenant.team, "memories:read")
    _, operator = await seed.key(conn, None, "admin")
    said = []
    async with serving(db, tenant.key) as served:
        for secret in (tenant.key, reader, operator):
            async with served.client(secret) as client:
                said.append(problem(await client.post("/v1/projects", json={"name": "x"})))

    assert [403] * 3 == [found["status"] for found in said]
    assert "API key is not bound to a team" == said[2]["message"]
    cur = await conn.execute("select count(*) from outbox.audit_log where action = 'access.denied'")
    assert 3 == await rows.value(cur, int)


async def test_projects_are_listed_by_what_the_key_sees(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "Sibling")
    _, whole = await seed.key(conn, tenant.team, "admin")
    async with serving(db, tenant.key) as served, served.client(whole) as team:
        await team.patch(f"/v1/projects/{sibling}", json={"archived": True})
        own = (await served.http.get("/v1/projects")).json()["projects"]
        first = (await team.get("/v1/projects", params={"limit": 1})).json()
        rest = (await team.get("/v1/projects", params={"cursor": first["nextCursor"], "limit": 1})).json()
        found = {
            name: [p["id"] for p in (await team.get("/v1/projects", params=asked)).json()["projects"]]
            for name, asked in {
                "named": {"name": "SIBLING"}, "archived": {"archived": "true"}, "live": {"archived": "false"},
            }.items()
        }  # fmt: skip
        wrong = await team.get("/v1/projects", params={"archived": "perhaps"})
        seen = {
            id_: ((await served.http.get(f"/v1/projects/{id_}")).status_code,
                  (await team.get(f"/v1/projects/{id_}")).status_code)
            for id_ in (str(tenant.project), str(sibling), str(other.project), str(uuid4()), "nonsense")
        }  # fmt: skip

    assert [str(tenant.project)] == [project["id"] for project in own]
    assert [str(sibling), str(tenant.project)] == [p["id"] for p in first["projects"] + rest["projects"]]
    assert {"named": [str(sibling)], "archived": [str(sibling)], "live": [str(tenant.project)]} == found
    assert 400 == wrong.status_code
    assert [(200, 200), (403, 200), (404, 404), (404, 404), (404, 404)] == [*seen.values()]


async def test_a_patch_is_merged_and_the_trail_has_old_and_new(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme")
    path = f"/v1/projects/{tenant.project}"
    async with serving(db, tenant.key) as served:
        replies = [
            await served.http.patch(path, json=body)
            for body in (
                {"settings": {"generation": {"policy": "debounce", "quietMs": 500}}},
                {"settings": {"generation.policy": None, "summary": {"enabled": False}}},
                {"name": "shop", "metadata": {"a": 1}},
            )
        ]
    cur = await conn.execute("select * from outbox.audit_log where action = 'project.updated' order by id")
    changed = await cur.fetchall()

    assert [
        {"generation": {"policy": "debounce", "quietMs": 500}},
        {"generation": {"quietMs": 500}, "summary": {"enabled": False}},
        {"generation": {"quietMs": 500}, "summary": {"enabled": False}},
    ] == [reply.json()["project"]["settings"] for reply in replies]
    assert [2, 3, 4] == [reply.json()["project"]["revision"] for reply in replies]
    assert ("acme", "shop") == (changed[2]["details"]["old"]["name"], changed[2]["details"]["new"]["name"])
    assert {} == changed[0]["details"]["old"]["settings"]
    assert "debounce" == changed[0]["details"]["new"]["settings"]["generation"]["policy"]
    assert {(tenant.key_id, tenant.project)} == {(row["key_id"], row["project_id"]) for row in changed}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": None},
        {"archived": "yes"},
        {"archived": None},
        {"settings": {"colour": None}},
        {"settings": {"generation.maxEvents": 201}},
        {"settings": {"generation.provider": "nobody"}},
        {"teamId": "x"},
    ],
)
async def test_a_patch_that_says_nothing_or_the_wrong_thing_is_400(
    db: Database, conn: Conn, body: dict[str, Any]
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        assert 400 == (await served.http.patch(f"/v1/projects/{tenant.project}", json=body)).status_code


async def test_a_change_meant_for_another_revision_is_412(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    path = f"/v1/projects/{tenant.project}"
    async with serving(db, tenant.key) as served:
        found = [
            (await served.http.patch(path, json={"archived": False}, headers={"if-match": sent})).status_code
            for sent in ('"1"', '"1"', "2", '"2"', "*")
        ]

    assert [200, 412, 412, 200, 200] == found


async def test_a_reader_changes_nothing_and_a_sibling_is_told_apart_from_a_stranger(
    db: Database, conn: Conn
) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, reader = await seed.key(conn, tenant.team, "memories:read", project=tenant.project)
    async with serving(db, tenant.key) as served, served.client(reader) as weak:
        body = {"archived": True}
        found = [
            (await client.patch(f"/v1/projects/{id_}", json=body)).status_code
            for client, id_ in (
                (weak, tenant.project), (served.http, sibling), (served.http, other.project),
            )
        ]  # fmt: skip

    assert [403, 403, 404] == found


async def test_an_archived_project_takes_no_events_until_it_is_back(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    found = []
    async with serving(db, tenant.key) as served:
        for archived in (True, False):
            await served.http.patch(f"/v1/projects/{tenant.project}", json={"archived": archived})
            found.append((await served.http.post("/v1/events", json={"eventType": "x"})).status_code)

    assert [409, 201] == found
