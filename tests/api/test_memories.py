"""Memories that people and agents write: POST, GET, PATCH /v1/memories, and what belongs to an event."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import Served, problem, serving
from tests.clock import Clock
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
TICK = timedelta(milliseconds=1)


async def remember(http: httpx.AsyncClient, content: str = "the tea is cold", **body: Any) -> dict[str, Any]:
    reply = await http.post("/v1/memories", json={"content": content, **body})
    assert 201 == reply.status_code, reply.text
    memory: dict[str, Any] = reply.json()["memory"]
    return memory


async def session(served: Served, **body: Any) -> dict[str, Any]:
    reply = await served.http.post("/v1/sessions/start", json=body)
    made: dict[str, Any] = reply.json()["session"]
    return made


async def audited(conn: Conn, action: str) -> list[dict[str, Any]]:
    cur = await conn.execute("select * from outbox.audit_log where action = %s order by id", (action,))
    return list(await cur.fetchall())


async def test_a_memory_has_the_shape_that_clients_know(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        memory = await remember(served.http, title="Tea", metadata={"facts": ["it is cold"]})
    assert memory["createdAtEpoch"] == memory["updatedAtEpoch"]
    assert {
        "id": memory["id"],
        "projectId": str(tenant.project),
        "teamId": str(tenant.team),
        "serverSessionId": None,
        "kind": "manual",
        "content": "the tea is cold",
        "metadata": {"facts": ["it is cold"], "title": "Tea"},
        "createdAtEpoch": memory["createdAtEpoch"],
        "updatedAtEpoch": memory["createdAtEpoch"],
        "platformSource": None,
        "revision": 1,
    } == memory
    [row] = await audited(conn, "memory.write")
    assert ("observation", memory["id"], {"kind": "manual"}) == (
        row["resource_type"],
        row["resource_id"],
        row["details"],
    )


@proves("M13")
async def test_narrative_and_type_stand_in_for_content_and_kind(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        body = {"narrative": "as the client says it", "type": "note", "title": "t", "metadata": None}
        shipped = await served.http.post("/v1/memories", json=body)
        both = await served.http.post("/v1/memories", json={**body, "content": "wins", "kind": "wins"})
    assert 201 == shipped.status_code
    memory = shipped.json()["memory"]
    assert ("as the client says it", "note", {"title": "t"}) == (
        memory["content"],
        memory["kind"],
        memory["metadata"],
    )
    assert ("wins", "wins") == (both.json()["memory"]["content"], both.json()["memory"]["kind"])


@proves("M10")
async def test_private_spans_are_out_of_a_memory_before_it_is_stored(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        memory = await remember(
            served.http,
            "keep <private>hunter2</private>this<system-reminder>noise</system-reminder>",
            metadata={"facts": ["a <private>hunter2</private>b"]},
        )
        stored = (await (await conn.execute("select o::text as all from outbox.observations o")).fetchall())[
            0
        ]["all"]
    assert "keep this" == memory["content"]
    assert {"facts": ["a b"]} == memory["metadata"]
    assert "hunter" not in stored
    assert "noise" not in stored


async def test_nothing_but_private_text_is_no_memory(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/memories", json={"content": "<private>all of it</private> "})
    assert 400 == reply.status_code
    assert "content is empty after privacy stripping" == problem(reply)["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": " \n"},
        {"content": 1},
        {"narrative": ""},
        {"content": "x" * (256 * 1024 + 1)},
        {"content": "x", "kind": "k" * 65},
        {"content": "x", "title": "t" * 301},
        {"content": "x", "metadata": []},
        {"content": "x", "metadata": {"a": "b" * 65_600}},
        {"content": "x", "idempotencyKey": ""},
    ],
)
async def test_a_body_that_is_no_memory_is_refused(db: Database, conn: Conn, body: dict[str, Any]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/memories", json=body)
    assert (400, "ValidationError") == (reply.status_code, problem(reply)["error"])


async def test_equal_texts_are_memories_each_and_make_no_job(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        one, other = [await remember(served.http) for _ in range(2)]
    assert one["id"] != other["id"]
    assert 0 == (await seed.counts(conn))["jobs"]


async def test_the_same_key_again_is_the_first_memory(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        first = await remember(served.http, idempotencyKey="k")
        again = await served.http.post("/v1/memories", json={"content": "another", "idempotencyKey": "k"})
    assert (200, {"memory": first, "duplicate": True}) == (again.status_code, again.json())


async def test_a_hook_key_may_write_memories(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, hook = await seed.key(conn, tenant.team, "events:write", project=tenant.project)
    _, reader = await seed.key(conn, tenant.team, "memories:read", project=tenant.project)
    async with serving(db, hook) as served:
        await remember(served.http)
        async with served.client(reader) as reading:
            refused = await reading.post("/v1/memories", json={"content": "x"})
    assert 403 == refused.status_code


async def test_a_memory_links_to_its_session_as_events_do(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await session(served, contentSessionId="c", platformSource="Cursor IDE")
        by_id = await remember(served.http, serverSessionId=made["id"])
        by_content = await remember(served.http, contentSessionId="c")
        of_none = await remember(served.http, contentSessionId="c", platformSource=None)
        unknown = await remember(served.http, contentSessionId="other")
    assert [made["id"], made["id"], None, None] == [
        each["serverSessionId"] for each in (by_id, by_content, of_none, unknown)
    ]
    assert ["cursor", "cursor", None, None] == [
        each["platformSource"] for each in (by_id, by_content, of_none, unknown)
    ]


async def test_a_session_of_another_project_is_refused(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    async with serving(db, other.key) as served:
        made = await session(served, externalSessionId="e")
        async with served.client(tenant.key) as http:
            replies = [
                await http.post("/v1/memories", json={"content": "x", "serverSessionId": of})
                for of in (made["id"], str(uuid4()), "nonsense")
            ]
    said = {(reply.status_code, problem(reply)["message"]) for reply in replies}
    assert {(403, "server_session_id must belong to project_id and team_id")} == said


async def test_memories_are_listed_newest_first_page_by_page(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = []
        for n in range(5):
            clock.forward(TICK)
            made.append((await remember(served.http, f"m{n}", kind="even" if n % 2 == 0 else "odd"))["id"])
        first = (await served.http.get("/v1/memories", params={"limit": 3})).json()
        second = (
            await served.http.get("/v1/memories", params={"limit": 3, "cursor": first["nextCursor"]})
        ).json()
        even = (await served.http.get("/v1/memories", params={"kind": "even"})).json()
        altered = await served.http.get(
            "/v1/memories", params={"cursor": first["nextCursor"], "kind": "even"}
        )
    assert made[::-1] == [each["id"] for each in [*first["memories"], *second["memories"]]]
    assert second["nextCursor"] is None
    assert made[::-2] == [each["id"] for each in even["memories"]]
    assert (400, "InvalidCursor") == (altered.status_code, problem(altered)["error"])
    assert {"recent"} == {row["details"]["mode"] for row in await audited(conn, "observation.read")}


async def test_a_memory_is_shown_with_its_sources_and_audited(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await remember(served.http)
        shown = await served.http.get(f"/v1/memories/{made['id']}")
    assert (200, {"memory": {**made, "sources": []}}) == (shown.status_code, shown.json())
    [row] = await audited(conn, "observation.read")
    assert [made["id"]] == row["details"]["observationIds"]


async def test_a_change_replaces_and_reindexes(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await remember(served.http, "old words", metadata={"a": 1})
        path = f"/v1/memories/{made['id']}"
        reply = await served.http.patch(path, json={"content": "new sentence"}, headers={"If-Match": '"1"'})
        late = await served.http.patch(path, json={"content": "x"}, headers={"If-Match": '"1"'})
        old, new = [
            (await served.http.post("/v1/search", json={"query": word})).json()["observations"]
            for word in ("words", "sentence")
        ]
    memory = reply.json()["memory"]
    assert ("new sentence", {"a": 1}, 2) == (memory["content"], memory["metadata"], memory["revision"])
    assert (412, "PreconditionFailed") == (late.status_code, problem(late)["error"])
    assert ([], [made["id"]]) == (old, [each["id"] for each in new])
    [row] = await audited(conn, "memory.updated")
    assert ["content"] == row["details"]["changed"]


@pytest.mark.parametrize(
    "body", [{}, {"content": None}, {"kind": None}, {"metadata": None}, {"title": "x"}, {"content": " "}]
)
async def test_a_change_of_nothing_or_to_nothing_is_refused(
    db: Database, conn: Conn, body: dict[str, Any]
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await remember(served.http)
        reply = await served.http.patch(f"/v1/memories/{made['id']}", json=body)
    assert 400 == reply.status_code, reply.text


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_another_teams_memory_is_not_there_and_a_siblings_is_refused(
    db: Database, conn: Conn, method: str
) -> None:
    tenant, foreign = await seed.tenant(conn), await seed.tenant(conn, "foreign")
    project = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, sibling = await seed.key(conn, tenant.team, "*", project=project)
    body = {"content": "x"} if method == "PATCH" else None
    async with serving(db, tenant.key) as served:
        path = f"/v1/memories/{(await remember(served.http))['id']}"
        told = []
        for key in (foreign.key, sibling):
            async with served.client(key) as http:
                told.append((await http.request(method, path, json=body)).status_code)
        unknown = await served.http.request(method, "/v1/memories/nonsense", json=body)
    assert [404, 403, 404] == [*told, unknown.status_code]


async def test_an_archived_project_takes_no_memories(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await remember(served.http)
        await conn.execute("update outbox.projects set archived_at = outbox.clock()")
        replies = [
            await served.http.post("/v1/memories", json={"content": "x"}),
            await served.http.patch(f"/v1/memories/{made['id']}", json={"content": "x"}),
            await served.http.delete(f"/v1/memories/{made['id']}"),
        ]
        read = await served.http.get(f"/v1/memories/{made['id']}")
    assert [(409, "ProjectArchived")] * 3 == [(each.status_code, problem(each)["error"]) for each in replies]
    assert 200 == read.status_code


async def test_an_events_observations_are_told_with_their_source(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        event = (await served.http.post("/v1/events", json={"eventType": "a"})).json()["event"]["id"]
        made = [(await remember(served.http, f"m{n}"))["id"] for n in range(3)]
        for n, memory in enumerate(made):
            await conn.execute(
                "insert into outbox.observation_sources values"
                " (gen_random_uuid(), %s, %s, 'agent_event', %s, null, outbox.clock() + %s * interval '1 s')",
                (memory, tenant.project, event, n),
            )
        path = f"/v1/events/{event}/observations"
        whole = (await served.http.get(path)).json()
        first = (await served.http.get(path, params={"limit": 2})).json()
        rest = (await served.http.get(path, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert made == [each["id"] for each in whole["observations"]]
    assert (event, None) == (whole["eventId"], whole["nextCursor"])
    assert made == [each["id"] for each in [*first["observations"], *rest["observations"]]]
    one = whole["observations"][0]
    assert {"id", "sourceType", "sourceId", "generationJobId", "createdAtEpoch"} == set(one["source"])
    assert ("agent_event", event) == (one["source"]["sourceType"], one["source"]["sourceId"])
    assert {"generationKey", "createdByJobId"} <= set(one)
    assert {"event_observations"} == {
        row["details"]["mode"] for row in await audited(conn, "observation.read")
    }


async def test_a_timeline_names_the_observations_that_a_job_led_to(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute("insert into outbox.settings values ('generation', 'per-event')")
    ids = [str(uuid4())]
    async with serving(db, tenant.key) as served:
        made = (await served.http.post("/v1/events", json={"eventType": "a"})).json()
        await conn.execute(
            "insert into outbox.attempts (job_id, no, attempt, series, outcome, at, output)"
            " values (%s, 1, 1, 0, 'completed', outbox.clock(), %s)",
            (made["generationJob"]["id"], Jsonb({"outcome": "observed", "observationIds": ids})),
        )
        told = (await served.http.get(f"/v1/events/{made['event']['id']}/timeline")).json()["entries"]
    [completed] = [each for each in told if each["kind"] == "job_completed"]
    assert ("observed", ids) == (completed["outcome"], completed["observationIds"])
