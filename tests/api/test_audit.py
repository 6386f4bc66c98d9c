"""GET /v1/audit: what was done, what followed from it, and that somebody asked."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd import telemetry
from outboxd.db import rows
from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import problem, serving
from tests.clock import Clock
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
FIELDS = {
    "id", "atEpoch", "action", "resourceType", "resourceId", "teamId", "projectId", "actorId", "apiKeyId",
    "requestId", "details",
}  # fmt: skip


async def entries(http: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    reply = await http.get("/v1/audit", params=query)
    assert 200 == reply.status_code, reply.text
    found: list[dict[str, Any]] = reply.json()["entries"]
    return found


def actions(found: list[dict[str, Any]]) -> list[str]:
    return [each["action"] for each in found]


async def done(conn: Conn, job: UUID | str, minutes: int, outcome: str = "completed", **more: Any) -> None:
    """An attempt `minutes` ago, over at once."""
    await conn.execute(
        "insert into outbox.attempts (job_id, started_at, at, no, attempt, series, outcome, class, output)"
        " select %s, c.at, c.at, 1, 1, 1, %s, %s, %s::jsonb"
        " from (select outbox.clock() - make_interval(mins => %s) as at) c",
        [job, outcome, more.get("class_"), more.get("output"), minutes],
    )  # fmt: skip


async def test_what_people_did_and_what_followed_stand_together_newest_first(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "work", handler="h")
    async with serving(db, tenant.key) as served:
        made = (await served.http.post("/v1/events", json={"eventType": "x", "sourceType": "hook"})).json()
        job = made["jobs"][0]["id"]
        await done(conn, job, 0)
        await served.http.post("/v1/keys", json={})
        found = await entries(served.http)

    assert {
        "api_key.create", "job.completed", "job.processing", "job.queued", "event.received",
        "project.created",
    } == set(actions(found))  # fmt: skip
    assert sorted((each["atEpoch"] for each in found), reverse=True) == [each["atEpoch"] for each in found]
    assert all(set(each) == FIELDS for each in found)
    [received] = [each for each in found if each["action"] == "event.received"]
    assert (made["event"]["id"], "agent_event", str(tenant.key_id)) == (
        received["resourceId"], received["resourceType"], received["apiKeyId"],
    )  # fmt: skip
    assert ("hook", "x") == (received["details"]["sourceAdapter"], received["details"]["eventType"])
    assert received["requestId"] == made["event"]["requestId"]


async def test_pages_repeat_nothing_and_leave_nothing_out(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "work", handler="h")
    async with serving(db, tenant.key) as served:
        for days in (0, 3, 9):
            clock.forward(timedelta(days=days))
            for _ in range(3):
                clock.forward(timedelta(seconds=7))
                made = (await served.http.post("/v1/events", json={"eventType": "x"})).json()
                await done(conn, made["jobs"][0]["id"], 0)
                await served.http.post("/v1/keys", json={})
        whole = await entries(served.http, limit="200", until=str(int(clock.now.timestamp() * 1000) + 60_000))
        paged: list[dict[str, Any]] = []
        query = {"limit": "7", "until": str(int(clock.now.timestamp() * 1000) + 60_000)}
        cursor: str | None = ""
        while cursor is not None:
            reply = (
                await served.http.get("/v1/audit", params=query | ({"cursor": cursor} if cursor else {}))
            ).json()
            paged, cursor = paged + reply["entries"], reply["nextCursor"]

    def pipeline(found: list[dict[str, Any]]) -> list[str]:
        return [each["id"] for each in found if each["action"] != "audit.read"]

    assert 9 * 5 + 2 == len(pipeline(whole))
    assert pipeline(whole) == pipeline(paged)


async def test_a_late_retry_is_found_where_it_happened(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "work", handler="h")
    async with serving(db, tenant.key) as served:
        made = (await served.http.post("/v1/events", json={"eventType": "x"})).json()
        clock.forward(timedelta(days=20))
        await done(conn, made["jobs"][0]["id"], 5, "failed", class_="Boom")
        since = str(int((clock.now - timedelta(days=1)).timestamp() * 1000))
        found = await entries(served.http, since=since, action="job.*")

    assert {"job.failed", "job.processing"} == set(actions(found))
    assert "Boom" in {each["details"].get("classification") for each in found}


async def test_generation_has_its_details(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "observe")
    async with serving(db, tenant.key) as served:
        made = (await served.http.post("/v1/events", json={"eventType": "x"})).json()
        event, job, memory = made["event"]["id"], made["jobs"][0]["id"], str(uuid4())
        output = (
            '{"outcome": "observed", "observationCount": 1, "provider": "p", "model": "m",'
            ' "privateContentDetected": false}'
        )
        await done(conn, job, 0, output=output)
        await conn.execute(
            "insert into outbox.observations (id, team_id, project_id, origin, kind, content, metadata,"
            " job_id, generation_key, created_at, updated_at, search)"
            " values (outbox.uuid7(outbox.clock()), %s, %s,"
            " 'generated', 'change', 'c', '{\"provider\": \"p\", \"model\": \"m\"}', %s, %s, outbox.clock(),"
            " outbox.clock(), '')",
            [tenant.team, tenant.project, job, f"generation:v1:{job}:2:abc"],
        )
        await conn.execute(
            "insert into outbox.observation_sources select %s, id, project_id, 'agent_event', %s, %s,"
            " outbox.clock() from outbox.observations",
            [memory, event, job],
        )
        chain = await entries(served.http, eventId=event)
        of_job = await entries(served.http, jobId=job)
        everything = await entries(served.http, action="observation.*")

    by_action = {each["action"]: each["details"] for each in chain}
    source = {"sourceType": "agent_event", "sourceId": event, "sourceAdapter": "api"}
    assert job == by_action["event.received"]["generationJobId"]
    assert source.items() <= by_action["generation_job.queued"].items()
    completed = {"provider": "p", "model": "m", "observationCount": 1, "outcome": "observed", "attempt": 1}
    assert (source | completed).items() <= by_action["generation_job.completed"].items()
    created = by_action["observation.created"]
    assert {"parsedObservationIndex": 2, "kind": "change", "generationJobId": job}.items() <= created.items()
    assert source.items() <= created.items()
    assert {each["id"] for each in of_job} < {each["id"] for each in chain}
    assert ["observation.created"] == actions(everything)


async def test_each_filter_leaves_what_it_names(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    key, whole = await seed.key(conn, tenant.team, "admin")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    async with serving(db, whole) as served:
        made = await served.http.post("/v1/keys", json={}, headers={"x-request-id": "r-1"})
        minted = made.json()["id"]
        await served.http.delete(f"/v1/keys/{minted}", headers={"x-request-id": "r-2"})
        await served.http.patch(f"/v1/projects/{sibling}", json={"metadata": {"a": 1}})
        found = {
            tuple(query.items()): actions(await entries(served.http, **query))
            for query in (
                {"action": "api_key.revoke"},
                {"action": "api_key.*", "apiKeyId": str(key)},
                {"resourceId": minted},
                {"resourceType": "project", "projectId": str(sibling)},
                {"requestId": "r-1"},
                {"actorId": f"key:{key}", "action": "project.*"},
                {"since": "2999-01-01"},
                {"until": "2000-01-01"},
            )
        }

    assert [
        ["api_key.revoke"],
        ["api_key.revoke", "api_key.create"],
        ["api_key.revoke", "api_key.create"],
        ["project.updated", "project.created"],
        ["api_key.create"],
        ["project.updated"],
        [],
        [],
    ] == [*found.values()]


async def test_a_project_key_sees_its_project_and_nobody_another_team(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    _, whole = await seed.key(conn, tenant.team, "audit:read")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    async with (
        serving(db, tenant.key) as served,
        served.client(whole) as team,
        served.client(other.key) as stranger,
    ):
        event = (await stranger.post("/v1/events", json={"eventType": "x"})).json()["event"]["id"]
        own, all_of_them = await entries(served.http), await entries(team)
        foreign = [
            await entries(team, **query)
            for query in ({"eventId": event}, {"resourceId": event}, {"resourceId": str(other.key_id)})
        ]
        refused = [
            (await client.get("/v1/audit", params={"projectId": str(project)})).status_code
            for client, project in ((served.http, sibling), (team, other.project))
        ]

    assert {str(tenant.project)} == {each["projectId"] for each in own}
    assert {str(tenant.team)} == {each["teamId"] for each in all_of_them}
    assert len(own) < len(all_of_them)
    assert [[]] * 3 == foreign
    assert [403, 404] == refused


async def test_reading_is_itself_in_the_trail(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        before = await entries(served.http, action="api_key.*")
        [read] = await entries(served.http, action="audit.read")

    assert {"filters": {"action": "api_key.*"}, "resultCount": len(before)} == read["details"]
    assert str(tenant.key_id) == read["apiKeyId"]


@proves("M18")
async def test_denials_are_there(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    _, weak = await seed.key(conn, tenant.team, "events:write", project=tenant.project)
    async with serving(db, tenant.key) as served, served.client(weak) as hook:
        await served.http.get(f"/v1/projects/{other.project}")
        await served.http.get(f"/v1/keys/{other.key_id}")
        await served.http.get(f"/v1/teams/{other.team}")
        await hook.get("/v1/audit")
        async with served.client("obx_unknown") as nobody:
            await nobody.get("/v1/me")
        _, whole = await seed.key(conn, tenant.team, "audit:read")
        async with served.client(whole) as team:
            found = await entries(team, action="access.denied")
    cur = await conn.execute("select count(*) from outbox.audit_log where action = 'auth.denied'")

    assert [
        ("GET /v1/audit", 403, ["audit:read"]),
        ("GET /v1/teams/{id}", 404, None),
        ("GET /v1/keys/{id}", 404, None),
        ("GET /v1/projects/{id}", 404, None),
    ] == [
        (each["resourceId"], each["details"]["status"], each["details"].get("requiredScopes"))
        for each in found
    ]
    assert 1 == await rows.value(cur, int)


@pytest.mark.parametrize(
    "query",
    [{"action": "Drop table"}, {"since": "soon"}, {"limit": "0"}, {"colour": "red"}, {"cursor": "x"}],
)
async def test_a_question_that_means_nothing_is_400(db: Database, conn: Conn, query: dict[str, str]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        assert 400 == problem(await served.http.get("/v1/audit", params=query))["status"]


@proves("M10")
@pytest.mark.parametrize("route", ["/v1/search", "/v1/context"])
async def test_private_text_of_a_question_is_not_in_the_trail(db: Database, conn: Conn, route: str) -> None:
    tenant = await seed.tenant(conn)
    # The trail keeps 500 characters: cut first, the span would not close.
    question = "kettle " + "x" * 480 + " <private>hunter2 " + "y" * 100 + "</private> tea"
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(route, json={"query": question})
        found = await entries(served.http, action="observation.read")

    assert 200 == reply.status_code
    [row] = found
    assert row["details"]["query"].startswith("kettle xxx")
    assert "hunter2" not in str(found)


async def test_who_reads_lists_of_jobs_is_in_the_trail(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "work", handler="h")
    async with serving(db, tenant.key) as served:
        await served.http.post("/v1/events", json={"eventType": "x"})
        for path in (
            "/v1/jobs?status=queued&limit=7&include=payload",
            f"/v1/teams/{tenant.team}/jobs",
            f"/v1/projects/{tenant.project}/jobs?status=failed",
        ):
            assert 200 == (await served.http.get(path)).status_code
        found = await entries(served.http, action="observation.read")

    assert [
        {"mode": "project_jobs", "limit": 50, "filters": {"status": "failed"}, "resultCount": 0,
         "includePayload": False},
        {"mode": "team_jobs", "limit": 50, "resultCount": 1, "includePayload": False},
        {"mode": "jobs_list", "limit": 7, "filters": {"status": "queued"}, "resultCount": 1,
         "includePayload": True},
    ] == [each["details"] for each in found]  # fmt: skip
    assert {"observation"} == {each["resourceType"] for each in found}


async def test_a_batch_is_one_line_that_counts_what_it_stored(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "observe")
    event = {"eventType": "x", "sourceEventId": "1"}
    async with serving(db, tenant.key) as served:
        post = served.http.post
        first = await post("/v1/events/batch", json=[event, {"eventType": "x"}])
        more = await post("/v1/events/batch", json=[event, {"eventType": "y"}])
        lenient = {"prefer": "handling=lenient"}
        part = await post("/v1/events/batch", json=[{"eventType": "z"}, {"eventType": 7}], headers=lenient)
        await post("/v1/events/batch", json=[event])
        await post("/v1/events/batch", json=[{"eventType": "x"}, {"eventType": 7}])
        await post("/v1/events", json={"eventType": "x"})
        found = await entries(served.http, action="event.batch_received")

    def jobs(reply: httpx.Response, n: int) -> list[str]:
        return [job["id"] for job in reply.json()["events"][n]["jobs"]]

    assert [
        {"eventCount": 1, "generationJobIds": jobs(part, 0)},
        {"eventCount": 1, "generationJobIds": jobs(more, 1)},
        {"eventCount": 2, "generationJobIds": jobs(first, 0) + jobs(first, 1)},
    ] == [each["details"] for each in found]
    assert 2 == len(found[-1]["details"]["generationJobIds"])
    assert {("agent_event", None, str(tenant.project), str(tenant.key_id))} == {
        (each["resourceType"], each["resourceId"], each["projectId"], each["apiKeyId"]) for each in found
    }


async def test_a_batch_that_cannot_be_noted_is_stored_and_counted(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    lost = telemetry.AUDIT_LOST_TOTAL._value
    before = lost.get()
    async with serving(db, tenant.key) as served:
        await conn.execute(
            "create function refuse() returns trigger language plpgsql as"
            " $$ begin perform outbox.refuse(503, 'no trail today', 'unavailable'); end $$;"
            " create trigger refuse before insert on outbox.audit_log for each row execute function refuse()"
        )
        reply = await served.http.post("/v1/events/batch", json=[{"eventType": "x"}])

    assert 201 == reply.status_code
    assert 1 == lost.get() - before
