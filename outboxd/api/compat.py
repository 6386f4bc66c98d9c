"""Two routes of the server that we replace, for its clients: behind them is the same path of ingest."""

import hashlib
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Raw

from outboxd.api import exchange as x
from outboxd.api import publish, sessions, wire
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.published import Published
from outboxd.api.wire import EventIn, Named
from outboxd.errors import BadRequest
from outboxd.model import JobDescriptor, Transport
from outboxd.model.compat import Queued, Summarizing
from outboxd.model.raw import AnyJson
from outboxd.store import event_keys
from outboxd.store import sessions as store
from outboxd.store.sessions import Given

_ADAPTER = "claude-code-compat"
_PLATFORM = "claude"
_MESSAGE = "assistant_message"
_NULL = b"null"
_Content = Annotated[str, Meta(min_length=1, max_length=512)]
_Platform = Annotated[str, Meta(max_length=64)]
_Agent = Annotated[str, Meta(max_length=255)]
_ToolUse = Annotated[str, Meta(max_length=512)]


def _null() -> Raw:
    return Raw(_NULL)


class ToolUsed(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent did with a tool. Fields that nobody knows are ignored."""

    content_session_id: _Content = msgspec.field(name="contentSessionId")
    tool_name: Named
    tool_input: AnyJson = msgspec.field(default_factory=_null)
    tool_response: AnyJson = msgspec.field(default_factory=_null)
    cwd: str | None = None
    agent_id: _Agent | None = msgspec.field(name="agentId", default=None)
    agent_type: _Agent | None = msgspec.field(name="agentType", default=None)
    platform_source: _Platform | None = msgspec.field(name="platformSource", default=None)
    tool_use_id: _ToolUse | None = None
    other_tool_use_id: _ToolUse | None = msgspec.field(name="toolUseId", default=None)


class TurnEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A turn of an agent is over. Fields that nobody knows are ignored."""

    content_session_id: _Content = msgspec.field(name="contentSessionId")
    last_assistant_message: str | None = None
    agent_id: str | None = msgspec.field(name="agentId", default=None)
    platform_source: _Platform | None = msgspec.field(name="platformSource", default=None)


TOOL_USED = msgspec.json.Decoder(ToolUsed)
TURN_ENDED = msgspec.json.Decoder(TurnEnded)


async def observation(exchange: Exchange) -> Reply:
    """A tool use, as an event of its session; the session is made if there is none."""
    given: ToolUsed = exchange.body
    project = _project(exchange)
    session = await _found_or_made(exchange, project, given)
    event = EventIn(
        event_type="tool_use",
        payload=Raw(msgspec.json.encode(_payload(given))),
        metadata=Raw(b'{"compat":"sessions/observations"}'),
        server_session_id=str(session),
        content_session_id=given.content_session_id,
        platform_source=_platform(given.platform_source),
        source_event_id=given.tool_use_id or given.other_tool_use_id or None,
    )
    incoming = await wire.incoming(exchange, event, adapter=_ADAPTER)
    published = await publish.accepted(exchange, incoming)
    job = _job(published)
    return x.json(
        Queued(
            session_id=session,
            server_session_id=session,
            event_id=published.event.id,
            generation_job_id=job.id if job else None,
            transport=_transport(job, deferred=published.generation == "deferred"),
        )
    )


async def summarize(exchange: Exchange) -> Reply:
    """The end of a turn: the session is ended, which renews its summary if there is something new."""
    given: TurnEnded = exchange.body
    project = _project(exchange)
    if given.agent_id:
        return x.json(Summarizing(status="skipped", reason="subagent_context"))
    session = await _found(exchange, project, given.content_session_id, given.platform_source)
    if session is None:
        return x.json(Summarizing(status="not_found", reason="session_not_found"), 404)
    await _keep_message(exchange, project, session, given)
    ended = await sessions.closed(exchange, session)
    job = await sessions.job_of(exchange, ended.job_id)
    return x.json(
        Summarizing(
            status="queued",
            session_id=session,
            server_session_id=session,
            generation_job_id=job.id if job else None,
            transport=_transport(job, deferred=False),
        )
    )


def _project(exchange: Exchange) -> UUID:
    project = exchange.key.project_id if exchange.key else None
    if project is None:
        raise BadRequest(f"Legacy {exchange.path} requires a project-scoped API key")
    return project


async def _found(exchange: Exchange, project: UUID, name: str, platform: str | None) -> UUID | None:
    async with exchange.api.db.connection() as conn:
        return await store.find(conn, exchange.caller, project, name, _platform(platform))


async def _found_or_made(exchange: Exchange, project: UUID, given: ToolUsed) -> UUID:
    """Looked for first: starting it each time would have all events of a session wait for its row."""
    known = await _found(exchange, project, given.content_session_id, given.platform_source)
    if known is not None:
        return known
    new = Given(
        project=project,
        external=given.content_session_id,
        content=given.content_session_id,
        agent=given.agent_id,
        agent_type=given.agent_type,
        platform=_platform(given.platform_source),
    )
    made, _ = await exchange.api.db.run(lambda conn: sessions.opened(conn, exchange, "events:write", new))
    return made.id


async def _keep_message(exchange: Exchange, project: UUID, session: UUID, given: TurnEnded) -> None:
    """Its last words, once however often they are sent; of a key that may publish."""
    message = given.last_assistant_message
    if not message or exchange.key is None or "events:write" not in exchange.key.effective:
        return
    payload = {
        "contentSessionId": given.content_session_id,
        "last_assistant_message": message,
        "platformSource": given.platform_source,
    }
    event = EventIn(
        event_type=_MESSAGE,
        payload=Raw(msgspec.json.encode(payload)),
        metadata=Raw(b'{"compat":"sessions/summarize"}'),
        server_session_id=str(session),
        content_session_id=given.content_session_id,
        platform_source=_platform(given.platform_source),
    )
    incoming = await wire.incoming(exchange, event, adapter=_ADAPTER, generate=False)
    said = f"{_MESSAGE}:{session}:{hashlib.sha256(message.encode()).hexdigest()}"
    incoming.event_key = event_keys.of_source(
        exchange.team, project, _ADAPTER, incoming.platform_source, said
    )
    await publish.accepted(exchange, incoming)


def _payload(given: ToolUsed) -> dict[str, Any]:
    return {
        "contentSessionId": given.content_session_id,
        "tool_name": given.tool_name,
        "tool_input": given.tool_input,
        "tool_response": given.tool_response,
        "cwd": given.cwd,
        "platformSource": given.platform_source,
        "agentId": given.agent_id,
        "agentType": given.agent_type,
        "toolUseId": given.tool_use_id or given.other_tool_use_id or None,
    }


def _platform(given: str | None) -> str | None:
    return wire.platform_of(_PLATFORM if given is None else given)


def _job(published: Published) -> JobDescriptor | None:
    job = published.generation_job
    return job if isinstance(job, JobDescriptor) else None


def _transport(job: JobDescriptor | None, *, deferred: bool) -> Transport:
    if job is not None:
        return job.transport
    return "queued_only" if deferred else "skipped"
