"""Deleting for good: one memory, many, an event's content, all that a project remembers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.api import deletion as door
from outboxd.db.pool import Database
from outboxd.loops.chores import chores
from outboxd.loops.sweeper import Sweeper
from outboxd.store import deletion, observations, tenants
from tests import seed
from tests.api.served import Served, problem, serving
from tests.api.test_memories import audited, remember
from tests.clock import Clock

Conn = AsyncConnection[DictRow]
TICK = timedelta(milliseconds=1)


async def publish(served: Served, **body: Any) -> str:
    reply = await served.http.post(
        "/v1/events", json={"eventType": "a", "payload": {"secret": "tea"}, **body}
    )
    assert 201 == reply.status_code, reply.text
    event: str = reply.json()["event"]["id"]
    return event


async def derive(conn: Conn, tenant: seed.Tenant, memory: str, *events: str) -> None:
    for event in events:
        await conn.execute(
            "insert into outbox.observation_sources values"
            " (gen_random_uuid(), %s, %s, 'agent_event', %s, null, outbox.clock())",
            (memory, tenant.project, event),
        )


async def announced(conn: Conn, kind: str) -> list[Any]:
    cur = await conn.execute(
        "select payload::text as p from outbox.events where type = %s order by id", (kind,)
    )
    return [row["p"] for row in await cur.fetchall()]


async def count(conn: Conn, what: str) -> int:
    row = await (await conn.execute(f"select count(*) as n from outbox.{what}".encode())).fetchone()
    assert row is not None
    return int(row["n"])


async def test_a_deleted_memory_is_gone_and_a_repeat_is_404(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await remember(served.http)
        await derive(conn, tenant, made["id"], await publish(served))
        path = f"/v1/memories/{made['id']}"
        first, again = [await served.http.delete(path) for _ in range(2)]
        found = await served.http.post("/v1/search", json={"query": "tea"})
    assert (200, {"deleted": True, "id": made["id"]}) == (first.status_code, first.json())
    assert (404, "Memory not found") == (again.status_code, problem(again)["message"])
    assert [] == found.json()["observations"]
    assert (0, 0) == (await count(conn, "observations"), await count(conn, "observation_sources"))
    assert 1 == len(await audited(conn, "observation.deleted"))
    [said] = await announced(conn, "memory.deleted")
    assert made["id"] in said
    assert "tea" not in said


async def test_a_memory_takes_the_events_it_came_from_alone(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        alone, shared = await publish(served), await publish(served)
        gone, kept = [(await remember(served.http))["id"] for _ in range(2)]
        await derive(conn, tenant, gone, alone, shared)
        await derive(conn, tenant, kept, shared)
        await served.http.delete(f"/v1/memories/{gone}", params={"expungeSource": "true"})
        payloads = [
            (await served.http.get(f"/v1/events/{event}")).json()["event"]["payload"]
            for event in (alone, shared)
        ]
    assert [{}, {"secret": "tea"}] == payloads


async def test_an_expunged_event_is_a_shell_with_its_place_in_the_feed(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        event = await publish(
            served, subject="who", metadata={"a": 1}, idempotencyKey="k", contentSessionId="c"
        )
        await conn.execute("select outbox.sequence(array[%s])", (tenant.project,))
        before = (await served.http.get(f"/v1/events/{event}")).json()["event"]
        reply = await served.http.delete(f"/v1/events/{event}")
        after = (await served.http.get(f"/v1/events/{event}")).json()["event"]
        again = await served.http.delete(f"/v1/events/{event}")
        resent = await served.http.post(
            "/v1/events",
            json={"eventType": "a", "payload": {"secret": "tea"}, "idempotencyKey": "k", "subject": "who"},
        )
    assert (
        {"expunged": True, "id": event, "counts": {"observations": 0, "jobs": 0}}
        == reply.json()
        == again.json()
    )
    assert ({}, {}, None) == (after["payload"], after["metadata"], after["subject"])
    assert after["expungedAtEpoch"] is not None
    assert before["position"] == after["position"] is not None
    assert (event, {}) == (resent.json()["event"]["id"], resent.json()["event"]["payload"])
    stored = await (
        await conn.execute("select e::text as all from outbox.events e where id = %s", (event,))
    ).fetchone()
    assert stored is not None
    assert "tea" not in stored["all"]
    assert "who" not in stored["all"]
    assert 1 == len(await audited(conn, "event.expunged"))
    assert 1 == len(await announced(conn, "event.expunged"))


@pytest.mark.parametrize("observations_are", ["keep", "delete"])
async def test_an_expunged_event_takes_the_observations_it_alone_led_to(
    db: Database, conn: Conn, observations_are: str
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        event, other = await publish(served), await publish(served)
        sole, shared = [(await remember(served.http))["id"] for _ in range(2)]
        await derive(conn, tenant, sole, event)
        await derive(conn, tenant, shared, event, other)
        reply = await served.http.delete(f"/v1/events/{event}", params={"observations": observations_are})
        left = (await served.http.get("/v1/memories")).json()["memories"]
    gone = observations_are == "delete"
    assert {"observations": int(gone), "jobs": 0} == reply.json()["counts"]
    assert ({shared} if gone else {sole, shared}) == {each["id"] for each in left}


async def test_an_expunged_events_job_of_generation_ends_if_it_is_about_nothing_else(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute("insert into outbox.settings values ('generation', 'per-event')")
    async with serving(db, tenant.key) as served:
        event, other = await publish(served), await publish(served)
        jobs = await (await conn.execute("select id, event_id from outbox.jobs order by id")).fetchall()
        await conn.execute(
            "insert into outbox.members values (%s, %s, 1), (%s, %s, 2)",
            (jobs[1]["id"], other, jobs[1]["id"], event),
        )
        reply = await served.http.delete(f"/v1/events/{event}")
        states = [
            (await served.http.get(f"/v1/jobs/{job['id']}")).json()["generationJob"]["status"] for job in jobs
        ]
    assert 1 == reply.json()["counts"]["jobs"]
    assert ["cancelled", "queued"] == states
    # Of its own deletion nothing is to be remembered.
    assert 2 == await count(conn, "jobs")


async def test_anothers_event_cannot_be_expunged(db: Database, conn: Conn) -> None:
    tenant, foreign = await seed.tenant(conn), await seed.tenant(conn, "foreign")
    project = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, sibling = await seed.key(conn, tenant.team, "*", project=project)
    async with serving(db, tenant.key) as served:
        path = f"/v1/events/{await publish(served)}"
        told = []
        for key in (foreign.key, sibling):
            async with served.client(key) as http:
                told.append((await http.delete(path)).status_code)
        intact = (await served.http.get(path)).json()["event"]["payload"]
    assert ([404, 403], {"secret": "tea"}) == (told, intact)


async def test_forget_takes_what_the_filter_means_and_a_dry_run_the_same(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        kept = await remember(served.http, "the coffee is hot")
        gone = [(await remember(served.http, kind="cold"))["id"] for _ in range(3)]
        body = {"projectId": str(tenant.project), "filter": {"kind": "cold", "query": "tea"}, "limit": 2}
        dry = (await served.http.post("/v1/memories/forget", json={**body, "dryRun": True})).json()
        wet = (await served.http.post("/v1/memories/forget", json=body)).json()
        rest = (await served.http.post("/v1/memories/forget", json=body)).json()
        left = (await served.http.get("/v1/memories")).json()["memories"]
    assert {"matched": 3, "deleted": 0, "remaining": 3, "dryRun": True} == {
        name: dry[name] for name in ("matched", "deleted", "remaining", "dryRun")
    }
    assert (gone[:2], gone[:2], gone[2:]) == (dry["sample"], wet["sample"], rest["sample"])
    assert [(2, 1), (1, 0)] == [(each["deleted"], each["remaining"]) for each in (wet, rest)]
    assert [kept["id"]] == [each["id"] for each in left]
    assert 3 == len(await audited(conn, "memories.forgotten"))


async def test_forget_by_private_text_is_refused_and_stands_nowhere(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http)
        body = {"filter": {"query": "tea <private>hunter2</private>"}}
        reply = await served.http.post("/v1/memories/forget", json=body)
        left = (await served.http.get("/v1/memories")).json()["memories"]
    assert (400, "/filter/query") == (reply.status_code, problem(reply)["errors"][0]["pointer"])
    assert 1 == len(left)
    assert [] == await audited(conn, "memories.forgotten")


@pytest.mark.parametrize("where", [{}, {"kind": None}, {"unknown": 1}])
async def test_forget_without_a_filter_is_refused(db: Database, conn: Conn, where: dict[str, Any]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http)
        reply = await served.http.post("/v1/memories/forget", json={"filter": where})
    assert 400 == reply.status_code
    assert 1 == await count(conn, "observations")


async def test_forget_expunges_events_when_asked(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        event, made = await publish(served), await remember(served.http)
        await derive(conn, tenant, made["id"], event)
        body = {"filter": {"ids": [made["id"], "nonsense"]}, "expungeEvents": True}
        reply = await served.http.post("/v1/memories/forget", json=body)
        payload = (await served.http.get(f"/v1/events/{event}")).json()["event"]["payload"]
    assert (1, 1, {}) == (reply.json()["deleted"], reply.json()["expungedEvents"], payload)


async def furnish(served: Served, clock: Clock) -> tuple[str, str, str]:
    started = await served.http.post("/v1/sessions/start", json={"externalSessionId": "e"})
    session = started.json()["session"]["id"]
    event = await publish(served, serverSessionId=session)
    memory = (await remember(served.http, serverSessionId=session, idempotencyKey="k"))["id"]
    await served.http.post("/v1/search", json={"query": "tea"})
    clock.forward(TICK)
    return session, event, memory


async def test_a_purge_takes_everything_and_says_how_much(db: Database, conn: Conn, clock: Clock) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    await conn.execute("insert into outbox.settings values ('generation', 'per-event')")
    path = f"/v1/projects/{tenant.project}/memory"
    async with serving(db, tenant.key) as served:
        session, event, memory = await furnish(served, clock)
        async with served.client(other.key) as http:
            spared = await remember(http)
        clock.forward(TICK)
        dry = await served.http.delete(path, params={"dryRun": "true"})
        wet = await served.http.delete(path)
        clock.forward(TICK)
        gone = [
            (await served.http.get(f"/v1/{what}")).status_code
            for what in (f"sessions/{session}", f"events/{event}", f"memories/{memory}")
        ]
        again = await served.http.post("/v1/memories", json={"content": "anew", "idempotencyKey": "k"})
        async with served.client(other.key) as http:
            left = (await http.get(f"/v1/memories/{spared['id']}")).status_code
    counts = {"observations": 1, "agentEvents": 1, "sessions": 1, "jobs": 1}
    project = str(tenant.project)
    assert {"purged": False, "dryRun": True, "projectId": project, "counts": counts} == dry.json()
    assert {"purged": True, "projectId": project, "counts": counts} == wet.json()
    assert ([404] * 3, 201, 200) == (gone, again.status_code, left)
    assert (2, 0) == (await count(conn, "observations"), await count(conn, "sessions"))
    [stored] = await (
        await conn.execute("select payload, expunged_at from outbox.events where id = %s", (event,))
    ).fetchall()
    assert stored["expunged_at"] is not None
    [row] = await audited(conn, "project.memory_purged")
    assert counts == row["details"]
    assert all("query" not in row["details"] for row in await audited(conn, "observation.read"))
    assert 1 == len(await announced(conn, "project.purged"))


async def test_a_purge_is_seen_by_every_read_from_its_mark_on(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    caller = seed.OPERATOR
    async with serving(db, tenant.key) as served:
        _, event, memory = await furnish(served, clock)
        begun = await door.purged(db, caller, tenant.project, timedelta(0))
        http = served.http
        seen = [
            (await http.get("/v1/memories")).json()["memories"],
            (await http.get("/v1/events")).json()["events"],
            (await http.get("/v1/sessions")).json()["sessions"],
            (await http.post("/v1/search", json={"query": "tea"})).json()["observations"],
            (await http.post("/v1/context", json={})).json()["observations"],
            await observations.of_event(conn, caller, UUID(event)),
            await observations.of_ids(conn, caller, [UUID(memory)]),
        ]
        statuses = [
            (await http.get(f"/v1/events/{event}")).status_code,
            (await http.get(f"/v1/events/{event}/timeline")).status_code,
            (await http.get(f"/v1/memories/{memory}")).status_code,
            (await http.patch(f"/v1/memories/{memory}", json={"kind": "x"})).status_code,
            (await http.delete(f"/v1/memories/{memory}")).status_code,
            (await http.delete(f"/v1/events/{event}")).status_code,
        ]
    assert 0 == begun.step
    assert 1 == await count(conn, "observations")
    assert ([[]] * 7, [404] * 6) == (seen, statuses)


async def test_a_purge_that_takes_long_goes_on_and_a_repeat_tells_how_far(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        for n in range(3):
            await remember(served.http, f"tea {n}")
        clock.forward(TICK)
        begun = await door.purged(db, seed.OPERATOR, tenant.project, timedelta(0))
        steps = [await deletion.continue_purge(conn, tenant.project, 2) for _ in range(2)]
        clock.forward(TICK)
        await remember(served.http, "later tea")
        assert [tenant.project] == await deletion.unfinished(conn, 10)
        reply = await served.http.delete(f"/v1/projects/{tenant.project}/memory")
        left = (await served.http.get("/v1/memories")).json()["memories"]
    assert 0 == begun.counts.observations
    assert [0, 2] == [step.counts.observations for step in steps if step]
    assert 3 == reply.json()["counts"]["observations"]
    assert ["later tea"] == [each["content"] for each in left]
    assert [] == await deletion.unfinished(conn, 10)


async def test_the_sweeper_finishes_a_purge(db: Database, conn: Conn, dsn: str, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await furnish(served, clock)
        await door.purged(db, seed.OPERATOR, tenant.project, timedelta(0))
        sweeper = Sweeper(db, chores(db, served.wakes, served.config, dsn))
        runs = [await sweeper.once("purge") for _ in range(6)]
    assert [1, 1, 1, 1, 1, 0] == runs
    assert 0 == await count(conn, "observations")
    assert 1 == len(await audited(conn, "project.memory_purged"))


async def test_a_purge_of_anothers_project_is_refused(db: Database, conn: Conn) -> None:
    tenant, foreign = await seed.tenant(conn), await seed.tenant(conn, "foreign")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, whole = await seed.key(conn, tenant.team, "*")
    async with serving(db, tenant.key) as served:
        own = [
            (await served.http.delete(f"/v1/projects/{project}/memory")).status_code
            for project in (foreign.project, sibling, "nonsense")
        ]
        async with served.client(whole) as http:
            team = [
                (await http.delete(f"/v1/projects/{project}/memory")).status_code
                for project in (foreign.project, "nonsense", sibling)
            ]
    assert ([404, 403, 404], [404, 404, 200]) == (own, team)


async def test_retention_takes_what_a_project_no_longer_keeps(db: Database, conn: Conn, clock: Clock) -> None:
    tenant, keeper = await seed.tenant(conn), await seed.tenant(conn, "keeper")
    await conn.execute(
        "update outbox.projects set settings = %s where id = %s",
        (Jsonb({"retention": {"memoryDays": 1, "eventDays": 1}}), tenant.project),
    )
    async with serving(db, tenant.key) as served:
        event = await publish(served)
        await remember(served.http)
        async with served.client(keeper.key) as http:
            await remember(http)
        clock.forward(timedelta(days=2))
        young = await remember(served.http, "young")
        done = [await deletion.retain(conn, 100) for _ in range(2)]
        async with db.connection() as link:
            left = await observations.recent(link, seed.OPERATOR, project=tenant.project)
    assert [2, 0] == done
    assert [young["id"]] == [str(each.id) for each in left]
    assert 2 == await count(conn, "observations")
    [stored] = await (
        await conn.execute("select expunged_at from outbox.events where id = %s", (event,))
    ).fetchall()
    assert stored["expunged_at"] is not None
