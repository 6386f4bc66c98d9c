"""`outboxd mcp` as an agent starts it: a process that speaks lines of JSON and calls a server."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters, stdio_client
from mcp_types import TextContent
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.listening import listening
from tests.client.scripted import Asked, Remote, Says, remote

KEY = "obx_" + "k" * 43
LISTED = {
    "search", "context", "recent", "get", "projects", "observation_add", "observation_record_event",
    "observation_search", "observation_context", "observation_generation_status",
}  # fmt: skip


def environment(url: str, **settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "OUTBOXD_DATA": "/nonexistent/outboxd",
        "OUTBOXD_URL": url.rstrip("/"),
        "OUTBOXD_API_KEY": KEY,
        "OUTBOXD_PROJECT_ID": "p1",
        **settings,
    }


@asynccontextmanager
async def agent(server: Remote, mode: str = "legacy", **settings: str) -> AsyncIterator[McpClient]:
    """The official client, over a process of ours."""
    start = StdioServerParameters(
        command=sys.executable, args=["-m", "outboxd", "mcp"], env=environment(server.url, **settings)
    )
    async with McpClient(stdio_client(start), mode=mode) as client:
        yield client


def text(result: Any) -> str:
    [item] = result.content
    assert isinstance(item, TextContent)
    return item.text


async def failing(client: McpClient, name: str, **given: Any) -> str:
    result = await client.call_tool(name, given)
    assert result.is_error
    return text(result)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_finds_the_tools_and_their_schemas(mode: str) -> None:
    async with remote() as server, agent(server, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == LISTED
    for tool in tools.values():
        assert tool.input_schema["additionalProperties"] is False
        assert tool.annotations is not None
        writes = tool.name in {"observation_add", "observation_record_event"}
        assert tool.annotations.read_only_hint is not writes
    assert tools["observation_add"].input_schema["required"] == ["content"]


CALLS: list[tuple[str, dict[str, Any], str, Any]] = [
    (
        "observation_add",
        {"content": "c", "kind": "decision", "metadata": {"a": 1}, "serverSessionId": "s"},
        "POST /v1/memories",
        {"projectId": "p1", "content": "c", "kind": "decision", "metadata": {"a": 1}, "serverSessionId": "s"},
    ),
    (
        "memory_add",
        {"narrative": "n", "title": "t"},
        "POST /v1/memories",
        {"projectId": "p1", "content": "n", "title": "t"},
    ),
    (
        "observation_record_event",
        {"eventType": "e", "payload": [1], "contentSessionId": "s", "occurredAtEpoch": 5, "generate": False},
        "POST /v1/events?generate=false",
        {
            "eventType": "e",
            "payload": [1],
            "projectId": "p1",
            "sourceType": "api",
            "contentSessionId": "s",
            "occurredAtEpoch": 5,
        },
    ),
    (
        "observation_search",
        {"query": "q", "limit": 3},
        "POST /v1/search",
        {"query": "q", "projectId": "p1", "limit": 3},
    ),
    (
        "memory_search",
        {"query": "q", "projectId": "p2", "platformSource": "codex"},
        "POST /v1/search",
        {"query": "q", "projectId": "p2", "limit": 20, "platformSource": "codex"},
    ),
    (
        "search",
        {"query": "q", "limit": 1000, "kind": ["a"], "since": 7, "file": "f"},
        "POST /v1/search",
        {"query": "q", "projectId": "p1", "limit": 100, "kind": ["a"], "since": 7, "file": "f"},
    ),
    ("context", {"limit": "many"}, "POST /v1/context", {"projectId": "p1", "limit": 10, "tokenBudget": 8000}),
    (
        "memory_context",
        {"query": "q", "limit": 0},
        "POST /v1/context",
        {"query": "q", "projectId": "p1", "limit": 1, "tokenBudget": 8000},
    ),
    ("observation_generation_status", {"jobId": "j"}, "GET /v1/jobs/j", None),
    ("observation_generation_status", {"job_id": "j"}, "GET /v1/jobs/j", None),
    ("recent", {"kind": "summary"}, "GET /v1/memories?projectId=p1&limit=20&kind=summary", None),
    ("projects", {}, "GET /v1/projects?limit=200", None),
]


async def test_each_tool_makes_its_call() -> None:
    async with remote() as server, agent(server) as client:
        for name, given, line, body in CALLS:
            result = await client.call_tool(name, given)
            assert not result.is_error, text(result)
            asked = server.asked[-1]
            sent = asked.body
            if isinstance(sent, dict) and "idempotencyKey" in sent:
                sent = {key: value for key, value in sent.items() if key != "idempotencyKey"}
            assert (name, asked.line, sent) == (name, line, body)
        assert {each.headers["authorization"] for each in server.asked} == {f"Bearer {KEY}"}


async def test_results_are_the_servers_as_json() -> None:
    memory = {"id": "m1", "content": "c"}

    def judge(asked: Asked) -> Says:
        match asked.line.split("?")[0]:
            case "GET /v1/memories":
                return Says(200, {"memories": [memory], "nextCursor": None})
            case "GET /v1/memories/m1":
                return Says(200, {"memory": {**memory, "sources": []}})
            case "GET /v1/projects":
                return Says(200, {"projects": [{"id": "p1", "name": "shop", "settings": {}}]})
            case "POST /v1/context":
                return Says(200, {"observations": [memory], "context": "c", "truncated": False})
            case _:
                return Says(404, {"message": "Memory not found"})

    async with remote() as server, agent(server) as client:
        server.judge = judge
        ids = {"ids": ["m1", "m2"]}
        calls: dict[str, dict[str, Any]] = {"recent": {}, "get": ids, "projects": {}, "context": {}}
        found = {name: json.loads(text(await client.call_tool(name, given))) for name, given in calls.items()}
    assert found == {
        "recent": {"observations": [memory]},
        "get": {"observations": [{**memory, "sources": []}]},
        "projects": {"projects": [{"id": "p1", "name": "shop"}]},
        "context": {"observations": [memory], "context": "c"},
    }


async def test_failures_are_results_that_say_their_kind_and_status() -> None:
    says = (Says(403, {"message": "Invalid API key"}), Says(500), Says(200, b"<html>"))
    async with remote(*says) as server, agent(server) as client:
        for said in (
            "Server error (http_error 403): Invalid API key",
            "Server error (http_error 500): the server answered 500",
            "Server error (invalid_response 200): the answer is not JSON",
        ):
            assert await failing(client, "search", query="q") == said
        server.judge = lambda _: "reset"
        assert (await failing(client, "search", query="q")).startswith("Server error (transport): ")


async def test_wrong_arguments_are_results_that_say_which() -> None:
    async with remote() as server, agent(server) as client:
        assert await failing(client, "search") == '"query" is required'
        assert await failing(client, "observation_add", content=" ") == '"content" is required'
        assert await failing(client, "observation_generation_status") == '"jobId" is required'
        assert await failing(client, "search", query="q", by=1) == '"by" is not an argument of search'
        assert await failing(client, "nope") == "Unknown tool: nope"
        assert server.asked == []


def test_without_a_key_the_tools_are_listed_and_say_what_is_missing() -> None:
    environ = environment("http://127.0.0.1:1")
    del environ["OUTBOXD_API_KEY"]
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answers = {each["id"]: each["result"] for each in talked(environ, listing, call(2, "search", query="q"))}
    assert {tool["name"] for tool in answers[1]["tools"]} == LISTED
    assert answers[2]["isError"]
    assert answers[2]["content"][0]["text"].startswith("Server error (missing_api_key): ")


def ids(found: Any) -> list[str]:
    return [each["id"] for each in found["observations"]]


def call(id_: int, name: str, **given: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": "tools/call", "params": {"name": name, "arguments": given}}


def talked(environ: dict[str, str], *said: Any) -> list[Any]:
    """What a process answers to these lines until it ends by itself."""
    lines = b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in said)
    command = [sys.executable, "-m", "outboxd", "mcp"]
    ended = subprocess.run(command, env=environ, input=lines, capture_output=True, timeout=30, check=True)
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_what_is_no_message_is_answered_in_the_protocols_words() -> None:
    ping = {"jsonrpc": "2.0", "id": "a", "method": "ping"}
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    said = [
        b"{\n",
        b"\n",
        {"id": 1},
        told,
        {**ping, "method": "resources/list"},
        [ping, told, {**ping, "id": 2}],
        [],
    ]
    answers = talked(environment("http://127.0.0.1:1"), *said)
    batches = [each for each in answers if isinstance(each, list)]
    assert [[one["id"] for one in batch] for batch in batches] == [["a", 2]]
    assert sorted(each["error"]["code"] for each in answers if isinstance(each, dict)) == [
        -32700, -32601, -32600, -32600,
    ]  # fmt: skip


async def test_a_request_that_is_taken_back_is_ended_and_not_answered() -> None:
    hanging, answered = (
        [call(id_, "search", query="never") for id_ in range(16)],
        call(16, "search", query="q"),
    )
    told = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    taken_back = [{**told, "params": {"requestId": id_}} for id_ in (99, *range(16))]
    async with remote() as server:
        server.judge = lambda asked: "hang" if asked.body["query"] == "never" else Says()
        said = await asyncio.to_thread(talked, environment(server.url), *hanging, *taken_back, answered)
    assert [each["id"] for each in said] == [16]


async def test_it_ends_with_its_parent_and_says_nothing_else_on_stdout() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "outboxd", "mcp",
        env=environment("http://127.0.0.1:1"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(call(1, "search", query="q")).encode() + b"\n")
    await process.stdin.drain()
    answer = json.loads(await process.stdout.readline())
    assert answer["result"]["isError"]
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert await process.stdout.read() == b""


async def test_the_settings_of_the_server_it_replaces_are_read() -> None:
    async with remote() as server:
        environ = environment(server.url)
        for name in ("URL", "API_KEY", "PROJECT_ID"):
            environ[f"CLAUDE_MEM_SERVER_{name}"] = environ.pop(f"OUTBOXD_{name}")
        await asyncio.to_thread(talked, environ, call(1, "search", query="q"))
        [asked] = server.asked
        assert asked.body["projectId"] == "p1"
        assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_an_agent_remembers_and_finds_again_on_the_real_server(
    db: Database, conn: AsyncConnection[DictRow]
) -> None:
    scopes = ("events:write", "sessions:write", "observations:read", "jobs:read")
    acme = await seed.tenant(conn, "acme", *scopes)
    settings = {"OUTBOXD_API_KEY": acme.key, "OUTBOXD_PROJECT_ID": str(acme.project)}
    start = StdioServerParameters(command=sys.executable, args=["-m", "outboxd", "mcp"])
    async with listening(db) as at:
        start.env = environment(at.url, **settings)
        async with McpClient(stdio_client(start), mode="legacy") as client:

            async def told(name: str, **given: Any) -> Any:
                result = await client.call_tool(name, given)
                assert not result.is_error, text(result)
                return json.loads(text(result))

            memory = (await told("observation_add", content="deploy with make"))["memory"]
            old = (await told("memory_add", narrative="make needs python", title="t", type="gotcha"))[
                "memory"
            ]
            assert (old["kind"], old["metadata"]) == ("gotcha", {"title": "t"})
            for name in ("search", "observation_search", "memory_search"):
                assert [each["id"] for each in (await told(name, query="deploy"))["observations"]] == [
                    memory["id"]
                ]
            for name in ("context", "observation_context", "memory_context"):
                assert (await told(name, query="deploy", limit=1))["context"] == "deploy with make"
            recent = await told("recent", kind=["gotcha", "manual"])
            assert ids(recent) == [old["id"], memory["id"]]
            got = await told("get", ids=[memory["id"], "nope"])
            assert [each["sources"] for each in got["observations"]] == [[]]
            assert await told("projects") == {"projects": [{"id": str(acme.project), "name": "acme"}]}
            event = await told("observation_record_event", eventType="e", payload={"a": 1})
            assert event["event"]["sourceAdapter"] == "api"
            lost = await failing(client, "observation_generation_status", jobId="nope")
            assert lost.startswith("Server error (http_error 404): ")
