"""Observations, which the API calls memories: written by people, read back, changed.

Every read is within the caller's tenancy and newer than the project's last purge.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.model.observations import EventMemory, Memory, MemoryInFull, Source
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

SHOWN = """
  o.id, o.project_id, o.team_id, o.session_id as server_session_id, o.kind, o.content, o.metadata,
  outbox.ms(o.created_at) as created_at_epoch, outbox.ms(o.updated_at) as updated_at_epoch, o.revision,
  coalesce((select s.platform_source from outbox.sessions s where s.id = o.session_id), o.platform_source)
    as platform_source
"""
VISIBLE = "o.created_at > coalesce(p.purged_at, '-infinity')"
_SEES = f"outbox.sees({CALLER}, p.team_id, p.id)"
_SEES_NAMED = "outbox.sees(outbox.caller_of(%(caller)s), p.team_id, p.id)"
# What a verb wrote is not yet there for the statement that called it.
_WRITE = f"select * from outbox.write_memory({CALLER}, %s, %s)".encode()
_CHANGE = f"select outbox.change_memory({CALLER}, %s, %s, %s)".encode()
_ONE = f"select {SHOWN} from outbox.observations o where o.id = %s".encode()
_SOURCES = """
coalesce((
  select jsonb_agg(jsonb_build_object('id', s.id, 'sourceType', s.source_type, 'sourceId', s.source_id,
    'generationJobId', s.job_id, 'createdAtEpoch', outbox.ms(s.created_at)) order by s.created_at, s.id)
  from (select s.* from outbox.observation_sources s where s.observation_id = o.id
    order by s.created_at, s.id limit 100) s), '[]')
"""
_OF_IDS = f"""
select {SHOWN}, {_SOURCES} as sources
from unnest(%s::uuid[]) with ordinality u(id, n)
cross join lateral (select o.* from outbox.observations o where o.id = u.id offset 0) o
join outbox.projects p on p.id = o.project_id
where {_SEES} and {VISIBLE} order by u.n
""".encode()
_FROM_PROJECT = f"""
  select o.* from outbox.observations o
  where o.project_id = p.id and {VISIBLE}
    and (%(since)s::timestamptz is null or o.created_at >= %(since)s)
    and (%(until)s::timestamptz is null or o.created_at < %(until)s)
    and (%(after)s::uuid is null or (o.created_at, o.id) < (%(at)s, %(after)s))
    and (%(filter)s::jsonb = '{{}}' or outbox.observation_fits(%(filter)s, o.id, o.session_id, o.kind,
      o.platform_source, o.created_at, o.metadata))
"""
_RECENT = f"""
select {SHOWN} from (
  select o.* from outbox.projects p
  cross join lateral ({_FROM_PROJECT} NARROW order by o.created_at desc, o.id desc limit %(limit)s) o
  where {_SEES_NAMED} and (%(project)s::uuid is null or p.id = %(project)s)
  order by o.created_at desc, o.id desc limit %(limit)s
) o order by o.created_at desc, o.id desc
"""
_NARROW_KIND = " and o.kind = %(kind)s"
_NARROW_SESSION = " and o.session_id = %(session)s"
_AT = b"""
select coalesce((select o.created_at from outbox.observations o where o.id = %s), outbox.uuid7_time(%s)) as at
"""
_OF_EVENT = f"""
select {SHOWN}, o.generation_key, o.job_id as created_by_job_id, jsonb_build_object('id', s.id,
  'sourceType', s.source_type, 'sourceId', s.source_id, 'generationJobId', s.job_id,
  'createdAtEpoch', outbox.ms(s.created_at)) as source
from outbox.observation_sources s
cross join lateral (select o.* from outbox.observations o where o.id = s.observation_id offset 0) o
join outbox.projects p on p.id = o.project_id
where s.source_id = %(event)s and s.source_type = 'agent_event' and {_SEES_NAMED} and {VISIBLE}
  and (%(after)s::uuid is null or (o.created_at, o.id) > (%(at)s, %(after)s))
order by o.created_at, o.id limit %(limit)s
""".encode()

_SOURCE = msgspec.json.Decoder(Source)
_MANY_SOURCES = msgspec.json.Decoder(list[Source])


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants remembered, private spans already out."""

    project: UUID
    content: str
    kind: str = "manual"
    metadata: bytes = b"{}"
    """A JSON object."""
    session: UUID | None = None
    content_session: str | None = None
    """Links to the newest session that is called so, if `session` is None."""
    platform: str | None = None
    platform_given: bool = False
    """Otherwise a session of any platform will do."""
    idempotency_key: str | None = None


class MemoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is not None must hold."""

    kinds: Sequence[str] | None = None
    since: datetime | None = None
    """Created then or later; `until`: before."""
    until: datetime | None = None
    session: UUID | None = None
    platform: str | None = None
    file: str | None = None
    """A path that was read or modified, or the end of one."""
    concept: str | None = None
    ids: Sequence[UUID] | None = None

    @property
    def document(self) -> dict[str, Any]:
        """As `outbox.observation_fits` takes it."""
        given = msgspec.structs.asdict(self)
        plain: dict[str, Any] = msgspec.to_builtins(
            {name: said for name, said in given.items() if said is not None}
        )
        return plain


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    observation_id: UUID
    made: bool


async def write(conn: Conn, caller: Caller, given: Given) -> tuple[Memory, bool]:
    """The memory, and whether this call made it: its key may have.

    Raises NotFound, Forbidden for a foreign session, ProjectArchived.
    """
    document = {
        "content": given.content,
        "kind": given.kind,
        "metadata": msgspec.Raw(given.metadata),
        "session": given.session,
        "contentSession": given.content_session,
        "platform": given.platform,
        "anyPlatform": not given.platform_given,
        "key": given.idempotency_key,
    }
    cur = await conn.execute(_WRITE, (row(caller), given.project, Jsonb(document, dumps=msgspec.json.encode)))
    written = await rows.one(cur, _Written)
    return await rows.one(await conn.execute(_ONE, (written.observation_id,)), Memory), written.made


async def change(
    conn: Conn, caller: Caller, memory: UUID, changes: dict[str, Any], revision: int | None = None
) -> Memory:
    """`changes` of content, kind, metadata. Raises NotFound, and PreconditionFailed for another revision."""
    document = Jsonb(changes, dumps=msgspec.json.encode)
    await conn.execute(_CHANGE, (row(caller), memory, document, revision))
    return await rows.one(await conn.execute(_ONE, (memory,)), Memory)


async def of_ids(conn: Conn, caller: Caller, memories: Collection[UUID]) -> list[MemoryInFull]:
    """Those of them that the caller may see, in that order, with their sources."""
    found = await (await conn.execute(_OF_IDS, (list(memories), row(caller)))).fetchall()
    return [_in_full(each) for each in found]


async def recent(
    conn: Conn,
    caller: Caller,
    *,
    project: UUID | None = None,
    where: MemoryFilter | None = None,
    after: UUID | None = None,
    limit: int = 20,
) -> list[Memory]:
    """Newest first, from behind the memory `after`; no project: all that the caller sees."""
    where = where or MemoryFilter()
    asked = msgspec.structs.replace(where, since=None, until=None)
    one_kind = where.kinds is not None and len(where.kinds) == 1
    narrow = (_NARROW_KIND if one_kind else "") + (_NARROW_SESSION if where.session else "")
    values = {
        "caller": row(caller),
        "project": project,
        "since": where.since,
        "until": where.until,
        "filter": Jsonb(asked.document),
        "kind": where.kinds[0] if where.kinds else None,
        "session": where.session,
        "after": after,
        "at": await _created(conn, after),
        "limit": limit,
    }
    return await rows.many(await conn.execute(_RECENT.replace("NARROW", narrow).encode(), values), Memory)


async def of_event(
    conn: Conn, caller: Caller, event: UUID, *, after: UUID | None = None, limit: int = 200
) -> list[EventMemory]:
    """What was recorded about it, oldest first, from behind the observation `after`."""
    values = {
        "caller": row(caller),
        "event": event,
        "after": after,
        "at": await _created(conn, after),
        "limit": limit,
    }
    found = await (await conn.execute(_OF_EVENT, values)).fetchall()
    return [_of_event(each) for each in found]


async def _created(conn: Conn, memory: UUID | None) -> datetime | None:
    if memory is None:
        return None
    return await rows.value(await conn.execute(_AT, (memory, memory)), datetime)


def _in_full(found: dict[str, Any]) -> MemoryInFull:
    sources = _MANY_SOURCES.decode(found["sources"])
    return MemoryInFull(**_fields(found), sources=sources)


def _of_event(found: dict[str, Any]) -> EventMemory:
    return EventMemory(
        **_fields(found),
        generation_key=found["generation_key"],
        created_by_job_id=found["created_by_job_id"],
        source=_SOURCE.decode(found["source"]),
    )


def _fields(found: dict[str, Any]) -> dict[str, Any]:
    """Those of every memory."""
    return msgspec.structs.asdict(rows.struct(found, Memory))
