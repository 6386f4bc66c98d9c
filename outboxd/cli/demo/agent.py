"""The other story: what a coding agent does is observed, summarised, and found again."""

import asyncio
import http.client
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from outboxd.cli.demo import coding
from outboxd.cli.demo.sight import until
from outboxd.cli.demo.stage import Step, expect
from outboxd.cli.demo.world import World
from outboxd.cli.server import Server
from outboxd.client import Client, Event
from outboxd.store import tenants

_SESSION = "kettle-run"
_PLATFORM = "claude"
_SETTINGS = {"generation": {"policy": "per-event"}, "summary": {"quietSeconds": 0}}
_SCOPES = ["sessions:write", "events:write", "memories:read", "jobs:read"]
_PATIENCE = timedelta(seconds=10)
_STORED = b"""
select (select count(*) from outbox.events e where e.payload::text like %(text)s)
  + (select count(*) from outbox.observations o where concat(o.content, o.metadata) like %(text)s) as found
"""


async def project(world: World, step: Step) -> None:
    """With a key that can do what an agent and its hooks do in it, and nothing else."""
    team = world.keys.team_id
    async with world.db.transaction() as conn:
        made = await tenants.make_project(conn, world.operator, team, "kettle", settings=_SETTINGS)
    operator = Server(url=world.place.url, key=world.keys.operator_secret, timeout=_PATIENCE)
    asked = {"teamId": str(team), "projectId": str(made), "label": "agent", "scopes": _SCOPES}
    key = await asyncio.to_thread(operator.post, "/v1/keys", asked)
    world.agents_key = key["apiKey"]
    expect("claude mcp add" in key["connectCommand"], "the key came without the command to connect with")
    step.saw(
        "project kettle: each of its events is observed, by the provider that needs no network",
        "a key of its own, told with the command that connects an agent:",
        f"{key['connectCommand'].partition(' --header')[0]} …",
    )


async def session(world: World, step: Step) -> None:
    async with _client(world) as client:
        started = await client.start_session(
            external_session_id=_SESSION, content_session_id=_SESSION, platform_source=_PLATFORM
        )
        world.agents_session = (started or {})["session"]["id"]
        told = await client.record_events([_event(*deed) for deed in coding.DEEDS])
    world.agents_events = [each["event"]["id"] for each in (told or {})["events"]]
    expect(len(set(world.agents_events)) == len(coding.DEEDS), "events of the agent are missing")
    expect(await _stored(world, coding.PRIVATE) == 0, "what was marked private was stored")
    step.saw(
        f"a prompt, {len(coding.DEEDS) - 2} uses of tools, an answer: {len(coding.DEEDS)} events",
        "<private>…</private> was taken out before anything was stored",
    )


async def observations(world: World, step: Step) -> None:
    async with _client(world) as client:

        async def observed() -> bool:
            return len(await _observations(client, world)) == len(coding.DEEDS)

        await until(world.place, "an observation of each event", observed)
        found = await _observations(client, world)
    titles = [each["metadata"]["title"] for each in found]
    expect(any(coding.FOUND in title for title in titles), f"nobody observed {coding.FOUND}: {titles}")
    step.saw(f"{len(titles)} events → {len(titles)} observations, each of its own event:", *titles[1:4])


async def summary(world: World, step: Step) -> None:
    async with _client(world) as client:
        ended = await client.end_session(world.agents_session)
        job = (ended or {})["generationJob"]["id"]
        over = await client.wait_job(job, timeout=_PATIENCE)
        state = over["generationJob"]["status"]
        expect(state == "completed", f"the summary's job is {state}")
        [found] = await _remembered(client, kind="summary")
    covered = found["metadata"]["eventCount"]
    expect(covered == len(coding.DEEDS), f"the summary covers {covered} of {len(coding.DEEDS)} events")
    expect("whistles twice" in found["content"], "the summary does not say what was asked")
    step.saw("the session ended; its one summary covers all of it:", found["content"].splitlines()[0])


async def search(world: World, step: Step) -> None:
    async with _client(world) as client:
        found = (await client.search(coding.QUESTION, limit=3))["observations"]
        told = await client.context(coding.QUESTION, tokenBudget=500)
    expect(bool(found), "search found nothing")
    expect("whistle" in found[0]["content"], "search found something else first")
    expect("whistle" in told["context"], "the context does not say it")
    expect(told["tokensEstimated"] <= 500, "the context is longer than was asked for")
    world.agents_best = found[0]["id"]
    first = found[0]["metadata"].get("title") or found[0]["content"].splitlines()[0]
    step.saw(
        f"“{coding.QUESTION}”",
        f"→ {first}, and {len(found) - 1} more",
        f"as context for the next prompt: {told['tokensEstimated']} tokens, 500 asked for at most",
    )


async def mcp(world: World, step: Step) -> None:
    """As an agent calls its tools: one message, one answer."""
    asked = {"name": "search", "arguments": {"query": coding.QUESTION, "limit": 3}}
    answer = await asyncio.to_thread(_spoken, world, "tools/call", asked)
    found = json.loads(answer["result"]["content"][0]["text"])["observations"]
    expect(world.agents_best in {each["id"] for each in found}, "MCP finds something else than search")
    tools = (await asyncio.to_thread(_spoken, world, "tools/list", {}))["result"]["tools"]
    names = ", ".join(tool["name"] for tool in tools)
    step.saw("POST /v1/mcp, tools/call search → the same", f"tools: {names}")


def _client(world: World) -> Client:
    return Client(world.place.url, world.agents_key, timeout=_PATIENCE)


def _event(kind: str, payload: Mapping[str, Any]) -> Event:
    return Event(
        event_type=kind,
        payload=payload,
        content_session_id=_SESSION,
        platform_source=_PLATFORM,
        source_type="hook",
    )


async def _observations(client: Client, world: World) -> list[dict[str, Any]]:
    """In the order of their events."""
    answers = [await client.call("GET", f"/v1/events/{event}/observations") for event in world.agents_events]
    return [found for answer in answers for found in answer["observations"]]


async def _remembered(client: Client, *, kind: str) -> list[dict[str, Any]]:
    answer = await client.call("GET", "/v1/memories", query={"kind": kind})
    found: list[dict[str, Any]] = answer["memories"]
    return found


async def _stored(world: World, text: str) -> int:
    async with world.db.connection() as conn:
        row = await (await conn.execute(_STORED, {"text": f"%{text}%"})).fetchone()
    return -1 if row is None else int(row["found"])


def _spoken(world: World, method: str, params: Mapping[str, Any]) -> Any:
    """The answer is the one message of a stream."""
    conn = http.client.HTTPConnection("127.0.0.1", world.place.ports[0], timeout=_PATIENCE.total_seconds())
    headers = {
        "authorization": f"Bearer {world.agents_key}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    said = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    conn.request("POST", "/v1/mcp", json.dumps(said), headers)
    text = conn.getresponse().read().decode()
    conn.close()
    _, _, data = text.partition("data: ")
    expect(bool(data), f"POST /v1/mcp answered {text[:200]}")
    return json.loads(data)
