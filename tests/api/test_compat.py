"""Clients of the server that we replace: a tool use, and the end of a turn, on its own routes."""

import asyncio
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, problem, serving

Conn = AsyncConnection[DictRow]

OBSERVE, SUMMARIZE = "/api/sessions/observations", "/api/sessions/summarize"
USED = {"contentSessionId": "cs-1", "tool_name": "Bash"}


async def sent(served: Served, path: str, expect: int = 200, /, **body: Any) -> dict[str, Any]:
    reply = await served.http.post(path, json=body)
    assert reply.status_code == expect, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def policy(conn: Conn, name: str) -> None:
    settings = f'{{"generation": {{"policy": "{name}"}}}}'
    await conn.execute("update outbox.projects set settings = %s", [settings])


async def test_a_tool_use_is_an_event_of_its_session_with_a_job(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await policy(conn, "per-event")
    used = USED | {
        "tool_input": {"command": "ls"},
        "tool_response": "a\nb",
        "cwd": "/home",
        "agentId": "a",
        "agentType": "t",
        "platformSource": "Claude Code",
        "tool_use_id": "tu-1",
        "somethingElse": [1],
    }
    async with serving(db, tenant.key) as served:
        found = await sent(served, OBSERVE, **used)
        event = (await served.http.get(f"/v1/events/{found['eventId']}")).json()["event"]
        session = (await served.http.get(f"/v1/sessions/{found['sessionId']}")).json()["session"]
        job = (await served.http.get(f"/v1/jobs/{found['generationJobId']}")).json()["generationJob"]
    assert {"status", "observationCount", "sessionId", "serverSessionId", "eventId", "generationJobId",
        "transport"} == set(found)  # fmt: skip
    assert ("queued", 1, "enqueued") == (found["status"], found["observationCount"], found["transport"])
    assert found["sessionId"] == found["serverSessionId"] == event["serverSessionId"]
    assert ("tool_use", "claude-code-compat", "tu-1", "claude") == tuple(
        event[name] for name in ("eventType", "sourceAdapter", "sourceEventId", "platformSource")
    )
    assert {"compat": "sessions/observations"} == event["metadata"]
    assert {
        "contentSessionId": "cs-1",
        "tool_name": "Bash",
        "tool_input": {"command": "ls"},
        "tool_response": "a\nb",
        "cwd": "/home",
        "platformSource": "Claude Code",
        "agentId": "a",
        "agentType": "t",
        "toolUseId": "tu-1",
    } == event["payload"]
    assert ("cs-1", "cs-1", "a", "claude") == tuple(
        session[name] for name in ("externalSessionId", "contentSessionId", "agentId", "platformSource")
    )
    assert ("agent_event", found["eventId"]) == (job["sourceType"], job["sourceId"])


async def test_what_is_missing_of_a_tool_use_is_null_and_the_platform_claude(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        found = await sent(served, OBSERVE, **USED, tool_use_id="")
        event = (await served.http.get(f"/v1/events/{found['eventId']}")).json()["event"]
    assert (None, "claude") == (event["sourceEventId"], event["platformSource"])
    assert USED | dict.fromkeys(
        ("tool_input", "tool_response", "cwd", "platformSource", "agentId", "agentType", "toolUseId")
    ) == event["payload"]  # fmt: skip


async def test_a_repeated_tool_use_has_the_same_ids(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await policy(conn, "per-event")
    async with serving(db, tenant.key) as served:
        first = await sent(served, OBSERVE, **USED, tool_use_id="tu-1")
        again = await sent(served, OBSERVE, **USED, toolUseId="tu-1")
        other = await sent(served, OBSERVE, **USED, toolUseId="tu-2")
    assert first == again
    assert first["sessionId"] == other["sessionId"]
    assert first["eventId"] != other["eventId"]


@pytest.mark.parametrize(
    ("generation", "transport"),
    [("off", "skipped"), ("debounce", "queued_only"), ("end-of-session", "queued_only")],
)
async def test_without_a_job_the_transport_says_why(
    db: Database, conn: Conn, generation: str, transport: str
) -> None:
    tenant = await seed.tenant(conn)
    await policy(conn, generation)
    async with serving(db, tenant.key) as served:
        found = await sent(served, OBSERVE, **USED)
    assert (None, transport) == (found["generationJobId"], found["transport"])


async def test_sessions_are_one_a_platform_and_racing_tool_uses_make_one(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        found = await asyncio.gather(*(sent(served, OBSERVE, **USED, tool_use_id=f"{n}") for n in range(20)))
        codex = await sent(served, OBSERVE, **USED, platformSource="codex")
    assert 1 == len({each["sessionId"] for each in found})
    assert 20 == len({each["eventId"] for each in found})
    assert codex["sessionId"] != found[0]["sessionId"]


@pytest.mark.parametrize("identity", [{"externalSessionId": "cs-1"}, {"contentSessionId": "cs-1"}])
async def test_a_session_started_by_v1_is_found(db: Database, conn: Conn, identity: dict[str, str]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        started = await served.http.post(
            "/v1/sessions/start", json={**identity, "platformSource": "claude-code"}
        )
        session = started.json()["session"]["id"]
        assert session == (await sent(served, OBSERVE, **USED))["sessionId"]
        assert session == (await sent(served, SUMMARIZE, contentSessionId="cs-1"))["sessionId"]


async def test_a_turn_that_ends_leaves_its_message_and_ends_the_session(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await policy(conn, "per-event")
    turn = {"contentSessionId": "cs-1", "last_assistant_message": "All green."}
    async with serving(db, tenant.key) as served:
        session = (await sent(served, OBSERVE, **USED))["sessionId"]
        first = await sent(served, SUMMARIZE, **turn)
        again = await sent(served, SUMMARIZE, **turn)
        ended = (await served.http.get(f"/v1/sessions/{session}")).json()["session"]
        listed = (await served.http.get("/v1/events?include=payload&eventType=assistant_message")).json()
        jobs = (await served.http.get("/v1/jobs")).json()["jobs"]
    assert {"status", "sessionId", "serverSessionId", "generationJobId", "transport"} == set(first)
    assert ("queued", session, session, "enqueued") == tuple(
        first[name] for name in ("status", "sessionId", "serverSessionId", "transport")
    )
    assert first == again
    assert (1, 2) == (ended["endCount"], ended["eventCount"])
    [message] = listed["events"]
    assert ("All green.", session, "claude-code-compat") == (
        message["payload"]["last_assistant_message"],
        message["serverSessionId"],
        message["sourceAdapter"],
    )
    assert ["agent_event", "session_summary"] == sorted(job["sourceType"] for job in jobs)
    assert first["generationJobId"] in {job["id"] for job in jobs}


async def test_the_same_words_in_another_session_are_another_event(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        for name in ("cs-1", "cs-2"):
            await sent(served, OBSERVE, contentSessionId=name, tool_name="Bash")
            await sent(served, SUMMARIZE, contentSessionId=name, last_assistant_message="Done.")
        listed = (await served.http.get("/v1/events?eventType=assistant_message")).json()["events"]
    assert 2 == len(listed)


async def test_a_subagent_and_an_unknown_session_end_nothing(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        skipped = await sent(served, SUMMARIZE, contentSessionId="cs-1", agentId="a")
        missing = await sent(served, SUMMARIZE, 404, contentSessionId="cs-1", last_assistant_message="x")
        await sent(served, OBSERVE, **USED)
        elsewhere = await sent(served, SUMMARIZE, 404, contentSessionId="cs-1", platformSource="codex")
        sessions = (await served.http.get("/v1/sessions")).json()["sessions"]
    assert {"status": "skipped", "reason": "subagent_context"} == skipped
    assert {"status": "not_found", "reason": "session_not_found"} == missing == elsewhere
    assert [None] == [each["endedAtEpoch"] for each in sessions]


async def test_without_summaries_a_turn_ends_without_a_job(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute('update outbox.projects set settings = \'{"summary": {"enabled": false}}\'')
    async with serving(db, tenant.key) as served:
        await sent(served, OBSERVE, **USED)
        found = await sent(served, SUMMARIZE, contentSessionId="cs-1")
    assert ("queued", None, "skipped") == (found["status"], found["generationJobId"], found["transport"])


@pytest.mark.parametrize("path", [OBSERVE, SUMMARIZE])
async def test_a_team_key_is_told_to_be_one_of_a_project(db: Database, conn: Conn, path: str) -> None:
    tenant = await seed.tenant(conn)
    _, key = await seed.key(conn, tenant.team, "*")
    async with serving(db, key) as served:
        found = problem(await served.http.post(path, json=USED))
    assert (400, "BadRequest", f"Legacy {path} requires a project-scoped API key") == (
        found["status"],
        found["error"],
        found["message"],
    )


@pytest.mark.parametrize(
    ("path", "scopes", "status"),
    [
        (OBSERVE, ("events:write",), 200),
        (OBSERVE, ("memories:write",), 200),
        (OBSERVE, ("sessions:write", "memories:read"), 403),
        (SUMMARIZE, ("sessions:write",), 200),
        (SUMMARIZE, ("events:write",), 403),
    ],
)
async def test_which_scopes_open_them(
    db: Database, conn: Conn, path: str, scopes: tuple[str, ...], status: int
) -> None:
    tenant = await seed.tenant(conn)
    _, key = await seed.key(conn, tenant.team, *scopes, project=tenant.project)
    async with serving(db, tenant.key) as served, served.client(key) as client:
        await sent(served, OBSERVE, **USED)
        reply = await client.post(path, json=USED | {"last_assistant_message": "x"})
    assert status == reply.status_code, reply.text


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (OBSERVE, {"tool_name": "Bash"}, "/contentSessionId"),
        (OBSERVE, {"contentSessionId": "c"}, "/tool_name"),
        (OBSERVE, {"contentSessionId": "", "tool_name": "Bash"}, "/contentSessionId"),
        (OBSERVE, {"contentSessionId": 1, "tool_name": "Bash"}, "/contentSessionId"),
        (OBSERVE, {**USED, "tool_input": "a\u0000"}, "/tool_input"),
        (SUMMARIZE, {}, "/contentSessionId"),
        (SUMMARIZE, {"contentSessionId": "c", "last_assistant_message": 1}, "/last_assistant_message"),
    ],
    ids=repr,
)
async def test_a_wrong_body_is_400_and_leaves_nothing(
    db: Database, conn: Conn, path: str, body: dict[str, Any], pointer: str
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(path, json=body)
        listed = (await served.http.get("/v1/sessions")).json()["sessions"]
    assert [pointer] == [each["pointer"] for each in problem(reply)["errors"]]
    assert (400, []) == (reply.status_code, listed)


@pytest.mark.proves("M10")
async def test_private_spans_are_gone_before_anything_is_stored(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    secret = "<private>hunter2</private>"
    async with serving(db, tenant.key) as served:
        found = await sent(served, OBSERVE, **USED, tool_input={"a": [f"x{secret}"]}, tool_response=secret)
        await sent(
            served, SUMMARIZE, contentSessionId="cs-1", last_assistant_message=f"ok {secret}<private>hunter2"
        )
        event = (await served.http.get(f"/v1/events/{found['eventId']}")).json()["event"]
    assert ({"a": ["x"]}, "") == (event["payload"]["tool_input"], event["payload"]["tool_response"])
    stored = await (
        await conn.execute("select count(*) as n from outbox.events e where e::text ~ 'hunter2'")
    ).fetchone()
    assert {"n": 0} == stored


@pytest.mark.proves("M21")
async def test_the_limits_of_v1_hold_here(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, MAX_EVENT_BYTES="65536") as served:
        large = await served.http.post(OBSERVE, json=USED | {"tool_response": "x" * 70_000})
        served.ready.draining = True
        draining = await served.http.post(SUMMARIZE, json=USED)
    assert (413, "PayloadTooLarge") == (large.status_code, problem(large)["error"])
    assert (503, "ShuttingDown") == (draining.status_code, draining.json()["error"])
    await conn.execute("update outbox.projects set archived_at = outbox.clock()")
    async with serving(db, tenant.key) as served:
        archived = await served.http.post(OBSERVE, json=USED)
    assert (409, "ProjectArchived") == (archived.status_code, problem(archived)["error"])


@pytest.mark.parametrize(
    ("path", "members"),
    [
        (OBSERVE, {"stored": False, "reason": "internal_error"}),
        (SUMMARIZE, {"status": "error", "reason": "internal_error"}),
    ],
)
async def test_a_fault_of_ours_has_the_members_that_old_clients_look_for(
    db: Database, conn: Conn, path: str, members: dict[str, Any]
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await conn.execute("alter table outbox.sessions rename to gone")
        reply: httpx.Response = await served.http.post(path, json=USED)
    found = reply.json()
    assert 500 == reply.status_code
    assert reply.headers["x-request-id"] == found["requestId"]
    assert ("InternalError", "Internal server error") == (found["error"], found["message"])
    assert members == {name: found[name] for name in members}


async def test_both_are_audited_and_bear_the_request_id(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        headers = {"x-request-id": "turn-7"}
        first = await served.http.post(OBSERVE, json=USED, headers=headers)
        await served.http.post(SUMMARIZE, json=USED, headers=headers)
    trail = await (
        await conn.execute("select action from outbox.audit_trail where request_id = 'turn-7' order by at")
    ).fetchall()
    assert "turn-7" == first.headers["x-request-id"]
    assert {"session.write", "session.end", "event.received"} <= {row["action"] for row in trail}


@pytest.mark.proves("M21")
async def test_events_by_old_routes_count_as_those_of_v1(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, EVENT_RATE_PER_MIN="2") as served:
        await sent(served, OBSERVE, **USED)
        assert 201 == (await served.http.post("/v1/events", json={"eventType": "x"})).status_code
        event = await served.http.post(OBSERVE, json=USED)
        message = await served.http.post(
            SUMMARIZE, json={"contentSessionId": "cs-1", "last_assistant_message": "x"}
        )
    assert [(429, "rate_limited")] * 2 == [
        (reply.status_code, problem(reply)["error"]) for reply in (event, message)
    ]


@pytest.mark.proves("M21")
async def test_requests_to_old_routes_count_as_those_to_v1(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, RATE_LIMIT_PER_MIN="2") as served:
        assert 200 == (await served.http.get("/v1/events")).status_code
        first = await served.http.post(OBSERVE, json=USED)
        second = await served.http.post(SUMMARIZE, json=USED)
    assert (200, "0") == (first.status_code, first.headers["x-ratelimit-remaining"])
    assert (429, "rate_limited") == (second.status_code, problem(second)["error"])
