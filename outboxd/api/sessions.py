"""Sessions: POST /v1/sessions/start, POST /v1/sessions/{id}/end, and reading them."""

import re
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.api import cursors, idempotency, job_views, queries, tenancy, wire
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.api.wire import Long
from outboxd.db.link import Link
from outboxd.errors import Error, NotFound
from outboxd.model import JobDescriptor
from outboxd.model.raw import ObjectOrNull, no_members
from outboxd.model.sessions import Session, SessionEnded, SessionPage, SessionReply
from outboxd.store import history, sessions
from outboxd.store.sessions import Ended, Given, SessionFilter

LIST_QUERY = frozenset(
    [
        "projectId",
        "externalSessionId",
        "contentSessionId",
        "platformSource",
        "agentId",
        "open",
        "since",
        "until",
        "limit",
        "cursor",
    ]
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_Agent = Annotated[str, Meta(max_length=255)]


class StartIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A session as it is started. An empty name is none; fields that nobody knows are ignored."""

    project_id: str | None = None
    external_session_id: Annotated[str, Meta(min_length=1, max_length=512)] | UnsetType = UNSET
    content_session_id: Long | None = None
    agent_id: _Agent | None = None
    agent_type: _Agent | None = None
    platform_source: Annotated[str, Meta(max_length=64)] | None = None
    metadata: ObjectOrNull = msgspec.field(default_factory=no_members)
    reopen: bool | None = None


START = msgspec.json.Decoder(StartIn)


async def start(exchange: Exchange) -> Reply:
    """The session of that identity, or a new one: 201 only for the request that made it."""
    given: StartIn = exchange.body
    _check_texts(given)
    metadata = _metadata(given)
    project = await tenancy.written_project(exchange, given.project_id)
    clean = await exchange.api.privacy.clean(project, metadata, UNSET)
    told = Given(
        project=project,
        external=given.external_session_id or None,
        content=given.content_session_id,
        agent=given.agent_id,
        agent_type=given.agent_type,
        platform=given.platform_source,
        metadata=bytes(clean.payload),
        reopen=given.reopen is True,
    )

    async def write(conn: Link) -> Reply:
        found, made = await opened(conn, exchange, "sessions:write", told)
        return x.json(SessionReply(session=found), 201 if made else 200)

    return await idempotency.once(exchange, write, scope=project)


async def end(exchange: Exchange) -> Reply:
    """Ends it, unless nothing happened since it was ended; whatever body comes with it is not read."""
    session = tenancy.path_id(exchange)
    if session is None:
        raise NotFound("Session not found")
    try:
        ended = await closed(exchange, session)
    except NotFound:
        raise await _refusal(exchange, session) from None
    shown, job = await _ended(exchange, session, ended)
    return x.json(SessionEnded(session=shown, generation_job=UNSET if job is None else job))


async def one(exchange: Exchange) -> Reply:
    """One session, with how many events it has and when the last one came."""
    session = tenancy.path_id(exchange)
    if session is not None:
        async with exchange.api.db.connection() as conn:
            found = await sessions.get(conn, exchange.caller, session)
        if found is not None:
            return x.json(SessionReply(session=found))
    raise await _refusal(exchange, session)


async def listed(exchange: Exchange) -> Reply:
    """Sessions, newest start first."""
    where = SessionFilter(
        project=await tenancy.asked_project(exchange),
        external=queries.text(exchange, "externalSessionId"),
        content=queries.text(exchange, "contentSessionId"),
        agent=queries.text(exchange, "agentId", 255),
        platform=wire.platform_of(queries.text(exchange, "platformSource", 64)),
        open=queries.flag(exchange, "open", default=False) if "open" in exchange.query else None,
        since=queries.time(exchange, "since"),
        until=queries.time(exchange, "until"),
    )
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await sessions.listed(conn, exchange.caller, where, after=after, limit=limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    return x.json(SessionPage(sessions=found[:limit], next_cursor=cursors.write(exchange, more)))


async def opened(conn: Link, exchange: Exchange, scope: str, given: Given) -> tuple[Session, bool]:
    """The session, and whether this call made it. The key is judged for `scope` in the statement."""
    started = await sessions.start(conn, tenancy.by_key(exchange, scope), given)
    shown = await sessions.get(conn, exchange.caller, started.session_id)
    if shown is None:
        raise NotFound("Session not found")
    return msgspec.structs.replace(shown, last_event_at_epoch=UNSET, event_count=UNSET), started.made


async def closed(exchange: Exchange, session: UUID) -> Ended:
    """Ends it; who may have something to do now is told after the commit. Raises NotFound."""

    async def write(conn: Link) -> Ended:
        return await sessions.end(conn, tenancy.by_key(exchange, "sessions:write"), session)

    ended = await exchange.api.db.run(write)
    if ended.ended:
        exchange.api.wakes.committed(sessions.QUEUES)
    return ended


async def job_of(exchange: Exchange, job: UUID | None) -> JobDescriptor | None:
    """As it stands now; None also when it is so old that it is gone."""
    if job is None:
        return None
    async with exchange.api.db.connection() as conn:
        found = await history.of_ids(conn, exchange.caller, [job])
    return job_views.descriptor(found[0]) if found else None


async def _ended(exchange: Exchange, session: UUID, ended: Ended) -> tuple[Session, JobDescriptor | None]:
    async with exchange.api.db.connection() as conn:
        shown = await sessions.get(conn, exchange.caller, session)
    if shown is None:
        raise await _refusal(exchange, session)
    shown = msgspec.structs.replace(shown, last_event_at_epoch=UNSET, event_count=UNSET)
    return shown, await job_of(exchange, ended.job_id)


async def _refusal(exchange: Exchange, session: UUID | None) -> Error:
    return await tenancy.refuse(exchange, "Session", session)


def _check_texts(given: StartIn) -> None:
    for name, text in (
        ("externalSessionId", given.external_session_id),
        ("contentSessionId", given.content_session_id),
        ("agentId", given.agent_id),
        ("agentType", given.agent_type),
        ("platformSource", given.platform_source),
    ):
        if isinstance(text, str) and _CONTROL.search(text):
            raise refused("control characters", (name,), "invalid_string")


def _metadata(given: StartIn) -> Raw:
    metadata = given.metadata
    if bytes(metadata) == b"null":
        return no_members()
    if not bytes(metadata).startswith(b"{"):
        raise refused("Expected `object`", ("metadata",))
    if len(metadata) > wire.METADATA_BYTES:
        raise refused("larger than 32 KiB", ("metadata",), "too_big")
    return metadata
