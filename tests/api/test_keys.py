"""POST, GET, DELETE /v1/keys, rotation, connect: what a key may make of others, and what it may not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.api.routes import ROUTES
from outboxd.db import rows
from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import Served, problem, serving
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
READS = ["events:read", "jobs:read", "memories:read", "observations:read", "streams:read"]


async def mint(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await http.post("/v1/keys", json=body)


async def trail(conn: Conn, action: str) -> list[DictRow]:
    cur = await conn.execute("select * from outbox.audit_log where action = %s order by id", [action])
    return await cur.fetchall()


async def holding(served: Served, conn: Conn, tenant: seed.Tenant, *scopes: str) -> httpx.AsyncClient:
    _, secret = await seed.key(conn, tenant.team, *scopes, project=tenant.project)
    return served.client(secret)


async def test_an_empty_body_mints_a_reader_and_shows_its_secret_once(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await mint(served.http)
        made = reply.json()
        async with served.client(made["apiKey"]) as new:
            opened = await new.get("/v1/me")
        shown = (await served.http.get(f"/v1/keys/{made['id']}")).text

    assert reply.status_code == 201
    assert {"id", "apiKey", "scopes", "expiresAt", "mcpUrl", "connectCommand", "key"} == set(made)
    assert (["memories:read"], None) == (made["scopes"], made["expiresAt"])
    assert (200, READS) == (opened.status_code, opened.json()["effectiveScopes"])
    assert made["apiKey"] not in shown


async def test_a_missing_body_is_400_and_a_foreign_field_is_passed_over(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        missing = await served.http.post("/v1/keys")
        array = await served.http.post("/v1/keys", json=[])
        known = await mint(served.http, colour="red")

    assert [400, 400, 201] == [missing.status_code, array.status_code, known.status_code]


async def test_label_days_and_scopes_are_kept_and_the_times_are_iso(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = (await mint(served.http, label="laptop", expiresInDays=30, scopes=["events:write"])).json()

    expires = datetime.fromisoformat(made["expiresAt"])
    assert made["expiresAt"].endswith("Z")
    assert timedelta(days=30, minutes=-1) < expires - datetime.now(UTC) <= timedelta(days=30)
    assert ("laptop", ["events:write"]) == (made["key"]["name"], made["key"]["scopes"])
    assert str(tenant.project) == made["key"]["projectId"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"expiresInDays": 0}, "/expiresInDays"),
        ({"expiresInDays": 366}, "/expiresInDays"),
        ({"expiresInDays": "30"}, "/expiresInDays"),
        ({"label": "x" * 121}, "/label"),
        ({"scopes": "memories:read"}, "/scopes"),
        ({"teamId": str(uuid4())}, "/teamId"),
    ],
)
async def test_what_is_out_of_range_is_400(
    db: Database, conn: Conn, body: dict[str, Any], pointer: str
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        found = problem(await mint(served.http, **body))

    assert (400, pointer) == (found["status"], found["errors"][0]["pointer"])


@pytest.mark.parametrize("scopes", [["fly"], [], ["memories:read", "fly"]])
async def test_an_unknown_scope_is_400(db: Database, conn: Conn, scopes: list[str]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        assert 400 == (await mint(served.http, scopes=scopes)).status_code


@pytest.mark.parametrize(
    ("own", "asked", "status"),
    [
        (["keys:write", "events:write"], ["events:write"], 201),
        (["keys:write"], ["events:write"], 403),
        (["keys:write"], ["memories:read"], 403),
        (["keys:write", "memories:read"], ["jobs:read"], 201),
        (["admin"], ["memories:admin"], 201),
        (["admin"], ["*"], 403),
        (["*"], ["*"], 201),
        # Restricted: memories:write alone mints readers.
        (["memories:write"], None, 201),
        (["memories:write"], READS, 201),
        (["memories:write"], ["events:write"], 403),
        (["memories:write"], ["memories:write"], 403),
        (["memories:read"], None, 403),
    ],
)
async def test_a_key_mints_nothing_wider_than_itself(
    db: Database, conn: Conn, own: list[str], asked: list[str] | None, status: int
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served, await holding(served, conn, tenant, *own) as client:
        reply = await mint(client, **({} if asked is None else {"scopes": asked}))

    assert status == reply.status_code, reply.text
    denied = await trail(conn, "access.denied")
    assert (1 if status == 403 else 0) == len(denied)


async def test_a_restricted_key_lists_and_revokes_only_what_it_minted_and_itself(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        async with await holding(served, conn, tenant, "memories:write") as hook:
            own = (await mint(hook)).json()["id"]
            me = (await hook.get("/v1/me")).json()["key"]["id"]
            listed = [key["id"] for key in (await hook.get("/v1/keys")).json()["keys"]]
            others = [
                await hook.get(f"/v1/keys/{tenant.key_id}"),
                await hook.delete(f"/v1/keys/{tenant.key_id}"),
                await hook.post(f"/v1/keys/{tenant.key_id}/rotate"),
            ]
            gone = await hook.delete(f"/v1/keys/{own}")
            itself = await hook.delete(f"/v1/keys/{me}")
        still = await served.http.get("/v1/me")

    assert [own, me] == listed
    assert {404} == {reply.status_code for reply in others}
    assert [200, 200, 200] == [gone.status_code, itself.status_code, still.status_code]


async def test_the_new_key_ends_with_a_minting_key_that_expires(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(
        "update outbox.keys set expires_at = clock_timestamp() + interval '2 days' where id = %s",
        [tenant.key_id],
    )
    async with serving(db, tenant.key) as served:
        unbounded = (await mint(served.http)).json()
        shorter = (await mint(served.http, expiresInDays=1)).json()
        rotated = (await served.http.post(f"/v1/keys/{shorter['id']}/rotate", json={})).json()
        minting = (await served.http.get(f"/v1/keys/{tenant.key_id}")).json()["key"]

    assert minting["expiresAtEpoch"] == unbounded["key"]["expiresAtEpoch"]
    assert shorter["key"]["expiresAtEpoch"] == rotated["key"]["expiresAtEpoch"] < minting["expiresAtEpoch"]


async def test_a_project_key_mints_only_for_its_project_and_a_team_key_for_the_teams(
    db: Database, conn: Conn
) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, whole = await seed.key(conn, tenant.team, "admin")
    async with serving(db, tenant.key) as served, served.client(whole) as team:
        refusals = [
            problem(await mint(served.http, projectId=str(sibling)))["message"],
            problem(await mint(served.http, projectId=str(other.project)))["message"],
            problem(await mint(team, projectId=str(other.project)))["message"],
            problem(await mint(team, projectId="nonsense"))["message"],
        ]
        made = (await mint(team, projectId=str(sibling))).json()["key"]
        wide = (await mint(team)).json()["key"]

    assert ["API key is scoped to a different project"] * 2 == refusals[:2]
    assert ["project_id must belong to team_id"] * 2 == refusals[2:]
    assert (str(sibling), None) == (made["projectId"], wide["projectId"])


async def test_an_operator_key_names_the_team_and_lists_everybodys(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, operator = await seed.key(conn, None, "admin")
    async with serving(db, operator) as served:
        missing = problem(await mint(served.http))
        unknown = await mint(served.http, teamId=str(uuid4()))
        foreign = await mint(served.http, teamId=str(tenant.team), projectId=str(uuid4()))
        made = await mint(served.http, teamId=str(tenant.team), scopes=["admin"])
        listed = (await served.http.get("/v1/keys")).json()["keys"]

    assert (400, "/teamId") == (missing["status"], missing["errors"][0]["pointer"])
    assert [404, 404, 201] == [unknown.status_code, foreign.status_code, made.status_code]
    assert str(tenant.team) == made.json()["key"]["teamId"]
    assert 3 == len(listed)


async def test_1000_live_keys_are_the_most(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(
        "insert into outbox.keys (id, hash, prefix, team_id, scopes, actor, created_at)"
        " select gen_random_uuid(), sha256(n::text::bytea), 'x', %s, '{admin}', 'key:x', clock_timestamp()"
        " from generate_series(2, 1000) n",
        [tenant.team],
    )
    async with serving(db, tenant.key) as served:
        full = problem(await mint(served.http))
        await conn.execute("update outbox.keys set revoked_at = clock_timestamp() where prefix = 'x'")
        room = await mint(served.http)

    assert (409, "LimitReached", 201) == (full["status"], full["error"], room.status_code)


async def test_keys_are_listed_newest_first_in_pages_and_by_whether_they_live(
    db: Database, conn: Conn
) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    _, whole = await seed.key(conn, tenant.team, "admin")
    async with serving(db, tenant.key) as served, served.client(whole) as team:
        made = [(await mint(served.http)).json()["id"] for _ in range(3)]
        await served.http.delete(f"/v1/keys/{made[1]}")
        first = (await served.http.get("/v1/keys", params={"limit": 2})).json()
        rest = (await served.http.get("/v1/keys", params={"limit": 2, "cursor": first["nextCursor"]})).json()
        dead = (await served.http.get("/v1/keys", params={"active": "false"})).json()["keys"]
        live = (await served.http.get("/v1/keys", params={"active": "true"})).json()["keys"]
        of_project = (await team.get("/v1/keys", params={"projectId": str(tenant.project)})).json()["keys"]
        of_team = (await team.get("/v1/keys")).json()["keys"]
        foreign = await team.get("/v1/keys", params={"projectId": str(other.project)})

    assert [*reversed(made), str(tenant.key_id)] == [key["id"] for key in first["keys"] + rest["keys"]]
    assert rest["nextCursor"] is None
    assert ([made[1]], 3) == ([key["id"] for key in dead], len(live))
    assert (4, 5, 404) == (len(of_project), len(of_team), foreign.status_code)


async def test_a_rotated_key_is_like_the_old_one_which_goes_on_for_the_overlap(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        old = (await mint(served.http, label="ci", scopes=["events:write"])).json()
        reply = await served.http.post(f"/v1/keys/{old['id']}/rotate", json={"overlapSeconds": 60})
        new = reply.json()
        async with served.client(old["apiKey"]) as before, served.client(new["apiKey"]) as after:
            both = [(await each.get("/v1/me")).status_code for each in (before, after)]
        at_once = await served.http.post(f"/v1/keys/{new['id']}/rotate", json={"overlapSeconds": 0})
        served.app.state.api.keys.drop(None)
        async with served.client(new["apiKey"]) as ended:
            over = await ended.get("/v1/me")
        too_long = await served.http.post(f"/v1/keys/{new['id']}/rotate", json={"overlapSeconds": 604_801})
        default = await served.http.post(f"/v1/keys/{at_once.json()['id']}/rotate")

    assert 201 == reply.status_code
    assert ("ci", ["events:write"], old["id"]) == (new["key"]["name"], new["scopes"], new["previous"]["id"])
    assert old["apiKey"] != new["apiKey"]
    soon = new["previous"]["expiresAtEpoch"] / 1000 - datetime.now(UTC).timestamp()
    assert 50 < soon <= 60
    assert [200, 200] == both
    assert (403, 400, 201) == (over.status_code, too_long.status_code, default.status_code)
    day = default.json()["previous"]["expiresAtEpoch"] / 1000 - datetime.now(UTC).timestamp()
    assert 86_000 < day <= 86_400


async def test_a_revoked_key_is_not_rotated_and_a_repeat_says_the_same(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = (await mint(served.http)).json()["id"]
        first = await served.http.delete(f"/v1/keys/{made}")
        again = await served.http.delete(f"/v1/keys/{made}")
        rotated = await served.http.post(f"/v1/keys/{made}/rotate", json={})

    assert {"revoked", "id", "revokedAtEpoch"} == set(first.json())
    assert first.json() == again.json()
    assert 409 == rotated.status_code


async def test_revocation_counts_from_the_next_request_on(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = (await mint(served.http)).json()
        async with served.client(made["apiKey"]) as client:
            before = await client.get("/v1/me")
            await served.http.delete(f"/v1/keys/{made['id']}")
            after = await client.get("/v1/me")

    assert (200, 403) == (before.status_code, after.status_code)


async def test_keys_of_a_sibling_are_403_of_another_team_404(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    theirs, _ = await seed.key(conn, tenant.team, "admin", project=sibling)
    async with serving(db, tenant.key) as served:
        found = [
            (await served.http.request(method, f"/v1/keys/{id_}{more}")).status_code
            for id_ in (theirs, other.key_id, uuid4(), "nonsense")
            for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"))
        ]

    assert [403] * 3 + [404] * 9 == found
    denied = await trail(conn, "access.denied")
    assert 6 == len(denied)


@proves("M18")
async def test_minting_rotating_and_revoking_stand_in_the_trail(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = (await mint(served.http, scopes=["events:write"])).json()["id"]
        new = (await served.http.post(f"/v1/keys/{made}/rotate", json={})).json()["id"]
        await served.http.delete(f"/v1/keys/{made}")
    created = [row for row in await trail(conn, "api_key.create") if row["key_id"] == tenant.key_id]
    [rotated], [revoked] = await trail(conn, "api_key.rotate"), await trail(conn, "api_key.revoke")

    assert [made, new] == [row["resource_id"] for row in created]
    assert [{"source": "api", "scopes": ["events:write"]}, made] == [
        created[0]["details"],
        created[1]["details"]["previousId"],
    ]
    assert (made, new) == (rotated["resource_id"], rotated["details"]["newKey"])
    assert (made, tenant.key_id) == (revoked["resource_id"], revoked["key_id"])
    assert all(row["request_id"] for row in (*created, rotated, revoked))


@pytest.mark.parametrize(
    ("settings", "headers", "base"),
    [
        ({}, {}, "http://outboxd.test"),
        ({"PUBLIC_URL": "https://memory.example/"}, {}, "https://memory.example"),
        ({}, {"x-forwarded-proto": "https"}, "http://outboxd.test"),
        ({"TRUSTED_PROXIES": "127.0.0.0/8"}, {"x-forwarded-proto": "https"}, "https://outboxd.test"),
        ({}, {"host": "evil$(id).test"}, "http://127.0.0.1:8377"),
    ],
)
async def test_the_connect_command_names_where_the_client_found_us(
    db: Database, conn: Conn, settings: dict[str, str], headers: dict[str, str], base: str
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **settings) as served:
        minted = (await served.http.post("/v1/keys", json={}, headers=headers)).json()
        asked = (await served.http.get("/v1/connect", headers=headers)).json()

    command = 'claude mcp add --transport http outboxd {}/v1/mcp --header "Authorization: Bearer {}"'
    assert {"mcpUrl", "connectCommand", "hint"} == set(asked)
    assert [f"{base}/v1/mcp"] * 2 == [minted["mcpUrl"], asked["mcpUrl"]]
    assert command.format(base, minted["apiKey"]) == minted["connectCommand"]
    assert command.format(base, "<YOUR_API_KEY>") == asked["connectCommand"]
    assert 2 == await rows.value(await conn.execute("select count(*) from outbox.keys"), int)


HOOK = ["events:write", "sessions:write", "observations:read", "jobs:read"]
CALLED = [
    ("POST", "/v1/events"), ("POST", "/v1/events/batch"), ("POST", "/v1/sessions/start"),
    ("POST", "/v1/sessions/{id}/end"), ("POST", "/v1/memories"), ("POST", "/v1/search"),
    ("POST", "/v1/context"), ("GET", "/v1/jobs/{id}"), ("GET", "/v1/jobs"), ("GET", "/v1/connect"),
    ("POST", "/v1/mcp"), ("GET", "/v1/usage"), ("POST", "/api/sessions/observations"),
    ("POST", "/api/sessions/summarize"),
]  # fmt: skip


@proves("M12")
async def test_a_hook_key_opens_every_route_that_hooks_call_and_a_refusal_is_aloud(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        hook = (await mint(served.http, scopes=HOOK)).json()["apiKey"]
        async with served.client(hook) as client:
            said = {
                (method, path): (
                    await client.request(method, path.replace("{id}", str(uuid4())), json={})
                ).status_code
                for method, path in CALLED
                if method in ROUTES.get(path, {})
            }
            stored = await client.post("/v1/events", json={"eventType": "x"})
            refused = problem(await client.post("/v1/keys", json={}))

    assert {} == {route: status for route, status in said.items() if status in {401, 403} or status >= 500}
    assert 201 == stored.status_code
    assert (403, ["keys:write"]) == (refused["status"], refused["requiredScopes"])
