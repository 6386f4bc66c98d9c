"""What is read back: events, jobs, keys, and whose they are."""

from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import Served, problem, serving

Conn = AsyncConnection[DictRow]


async def post(served: Served, **event: Any) -> dict[str, Any]:
    reply = await served.http.post("/v1/events", json={"eventType": "order.paid", **event})
    assert reply.status_code == 201, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def get(served: Served, path: str, expect: int = 200, /, **query: Any) -> dict[str, Any]:
    reply = await served.http.get(path, params=query)
    assert reply.status_code == expect, reply.text
    found: dict[str, Any] = reply.json() if expect < 400 else problem(reply)
    return found


async def test_events_are_listed_newest_first_in_pages(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        ids = [(await post(served, payload={"n": n}))["event"]["id"] for n in range(5)]

        first = await get(served, "/v1/events", limit=2)
        second = await get(served, "/v1/events", limit=2, cursor=first["nextCursor"])
        last = await get(served, "/v1/events", limit=2, cursor=second["nextCursor"], include="payload")
        upward = await get(served, "/v1/events", order="asc", limit=5)

    assert ids[::-1] == [event["id"] for page in (first, second) for event in page["events"]] + [
        event["id"] for event in last["events"]
    ]
    assert last["nextCursor"] is None
    assert [{"n": 0}] == [event["payload"] for event in last["events"]]
    assert "payload" not in first["events"][0]
    assert ids == [event["id"] for event in upward["events"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"eventType": "order.*"}, 2),
        ({"eventType": "order.paid,invoice"}, 2),
        ({"eventType": "order"}, 0),
        ({"subject": "s1"}, 1),
        ({"contentSessionId": "c1"}, 1),
        ({"platformSource": "Claude Code"}, 1),
        ({"sourceType": "hook"}, 1),
        ({"since": "2020-01-01"}, 3),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
        ({"hasFailedJob": "true"}, 0),
        ({"requestId": "req-1"}, 1),
    ],
)
async def test_events_are_found_by(query: dict[str, Any], found: int, db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await post(served, subject="s1", contentSessionId="c1")
        await post(served, eventType="order.sent", sourceType="hook", platformSource="claude")
        await served.http.post("/v1/events", json={"eventType": "invoice"}, headers={"x-request-id": "req-1"})

        events = (await get(served, "/v1/events", **query))["events"]

    assert found == len(events)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"cursor": "!"}, {"cursor": "QUJD"},
        {"order": "up"}, {"include": "all"}, {"since": "yesterday"}, {"nonsense": "1"},
        {"hasFailedJob": "yes"},
        {"subject": ""}, {"eventType": ",".join("a" * 21)},
    ],
)  # fmt: skip
@pytest.mark.proves("I4")
async def test_a_bad_query_is_400_with_its_parameter(query: dict[str, Any], db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        refused = await get(served, "/v1/events", 400, **query)

    if "cursor" in query:
        assert refused["error"] == "InvalidCursor"
    else:
        assert [next(iter(query))] == [each["parameter"] for each in refused["errors"]]


async def test_a_cursor_is_bound_to_its_filters_and_tenant(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    other = await seed.tenant(conn, "other")
    async with serving(db, tenant.key) as served:
        for _ in range(2):
            await post(served)
        cursor = (await get(served, "/v1/events", limit=1))["nextCursor"]

        await get(served, "/v1/events", 400, limit=1, cursor=cursor, eventType="x")
        async with served.client(other.key) as stranger:
            reply = await stranger.get("/v1/events", params={"cursor": cursor})

    assert problem(reply)["error"] == "InvalidCursor"


@pytest.mark.proves("T2")
async def test_anothers_event_and_one_that_never_was_look_alike(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    async with serving(db, other.key) as served:
        foreign = (await post(served))["event"]["id"]
        async with served.client(tenant.key) as client:
            told = [
                problem(await client.get(f"/v1/events/{event}"))
                for event in (foreign, "0192f0f0-0000-7000-8000-000000000000", "not-an-id")
            ]

    assert 1 == len({repr({**each, "requestId": ""}) for each in told})
    assert {404} == {each["status"] for each in told}
    denied = await (
        await conn.execute("select count(*) as n from outbox.audit_log where action = 'access.denied'")
    ).fetchone()
    assert {"n": 1} == denied


async def test_a_siblings_event_is_403_and_its_job_404(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, theirs = await seed.key(conn, tenant.team, "*", project=sibling)
    async with serving(db, theirs) as served:
        made = await post(served)
        async with served.client(tenant.key) as client:
            event = problem(await client.get(f"/v1/events/{made['event']['id']}"))
            job = problem(await client.get(f"/v1/jobs/{made['jobs'][0]['id']}"))

    assert (403, "API key is scoped to a different project") == (event["status"], event["message"])
    assert (404, "Generation job not found") == (job["status"], job["message"])


async def test_a_timeline_tells_what_followed(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        made = await post(served)
        await conn.execute("select outbox.sequence(array[%s]::uuid[])", [tenant.project])
        await served.http.post(f"/v1/jobs/{made['jobs'][0]['id']}/cancel")

        found = await get(served, f"/v1/events/{made['event']['id']}/timeline")
        event = await get(served, f"/v1/events/{made['event']['id']}")

    kinds = [entry["kind"] for entry in found["entries"]]
    assert ["received", "job_queued", "sequenced", "job_cancelled", "audit"] == sorted(
        kinds, key=["received", "job_queued", "sequenced", "job_cancelled", "audit"].index
    )
    assert not found["truncated"]
    assert event["event"]["position"].endswith("-1")


async def test_jobs_are_listed_for_old_clients_and_new(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        jobs = [(await post(served, payload={"n": n}))["jobs"][0]["id"] for n in range(3)]
        await served.http.post(f"/v1/jobs/{jobs[0]}/cancel")

        listed = await get(served, "/v1/jobs", limit=2)
        rest = await get(served, "/v1/jobs", limit=2, cursor=listed["nextCursor"])
        skipped = await get(served, "/v1/jobs", limit=-5, offset=1)
        cancelled = await get(served, "/v1/jobs", status="cancelled", include="payload")
        of_team = await get(served, f"/v1/teams/{tenant.team}/jobs")
        of_project = await get(served, f"/v1/projects/{tenant.project}/jobs", status="queued")

    assert jobs[::-1] == [job["id"] for page in (listed, rest) for job in page["jobs"]]
    assert (3, 2, 0) == (listed["total"], listed["limit"], listed["offset"])
    assert (1, 1, jobs[1]) == (skipped["limit"], skipped["offset"], skipped["jobs"][0]["id"])
    assert [(jobs[0], "cancelled", {"n": 0})] == [
        (job["id"], job["status"], job["payload"]) for job in cancelled["jobs"]
    ]
    assert (1, 3, 2) == (cancelled["total"], of_team["total"], of_project["total"])


@pytest.mark.parametrize(
    "query", [{"status": "dead"}, {"source_type": "x"}, {"since": "x"}, {"offset": "10001"}]
)
async def test_an_unknown_filter_of_jobs_is_400(query: dict[str, Any], db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await get(served, "/v1/jobs", 400, **query)


async def test_payloads_of_jobs_need_admin(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", "jobs:read")
    async with serving(db, tenant.key) as served:
        refused = await get(served, "/v1/jobs", 403, include="payload")

    assert "`include=payload` requires admin scope" == refused["message"]


async def test_a_job_shows_its_attempts_and_why(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        job = (await post(served))["jobs"][0]["id"]
        worker = await (await conn.execute("select worker_id from outbox.enlist('w', '{h}')")).fetchone()
        assert worker
        await conn.execute("select outbox.claim(%s, 1)", [worker["worker_id"]])

        running = await get(served, f"/v1/jobs/{job}/attempts")
        shown = await get(served, f"/v1/jobs/{job}")
        why = await get(served, f"/v1/jobs/{job}/why")

    assert [("running", 1)] == [(each["outcome"], each["attempt"]) for each in running["attempts"]]
    assert "processing" == shown["generationJob"]["status"]
    assert shown["generationJob"]["id"] == shown["generationJob"]["bullmqJobId"]
    assert "running" == why["reasons"][0]["reason"]


async def test_a_key_says_who_it_is(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", "memories:read")
    async with serving(db, tenant.key) as served:
        found = await get(served, "/v1/me")

    assert ("acme", "acme", str(tenant.key_id)) == (
        found["team"]["name"],
        found["project"]["name"],
        found["key"]["id"],
    )
    assert ["events:read", "jobs:read", "memories:read", "observations:read", "streams:read"] == (
        found["effectiveScopes"]
    )
    assert tenant.key not in repr(found)
