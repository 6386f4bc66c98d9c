"""POST /v1/events and its batch: what is answered 201 is stored, once, and nothing else is."""

import asyncio
import time
from typing import Any

import pytest
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import history, tenants
from tests import seed
from tests.api.served import problem, serving
from tests.waiting import until

Conn = AsyncConnection[DictRow]


@pytest.mark.proves("I1")
async def test_a_posted_event_is_stored_with_its_jobs(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "order.*", "orders", handler="ship")
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(
            "/v1/events", json={"eventType": "order.paid", "payload": {"id": 7}, "subject": "order/7"}
        )

    assert reply.status_code == 201
    found = reply.json()
    assert found["event"]["payload"] == {"id": 7}
    assert found["event"]["projectId"] == str(tenant.project)
    assert [("ship", "orders", "queued")] == [
        (job["handler"], job["queue"], job["status"]) for job in found["jobs"]
    ]
    assert "generationJob" not in found
    assert "duplicate" not in found
    stored = await (await conn.execute("select id::text, subject, payload from outbox.events")).fetchone()
    assert {"id": found["event"]["id"], "subject": "order/7", "payload": {"id": 7}} == stored


async def test_the_reply_is_what_reading_it_back_says(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    event = {
        "eventType": "a", "payload": {"a": [1, "é"]}, "metadata": {"m": 1}, "subject": "s",
        "orderingKey": "k", "contentSessionId": "c", "platformSource": " Codex CLI ",
        "sourceType": "sdk", "sourceEventId": "e1",
        "occurredAtEpoch": 1_700_000_000_123, "priority": 3,
        "expiresAtEpoch": round(time.time() * 1000) + 60_000,
    }  # fmt: skip
    async with serving(db, tenant.key) as served:
        told = (await served.http.post("/v1/events", json=event)).json()["event"]
        read = (await served.http.get(f"/v1/events/{told['id']}")).json()["event"]

    assert read == told
    assert ("codex", 1_700_000_000_123) == (told["platformSource"], told["occurredAtEpoch"])


@pytest.mark.proves("E5", "E3")
async def test_a_key_again_is_the_first_event_or_a_conflict(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, theirs = await seed.key(conn, tenant.team, "*", project=sibling)
    event = {"eventType": "a", "payload": {"x": 1, "y": 2}, "idempotencyKey": "k"}
    async with serving(db, tenant.key) as served:
        first = await served.http.post("/v1/events", json=event)
        again = await served.http.post("/v1/events", json={**event, "payload": {"y": 2, "x": 1}})
        other = await served.http.post("/v1/events", json={**event, "payload": {}})
        async with served.client(theirs) as client:
            elsewhere = await client.post("/v1/events", json={**event, "payload": {}})

    id_ = first.json()["event"]["id"]
    assert (201, id_, True) == (again.status_code, again.json()["event"]["id"], again.json()["duplicate"])
    assert (409, "IdempotencyConflict", id_) == (
        other.status_code,
        problem(other)["error"],
        problem(other)["eventId"],
    )
    assert 201 == elsewhere.status_code
    assert 2 == (await seed.counts(conn))["events"]


async def test_a_native_id_again_is_the_first_event_and_says_if_it_differs(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    event = {"eventType": "a", "payload": 1, "sourceEventId": "e", "sourceType": "hook"}
    derived = {"eventType": "a", "payload": 1, "occurredAtEpoch": 5, "sourceType": "hook"}
    async with serving(db, tenant.key) as served:
        first = (await served.http.post("/v1/events", json=event)).json()
        again = (await served.http.post("/v1/events", json=event)).json()
        differs = (await served.http.post("/v1/events", json={**event, "payload": 2})).json()
        derived_ids = [
            (await served.http.post("/v1/events", json=each)).json()["event"]["id"]
            for each in (derived, {**derived, "payload": 1.0}, {**derived, "payload": 2})
        ]

    assert "duplicateDiffers" not in again
    assert (True, True) == (differs["duplicate"], differs["duplicateDiffers"])
    assert first["jobs"] == again["jobs"] == differs["jobs"]
    assert first["event"] == differs["event"] | {"position": None}
    assert derived_ids[0] == derived_ids[1] != derived_ids[2]


@pytest.mark.proves("E3")
async def test_fifty_posts_of_one_key_are_one_event(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    event = {"eventType": "a", "idempotencyKey": "same"}
    async with serving(db, tenant.key) as one, serving(db, tenant.key) as other:
        replies = await asyncio.gather(
            *(each.http.post("/v1/events", json=event) for _ in range(25) for each in (one, other))
        )

    assert {201} == {reply.status_code for reply in replies}
    assert 1 == len({reply.json()["event"]["id"] for reply in replies})
    assert 49 == sum(reply.json().get("duplicate", False) for reply in replies)
    assert 1 == (await seed.counts(conn))["events"]


FOREIGN: list[tuple[str, dict[str, Any], int, str]] = [
    ("project", {"projectId": "{other}"}, 403, "API key is scoped to a different project"),
    ("project", {"projectId": "junk"}, 403, "API key is scoped to a different project"),
    ("team", {"projectId": "{other}"}, 403, "project_id must belong to team_id"),
    ("team", {"projectId": "junk"}, 403, "project_id must belong to team_id"),
    ("team", {"projectId": "0192f0f0-0000-7000-8000-000000000000"}, 403, "project_id must belong to team_id"),
    ("team", {}, 400, "Invalid request"),
    ("team", {"projectId": "{own}", "serverSessionId": "x"}, 403,
     "server_session_id must belong to project_id and team_id"),
    ("project", {"serverSessionId": "0192f0f0-0000-7000-8000-000000000000"}, 403,
     "server_session_id must belong to project_id and team_id"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "status", "message"), FOREIGN, ids=range(len(FOREIGN)))
@pytest.mark.proves("T5", "I1")
async def test_nobody_publishes_outside_their_tenancy(
    kind: str, fields: dict[str, Any], status: int, message: str, db: Database, conn: Conn
) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    _, team_key = await seed.key(conn, tenant.team, "*")
    named = {"{other}": str(other.project), "{own}": str(tenant.project)}
    event = {"eventType": "a", **{name: named.get(value, value) for name, value in fields.items()}}
    async with serving(db, tenant.key if kind == "project" else team_key) as served:
        one = await served.http.post("/v1/events", json=event)
        many = await served.http.post("/v1/events/batch", json=[event])

    assert {(status, message)} == {(reply.status_code, problem(reply)["message"]) for reply in (one, many)}
    assert 0 == (await seed.counts(conn))["events"]


async def test_an_archived_project_takes_no_events(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute("update outbox.projects set archived_at = now()")
    async with serving(db, tenant.key) as served:
        told = problem(await served.http.post("/v1/events", json={"eventType": "a"}))

    assert (409, "ProjectArchived") == (told["status"], told["error"])
    assert 0 == (await seed.counts(conn))["events"]


async def test_a_batch_keeps_its_order_and_collapses_its_duplicates(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    batch = [{"eventType": "a", "payload": n, "idempotencyKey": f"k{n % 3}"} for n in range(3)]
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/events/batch", json=[*batch, batch[1]])

    events = reply.json()["events"]
    assert [0, 1, 2, 1] == [each["event"]["payload"] for each in events]
    assert [None, None, None, True] == [each.get("duplicate") for each in events]
    assert events[1]["event"]["id"] == events[3]["event"]["id"]
    pending = await (await conn.execute("select event_id::text from outbox.pending order by id")).fetchall()
    assert [each["event"]["id"] for each in events[:3]] == [row["event_id"] for row in pending]


@pytest.mark.proves("E6")
async def test_a_batch_with_one_foreign_project_is_refused_whole_or_alone(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    _, team_key = await seed.key(conn, tenant.team, "*")
    batch = [{"eventType": "a", "projectId": str(tenant.project)} for _ in range(100)]
    batch[40] = {"eventType": "a", "projectId": str(other.project)}
    batch[41] = {"eventType": "", "projectId": str(tenant.project)}
    async with serving(db, team_key) as served:
        atomic = await served.http.post("/v1/events/batch", json=[*batch[:41], *batch[42:]])
        stored = (await seed.counts(conn))["events"]
        lenient = await served.http.post(
            "/v1/events/batch", json=batch, headers={"prefer": 'handling="lenient"'}
        )
        none = await served.http.post(
            "/v1/events/batch", json=batch[40:42], headers={"prefer": "handling=lenient"}
        )

    assert (403, 0) == (atomic.status_code, stored)
    found = lenient.json()["events"]
    assert (201, "handling=lenient") == (lenient.status_code, lenient.headers["preference-applied"])
    assert (403, "Forbidden") == (found[40]["status"], found[40]["error"])
    assert (400, ["41", "eventType"]) == (found[41]["status"], found[41]["issues"][0]["path"])
    assert 98 == sum(each["status"] == 201 for each in found) == (await seed.counts(conn))["events"]
    assert 400 == none.status_code


@pytest.mark.parametrize("hinted", [True, False])
async def test_waiting_ends_when_the_generation_job_does(hinted: bool, db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "observe", handler="observe")
    async with serving(db, tenant.key) as served:
        waiting = asyncio.create_task(served.http.post("/v1/events?wait=true", json={"eventType": "a"}))
        await until(lambda: bool(served.wakes._waiters))
        [job] = served.wakes._waiters
        await conn.execute("select outbox.cancel(outbox.me(), %s)", [job])
        began = time.monotonic()
        if hinted:
            served.wakes.committed({}, jobs=[job])
        reply = await waiting
        took = time.monotonic() - began

    found = reply.json()
    assert (201, str(job), "cancelled") == (
        reply.status_code,
        found["generationJob"]["id"],
        found["generationJob"]["status"],
    )
    assert "waitTimedOut" not in found
    assert found["generationJob"].keys() >= {"attempts", "maxAttempts", "transport"}
    assert took < (0.2 if hinted else 0.9)


@pytest.mark.parametrize("hinted", [True, False])
async def test_a_batch_that_waits_looks_at_all_its_jobs_at_once(
    hinted: bool, db: Database, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "observe", handler="observe")
    execute, looks = AsyncCursor.execute, []

    async def counting(cursor: AsyncCursor[Any], query: Any, *given: Any, **more: Any) -> AsyncCursor[Any]:
        if query == history._OPEN:
            looks.append(len(given[0][0]))
        return await execute(cursor, query, *given, **more)

    monkeypatch.setattr(AsyncCursor, "execute", counting)
    async with serving(db, tenant.key) as served:
        batch = [{"eventType": "a"}] * 100
        waiting = asyncio.create_task(served.http.post("/v1/events/batch?wait=true", json=batch))
        await until(lambda: len(served.wakes._waiters) == 100 and bool(looks))
        jobs = list(served.wakes._waiters)
        await conn.execute("select outbox.cancel(outbox.me(), j) from unnest(%s::uuid[]) j", [jobs])
        if hinted:
            served.wakes.committed({}, jobs=jobs)
        found = (await waiting).json()

    assert {"cancelled"} == {each["generationJob"]["status"] for each in found["events"]}
    assert "waitTimedOut" not in found
    assert (looks[0], served.wakes._waiters) == (100, {})
    assert len(looks) <= 6


async def test_who_cannot_wait_is_told_so_at_once(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "gen.*", "observe", handler="observe")
    async with serving(db, tenant.key) as served:
        nothing = (await served.http.post("/v1/events?wait=true", json={"eventType": "a"})).json()
        served.app.state.api.waits.closing.set()
        closing = (await served.http.post("/v1/events?wait=true", json={"eventType": "gen.a"})).json()

    assert nothing["generationJob"] is None
    assert (True, "queued") == (closing["waitTimedOut"], closing["generationJob"]["status"])


async def test_a_paused_queue_shows_in_the_transport(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "observe", handler="observe")
    async with serving(db, tenant.key) as served:
        running = (await served.http.post("/v1/events", json={"eventType": "a"})).json()
        await conn.execute("update outbox.queues set paused = true")
        paused = (await served.http.post("/v1/events", json={"eventType": "a"})).json()

    assert ("enqueued", "queued_only") == (
        running["generationJob"]["transport"],
        paused["generationJob"]["transport"],
    )


@pytest.mark.proves("I8")
async def test_a_project_with_too_many_waiting_jobs_is_told_to_slow_down(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, other.key, MAX_LIVE_JOBS="3") as before:
        for key in ("a", None, None):
            await before.http.post("/v1/events", json={"eventType": "a", "orderingKey": key})
        await conn.execute("select outbox.sequence(array[%s]::uuid[])", [other.project])
        await conn.execute("select outbox.place(%s)", [other.project])
    async with serving(db, other.key, MAX_LIVE_JOBS="3") as served:
        full = await served.http.post("/v1/events", json={"eventType": "a"})
        async with served.client(tenant.key) as neighbour:
            free = await neighbour.post("/v1/events", json={"eventType": "a"})

    assert (503, "Overloaded", "5") == (
        full.status_code,
        problem(full)["error"],
        full.headers["retry-after"],
    )
    assert 201 == free.status_code


async def test_a_webhook_into_our_own_ingest_ends_at_eight_hops(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        answers = [
            await served.http.post("/v1/events", json={"eventType": "a"}, headers={"outboxd-hops": said})
            for said in ("8", "9", "999999999999", "-1", "x")
        ]

    assert [201, 400, 201, 201, 201] == [answer.status_code for answer in answers]
    assert "LoopDetected" == answers[1].json()["error"]
    stored = await (
        await conn.execute("select array_agg(hops order by id) as hops from outbox.events")
    ).fetchone()
    assert {"hops": [8, 0, 0, 0]} == stored
