"""The layers: who may pass, in which order they speak, and what every reply carries."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import keys
from tests import seed
from tests.api.served import problem, serving

Conn = AsyncConnection[DictRow]
REFUSED = "Invalid API key or insufficient scope"


async def test_every_reply_has_its_headers(db: Database) -> None:
    async with serving(db) as served:
        replies = [
            await served.http.request(method, path)
            for method, path in [
                ("GET", "/livez"),
                ("GET", "/nowhere"),
                ("PUT", "/livez"),
                ("POST", "/v1/events"),
            ]
        ]

    assert [200, 404, 405, 401] == [reply.status_code for reply in replies]
    for reply in replies:
        assert str(UUID(reply.headers["x-request-id"])) == reply.headers["x-request-id"]
        assert "nosniff" == reply.headers["x-content-type-options"]
        assert "DENY" == reply.headers["x-frame-options"]
        assert "?1" == reply.headers["origin-agent-cluster"]
        assert "default-src 'none'; frame-ancestors 'none'" == reply.headers["content-security-policy"]
        assert "server" not in reply.headers


@pytest.mark.parametrize(
    ("given", "kept"), [("abc.D-1_2", True), ("", False), ("-a", False), ("x" * 65, False), ("a b", False)]
)
async def test_a_request_id_is_kept_if_it_is_one(given: str, kept: bool, db: Database) -> None:
    async with serving(db) as served:
        reply = await served.http.get("/livez", headers={"x-request-id": given})

    assert kept is (reply.headers["x-request-id"] == given)


async def test_unknown_paths_and_methods(db: Database) -> None:
    async with serving(db) as served:
        unknown = problem(await served.http.post("/v1/events/"))
        instructions = problem(await served.http.get("/api/instructions"))
        wrong = await served.http.put("/v1/events")
        options = await served.http.options("/v1/events")
        head = await served.http.head("/livez")

    assert ("Cannot POST /v1/events/", "NotFound") == (unknown["message"], unknown["error"])
    assert "Cannot GET /api/instructions" == instructions["message"]
    assert "MethodNotAllowed" == problem(wrong)["error"]
    assert {"GET", "HEAD", "POST", "OPTIONS"} == set(wrong.headers["allow"].split(", "))
    assert (204, b"", wrong.headers["allow"]) == (
        options.status_code,
        options.content,
        options.headers["allow"],
    )
    assert (200, b"") == (head.status_code, head.content)


async def test_no_credential_is_401_and_a_wrong_one_403(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    expired, old = await seed.key(conn, tenant.team, "*")
    revoked, gone = await seed.key(conn, tenant.team, "*")
    await conn.execute("update outbox.keys set expires_at = now() - interval '1 s' where id = %s", [expired])
    await keys.revoke(conn, seed.OPERATOR, revoked)
    async with serving(db) as served:
        without = [
            await served.http.get("/v1/me", headers=headers)
            for headers in (
                {},
                {"authorization": "Bearer "},
                {"authorization": "Basic eA=="},
                {"x-api-key": " "},
            )
        ]
        wrong = [
            problem(await served.http.get("/v1/me", headers={"x-api-key": secret}))
            for secret in ("obx_unknown", old, gone, "x" * 513)
        ]
        right = await served.http.get("/v1/me", headers={"authorization": f"bEARER {tenant.key}"})
        first = await served.http.get(
            "/v1/me", headers={"authorization": f"Bearer {tenant.key}", "x-api-key": "obx_unknown"}
        )

    for reply in without:
        assert 'Bearer realm="outboxd"' == reply.headers["www-authenticate"]
        assert "Unauthorized" == problem(reply)["error"]
    assert {(403, "Forbidden", REFUSED)} == {(e["status"], e["error"], e["message"]) for e in wrong}
    assert 1 == len({repr({**each, "requestId": ""}) for each in wrong})
    assert (200, 200) == (right.status_code, first.status_code)
    assert "no-store" == right.headers["cache-control"]


async def test_a_key_without_the_scope_is_told_which(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", "events:read")
    async with serving(db, tenant.key) as served:
        told = problem(await served.http.post("/v1/events", json={"eventType": "a"}))

    assert (403, "InsufficientScope", REFUSED) == (told["status"], told["error"], told["message"])
    assert ["events:write"] == told["requiredScopes"]
    audited = await (
        await conn.execute("select action, actor, details from outbox.audit_log where action like '%.denied'")
    ).fetchall()
    assert ["access.denied"] == [row["action"] for row in audited]


@pytest.mark.parametrize("scope", ["events:write", "memories:write", "admin", "memories:admin", "*"])
async def test_these_scopes_publish(scope: str, db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", scope)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/events", json={"eventType": "a"})

    assert reply.status_code == 201


async def test_an_operators_key_reads_no_tenants_data(db: Database, conn: Conn) -> None:
    _, secret = await seed.key(conn, None, "*")
    async with serving(db, secret) as served:
        data = problem(await served.http.get("/v1/events"))
        me = await served.http.get("/v1/me")

    assert (403, "API key is not bound to a team") == (data["status"], data["message"])
    assert (200, None) == (me.status_code, me.json()["team"])


async def test_credential_and_scope_win_over_the_body(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", "events:read")
    junk: dict[str, Any] = {"content": b"x" * 6_000_000, "headers": {"content-type": "text/plain"}}
    async with serving(db) as served:
        unknown = await served.http.post("/v1/events", **junk)
        async with served.client(tenant.key) as reader:
            scoped = await reader.post("/v1/events", **junk)

    assert (401, 403) == (unknown.status_code, scoped.status_code)


async def test_many_refused_credentials_are_429_and_a_valid_key_still_works(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db) as served:
        statuses = [
            (await served.http.get("/v1/me", headers={"x-api-key": f"obx_{n}"})).status_code
            for n in range(62)
        ]
        last = await served.http.get("/v1/me", headers={"x-api-key": "obx_x"})
        valid = await served.http.get("/v1/me", headers={"x-api-key": tenant.key})

    assert [403] * 60 + [429] * 2 == statuses
    assert ("rate_limited", 200) == (problem(last)["error"], valid.status_code)
    assert int(last.headers["retry-after"]) >= 1
    audited = await (
        await conn.execute("select count(*) as n from outbox.audit_log where action = 'auth.denied'")
    ).fetchone()
    assert {"n": 1} == audited, "unknown keys are one row a minute and address"


@pytest.mark.proves("I7")
async def test_the_clients_address_is_the_peers_unless_a_proxy_is_trusted(db: Database) -> None:
    async def refusals(**settings: str) -> list[int]:
        async with serving(db, **settings) as served:
            return [
                (
                    await served.http.get(
                        "/v1/me", headers={"x-api-key": "obx_no", "x-forwarded-for": f"9.9.9.9, 8.8.8.{n}"}
                    )
                ).status_code
                for n in range(62)
            ]

    assert 429 == (await refusals())[-1], "a header of the client's own invention does not change who it is"
    assert {403} == set(await refusals(TRUSTED_PROXIES="127.0.0.0/8"))


async def test_a_remembered_key_is_forgotten_on_the_hint(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        before = await served.http.get("/v1/me")
        await keys.revoke(conn, seed.OPERATOR, tenant.key_id)
        remembered = await served.http.get("/v1/me")
        served.wakes.committed({}, keys=[tenant.key_id])
        after = await served.http.get("/v1/me")

    assert [200, 200, 403] == [reply.status_code for reply in (before, remembered, after)]


@pytest.mark.proves("T3")
async def test_a_key_revoked_after_it_was_remembered_writes_nothing(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        made = await served.http.post("/v1/events", json={"eventType": "a"})
        job = made.json()["jobs"][0]["id"]
        await keys.revoke(conn, seed.OPERATOR, tenant.key_id)
        told = [
            problem(await served.http.post("/v1/events", json={"eventType": "a"})),
            problem(await served.http.post("/v1/events/batch", json=[{"eventType": "a"}])),
            problem(await served.http.post(f"/v1/jobs/{job}/cancel")),
            problem(await served.http.post("/v1/jobs/cancel", json={"filter": {"ids": [job]}})),
            problem(await served.http.post("/v1/jobs/retry", json={"filter": {"ids": [job]}})),
        ]

    assert {(403, REFUSED)} == {(each["status"], each["message"]) for each in told}
    assert 1 == (await seed.counts(conn))["events"]
    assert 1 == (await seed.counts(conn))["ready"]


async def test_a_database_that_is_gone_refuses_nobodys_key(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with (
        Database.open("postgresql://127.0.0.1:1/none", pool_min=1) as gone,
        serving(gone, tenant.key) as served,
    ):
        reply = await served.http.get("/v1/me")

    assert (503, "DatabaseUnavailable") == (reply.status_code, problem(reply)["error"])
    assert 1 <= int(reply.headers["retry-after"]) <= 5


async def test_browsers_may_call_from_allowed_origins(db: Database) -> None:
    preflight = {"access-control-request-method": "POST"}
    async with serving(db) as served:
        allowed = await served.http.options(
            "/v1/events", headers={"origin": "http://localhost:5173", **preflight}
        )
        strange = await served.http.options(
            "/v1/events", headers={"origin": "https://evil.test", **preflight}
        )
        read = await served.http.get("/livez", headers={"origin": "http://127.0.0.1"})
        foreign = await served.http.get("/livez", headers={"origin": "http://localhost.evil.test"})
        write = await served.http.post("/v1/events", headers={"origin": "null"})

    assert (204, "http://localhost:5173", "600") == (
        allowed.status_code,
        allowed.headers["access-control-allow-origin"],
        allowed.headers["access-control-max-age"],
    )
    assert "Idempotency-Key" in allowed.headers["access-control-allow-headers"]
    assert (204, False) == (strange.status_code, "access-control-allow-origin" in strange.headers)
    assert "http://127.0.0.1" == read.headers["access-control-allow-origin"]
    assert "access-control-allow-credentials" not in read.headers
    assert (200, False) == (foreign.status_code, "access-control-allow-origin" in foreign.headers)
    assert "OriginNotAllowed" == problem(write)["error"]


@pytest.mark.proves("E7")
async def test_a_draining_process_accepts_nothing(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        served.ready.draining = True
        reply = await served.http.post("/v1/events", json={"eventType": "a"})
        alive, ready = await served.http.get("/livez"), await served.http.get("/readyz")

    assert (503, "ShuttingDown", "5", "close") == (
        reply.status_code,
        problem(reply)["error"],
        reply.headers["retry-after"],
        reply.headers["connection"],
    )
    assert (200, 503) == (alive.status_code, ready.status_code)
    assert 0 == (await seed.counts(conn))["events"]


@pytest.mark.proves("I8", "G3")
async def test_more_requests_than_allowed_are_503(db: Database) -> None:
    async with serving(db, MAX_REQUESTS="2") as served:
        served.ready.answers.clear()
        running = [asyncio.create_task(served.http.get("/v1/info")) for _ in range(2)]
        for _ in running:
            await served.ready.asked.acquire()
        refused = await served.http.get("/v1/info")
        probe = await served.http.get("/livez")
        served.ready.answers.set()
        finished = await asyncio.gather(*running)

    assert (503, "Overloaded", "1") == (
        refused.status_code,
        problem(refused)["error"],
        refused.headers["retry-after"],
    )
    assert 200 == probe.status_code
    assert [200, 200] == [reply.status_code for reply in finished]


async def test_trace_context_is_kept_if_it_is_one(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with serving(db, tenant.key) as served:
        for given in (good, good.upper(), "00-" + "0" * 32 + "-b7ad6b7169203331-01", "junk"):
            reply = await served.http.post(
                "/v1/events", json={"eventType": "a"}, headers={"traceparent": given}
            )
            assert reply.status_code == 201
    kept = await (await conn.execute("select traceparent from outbox.events order by id")).fetchall()

    assert [good, None, None, None] == [row["traceparent"] for row in kept]


@pytest.mark.proves("G8", "G9")
async def test_metrics_need_admin_and_have_closed_labels(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", "admin")
    async with serving(db, tenant.key) as served:
        for n in range(5):
            await served.http.get(f"/nowhere/{n}")
            await served.http.request(f"M{n}", "/livez")
        await served.http.post("/v1/events", json={"eventType": "secret-type"})
        anonymous = await served.client().get("/metrics")
        text = (await served.http.get("/metrics")).text
    async with serving(db, METRICS_OPEN="1") as served:
        assert 200 == (await served.http.get("/metrics")).status_code

    assert 401 == anonymous.status_code
    assert 'outboxd_http_requests_total{method="GET",route="unknown",status="404"}' in text
    for leak in ("nowhere/", "M1", "secret-type", tenant.key, str(tenant.project)):
        assert leak not in text


async def test_probes_say_how_it_is(db: Database) -> None:
    async with serving(db) as served:
        ready = await served.http.get("/readyz")
        served.ready.found = {"database": "ok", "listen": "degraded"}
        degraded = await served.http.get("/readyz")
        served.ready.found = {"database": "failed"}
        unready = await served.http.get("/readyz")
        old = [
            await served.http.get(path)
            for path in ("/api/health", "/api/readiness", "/healthz", "/api/version")
        ]
        info = (await served.http.get("/v1/info")).json()
        front = await served.http.get("/")

    assert [(200, "ready"), (200, "degraded"), (503, "unready")] == [
        (reply.status_code, reply.json()["status"]) for reply in (ready, degraded, unready)
    ]
    assert [503, 503, 200, 200] == [reply.status_code for reply in old]
    assert {"engine": "postgres"} == old[0].json()["queue"]
    assert {"status": "ok", "runtime": "server-beta"} == old[2].json()
    assert "api-key" == info["authMode"]
    migrations = Path(__file__).parents[2] / "sql" / "migrations"
    assert len(list(migrations.glob("*.sql"))) == info["postgres"]["schemaVersion"]
    assert front.headers["content-type"].startswith("text/html")
