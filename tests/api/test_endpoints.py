"""Webhook targets over HTTP: made, shown, changed and gone; what is secret stays so."""

from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.handlers import signing
from tests import seed
from tests.api.served import Served, problem, serving

Conn = AsyncConnection[DictRow]
SEAL = {"SECRET_KEYS": "k1:" + "A" * 43 + "="}
URL = "https://hooks.example.test/in"


async def make(served: Served, **fields: Any) -> dict[str, Any]:
    reply = await served.http.post("/v1/endpoints", json={"url": URL, **fields})
    assert reply.status_code == 201, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def test_an_endpoint_is_made_shown_changed_and_gone(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        made = await make(
            served,
            uid="u-1",
            types=["order.*"],
            headers={"X-Token": "hunter2"},
            ratePerSecond=5,
            retrySchedule=[0, 5],
        )
        id_ = made["endpoint"]["id"]
        shown = (await served.http.get(f"/v1/endpoints/{id_}")).json()["endpoint"]
        named = (await served.http.get("/v1/endpoints/uid:u-1")).json()["endpoint"]
        changed = (
            await served.http.patch(
                f"/v1/endpoints/{id_}",
                json={"state": "paused", "concurrency": None, "contains": {"a": 1}},
                headers={"if-match": '"1"'},
            )
        ).json()["endpoint"]
        stale = await served.http.patch(f"/v1/endpoints/{id_}", json={}, headers={"if-match": '"1"'})
        secret = (await served.http.get(f"/v1/endpoints/{id_}/secret")).json()
        gone = await served.http.delete(f"/v1/endpoints/{id_}")
        after = await served.http.get(f"/v1/endpoints/{id_}")

    assert shown == made["endpoint"] == named
    assert ({"X-Token": "***"}, [0, 5], 5, 5, 8) == (
        shown["headers"],
        shown["retrySchedule"],
        shown["ratePerSecond"],
        shown["burst"],
        shown["concurrency"],
    )
    assert ("paused", {"a": 1}, 2, {"X-Token": "***"}, ["order.*"]) == (
        changed["state"],
        changed["contains"],
        changed["revision"],
        changed["headers"],
        changed["types"],
    )
    assert (412, 204, 404) == (stale.status_code, gone.status_code, after.status_code)
    assert made["secret"] == secret["secret"]
    assert made["secret"] == signing.parse(made["secret"]).text()
    actions = await (
        await conn.execute("select action from outbox.audit_log where action like 'endpoint.%' order by id")
    ).fetchall()
    assert ["created", "updated", "secret_read", "deleted"] == [
        row["action"].partition(".")[2] for row in actions
    ]


@pytest.mark.proves("E9")
async def test_events_make_deliveries_for_those_that_want_them(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        wanted = (await make(served, types=["order.*"], contains={"big": True}))["endpoint"]["id"]
        await make(served, types=["invoice"])
        await make(served, state="disabled")
        paused = (await make(served, state="paused"))["endpoint"]["id"]
        made = await served.http.post(
            "/v1/events", json={"eventType": "order.paid", "payload": {"big": True}}
        )
        listed = (await served.http.get("/v1/endpoints", params={"type": "order.paid"})).json()["endpoints"]

    assert {f"endpoint:{wanted}", f"endpoint:{paused}"} == {job["queue"] for job in made.json()["jobs"]}
    assert {"deliver"} == {job["handler"] for job in made.json()["jobs"]}
    assert 3 == len(listed)
    assert {0, 1} == {each["health"]["queued"] for each in listed}


@pytest.mark.proves("G8")
async def test_nothing_secret_is_readable_in_the_database(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        made = await make(served, headers={"X-Token": "hunter2"})
    text = ""
    for table in ("endpoints", "endpoint_secrets", "audit_log", "queues"):
        for row in await (await conn.execute(f"select t::text from outbox.{table} t".encode())).fetchall():
            text += row["t"]

    assert "hunter2" not in text
    assert b"hunter2".hex() not in text
    assert made["secret"].encode().hex() not in text


async def test_without_a_sealing_key_nothing_is_made(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        told = problem(await served.http.post("/v1/endpoints", json={"url": URL}))

    assert (503, "NotConfigured") == (told["status"], told["error"])
    made = "select count(*) as n from outbox.queues where name like 'endpoint:%'"
    assert 0 == (await (await conn.execute(made)).fetchone() or {})["n"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "/url"),
    ({"url": "ftp://x.test"}, "/url"),
    ({"url": "https://u:p@x.test"}, "/url"),
    ({"url": "https://x.test/#f"}, "/url"),
    ({"url": "https://127.0.0.1/"}, "/url"),
    ({"url": "https://10.1.2.3/"}, "/url"),
    ({"url": "https://169.254.169.254/"}, "/url"),
    ({"url": "http://x.test/"}, "/url"),
    ({"url": "https://x.test:22/"}, "/url"),
    ({"url": "https://x.test/" + "a" * 2048}, "/url"),
    ({"url": URL, "uid": "a b"}, "/uid"),
    ({"url": URL, "uid": "a\n"}, "/uid"),
    ({"url": URL, "types": []}, "/types"),
    ({"url": URL, "types": ["a.*.b"]}, "/types/0"),
    ({"url": URL, "types": [""]}, "/types/0"),
    ({"url": URL, "contains": [1]}, "/contains"),
    ({"url": URL, "excludes": {"a": "x" * 4096}}, "/excludes"),
    ({"url": URL, "state": "on"}, "/state"),
    ({"url": URL, "ordering": "x"}, "/ordering"),
    ({"url": URL, "onDead": "x"}, "/onDead"),
    ({"url": URL, "concurrency": 65}, "/concurrency"),
    ({"url": URL, "ratePerSecond": 0}, "/ratePerSecond"),
    ({"url": URL, "burst": 5}, "/burst"),
    ({"url": URL, "timeoutMs": 999}, "/timeoutMs"),
    ({"url": URL, "retrySchedule": []}, "/retrySchedule"),
    ({"url": URL, "retrySchedule": [0, 86401]}, "/retrySchedule/..."),
    ({"url": URL, "maxAgeSeconds": 1}, "/maxAgeSeconds"),
    ({"url": URL, "terminal4xx": 1}, "/terminal4xx"),
    ({"url": URL, "maxBodyBytes": 1}, "/maxBodyBytes"),
    ({"url": URL, "headers": {"Host": "x"}}, "/headers/Host"),
    ({"url": URL, "headers": {"webhook-id": "x"}}, "/headers/webhook-id"),
    ({"url": URL, "headers": {"a b": "x"}}, "/headers/a b"),
    ({"url": URL, "headers": {"a": "x\r\ny: z"}}, "/headers/a"),
    ({"url": URL, "headers": {f"a{n}": "x" for n in range(21)}}, "/headers"),
    ({"url": URL, "description": "x" * 501}, "/description"),
    ({"url": URL, "metadata": {"a": "x" * 8192}}, "/metadata"),
    ({"url": URL, "nonsense": 1}, "/nonsense"),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG, ids=range(len(WRONG)))
@pytest.mark.proves("I4", "D5")
async def test_a_wrong_field_is_400_and_stores_nothing(
    body: dict[str, Any], pointer: str, db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        told = problem(await served.http.post("/v1/endpoints", json=body))

    assert 400 == told["status"]
    assert told["errors"][0]["pointer"].startswith(pointer.removesuffix("/..."))
    for table in ("endpoints", "endpoint_secrets", "queues where name like 'endpoint:%'"):
        found = await (await conn.execute(f"select count(*) as n from outbox.{table}".encode())).fetchone()
        assert {"n": 0} == found


async def test_limits_and_names_of_endpoints(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    async with serving(db, tenant.key, **SEAL) as served:
        first = (await make(served, uid="same"))["endpoint"]["id"]
        second = (await make(served))["endpoint"]["id"]
        again = problem(await served.http.post("/v1/endpoints", json={"url": URL, "uid": "same"}))
        taken = problem(await served.http.patch(f"/v1/endpoints/{second}", json={"uid": "same"}))
        foreign = problem(
            await served.http.post("/v1/endpoints", json={"url": URL, "projectId": str(other.project)})
        )
        async with served.client(other.key) as stranger:
            strange = [
                problem(await stranger.request(method, f"/v1/endpoints/{first}{path}", json=body))
                for method, path, body in (
                    ("GET", "", None),
                    ("PATCH", "", {}),
                    ("DELETE", "", None),
                    ("GET", "/secret", None),
                )
            ]

    assert (409, 409, 403) == (again["status"], taken["status"], foreign["status"])
    assert {404} == {each["status"] for each in strange}


async def test_what_deliveries_look_like_and_when_they_are_given_up_is_the_owners(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    settings = {
        "format": "ce-binary",
        "signing": "v1+v1a",
        "disableAfterHours": 0,
        "retrySchedule": [30],
        "maxBodyBytes": 1024,
    }
    async with serving(db, tenant.key, **SEAL) as served:
        made = (await make(served, **settings))["endpoint"]
        path = f"/v1/endpoints/{made['id']}"
        longer = (await served.http.patch(path, json={"retrySchedule": [60, 1, 2]})).json()["endpoint"]
        usual = (await served.http.patch(path, json=dict.fromkeys(settings))).json()["endpoint"]

    assert settings == {name: made[name] for name in settings}
    assert ([60, 1, 2], "ce-binary") == (longer["retrySchedule"], longer["format"])
    assert ("standard", "v1", 120, 10, 262_144) == (
        usual["format"],
        usual["signing"],
        usual["disableAfterHours"],
        len(usual["retrySchedule"]),
        usual["maxBodyBytes"],
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "xml"},
        {"signing": "v2"},
        {"disableAfterHours": 721},
        {"disableAfterHours": -1},
        {"retrySchedule": []},
        {"retrySchedule": [86_401]},
        {"retrySchedule": [0] * 21},
    ],
)
async def test_settings_out_of_range_are_refused(db: Database, conn: Conn, fields: dict[str, Any]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        reply = await served.http.post("/v1/endpoints", json={"url": URL, **fields})

    (name,) = fields
    assert (400, name) == (reply.status_code, reply.json()["errors"][0]["pointer"].split("/")[1])


async def test_health_tells_how_the_breaker_stands(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        id_ = (await make(served))["endpoint"]["id"]
        seen = []
        fails = "select outbox.note_delivery(%s, null, 'timeout', null, 'failure', null, null)"
        for statement in (
            "select 1",
            f"{fails} from generate_series(1, 5)",
            "update outbox.queues set closed_until = outbox.clock()",
            "select outbox.note_delivery(%s, null, 'ok', 200, 'success', null, null)",
        ):
            await conn.execute(statement.encode(), [id_] if "%s" in statement else None)
            seen.append((await served.http.get(f"/v1/endpoints/{id_}")).json()["endpoint"]["health"])

    assert ["enabled", "closed", "half_open", "enabled"] == [health["state"] for health in seen]
    assert [0, 5, 5, 0] == [health["consecutiveFailures"] for health in seen]
    assert [True, False, False, True] == [health["firstFailureAtEpoch"] is None for health in seen]
