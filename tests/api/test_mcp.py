"""/v1/mcp: what clients of the protocol may count on, said by hand and by the official client."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import httpx2
import pytest
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.api import mcp
from outboxd.db import rows
from outboxd.db.pool import Database
from outboxd.mcp import messages
from outboxd.store import tenants
from outboxd.store.callers import CALLER, row
from tests import seed
from tests.api.listening import listening
from tests.api.served import Served, problem, serving

Conn = AsyncConnection[DictRow]
BOTH = {"accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
TOLD = {"jsonrpc": "2.0", "method": "notifications/initialized"}
STREAM = {"accept": "text/event-stream"}
PATH = "/v1/mcp"
_WRITE = f"select observation_id from outbox.write_memory({CALLER}, %s, %s)"


@pytest.fixture
async def acme(conn: Conn) -> seed.Tenant:
    return await seed.tenant(conn)


@pytest.fixture
async def served(db: Database, acme: seed.Tenant) -> AsyncIterator[Served]:
    async with serving(db, acme.key) as made:
        yield made


async def say(served: Served, said: Any, **headers: str) -> httpx.Response:
    content = said if isinstance(said, bytes) else json.dumps(said).encode()
    given = {**BOTH, "content-type": "application/json", **headers}
    return await served.http.post(PATH, content=content, headers=given)


def answers(reply: httpx.Response) -> list[dict[str, Any]]:
    """The messages of an event stream."""
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream"), reply.text
    found = []
    for event in reply.text.removesuffix("\n\n").split("\n\n"):
        kind, data = event.split("\n")
        assert kind == "event: message"
        found.append(json.loads(data.removeprefix("data: ")))
    return found


def refusal(reply: httpx.Response) -> tuple[int, int]:
    """Status and code of what is refused in the protocol's words."""
    assert reply.headers["content-type"].startswith("application/json")
    told = reply.json()
    assert (told["jsonrpc"], told["id"]) == ("2.0", None)
    assert told["error"]["message"]
    return reply.status_code, told["error"]["code"]


async def called(served: Served, name: str, given: Any = None) -> tuple[bool, str]:
    """Whether a tool failed, and the text of its result."""
    params = {"name": name, **({} if given is None else {"arguments": given})}
    [answer] = answers(await say(served, {**PING, "method": "tools/call", "params": params}))
    [item] = answer["result"]["content"]
    assert item["type"] == "text"
    return answer["result"].get("isError", False), item["text"]


async def test_each_request_of_a_batch_has_one_event_and_the_rest_none(served: Served) -> None:
    [alone] = answers(await say(served, PING))
    assert alone == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert [each["id"] for each in answers(await say(served, [PING, TOLD, {**PING, "id": "b"}]))] == [1, "b"]


@pytest.mark.parametrize("said", [TOLD, [TOLD, TOLD], {"jsonrpc": "2.0", "id": 1, "result": {}}])
async def test_what_wants_no_answer_gets_202_and_nothing(served: Served, said: Any) -> None:
    reply = await say(served, said)
    assert (reply.status_code, reply.content) == (202, b"")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "text/html", "*/*;q=0"])
async def test_both_media_types_have_to_be_accepted(served: Served, accept: str) -> None:
    assert refusal(await say(served, PING, accept=accept)) == (406, -32600)


@pytest.mark.parametrize(
    "accept", ["*/*", "text/*, application/*", "text/event-stream;q=.5,application/json"]
)
async def test_a_range_covers_what_is_in_it(served: Served, accept: str) -> None:
    assert len(answers(await say(served, PING, accept=accept))) == 1


@pytest.mark.parametrize("said", [b"{", b"", b'{"jsonrpc": NaN}', b"\xff", b"{} {}"])
async def test_bad_json_is_told_in_the_protocols_words(served: Served, said: bytes) -> None:
    assert refusal(await say(served, said)) == (400, -32700)


@pytest.mark.parametrize(
    "said",
    [
        {},
        1,
        "ping",
        {**PING, "jsonrpc": "1.0"},
        {**PING, "method": 1},
        {**PING, "id": None},
        {**PING, "id": True},
        {**PING, "id": 1.5},
        {**PING, "params": [1]},
        {**PING, "params": {"a": "\x00"}},
        [],
        [PING] * 21,
        [PING, {}],
        [{**PING, "method": "initialize"}, PING],
    ],
)
async def test_what_is_no_message_is_an_invalid_request(served: Served, said: Any) -> None:
    assert refusal(await say(served, said)) == (400, -32600)


async def test_twenty_messages_are_a_batch(served: Served) -> None:
    assert len(answers(await say(served, [PING] * 20))) == 20


@pytest.mark.parametrize("method", ["resources/list", "prompts/list", "nope"])
async def test_an_unknown_method_is_an_error_of_its_own(served: Served, method: str) -> None:
    [answer] = answers(await say(served, {**PING, "method": method}))
    assert answer["error"]["code"] == -32601


@pytest.mark.parametrize("version", messages.VERSIONS)
async def test_each_version_is_spoken_and_agreed_on(served: Served, version: str) -> None:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    said = {**PING, "method": "initialize", "params": params}
    [answer] = answers(await say(served, said, **{"mcp-protocol-version": version}))
    assert answer["result"]["protocolVersion"] == version
    assert answer["result"]["serverInfo"]["name"] == "outboxd"
    assert answer["result"]["capabilities"] == {"tools": {}}


async def test_a_version_that_we_do_not_speak_is_refused_or_answered_with_ours(served: Served) -> None:
    reply = await say(served, PING, **{"mcp-protocol-version": "2031-01-01"})
    assert refusal(reply) == (400, -32022)
    assert reply.json()["error"]["data"]["supported"] == list(messages.VERSIONS)
    said = {**PING, "method": "initialize", "params": {"protocolVersion": "2031-01-01"}}
    [answer] = answers(await say(served, said))
    assert answer["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_405(served: Served, method: str) -> None:
    assert problem(await served.http.request(method, PATH))["error"] == "MethodNotAllowed"


async def test_who_may_not_read_is_refused_by_http(db: Database, conn: Conn, acme: seed.Tenant) -> None:
    _, writer = await seed.key(conn, acme.team, "memories:write", project=acme.project)
    _, operator = await seed.key(conn, None, "*")
    async with serving(db) as served:
        for key, status, code in (
            (None, 401, "Unauthorized"),
            ("obx_nobody", 403, "Forbidden"),
            (writer, 403, "InsufficientScope"),
            (operator, 403, "Forbidden"),
        ):
            async with served.client(key) as client:
                for reply in (await client.post(PATH, json=PING, headers=BOTH), await client.get(PATH)):
                    assert (reply.status_code, problem(reply)["error"]) == (status, code)


async def test_a_foreign_origin_is_refused_and_a_body_too_large_too(db: Database, acme: seed.Tenant) -> None:
    async with serving(db, acme.key, MAX_BODY_BYTES="65536") as served:
        evil = {"origin": "https://evil.test"}
        assert problem(await say(served, PING, **evil))["error"] == "OriginNotAllowed"
        assert problem(await served.http.get(PATH, headers={**STREAM, **evil}))["error"] == "OriginNotAllowed"
        assert problem(await say(served, b" " * 70_000))["error"] == "PayloadTooLarge"
        assert problem(await say(served, PING, **{"content-type": "text/plain"}))["status"] == 415


async def test_every_tool_only_reads_and_has_a_name_that_clients_take(served: Served) -> None:
    [answer] = answers(await say(served, {**PING, "method": "tools/list"}))
    tools = answer["result"]["tools"]
    for tool in tools:
        assert tool["annotations"] == {"readOnlyHint": True}
        assert len(tool["name"]) <= 64
        assert tool["name"].isidentifier()
        assert tool["inputSchema"]["type"] == "object"


async def test_the_failures_of_tools_are_results(served: Served) -> None:
    assert await called(served, "nope") == (True, "Unknown tool: nope")
    for params in ({}, {"name": 1}, {"name": "projects", "arguments": [1]}):
        [answer] = answers(await say(served, {**PING, "method": "tools/call", "params": params}))
        assert answer["error"]["code"] == -32602


async def test_projects_are_those_that_the_key_sees(db: Database, conn: Conn, acme: seed.Tenant) -> None:
    await seed.tenant(conn, "other")
    second = await tenants.make_project(conn, seed.OPERATOR, acme.team, "second")
    _, team_key = await seed.key(conn, acme.team, "memories:read")
    mine = {"id": str(acme.project), "name": "acme"}
    for key, seen in ((acme.key, [mine]), (team_key, [mine, {"id": str(second), "name": "second"}])):
        async with serving(db, key) as served:
            failed, text = await called(served, "projects")
            assert (failed, json.loads(text)) == (False, {"projects": seen})


async def test_a_stream_is_kept_alive_until_its_age() -> None:
    tick = timedelta(milliseconds=1)
    assert [each async for each in mcp.alive(tick, 3 * tick)] == [b":\n"] * 3
    assert (mcp.KEEPALIVE, mcp.AGE) == (timedelta(seconds=15), timedelta(minutes=30))


async def test_a_stream_begins_at_once_and_is_no_request_in_flight(db: Database, acme: seed.Tenant) -> None:
    async with listening(db, MAX_REQUESTS="1") as at, httpx.AsyncClient() as client:
        client.headers["authorization"] = f"Bearer {acme.key}"
        async with client.stream("GET", at.url + PATH, headers=STREAM) as stream:
            assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream")
            assert await anext(stream.aiter_bytes()) == b":\n"
            assert (await client.post(at.url + PATH, json=PING, headers=BOTH)).status_code == 200
        head = await client.head(at.url + PATH, headers=STREAM)
        assert (head.status_code, head.content) == (200, b"")
        assert refusal(await client.get(at.url + PATH, headers={"accept": "application/json"})) == (
            406,
            -32600,
        )


async def test_streams_are_bounded_for_a_key_and_for_the_process(
    db: Database, conn: Conn, acme: seed.Tenant
) -> None:
    _, second = await seed.key(conn, acme.team, "*")
    _, third = await seed.key(conn, acme.team, "*")
    async with listening(db, STREAMS="2", STREAMS_PER_KEY="1") as at, httpx.AsyncClient() as client:

        def stream(key: str) -> Any:
            return client.stream("GET", at.url + PATH, headers={**STREAM, "authorization": f"Bearer {key}"})

        async with stream(acme.key) as first:
            assert first.status_code == 200
            async with stream(acme.key) as again:
                assert (again.status_code, again.headers["retry-after"]) == (429, "5")
            async with stream(second), stream(third) as over:
                assert (over.status_code, over.headers["retry-after"]) == (503, "5")
        async with asyncio.timeout(5):
            while True:
                async with stream(acme.key) as free:
                    if free.status_code == 200:
                        break


async def test_a_stream_ends_when_the_process_drains(db: Database, acme: seed.Tenant) -> None:
    """Within the 5 s over which the ends of streams are spread."""
    async with listening(db) as at, httpx.AsyncClient() as client:
        headers = {**STREAM, "authorization": f"Bearer {acme.key}"}
        async with client.stream("GET", at.url + PATH, headers=headers) as stream, asyncio.timeout(8):
            at.served.ready.draining = True
            at.server.should_exit = True
            assert b"".join([each async for each in stream.aiter_bytes()]) == b":\n"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_is_content(db: Database, acme: seed.Tenant, mode: str) -> None:
    async with listening(db) as at:
        key = {"authorization": f"Bearer {acme.key}"}
        async with (
            httpx2.AsyncClient(headers=key) as http,
            McpClient(streamable_http_client(at.url + PATH, http_client=http), mode=mode) as client,
        ):
            listed = {tool.name for tool in (await client.list_tools()).tools}
            found = await client.call_tool("projects", {})
            lost = await client.call_tool("nope", {})
    assert listed == {"search", "context", "recent", "get", "projects"}
    [item] = found.content
    assert isinstance(item, TextContent)
    assert json.loads(item.text) == {"projects": [{"id": str(acme.project), "name": "acme"}]}
    assert lost.is_error


async def remembered(conn: Conn, tenant: seed.Tenant, *contents: str, kind: str = "manual") -> list[str]:
    """Memories of the project; their ids."""
    made = []
    for content in contents:
        given = Jsonb({"content": content, "kind": kind, "metadata": {}})
        cur = await conn.execute(_WRITE.encode(), (row(seed.OPERATOR), tenant.project, given))
        made.append(str(await rows.value(cur, UUID)))
    return made


async def told(served: Served, name: str, given: Any = None) -> Any:
    failed, text = await called(served, name, given)
    assert not failed, text
    return json.loads(text)


def ids(found: Any) -> list[str]:
    return [each["id"] for each in found["observations"]]


async def test_search_finds_best_first_and_context_gives_one_text(
    served: Served, conn: Conn, acme: seed.Tenant
) -> None:
    [first, second, _] = await remembered(
        conn, acme, "deploy with make deploy", "deploy deploy deploy", "nothing of the kind"
    )
    found = await told(served, "search", {"query": "deploy"})
    assert set(ids(found)) == {first, second}
    assert all(0 < each["score"] <= 1 and each["snippet"] for each in found["observations"])
    one = await told(served, "search", {"query": "deploy", "limit": 1})
    assert ids(one) == ids(found)[:1]
    context = await told(served, "context", {"query": "deploy"})
    assert context["context"] == "\n\n".join(each["content"] for each in context["observations"])
    assert set(context) == {"observations", "context"}


async def test_without_a_query_context_is_what_is_new(served: Served, conn: Conn, acme: seed.Tenant) -> None:
    made = await remembered(conn, acme, "one", "two", "three")
    for given in ({}, {"query": "  "}, {"query": None}):
        assert ids(await told(served, "context", given)) == made[::-1]
    assert ids(await told(served, "recent")) == made[::-1]
    assert (await told(served, "context", {"tokenBudget": 1}))["context"] != ""


@pytest.mark.parametrize(
    ("limit", "count"), [(2, 2), (0, 1), (-5, 1), (2.9, 2), (1e9, 100), ("3", 20), (None, 20), (True, 20)]
)
async def test_numbers_are_brought_into_their_limits_and_the_rest_is_as_absent(
    served: Served, conn: Conn, acme: seed.Tenant, limit: Any, count: int
) -> None:
    await remembered(conn, acme, *(f"memory {n}" for n in range(110)))
    assert len(ids(await told(served, "recent", {"limit": limit}))) == count


async def test_filters_narrow(served: Served, conn: Conn, acme: seed.Tenant) -> None:
    [plain] = await remembered(conn, acme, "alpha")
    [decided] = await remembered(conn, acme, "alpha two", kind="decision")
    assert ids(await told(served, "recent", {"kind": "decision"})) == [decided]
    assert set(ids(await told(served, "recent", {"kind": ["manual", "decision"]}))) == {plain, decided}
    assert ids(await told(served, "search", {"query": "alpha", "kind": ["decision"]})) == [decided]
    for given in ({"since": "2031-01-01"}, {"until": 5}, {"sessionId": "nope"}, {"file": "a.py"}):
        assert ids(await told(served, "search", {"query": "alpha", **given})) == []


async def test_get_has_sources_and_leaves_out_what_is_not_there(
    served: Served, conn: Conn, acme: seed.Tenant
) -> None:
    made = await remembered(conn, acme, "one", "two")
    other = await seed.tenant(conn, "other")
    [foreign] = await remembered(conn, other, "theirs")
    found = await told(served, "get", {"ids": [made[1], foreign, "nope", made[0], made[1]]})
    assert ids(found) == [made[1], made[0]]
    assert [each["sources"] for each in found["observations"]] == [[], []]


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("search", {}, '"query" is required'),
        ("search", {"query": " "}, '"query" is required'),
        ("search", {"query": 5}, '"query" must be a string'),
        ("search", {"query": "x" * 4001}, '"query" must be at most 4000 characters'),
        (
            "search",
            {"query": "x", "since": "soon"},
            '"since": milliseconds since 1970, or ISO 8601 from 1970 on',
        ),
        ("search", {"query": "x", "kind": [1]}, '"kind.0": Expected `str`, got `int`'),
        ("get", {}, '"ids" is required'),
        ("get", {"ids": ["x"] * 51}, '"ids" must be at most 50 strings'),
    ],
)
async def test_wrong_arguments_are_told(served: Served, name: str, given: Any, text: str) -> None:
    assert await called(served, name, given) == (True, text)


READS = [("search", {"query": "x"}), ("context", {"query": "x"}), ("recent", {})]


@pytest.mark.parametrize(("name", "given"), READS)
async def test_a_project_is_named_by_team_keys_and_never_a_foreign_one(
    db: Database, conn: Conn, acme: seed.Tenant, name: str, given: dict[str, Any]
) -> None:
    sibling = await tenants.make_project(conn, seed.OPERATOR, acme.team, "sibling")
    other = await seed.tenant(conn, "other")
    _, team_key = await seed.key(conn, acme.team, "memories:read")
    async with serving(db, team_key) as served:
        assert await called(served, name, given) == (True, '"projectId" is required')
        assert ids(await told(served, name, {**given, "projectId": str(sibling)})) == []
        for foreign in (str(other.project), "nope"):
            assert await called(served, name, {**given, "projectId": foreign}) == (True, "Project not found")
    async with serving(db, acme.key) as served:
        for foreign in (str(sibling), str(other.project), "nope"):
            said = await called(served, name, {**given, "projectId": foreign})
            assert said == (True, "API key is scoped to a different project")
    denied = await (
        await conn.execute(
            "select details ->> 'status' as status from outbox.audit_log where action = 'access.denied'"
        )
    ).fetchall()
    assert sorted(each["status"] for each in denied) == ["403", "403", "403", "404"]


async def test_reads_stand_in_the_audit_trail(served: Served, conn: Conn, acme: seed.Tenant) -> None:
    [made] = await remembered(conn, acme, "deploy")
    await told(served, "search", {"query": "deploy" + " x" * 400, "kind": "manual"})
    await told(served, "context", {"query": "deploy"})
    await told(served, "recent")
    await told(served, "get", {"ids": [made]})
    found = await (
        await conn.execute(
            "select details from outbox.audit_log where action = 'observation.read' order by at, id"
        )
    ).fetchall()
    trail = [each["details"] for each in found]
    assert [(each["mode"], each["via"]) for each in trail] == [
        (mode, "mcp") for mode in ("search", "context", "recent", "get")
    ]
    assert len(trail[0]["query"]) == 500
    assert trail[0]["filters"] == {"kinds": ["manual"]}
    assert trail[1]["observationIds"] == [made]
    assert (trail[2]["limit"], trail[2]["resultCount"]) == (20, 1)
