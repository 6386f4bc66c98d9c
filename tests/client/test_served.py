"""The client against the real server."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.client import Client, ClientError, Event
from outboxd.db.pool import Database
from tests import seed
from tests.api.listening import listening

Conn = AsyncConnection[DictRow]
HOOK = ("events:write", "sessions:write", "observations:read", "jobs:read")


def must(answer: Any) -> Any:
    assert answer is not None, "spooled"
    return answer


async def test_a_session_of_an_agent_from_start_to_end(db: Database, conn: Conn) -> None:
    acme = await seed.tenant(conn, "acme", *HOOK)
    async with listening(db) as at, Client(at.url + "/", acme.key) as client:
        session = must(await client.start_session(content_session_id="s1", platform_source="claude"))[
            "session"
        ]
        again = must(await client.start_session(content_session_id="s1", platform_source="claude"))
        assert again["session"]["id"] == session["id"]

        event = Event(event_type="tool_use", payload={"a": 1}, content_session_id="s1")
        first = must(await client.record_event(event))
        resent = must(await client.record_event(event))
        assert first["event"]["serverSessionId"] == session["id"]
        assert (resent["event"]["id"], resent["duplicate"]) == (first["event"]["id"], True)
        batch = must(await client.record_events([Event(event_type="b"), event]))
        assert [each["event"]["eventType"] for each in batch["events"]] == ["b", "tool_use"]

        ended = must(await client.end_session(session["id"]))
        job = ended["generationJob"]["id"]
        assert (await client.get_job(job))["generationJob"]["status"] == "queued"
        with pytest.raises(ClientError) as caught:
            await client.wait_job(job, timeout=timedelta(milliseconds=100))
        assert caught.value.kind == "timeout"


async def test_refusals_have_the_servers_words_and_code(db: Database, conn: Conn) -> None:
    acme = await seed.tenant(conn, "acme", *HOOK)
    async with listening(db) as at, Client(at.url, acme.key) as client:
        for call, status, code in (
            (client.end_session("nope"), 404, "NotFound"),
            (client.record_event(Event(event_type="")), 400, "ValidationError"),
            (client.record_event(Event(event_type="a", project_id="x")), 403, "Forbidden"),
        ):
            with pytest.raises(ClientError) as caught:
                await call
            assert (caught.value.status, caught.value.code) == (status, code)


async def test_a_spool_is_emptied_into_the_server_and_twice_is_once(
    db: Database, conn: Conn, tmp_path: Path
) -> None:
    acme = await seed.tenant(conn, "acme", *HOOK)
    folder = tmp_path / "spool"
    events = [Event(event_type=f"t{n}", content_session_id="s1") for n in range(120)]
    async with Client("http://127.0.0.1:1", acme.key, spool=folder) as client:
        assert await client.start_session(content_session_id="s1") is None
        for event in [*events, Event(event_type=""), events[0]]:
            assert await client.record_event(event) is None
    async with listening(db) as at, Client(at.url, acme.key, spool=folder) as client:
        await client.replay()
    found = await (
        await conn.execute("select type, session_id is not null as linked from outbox.events order by id")
    ).fetchall()
    assert [row["type"] for row in found] == [event.event_type for event in events]
    assert all(row["linked"] for row in found)
    assert len((folder / "rejected.jsonl").read_text().splitlines()) == 1


async def test_what_is_remembered_is_found(db: Database, conn: Conn) -> None:
    acme = await seed.tenant(conn, "acme", *HOOK)
    async with listening(db) as at, Client(at.url, acme.key) as client:
        made = must(
            await client.add_memory("deploy with make", kind="decision", title="how", metadata={"a": 1})
        )
        memory = made["memory"]
        assert (memory["kind"], memory["metadata"]) == ("decision", {"a": 1, "title": "how"})
        again = [must(await client.add_memory("once", idempotency_key="k"))["memory"]["id"] for _ in range(2)]
        assert again[0] == again[1]
        assert [each["id"] for each in (await client.search("deploy"))["observations"]] == [memory["id"]]
        assert (await client.context("deploy", limit=1))["context"] == "deploy with make"
        assert len((await client.context())["observations"]) == 2
        assert (await client.get_memory(memory["id"]))["memory"]["sources"] == []
        with pytest.raises(ClientError) as caught:
            await client.search("x", limit=101)
        assert caught.value.status == 400
