"""The tools of MCP, as they list themselves, shown the ids of another team."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests.api.served import serving
from tests.contract import slots
from tests.contract.test_tenants import A, pair, state_of
from tests.contract.world import NOWHERE, SEALING
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
BOTH = {"accept": "application/json, text/event-stream"}
USUAL: dict[str, Any] = {"string": "b", "integer": 1, "number": 0.5, "array": [NOWHERE], "object": {"b": 1}}
WRONG: tuple[Any, ...] = (None, -1, 10**30, "", "x" * 5000, "\x00", [], {}, [[]], True, 1.5)


@proves("T2", "T4")
async def test_another_teams_ids_open_no_tool(db: Database, conn: Conn) -> None:
    async with serving(db, **SEALING) as served:
        a, b = await pair(conn, served)
        before = await state_of(conn, a)
        async with served.client(b.key, **BOTH) as stranger:
            tools = (await said(stranger, "tools/list"))["result"]["tools"]
            places = [(tool, name) for tool in tools for name in ids_of(tool)]
            for tool, name in places:
                for id_ in a.ids.values():
                    theirs, nobodys = [
                        json.dumps(await called(stranger, tool, name, each)).replace(each, "…")
                        for each in (id_, NOWHERE)
                    ]
                    assert A not in theirs, f"{tool['name']} {name}: {theirs}"
                    if '"isError"' in theirs + nobodys:
                        assert nobodys == theirs, f"{tool['name']} {name}"
        assert before == await state_of(conn, a)
    assert len(places) >= len(tools) - 2  # few tools take no id


@proves("M17")
async def test_wrong_arguments_are_told_as_such(db: Database, conn: Conn) -> None:
    async with serving(db, **SEALING) as served:
        _, b = await pair(conn, served)
        async with served.client(b.key, **BOTH) as http:
            for tool in (await said(http, "tools/list"))["result"]["tools"]:
                for name in tool["inputSchema"].get("properties", {}):
                    for wrong in WRONG:
                        reply = await called(http, tool, name, wrong)
                        assert "result" in reply or "error" in reply, reply


async def called(http: httpx.AsyncClient, tool: dict[str, Any], name: str, value: Any) -> Any:
    schema = tool["inputSchema"]
    known = {each: usual(schema["properties"][each]) for each in schema.get("required", ())}
    if isinstance(value, str) and name.lower().endswith("ids"):
        value = [value]
    return await said(http, "tools/call", {"name": tool["name"], "arguments": {**known, name: value}})


async def said(http: httpx.AsyncClient, method: str, params: Any = None) -> Any:
    """The one answer, whether it came as an event or as a refusal."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params})}
    reply = await http.post("/v1/mcp", json=asked)
    assert reply.status_code < 500, f"{params}: {reply.text}"
    lines = [line.removeprefix("data:") for line in reply.text.splitlines() if line.startswith("data:")]
    told = json.loads(lines[-1] if lines else reply.text)
    if "error" in told and not lines:
        told = {"error": told["error"]}
    return told


def ids_of(tool: dict[str, Any]) -> Iterator[str]:
    return (name for name in tool["inputSchema"].get("properties", {}) if slots.is_id(name))


def usual(schema: dict[str, Any]) -> Any:
    kind = schema.get("type", "string")
    return USUAL[kind[0] if isinstance(kind, list) else kind]
