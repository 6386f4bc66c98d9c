"""The client against a server that does what it should not: every failure has its kind and its way on."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from outboxd.client import Client, ClientError, Event
from tests.client.scripted import Remote, Saying, Says, remote

KEY = "obx_" + "k" * 43
SOON = timedelta(milliseconds=200)
EVENT = Event(event_type="tool_use", payload={"a": 1}, content_session_id="s1")


def to(server: Remote, key: str | None = KEY, **more: Any) -> Client:
    return Client(server.url, key, **more)


async def failure(*says: Saying, key: str | None = KEY, timeout: timedelta = SOON) -> ClientError:
    async with remote(*says) as server, to(server, key, timeout=timeout) as client:
        with pytest.raises(ClientError) as caught:
            await client.search("x")
    return caught.value


@pytest.mark.parametrize(
    ("says", "kind", "status", "fallback", "spooled"),
    [
        (["hang"], "timeout", None, True, True),
        (["reset"] * 3, "transport", None, True, True),
        ([Says(500)], "http_error", 500, True, True),
        ([Says(503, headers=("Retry-After: 60",))], "http_error", 503, True, True),
        ([Says(429, headers=("Retry-After: 60",))], "http_error", 429, True, True),
        ([Says(401)], "http_error", 401, False, True),
        ([Says(402)], "http_error", 402, False, True),
        ([Says(403)], "http_error", 403, False, True),
        ([Says(400)], "http_error", 400, False, False),
        ([Says(404)], "http_error", 404, False, False),
        ([Says(301)], "http_error", 301, False, False),
        ([Says(200, b"<html>")], "invalid_response", 200, False, False),
        ([Says(200, [1])], "invalid_response", 200, False, False),
    ],
)
async def test_each_failure_has_its_kind_and_what_may_be_done(
    says: list[Saying], kind: str, status: int | None, fallback: bool, spooled: bool
) -> None:
    failed = await failure(*says)
    assert (failed.kind, failed.status) == (kind, status)
    assert (failed.fallback_eligible, failed.spooled) == (fallback, spooled)


async def test_without_a_key_nothing_is_sent() -> None:
    async with remote() as server, to(server, " ") as client:
        with pytest.raises(ClientError) as caught:
            await client.search("x")
        assert server.asked == []
    assert caught.value.kind == "missing_api_key"
    assert caught.value.fallback_eligible
    assert caught.value.spooled


async def test_a_refusal_is_told_in_the_servers_words() -> None:
    problem = {"message": "Project not found", "error": "NotFound"}
    failed = await failure(Says(404, problem))
    assert (failed.detail, failed.code) == ("Project not found", "NotFound")


async def test_nothing_listens_is_a_transport_failure_that_does_not_tell_the_key() -> None:
    async with Client("http://127.0.0.1:1", KEY) as client:
        with pytest.raises(ClientError) as caught:
            await client.search("x")
    assert caught.value.kind == "transport"
    assert KEY not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize(
    ("says", "sent"),
    [
        (["reset", "reset", Says()], 3),
        ([Says(429, headers=("Retry-After: 0",)), Says()], 2),
        ([Says(503, headers=("Retry-After: 0",)), Says(503, headers=("Retry-After: 0",)), Says()], 3),
    ],
)
async def test_there_are_two_quick_retries_of_the_same_request(says: list[Saying], sent: int) -> None:
    async with remote(*says) as server, to(server) as client:
        assert await client.record_event(EVENT) == {}
        assert len(server.asked) == sent
        assert {str(each.body) for each in server.asked} == {str(server.asked[0].body)}


@pytest.mark.parametrize(
    "says",
    [Says(429, headers=("Retry-After: 3",)), Says(503), Says(500), Says(409, headers=("Retry-After: 1",))],
)
async def test_what_would_take_longer_or_is_no_use_is_not_retried(says: Says) -> None:
    async with remote(says) as server, to(server) as client:
        with pytest.raises(ClientError):
            await client.record_event(EVENT)
        assert len(server.asked) == 1


async def test_the_key_travels_in_a_header_and_fields_not_given_are_left_out() -> None:
    async with remote() as server, to(server, project="p1") as client:
        await client.start_session(content_session_id="s1", platform_source="claude")
        await client.end_session("abc/../x")
        await client.add_memory("text", kind="decision", idempotency_key="k")
        await client.search("q", limit=3)
        await client.context()
        await client.get_job("j", wait=timedelta(seconds=90))
        assert [(each.line, each.body) for each in server.asked] == [
            (
                "POST /v1/sessions/start",
                {"projectId": "p1", "contentSessionId": "s1", "platformSource": "claude"},
            ),
            ("POST /v1/sessions/abc%2F..%2Fx/end", {}),
            (
                "POST /v1/memories",
                {"projectId": "p1", "content": "text", "kind": "decision", "idempotencyKey": "k"},
            ),
            ("POST /v1/search", {"query": "q", "projectId": "p1", "limit": 3}),
            ("POST /v1/context", {"projectId": "p1"}),
            ("GET /v1/jobs/j?waitSeconds=30", None),
        ]
        assert {each.headers["authorization"] for each in server.asked} == {f"Bearer {KEY}"}


async def test_an_event_has_its_key_and_time_from_when_it_is_made() -> None:
    async with remote() as server, to(server) as client:
        await client.record_event(EVENT, generate=False, wait=True)
        await client.record_events([EVENT, Event(event_type="b", platform_source=None, project_id="p2")])
        alone, batch = server.asked
        assert alone.line == "POST /v1/events?generate=false&wait=true"
        assert alone.body == {
            "eventType": "tool_use",
            "payload": {"a": 1},
            "contentSessionId": "s1",
            "occurredAtEpoch": EVENT.occurred_at_epoch,
            "idempotencyKey": EVENT.idempotency_key,
        }
        assert batch.line == "POST /v1/events/batch"
        assert batch.body[0] == alone.body
        assert (batch.body[1]["platformSource"], batch.body[1]["projectId"]) == (None, "p2")
        assert batch.body[1]["idempotencyKey"] != EVENT.idempotency_key


async def test_a_job_is_waited_for_until_it_is_over() -> None:
    def job(status: str) -> Says:
        return Says(200, {"generationJob": {"id": "j", "status": status}})

    async with remote(job("processing"), job("completed")) as server, to(server) as client:
        assert (await client.wait_job("j"))["generationJob"]["status"] == "completed"
        server.judge = lambda _: job("queued")
        with pytest.raises(ClientError) as caught:
            await client.wait_job("j", timeout=timedelta(milliseconds=100))
        assert caught.value.kind == "timeout"


async def test_calls_can_run_at_once() -> None:
    async with remote() as server, to(server) as client:
        await asyncio.gather(*(client.record_event(Event(event_type=str(n))) for n in range(20)))
        assert sorted(map(int, server.events)) == list(range(20))


def test_the_client_brings_nothing_of_the_daemon_along() -> None:
    check = "import sys, outboxd.client; print(sorted({n.partition('.')[0] for n in sys.modules}))"
    loaded = subprocess.check_output([sys.executable, "-c", check], text=True)
    for stranger in ("psycopg", "starlette", "uvicorn", "prometheus_client", "cryptography"):
        assert f"'{stranger}'" not in loaded
    ours = "import sys, outboxd.client; print([n for n in sys.modules if n.startswith('outboxd.')])"
    assert "outboxd.client.spool" in (
        names := subprocess.check_output([sys.executable, "-c", ours], text=True)
    )
    assert "outboxd.config" not in names
    assert "outboxd.telemetry" not in names
