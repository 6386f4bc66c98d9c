"""POST /v1/events in the agents' memory: sessions, policies, what is taken out before it is stored."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.db.pool import Database
from outboxd.loops.sequencer import Sequencer
from outboxd.store import gatherings, streams
from tests import seed
from tests.api.served import Served, problem, serving
from tests.waiting import until

Conn = AsyncConnection[DictRow]


async def value(conn: Conn, statement: str, *given: Any) -> Any:
    row = await (await conn.execute(statement.encode(), given)).fetchone()
    return None if row is None else next(iter(row.values()))


async def settings(conn: Conn, project: UUID, **said: Any) -> None:
    await conn.execute(b"update outbox.projects set settings = %s where id = %s", (Jsonb(said), project))


async def session(conn: Conn, tenant: seed.Tenant, content: str | None = None) -> UUID:
    made = uuid4()
    await conn.execute(
        b"insert into outbox.sessions (id, team_id, project_id, content_session_id, started_at, created_at,"
        b" updated_at) select %s, %s, %s, %s, now, now, now from (select outbox.clock() as now) t",
        (made, tenant.team, tenant.project, content),
    )
    return made


async def place(db: Database, project: UUID) -> None:
    assert await gatherings.settle_in(db, project)


async def post(served: Served, path: str = "/v1/events", **event: Any) -> dict[str, Any]:
    reply = await served.http.post(path, json={"eventType": "note", **event})
    assert reply.status_code == 201, reply.text
    found: dict[str, Any] = reply.json()
    return found


# Sessions --------------------------------------------------------------------------------------------


async def test_the_reply_says_to_which_session_an_event_was_linked(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    mine = str(await session(conn, tenant, "c"))
    async with serving(db, tenant.key) as served:
        for said in ({"serverSessionId": mine}, {"contentSessionId": "c"}):
            told = (await post(served, **said))["event"]
            assert told["serverSessionId"] == mine
            assert (await served.http.get(f"/v1/events/{told['id']}")).json()["event"] == told
        assert (await post(served, contentSessionId="c", platformSource="codex"))["event"][
            "serverSessionId"
        ] is None
        assert (await post(served, contentSessionId="c", platformSource=None))["event"][
            "serverSessionId"
        ] == mine


async def test_a_session_that_is_not_the_project_s_is_refused_in_its_words(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    theirs = await session(conn, await seed.tenant(conn, "others"))
    async with serving(db, tenant.key) as served:
        for each in (str(theirs), str(uuid4()), "nonsense"):
            refused = await served.http.post("/v1/events", json={"eventType": "a", "serverSessionId": each})
            assert (403, "server_session_id must belong to project_id and team_id") == (
                refused.status_code,
                problem(refused)["message"],
            )
    assert {0} == set((await seed.counts(conn)).values())


# Policies --------------------------------------------------------------------------------------------


async def test_a_job_per_event_is_in_the_reply(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, generation={"policy": "per-event"})
    async with serving(db, tenant.key) as served:
        told = await post(served)
        job = told["generationJob"]
        assert {
            "id": job["id"],
            "status": "queued",
            "bullmqJobId": job["id"],
            "sourceType": "agent_event",
            "sourceId": told["event"]["id"],
            "transport": "enqueued",
        } == {name: job[name] for name in job if not name.endswith("AtEpoch")}
        assert [("observe", "queued")] == [(j["handler"], j["status"]) for j in told["jobs"]]
        without = await served.http.post("/v1/events?generate=false", json={"eventType": "a"})
        assert "generationJob" not in without.json()
        assert [] == without.json()["jobs"]


@pytest.mark.parametrize("policy", ["debounce", "end-of-session"])
async def test_a_coalesced_job_is_deferred_and_nobody_waits_for_it(
    db: Database, conn: Conn, policy: str
) -> None:
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, generation={"policy": policy})
    async with serving(db, tenant.key) as served:
        told = await post(served, idempotencyKey="k")
        assert ("deferred", False) == (told["generation"], "generationJob" in told)
        async with asyncio.timeout(5):
            waited = await post(served, "/v1/events?wait=true")
            assert ("deferred", None) == (waited["generation"], waited["generationJob"])
            assert "waitTimedOut" not in waited
            batch = await served.http.post("/v1/events/batch?wait=true", json=[{"eventType": "a"}] * 2)
        assert [None, None] == [each["generationJob"] for each in batch.json()["events"]]

        await place(db, tenant.project)
        async with asyncio.timeout(5):
            again = await post(served, "/v1/events?wait=true", idempotencyKey="k")
        assert (True, told["event"]["id"]) == (again["duplicate"], again["event"]["id"])
        assert again["generationJob"]["status"] == "queued"
        assert "waitTimedOut" not in again


async def test_a_gathered_job_is_found_by_session_by_each_event_and_by_its_source(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, generation={"policy": "end-of-session"})
    mine = await session(conn, tenant)
    async with serving(db, tenant.key) as served:
        events = [(await post(served, serverSessionId=str(mine)))["event"]["id"] for _ in range(3)]
        await post(served)
        await place(db, tenant.project)
        pages = [
            (await served.http.get(f"/v1/jobs?{query}")).json()
            for query in (f"eventId={events[2]}", "held=true", f"sessionId={mine}")
        ]
        assert [1, 1, 1] == [page["total"] for page in pages]
        [job] = pages[0]["jobs"]
        assert ("agent_event", events[0], 3, "session_open") == (
            job["sourceType"],
            job["sourceId"],
            job["eventCount"],
            job["heldReason"],
        )
        timeline = (await served.http.get(f"/v1/events/{events[1]}/timeline")).json()["entries"]
        assert [job["id"]] == [entry["jobId"] for entry in timeline if entry["kind"] == "job_queued"]
        full = (await served.http.get(f"/v1/jobs/{job['id']}")).json()["generationJob"]
        assert (events[0], str(mine), "observation_generate_for_event") == (
            full["agentEventId"],
            full["serverSessionId"],
            full["jobType"],
        )
        assert full["maxAttempts"] == 8


async def test_a_summary_s_source_is_its_session(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    mine = await session(conn, tenant)
    job = await value(
        conn,
        """
        with made as (
          insert into outbox.jobs (id, team_id, project_id, queue_id, session_id)
          select outbox.uuid7(outbox.clock()), %s, %s, q.id, %s
          from outbox.queues q where q.name = 'summarize'
          returning id, queue_id)
        insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
        select queue_id, 1, 0, outbox.clock(), id, 0, 0, 0 from made returning job_id
        """,
        *(tenant.team, tenant.project, mine),
    )
    async with serving(db, tenant.key) as served:
        for query in (f"sessionId={mine}", "source_type=session_summary"):
            [found] = (await served.http.get(f"/v1/jobs?{query}")).json()["jobs"]
            assert ("session_summary", str(mine), 0) == (
                found["sourceType"],
                found["sourceId"],
                found["eventCount"],
            )
        assert 0 == (await served.http.get("/v1/jobs?source_type=direct")).json()["total"]
        full = (await served.http.get(f"/v1/jobs/{job}")).json()["generationJob"]
    assert (None, "observation_generate_session_summary") == (full["agentEventId"], full["jobType"])


@pytest.mark.proves("M11")
async def test_metadata_and_the_source_s_id_are_kept(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        told = (await post(served, metadata={"a": [1]}, sourceEventId="e1"))["event"]
    assert ({"a": [1]}, "e1") == (told["metadata"], told["sourceEventId"])
    assert {"a": [1]} == await value(conn, "select metadata from outbox.events")


async def test_the_sequencer_places_what_is_to_be_gathered(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, generation={"policy": "debounce"})
    async with serving(db, tenant.key) as served:
        running = asyncio.create_task(Sequencer(db, served.wakes).run())
        await post(served)
        await until(lambda: value(conn, "select count(*) = 1 from outbox.members"))
        await post(served)
        await until(lambda: value(conn, "select count(*) = 2 from outbox.members"))
        running.cancel()
    assert 1 == await value(conn, "select count(*) from outbox.jobs")


async def test_a_worker_closes_a_gathering_when_everything_committed_before_is_in(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, generation={"policy": "debounce"})
    async with serving(db, tenant.key) as served:
        events = [UUID((await post(served))["event"]["id"])]
        await place(db, tenant.project)
        events += [UUID((await post(served))["event"]["id"]) for _ in range(3)]
        job = await value(conn, "select job_id from outbox.gatherings")
        assert 1 == await gatherings.close(db, [job, uuid4()])
        assert events == await gatherings.members(conn, job)
        await post(served)
        await place(db, tenant.project)
        assert events == await gatherings.members(conn, job)
        assert 0 == await gatherings.close(db, [job])


async def test_a_worker_waits_for_another_sequencer_and_gives_up_in_time(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, generation={"policy": "debounce"})
    async with serving(db, tenant.key) as served:
        await post(served)
        async with db.transaction() as holding:
            assert await streams.sequence(holding, [tenant.project])
            settling = asyncio.create_task(gatherings.settle_in(db, tenant.project))
            await asyncio.sleep(0.1)
            assert not settling.done()
        assert await settling
        await post(served)
        async with db.transaction() as holding:
            await streams.sequence(holding, [tenant.project])
            assert not await gatherings.settle_in(db, tenant.project, timedelta(0))


# Privacy ---------------------------------------------------------------------------------------------

SECRET = "s3cr3t"
HIDDEN = f"<private why='x'>{SECRET}<PRIVATE>{SECRET}</private>{SECRET}</Private>"
BODIES: list[dict[str, Any]] = [
    {"payload": {"a": [{"b": f"kept {HIDDEN} on"}]}},
    {"payload": {"k" + HIDDEN: "v", "c": 1}},
    {"payload": f"begins <private>{SECRET} and never closes"},
    {"payload": {HIDDEN: HIDDEN}},
    {"payload": {}, "metadata": {"m": {HIDDEN: [HIDDEN]}}},
]


@pytest.mark.proves("I9", "M10")
@pytest.mark.parametrize("body", BODIES)
async def test_private_text_is_in_no_stored_byte(db: Database, conn: Conn, body: dict[str, Any]) -> None:
    """Nested, in keys, unclosed, by each door; the answer does not show it either."""
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, generation={"policy": "per-event"})
    event = {
        "eventType": "a",
        "sourceType": "hook",
        "occurredAtEpoch": 1_700_000_000_123,
        "contentSessionId": "c",
        **body,
    }
    escaped = json.dumps(event).replace("<", "\\u003c").replace("p", "\\u0070")
    async with serving(db, tenant.key) as served:
        answers = [
            await served.http.post("/v1/events", json=event),
            await served.http.post("/v1/events", json={**event, "idempotencyKey": "k"}),
            await served.http.post("/v1/events", content=escaped.encode(), headers={"Idempotency-Key": "x"}),
            await served.http.post("/v1/events/batch", json=[{**event, "sourceEventId": "2"}, event]),
            await served.http.post(
                "/v1/events/batch",
                json=[{**event, "sourceEventId": "3"}],
                headers={"Prefer": "handling=lenient"},
            ),
        ]
        answers.append(await served.http.get("/v1/events?include=payload"))
    assert [201] * 5 + [200] == [reply.status_code for reply in answers]
    assert SECRET not in "".join(reply.text for reply in answers)
    assert SECRET not in await dumped(conn)
    assert await value(conn, "select bool_and(private_removed > 0) from outbox.events")


async def dumped(conn: Conn) -> str:
    """Every row of every table, as text."""
    cur = await conn.execute(
        b"select c.relname from pg_class c where c.relnamespace = 'outbox'::regnamespace and c.relkind = 'r'"
    )
    names = [row["relname"] for row in await cur.fetchall()]
    return "".join([
        str(await value(conn, f"select string_agg(t::text, ' ') from outbox.{name} t")) for name in names
    ])  # fmt: skip


async def test_the_key_tells_what_was_sent_not_what_was_stored(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    event: dict[str, Any] = {"sourceType": "hook", "occurredAtEpoch": 0}
    async with serving(db, tenant.key) as served:
        one = await post(served, payload={"a": "<private>1</private>"}, **event)
        same = await post(served, payload={"a": "<private>1</private>"}, **event)
        other = await post(served, payload={"a": "<private>2</private>"}, **event)
    assert (one["event"]["id"], True) == (same["event"]["id"], same["duplicate"])
    assert one["event"]["id"] != other["event"]["id"]
    assert (1, {"a": ""}) == (one["event"]["privateRemoved"], one["event"]["payload"])


async def test_what_cannot_be_looked_into_is_not_stored(
    db: Database, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the hook is broken")

    tenant = await seed.tenant(conn)
    monkeypatch.setattr("outboxd.api.privacy.strip_raw", broken)
    async with serving(db, tenant.key) as served:
        refused = await served.http.post("/v1/events", json={"eventType": "a", "payload": {"a": HIDDEN}})
    assert (500, "Internal server error") == (refused.status_code, problem(refused)["message"])
    assert {0} == set((await seed.counts(conn)).values())


@pytest.mark.parametrize(("said", "kept"), [("ingest", False), ("prompt", True), ("off", True)])
async def test_secrets_go_before_storage_only_where_the_project_wants_it(
    db: Database, conn: Conn, said: str, kept: bool
) -> None:
    tenant = await seed.tenant(conn)
    await settings(conn, tenant.project, privacy={"redactSecrets": said})
    token = "ghp_" + "a1B2" * 9
    async with serving(db, tenant.key) as served:
        told = await post(served, payload={"text": f"use {token}"}, metadata={"password": "hunter2"})
    assert kept == (token in told["event"]["payload"]["text"])
    assert kept == (told["event"]["metadata"]["password"] == "hunter2")
    assert kept == (token in await dumped(conn))


async def test_sql_stores_what_it_is_given(conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(
        b"select outbox.publish('a', %s, p_project => %s)", (Jsonb({"a": HIDDEN}), tenant.project)
    )
    assert SECRET in await dumped(conn)
