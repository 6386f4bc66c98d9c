"""Sessions over HTTP: what starts and ends answer, to whom, and what is read back."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import Served, problem, serving
from tests.clock import Clock

Conn = AsyncConnection[DictRow]

SHAPE = {
    "id", "projectId", "teamId", "externalSessionId", "contentSessionId", "agentId", "agentType",
    "platformSource", "generationStatus", "metadata", "startedAtEpoch", "endedAtEpoch",
    "lastGeneratedAtEpoch", "createdAtEpoch", "updatedAtEpoch", "endCount", "reopenedAtEpoch",
}  # fmt: skip
UNKNOWN = "0197f1c2-7a00-7000-8000-000000000001"


async def started(served: Served, expect: int = 201, /, **given: Any) -> dict[str, Any]:
    reply = await served.http.post("/v1/sessions/start", json=given)
    assert reply.status_code == expect, reply.text
    found: dict[str, Any] = reply.json()["session"]
    return found


async def ended(served: Served, session: str) -> dict[str, Any]:
    reply = await served.http.post(f"/v1/sessions/{session}/end")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def shown(served: Served, session: str) -> dict[str, Any]:
    found: dict[str, Any] = (await served.http.get(f"/v1/sessions/{session}")).json()["session"]
    return found


async def event(served: Served, session: str, **more: Any) -> dict[str, Any]:
    given = {"eventType": "tool_use", "serverSessionId": session, **more}
    reply = await served.http.post("/v1/events", json=given)
    assert reply.status_code == 201, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def test_a_start_is_201_when_new_and_200_when_found(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    given = {
        "externalSessionId": "e",
        "contentSessionId": "c",
        "agentId": "a",
        "agentType": "t",
        "platformSource": "Claude Code",
        "metadata": {"cwd": "/home"},
        "somethingElse": 1,
    }
    async with serving(db, tenant.key) as served:
        first = await started(served, **given)
        second = await started(served, 200, **given, projectId=str(tenant.project))
        third = await started(served, 200, **given | {"agentId": "b", "metadata": {"cwd": "/", "k": 1}})
        read = await shown(served, first["id"])
    assert SHAPE == set(first)
    assert first == second
    assert ("a", {"cwd": "/home", "k": 1}) == (third["agentId"], third["metadata"])
    assert ("e", "c", "t", "claude", "idle") == tuple(
        first[name]
        for name in (
            "externalSessionId",
            "contentSessionId",
            "agentType",
            "platformSource",
            "generationStatus",
        )
    )
    assert (str(tenant.team), str(tenant.project), None, 0, None) == tuple(
        first[name] for name in ("teamId", "projectId", "endedAtEpoch", "endCount", "reopenedAtEpoch")
    )
    assert {**third, "eventCount": 0, "lastEventAtEpoch": None} == read


async def test_without_identity_every_start_is_a_new_session(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = [await started(served, contentSessionId=None, agentId="a", metadata=None) for _ in range(3)]
    assert 3 == len({each["id"] for each in made})
    assert [None, {}] == [made[0]["contentSessionId"], made[0]["metadata"]]


async def test_a_start_with_an_idempotency_key_has_one_answer(db: Database, conn: Conn) -> None:
    """Without identity, a resend would make another session."""
    tenant = await seed.tenant(conn)
    headers = {"idempotency-key": "k-1"}
    async with serving(db, tenant.key) as served:
        first, again = [
            await served.http.post("/v1/sessions/start", json={"agentType": "t"}, headers=headers)
            for _ in range(2)
        ]
        other = await served.http.post("/v1/sessions/start", json={"agentType": "u"}, headers=headers)
        listed = (await served.http.get("/v1/sessions")).json()["sessions"]
    assert (201, 201, 422) == (first.status_code, again.status_code, other.status_code)
    assert "true" == again.headers["idempotency-replayed"]
    assert first.json() == again.json()
    assert [first.json()["session"]["id"]] == [each["id"] for each in listed]


async def test_racing_starts_give_one_201_and_one_session(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        replies = await asyncio.gather(
            *(served.http.post("/v1/sessions/start", json={"externalSessionId": "e"}) for _ in range(30))
        )
    assert [200] * 29 + [201] == sorted(reply.status_code for reply in replies)
    assert 1 == len({reply.json()["session"]["id"] for reply in replies})


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"externalSessionId": None}, "/externalSessionId"),
        ({"externalSessionId": ""}, "/externalSessionId"),
        ({"externalSessionId": "x" * 513}, "/externalSessionId"),
        ({"externalSessionId": 1}, "/externalSessionId"),
        ({"externalSessionId": "a\u0000b"}, "/externalSessionId"),
        ({"contentSessionId": "a\nb"}, "/contentSessionId"),
        ({"contentSessionId": "x" * 513}, "/contentSessionId"),
        ({"agentId": "x" * 256}, "/agentId"),
        ({"metadata": []}, "/metadata"),
        ({"metadata": {"k": "x" * 33_000}}, "/metadata"),
        ({"reopen": "true"}, "/reopen"),
    ],
    ids=repr,
)
async def test_a_wrong_start_is_400_and_makes_nothing(
    db: Database, conn: Conn, body: dict[str, Any], pointer: str
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/sessions/start", json=body)
        listed = (await served.http.get("/v1/sessions")).json()
    assert 400 == reply.status_code, reply.text
    assert [pointer] == [each["pointer"] for each in problem(reply)["errors"]]
    assert {"sessions": [], "nextCursor": None} == listed


async def test_an_end_makes_the_summary_job_and_reads_no_body(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        session = (await started(served, externalSessionId="e"))["id"]
        made = await event(served, session)
        path = f"/v1/sessions/{session}/end"
        first = await served.http.post(path, content=b"\xff{", headers={"content-type": "text/plain"})
        again = (await served.http.post(path, json={"a": 1})).json()
        await event(served, session)
        kept = await ended(served, session)
        read = await shown(served, session)
        woken = served.wakes.queues.take()
    assert 200 == first.status_code, first.text
    job = first.json()["generationJob"]
    assert {"id", "status", "bullmqJobId", "sourceType", "sourceId", "transport", "createdAtEpoch",
        "updatedAtEpoch"} == set(job)  # fmt: skip
    assert ("session_summary", session, "queued", "enqueued") == (
        job["sourceType"],
        job["sourceId"],
        job["status"],
        job["transport"],
    )
    assert first.json()["session"] == again["session"]
    assert job["id"] == again["generationJob"]["id"] == kept["generationJob"]["id"]
    assert (1, 2) == (again["session"]["endCount"], kept["session"]["endCount"])
    assert SHAPE == set(kept["session"])
    assert (2, made["event"]["receivedAtEpoch"]) == (read["eventCount"], read["lastEventAtEpoch"])
    assert {"summarize", "observe"} <= woken


async def test_without_summaries_an_end_has_no_job(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute('update outbox.projects set settings = \'{"summary": {"enabled": false}}\'')
    async with serving(db, tenant.key) as served:
        session = (await started(served))["id"]
        found = [await ended(served, session) for _ in range(2)]
    assert [{"session"}, {"session"}] == [set(each) for each in found]
    assert found[0] == found[1]


async def test_a_reopened_session_is_open_and_found(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        session = await started(served, externalSessionId="e", reopen=True)
        await ended(served, session["id"])
        found = await started(served, 200, externalSessionId="e")
        reopened = await started(served, 200, externalSessionId="e", reopen=True)
    assert session["reopenedAtEpoch"] is None
    assert found["endedAtEpoch"] is not None
    assert (None, True) == (reopened["endedAtEpoch"], reopened["reopenedAtEpoch"] is not None)


async def status(served: Served, session: str) -> str:
    found: str = (await shown(served, session))["generationStatus"]
    [listed] = (await served.http.get("/v1/sessions")).json()["sessions"]
    assert found == listed["generationStatus"]
    return found


async def test_how_a_session_fares_is_derived_from_its_jobs(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    settings = '{"generation": {"policy": "per-event"}, "summary": {"quietSeconds": 0}}'
    await conn.execute("update outbox.projects set settings = %s", [settings])
    async with serving(db, tenant.key) as served:
        session = (await started(served, externalSessionId="e"))["id"]
        assert "idle" == await status(served, session)
        await event(served, session)
        assert "processing" == await status(served, session), "a generation job waits"
        worker = await enlisted(conn)
        await settled(conn, worker, "completed")
        assert "idle" == await status(served, session)
        await ended(served, session)
        assert "processing" == await status(served, session), "its summary waits"
        await settled(conn, worker, "failed")
        assert "failed" == await status(served, session)
        await event(served, session, generate=False)
        await settled(conn, worker, "completed")
        await ended(served, session)
        await settled(conn, worker, "completed")
        assert "idle" == await status(served, session), "nothing was worth a summary"
        await conn.execute("update outbox.sessions set summarized_at = '2026-01-01Z'")
        assert "completed" == await status(served, session)
        assert 1767225600000 == (await shown(served, session))["lastGeneratedAtEpoch"]


async def enlisted(conn: Conn) -> Any:
    found = await conn.execute("select worker_id from outbox.enlist('w', '{observe,summarize}')")
    row = await found.fetchone()
    assert row
    return row["worker_id"]


async def settled(conn: Conn, worker: Any, outcome: str) -> None:
    """The only job that is due, claimed and ended."""
    [job] = await (await conn.execute("select * from outbox.claim(%s, 10)", [worker])).fetchall()
    final = '"final": true, "class": "x", "error": "no", ' if outcome == "failed" else ""
    named = f'"lease": "{job["lease_id"]}", "job": "{job["job_id"]}"'
    result = f'[{{{final}{named}, "ms": 1, "outcome": "{outcome}"}}]'
    await conn.execute("select outbox.settle(%s, %s)", [worker, result])


@pytest.mark.proves("T2")
async def test_whose_session_it_is(db: Database, conn: Conn) -> None:
    mine, foreign = await seed.tenant(conn), await seed.tenant(conn, "other")
    _, team_key = await seed.key(conn, mine.team, "*")
    _, sibling_key = await seed.key(conn, mine.team, "*", project=await seed_project(conn, mine.team))
    async with serving(db, mine.key) as served:
        session = (await started(served, externalSessionId="e"))["id"]
        for key, ids, code, message in (
            (foreign.key, (session, UNKNOWN, "x"), 404, "Session not found"),
            (sibling_key, (session,), 403, "API key is scoped to a different project"),
            (sibling_key, (UNKNOWN, "x"), 404, "Session not found"),
            (team_key, (UNKNOWN, "x"), 404, "Session not found"),
        ):
            async with served.client(key) as client:
                for id_ in ids:
                    for reply in (
                        await client.get(f"/v1/sessions/{id_}"),
                        await client.post(f"/v1/sessions/{id_}/end"),
                    ):
                        assert (code, message) == (reply.status_code, problem(reply)["message"])
        assert (await shown(served, session))["endedAtEpoch"] is None
        async with served.client(team_key) as client:
            assert 200 == (await client.post(f"/v1/sessions/{session}/end")).status_code


async def seed_project(conn: Conn, team: Any) -> Any:
    return await tenants.make_project(conn, seed.OPERATOR, team, "sibling")


async def test_whose_project_a_session_is_started_in(db: Database, conn: Conn) -> None:
    mine, foreign = await seed.tenant(conn), await seed.tenant(conn, "other")
    sibling = await seed_project(conn, mine.team)
    _, team_key = await seed.key(conn, mine.team, "sessions:write")
    async with serving(db, mine.key) as served, served.client(team_key) as team:
        for client, project, code, message in (
            (served.http, sibling, 403, "API key is scoped to a different project"),
            (served.http, foreign.project, 403, "API key is scoped to a different project"),
            (team, foreign.project, 403, "project_id must belong to team_id"),
            (team, "x", 403, "project_id must belong to team_id"),
            (team, None, 400, "Invalid request"),
            (team, sibling, 201, None),
        ):
            body = {} if project is None else {"projectId": str(project)}
            reply = await client.post("/v1/sessions/start", json=body)
            assert (code, message) == (reply.status_code, reply.json().get("message")), reply.text
        await conn.execute("update outbox.projects set archived_at = outbox.clock()")
        reply = await served.http.post("/v1/sessions/start", json={})
        assert (409, "ProjectArchived") == (reply.status_code, problem(reply)["error"])


@pytest.mark.parametrize(
    ("scopes", "starts", "reads"),
    [
        (("sessions:write",), True, True),
        (("memories:write",), True, True),
        (("memories:read",), False, True),
        (("observations:read",), False, True),
        (("events:write",), False, False),
        (("events:read", "jobs:read"), False, False),
    ],
)
async def test_which_scopes_open_sessions(
    db: Database, conn: Conn, scopes: tuple[str, ...], starts: bool, reads: bool
) -> None:
    tenant = await seed.tenant(conn)
    _, key = await seed.key(conn, tenant.team, *scopes, project=tenant.project)
    async with serving(db, tenant.key) as served, served.client(key) as client:
        session = (await started(served, externalSessionId="e"))["id"]
        made = [
            await client.post("/v1/sessions/start", json={}),
            await client.post(f"/v1/sessions/{session}/end"),
        ]
        read = [await client.get("/v1/sessions"), await client.get(f"/v1/sessions/{session}")]
    assert (
        [201, 200] == [reply.status_code for reply in made]
        if starts
        else all(reply.status_code == 403 for reply in made)
    )
    assert {200 if reads else 403} == {reply.status_code for reply in read}


async def test_a_revoked_key_starts_and_ends_nothing_though_it_is_cached(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        session = (await started(served, externalSessionId="e"))["id"]
        await conn.execute("update outbox.keys set revoked_at = outbox.clock()")
        replies = [
            await served.http.post("/v1/sessions/start", json={"externalSessionId": "f"}),
            await served.http.post(f"/v1/sessions/{session}/end"),
        ]
    assert [403, 403] == [reply.status_code for reply in replies]
    found = await (await conn.execute("select external_id, ended_at from outbox.sessions")).fetchall()
    assert [{"external_id": "e", "ended_at": None}] == found


async def test_sessions_are_listed_newest_start_first_in_pages(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        ids = []
        for n in range(5):
            clock.forward(timedelta(seconds=n % 2))
            ids.append((await started(served, externalSessionId=f"e{n}"))["id"])
        seen: list[dict[str, Any]] = []
        cursor = None
        while cursor is not None or not seen:
            query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await served.http.get("/v1/sessions", params=query)).json()
            seen += page["sessions"]
            cursor = page["nextCursor"]
        other = await served.http.get("/v1/sessions", params={"cursor": "AAAA"})
    assert set(ids) == {each["id"] for each in seen}
    assert 5 == len(seen)
    starts = [(each["startedAtEpoch"], each["id"]) for each in seen]
    assert sorted(starts, reverse=True) == starts
    assert (400, "InvalidCursor") == (other.status_code, problem(other)["error"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 3),
        ({"externalSessionId": "e1"}, 1),
        ({"contentSessionId": "c"}, 2),
        ({"platformSource": "Claude Code"}, 1),
        ({"agentId": "a"}, 1),
        ({"open": "true"}, 2),
        ({"open": "false"}, 1),
        ({"since": "2020-01-01"}, 3),
        ({"until": "2020-01-01"}, 0),
    ],
    ids=repr,
)
async def test_a_list_of_sessions_is_filtered(
    db: Database, conn: Conn, query: dict[str, str], found: int
) -> None:
    tenant = await seed.tenant(conn)
    other = await seed.tenant(conn, "other")
    async with serving(db, tenant.key) as served:
        async with served.client(other.key) as client:
            await client.post("/v1/sessions/start", json={"externalSessionId": "e1"})
        first = await started(served, externalSessionId="e1", contentSessionId="c", platformSource="claude")
        await started(served, contentSessionId="c", agentId="a")
        await started(served, platformSource="cursor")
        await ended(served, first["id"])
        listed = (await served.http.get("/v1/sessions", params=query)).json()["sessions"]
        mine = (
            await served.http.get("/v1/sessions", params=query | {"projectId": str(tenant.project)})
        ).json()["sessions"]
    assert found == len(listed)
    assert listed == mine


@pytest.mark.parametrize("query", [{"open": "yes"}, {"limit": "0"}, {"since": "soon"}, {"nonsense": "1"}])
async def test_a_wrong_query_is_400(db: Database, conn: Conn, query: dict[str, str]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.get("/v1/sessions", params=query)
    assert 400 == reply.status_code
    assert [*query] == [each["parameter"] for each in problem(reply)["errors"]]


async def test_a_purged_session_is_not_there(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, team_key = await seed.key(conn, tenant.team, "*")
    async with serving(db, tenant.key) as served, served.client(team_key) as team:
        session = (await started(served, externalSessionId="e"))["id"]
        await conn.execute("update outbox.projects set purged_at = outbox.clock()")
        replies = [
            await client.request(method, f"/v1/sessions/{session}{path}")
            for client in (served.http, team)
            for method, path in (("GET", ""), ("POST", "/end"))
        ]
        listed = (await served.http.get("/v1/sessions")).json()["sessions"]
        new = await started(served, externalSessionId="e")
    assert {(404, "Session not found")} == {
        (reply.status_code, problem(reply)["message"]) for reply in replies
    }
    assert [] == listed
    assert new["id"] != session
