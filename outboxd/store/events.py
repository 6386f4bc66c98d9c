"""Events as they are read back. Every read is within the caller's tenancy."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller, Event
from outboxd.store.callers import CALLER, row
from outboxd.store.feed import Numbered

Conn = AsyncConnection[dict[str, Any]]

_COLUMNS = """
  e.id, e.project_id, e.team_id, e.session_id as server_session_id, e.adapter as source_adapter,
  e.source_event_id, e.type as event_type, e.platform_source, outbox.ms(e.occurred_at) as occurred_at_epoch,
  outbox.ms(e.received_at) as received_at_epoch, outbox.ms(e.received_at) as created_at_epoch, e.subject,
  e.ordering_key, e.request_id, e.traceparent, outbox.ms(e.expires_at) as expires_at_epoch, e.private_removed,
  outbox.ms(e.expunged_at) as expunged_at_epoch, e.source, e.content_type, e.encoding, e.attributes,
  f.position
"""
_BODY = ", e.payload, e.metadata"
_POSITION = """
left join lateral (select s.epoch || '-' || f.seq as position
  from outbox.feed f join outbox.streams s on s.project_id = f.project_id
  where f.event_id = e.id limit 1) f on true
"""
_VISIBLE = "e.received_at > coalesce(p.purged_at, '-infinity')"
_OF_IDS = f"""
select {_COLUMNS}{_BODY} from unnest(%s::uuid[]) u(id)
cross join lateral (select e.* from outbox.events e where e.id = u.id) e
join outbox.projects p on p.id = e.project_id and {_VISIBLE} {_POSITION}
where outbox.sees({CALLER}, e.team_id, e.project_id)
""".encode()
# A large payload is measured as text, and not fetched when it is over the limit.
_OF_FEED = f"""
select {_COLUMNS}, e.metadata,
  case when f.large and octet_length(e.payload::text) > %s then null else e.payload end as payload
from (select u.id, %s::text || '-' || u.seq as position, u.large
  from unnest(%s::uuid[], %s::bigint[], %s::bool[]) u (id, seq, large)) f
cross join lateral (select e.* from outbox.events e where e.id = f.id offset 0) e
join outbox.projects p on p.id = e.project_id and {_VISIBLE}
where e.project_id = %s
""".encode()
LARGEST_SHOWN = 256 * 1024
"""Bytes of a payload in a stream; a larger one is referred to."""
_PERHAPS_LARGE = 32 * 1024
"""Of the stored form, which may be several times smaller than its text."""


_FILTER = f"""
  and {_VISIBLE}
  and (%(after)s::uuid is null or case when %(up)s then e.id > %(after)s else e.id < %(after)s end)
  and (%(types)s::text[] is null or exists (select from unnest(%(types)s::text[]) t(pattern)
    where e.type = t.pattern or (t.pattern like '%%.*' and starts_with(e.type, rtrim(t.pattern, '*')))))
  and (%(session)s::uuid is null or e.session_id = %(session)s)
  and (%(content_session)s::text is null or e.content_session_id = %(content_session)s)
  and (%(adapter)s::text is null or e.adapter = %(adapter)s)
  and (%(platform)s::text is null or e.platform_source = %(platform)s)
  and (%(subject)s::text is null or e.subject = %(subject)s)
  and (%(request)s::text is null or e.request_id = %(request)s)
  and (%(since)s::timestamptz is null
    or (e.received_at >= %(since)s
      and e.id >= outbox.uuid7_floor(%(since)s::timestamptz - interval '1 hour')))
  and (%(until)s::timestamptz is null
    or (e.received_at < %(until)s and e.id < outbox.uuid7_floor(%(until)s::timestamptz + interval '1 hour')))
  and (not %(dead)s or exists (select from outbox.jobs j join outbox.dead_letters d on d.job_id = j.id
    where j.event_id = e.id))
"""
_SEES = "outbox.sees(outbox.caller_of(%(caller)s), p.team_id, p.id)"
_LIST = """
select {columns} from (
  select e.* from outbox.projects p
  cross join lateral (select e.* from outbox.events e where e.project_id = p.id {filter}
    order by e.id {order} limit %(limit)s) e
  where {sees} and (%(project)s::uuid is null or p.id = %(project)s)
  order by e.id {order} limit %(limit)s
) e {position} order by e.id {order}
"""
_TIMELINE = b"select at, kind, said from outbox.event_timeline(%s, %s, %s)"
_CAMEL = {field.name: field.encode_name for field in msgspec.structs.fields(Event)}
_LEFT_OUT = frozenset({"source", "content_type", "encoding", "attributes"})
"""Only events that came as CloudEvents have them."""


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is not None must hold."""

    project: UUID | None = None
    types: Sequence[str] | None = None
    """Exact, or a prefix as in `order.*`."""
    session: UUID | None = None
    content_session: str | None = None
    adapter: str | None = None
    platform: str | None = None
    subject: str | None = None
    request: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    dead: bool = False
    """One of its jobs is a dead letter."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that followed from an event."""

    at: datetime
    kind: str
    said: dict[str, Any]


async def of_ids(conn: Conn, caller: Caller, events: Collection[UUID]) -> list[Event]:
    """Those of them that the caller may see."""
    cur = await conn.execute(_OF_IDS, (list(events), row(caller)))
    return [_event(found) for found in await cur.fetchall()]


async def of_feed(conn: Conn, project: UUID, epoch: str, wanted: Sequence[Numbered]) -> dict[UUID, Event]:
    """By id; what is gone, or purged, is missing. A payload over LARGEST_SHOWN is null, with `dataref`."""
    values = (
        LARGEST_SHOWN,
        epoch,
        [each.event_id for each in wanted],
        [each.seq for each in wanted],
        [each.bytes > _PERHAPS_LARGE for each in wanted],
        project,
    )
    cur = await conn.execute(_OF_FEED, values)
    return {found["id"]: _event(_referred(found)) for found in await cur.fetchall()}


async def listed(
    conn: Conn,
    caller: Caller,
    where: EventFilter,
    *,
    after: UUID | None,
    ascending: bool,
    bodies: bool,
    limit: int,
) -> list[Event]:
    """Newest first, or oldest; from beyond `after`."""
    query = _LIST.format(
        columns=_COLUMNS + (_BODY if bodies else ""),
        filter=_FILTER,
        order="asc" if ascending else "desc",
        sees=_SEES,
        position=_POSITION,
    )
    values = msgspec.structs.asdict(where) | {
        "caller": row(caller),
        "types": None if where.types is None else list(where.types),
        "after": after,
        "up": ascending,
        "limit": limit,
    }
    cur = await conn.execute(query.encode(), values)
    return [_event(found) for found in await cur.fetchall()]


async def timeline(conn: Conn, event: UUID, *, audit: bool, limit: int) -> list[Entry]:
    """What followed from it, oldest first; the caller has seen that the event is theirs."""
    return await rows.many(await conn.execute(_TIMELINE, (event, audit, limit)), Entry)


async def team_of(conn: Conn, event: UUID) -> UUID | None:
    """Whose it is, for telling what is foreign from what never was."""
    cur = await conn.execute(b"select team_id from outbox.events where id = %s", (event,))
    found = await cur.fetchone()
    return found["team_id"] if found else None


def _referred(found: dict[str, Any]) -> dict[str, Any]:
    if found["payload"] is None:
        found |= {"payload": Raw(b"null"), "dataref": f"/v1/events/{found['id']}"}
    return found


def _event(found: dict[str, Any]) -> Event:
    given = {
        _CAMEL[name]: value for name, value in found.items() if value is not None or name not in _LEFT_OUT
    }
    return msgspec.convert(given, Event, builtin_types=(UUID,))
