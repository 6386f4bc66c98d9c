"""`outboxd import --from-claude-mem`: what that server held is here, its keys work, and nothing runs."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outboxd.db.pool import Database
from tests.api.served import serving
from tests.cli.place import Run

FIXTURE = Path(__file__).with_name("claude_mem.sql")
WEB = "33333333-3333-4333-8333-333333333333"
COUNTS = {"team": 2, "project": 2, "key": 2, "session": 1, "event": 2, "observation": 2}


@pytest.fixture
def url(empty_dsn: str) -> str:
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute(FIXTURE.read_bytes())
    return empty_dsn


def ask(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(query.encode()).fetchall()


def with_partitions(dsn: str) -> None:
    """As in production, instead of the tests' single one."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("drop table outbox.events_all")
        conn.execute("select outbox.make_partitions(1)")


def test_everything_is_taken_once(cli: Run, dsn: str, url: str) -> None:
    with_partitions(dsn)
    words = ("import", "--from-claude-mem", url, "--json")
    dry = cli(*words, "--dry-run").json()
    assert (COUNTS, 1, 1) == (dry["taken"], dry["tooOld"], dry["keysWithoutTeam"])
    assert [(0,)] == ask(dsn, "select count(*) from outbox.teams")
    took = cli(*words).json()
    assert COUNTS == took["taken"]
    again = cli(*words).json()
    assert (COUNTS, 1) == (again["alreadyHere"], again["tooOld"])
    assert 0 == sum(again["taken"].values())
    assert ["Acme (22222222)", "acme"] == [
        name for (name,) in ask(dsn, "select name from outbox.teams order by 1")
    ]
    for table in ("jobs", "pending", "feed"):
        assert [(0,)] == ask(dsn, f"select count(*) from outbox.{table}")


def test_what_was_told_of_is_still_told(cli: Run, dsn: str, url: str) -> None:
    assert 0 == cli("import", "--from-claude-mem", url).exit
    rows = ask(
        dsn,
        "select metadata ->> 'importedId', payload, outbox.uuid7_time(id) = received_at, content_session_id,"
        " session_id::text from outbox.events order by id",
    )
    session = "44444444-4444-4444-8444-444444444444"
    assert [("event-2", {"n": 2}, True, None, session), ("event-3", {"n": 3}, True, None, session)] == rows
    assert [("claude", True)] == ask(
        dsn,
        "select platform_source, identity = outbox.session_identity('claude', 'ses-1', null, null, null)"
        " from outbox.sessions",
    )
    assert [("generated", "event-2"), ("manual", None)] == ask(
        dsn,
        "select o.origin, e.metadata ->> 'importedId' from outbox.observations o"
        " left join outbox.observation_sources s on s.observation_id = o.id"
        " left join outbox.events e on e.id = s.source_id order by 1",
    )
    # Those of 40 days ago are forgotten, as an event of ours of that day would be.
    assert [(0,)] == ask(dsn, "select count(*) from outbox.event_keys")


async def test_its_keys_go_on_working_and_find_its_memories(
    cli: Run, db: Database, dsn: str, url: str
) -> None:
    assert 0 == (await asyncio.to_thread(cli, "import", "--from-claude-mem", url)).exit
    async with serving(db) as served:
        async with served.client("cmem_good") as client:
            found = await client.post("/v1/search", json={"query": "trailing comma"})
            assert ["The parser drops trailing commas"] == [
                m["content"] for m in found.json()["observations"]
            ]
            made = await client.post("/v1/events", json={"projectId": WEB, "eventType": "x"})
            assert 201 == made.status_code
        for secret in ("cmem_gone", "cmem_nobodys", "cmem_bad"):
            async with served.client(secret) as client:
                assert 403 == (await client.post("/v1/search", json={"query": "x"})).status_code


def test_a_newer_key_of_an_event_is_remembered(cli: Run, dsn: str, url: str) -> None:
    ask(
        url, "update agent_events set received_at = now() - interval '1 day' where id = 'event-3' returning 1"
    )
    assert 0 == cli("import", "--from-claude-mem", url).exit
    assert [("agent_event:v1:3", "event-3")] == ask(
        dsn,
        "select k.key, e.metadata ->> 'importedId'"
        " from outbox.event_keys k join outbox.events e on e.id = k.event_id",
    )


def test_another_database_is_refused(cli: Run, dsn: str) -> None:
    answer = cli("import", "--from-claude-mem", dsn)
    assert (1, "") == (answer.exit, answer.out)
    assert "no table teams" in answer.err
    answer = cli("import", "--from-claude-mem", "postgresql://ann:hunter2@127.0.0.1:1/x")
    assert 3 == answer.exit
    assert "hunter2" not in answer.err
