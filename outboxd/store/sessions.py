"""Sessions: started once, ended as often as they go on. How each fares is derived when it is read."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.model.sessions import Session
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

QUEUES = {"summarize": "summarize", "observe": "observe"}
"""Queue → its handler: where an end may leave something due."""
_FIRST = UUID(int=0)
_BATCH = 2000
"""Ended sessions that one run of the idle end looks at; the next goes on behind them."""

# Live is a job in `ready`, `later` or a lease. Of each session its newest 500 jobs are asked: an older one
# that still waits while all of those are over is not seen.
_SHOWN = """
with leased as materialized (select unnest(l.job_ids) as id from outbox.leases l)
select s.id, s.project_id, s.team_id, s.external_id as external_session_id, s.content_session_id, s.agent_id,
  s.agent_type, s.platform_source, s.metadata, outbox.ms(s.started_at) as started_at_epoch,
  outbox.ms(s.ended_at) as ended_at_epoch, outbox.ms(s.created_at) as created_at_epoch,
  outbox.ms(s.updated_at) as updated_at_epoch, s.end_count, outbox.ms(s.reopened_at) as reopened_at_epoch,
  outbox.ms(greatest(s.summarized_at, o.created_at)) as last_generated_at_epoch,
  case when w.works then 'processing' when f.failed then 'failed'
    when s.summarized_at is not null then 'completed' else 'idle' end as generation_status
"""
_FARES = """
cross join lateral (select exists (
  select from (select j.id from outbox.jobs j where j.session_id = s.id order by j.id desc limit 500) j
  where exists (select from outbox.ready r where r.job_id = j.id offset 0)
    or exists (select from outbox.later t where t.job_id = j.id offset 0)
    or j.id in (select l.id from leased l)) as works) w
cross join lateral (select exists (select from outbox.dead_letters d where d.job_id = s.summary_job offset 0)
  or coalesce((select a.outcome = 'purged' from outbox.attempts a
    where a.job_id = s.summary_job order by a.no desc limit 1), false) as failed) f
left join lateral (select x.created_at from outbox.observations x
  where x.session_id = s.id and x.origin <> 'manual' order by x.created_at desc limit 1) o on true
"""
_VISIBLE = "s.created_at > coalesce(p.purged_at, '-infinity')"
_GET = f"""
{_SHOWN}, n.events as event_count,
  (select outbox.ms(e.received_at) from outbox.events e where e.id = n.newest) as last_event_at_epoch
from outbox.sessions s join outbox.projects p on p.id = s.project_id {_FARES}
cross join lateral (select x.events, x.newest from outbox.session_events(s.id) x) n
where s.id = %s and outbox.sees({CALLER}, s.team_id, s.project_id) and {_VISIBLE}
""".encode()
_LIST = f"""
{_SHOWN} from (
  select s.* from outbox.projects p
  cross join lateral (
    select s.* from outbox.sessions s
    where s.project_id = p.id and {_VISIBLE}
      and (%(after)s::uuid is null or (s.started_at, s.id) < (%(started)s, %(after)s))
      and (%(external)s::text is null or s.external_id = %(external)s)
      and (%(content)s::text is null or s.content_session_id = %(content)s)
      and (%(agent)s::text is null or s.agent_id = %(agent)s)
      and (%(platform)s::text is null or s.platform_source = %(platform)s)
      and (%(open)s::boolean is null or (s.ended_at is null) = %(open)s)
      and (%(since)s::timestamptz is null or s.started_at >= %(since)s)
      and (%(until)s::timestamptz is null or s.started_at < %(until)s)
    order by s.started_at desc, s.id desc limit %(limit)s) s
  where outbox.sees(outbox.caller_of(%(caller)s), p.team_id, p.id)
    and (%(project)s::uuid is null or p.id = %(project)s)
  order by s.started_at desc, s.id desc limit %(limit)s
) s {_FARES} order by s.started_at desc, s.id desc
""".encode()
_STARTED = b"""
select coalesce((select s.started_at from outbox.sessions s where s.id = %s), outbox.uuid7_time(%s)) as at
"""
# By its external id as compat clients use it, else the newest one with that content id.
_FIND = f"""
select s.id from outbox.sessions s join outbox.projects p on p.id = s.project_id
where s.project_id = %(project)s and {_VISIBLE}
  and outbox.sees(outbox.caller_of(%(caller)s), s.team_id, s.project_id)
  and (s.identity = outbox.session_identity(%(platform)s, %(name)s, null, null, null)
    or (s.content_session_id = %(name)s and s.platform_source is not distinct from %(platform)s))
order by s.identity = outbox.session_identity(%(platform)s, %(name)s, null, null, null) desc nulls last,
  s.created_at desc limit 1
""".encode()
_START = f"select * from outbox.start_session({CALLER}, %s, %s, %s, %s, %s, %s, %s, %s)".encode()
_END = f"select * from outbox.end_session({CALLER}, %s, %s)".encode()
_DELETE = f"select outbox.delete_session({CALLER}, %s)".encode()
_UPTO = b"""
select s.id from outbox.sessions s where s.id > %s order by s.id limit 1 offset %s
"""
_END_IDLE = b"select session_id, job_id from outbox.end_idle_sessions(%s, %s, %s)"
_LAST = UUID(int=2**128 - 1)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a start says of its session."""

    project: UUID
    external: str | None = None
    content: str | None = None
    agent: str | None = None
    agent_type: str | None = None
    platform: str | None = None
    metadata: bytes = b"{}"
    """A JSON object."""
    reopen: bool = False


class Started(msgspec.Struct, frozen=True, kw_only=True):
    session_id: UUID
    made: bool


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID | None
    """Of the summary; None: summaries are off."""
    ended: bool
    """By this call."""


class IdleEnded(msgspec.Struct, frozen=True, kw_only=True):
    session_id: UUID
    job_id: UUID | None


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is not None must hold."""

    project: UUID | None = None
    external: str | None = None
    content: str | None = None
    agent: str | None = None
    platform: str | None = None
    open: bool | None = None
    since: datetime | None = None
    """Started then or later; `until`: before."""
    until: datetime | None = None


async def start(conn: Conn, caller: Caller, given: Given) -> Started:
    """The session of that identity, or a new one. Raises NotFound, ProjectArchived."""
    values = (given.project, given.external, given.content, given.agent, given.agent_type, given.platform)
    metadata = Jsonb(given.metadata, dumps=_as_it_is)
    return await rows.one(await conn.execute(_START, (row(caller), *values, metadata, given.reopen)), Started)


async def end(conn: Conn, caller: Caller, session: UUID, reason: str | None = None) -> Ended:
    """Ends it unless nothing happened since its last end. Raises NotFound, ProjectArchived."""
    return await rows.one(await conn.execute(_END, (row(caller), session, reason)), Ended)


async def delete(conn: Conn, caller: Caller, session: UUID) -> bool:
    """Whether it is gone; False: it has more links than one call takes. Raises NotFound."""
    return await rows.value(await conn.execute(_DELETE, (row(caller), session)), bool)


async def get(conn: Conn, caller: Caller, session: UUID) -> Session | None:
    return await rows.maybe(await conn.execute(_GET, (session, row(caller))), Session)


async def find(conn: Conn, caller: Caller, project: UUID, name: str, platform: str | None) -> UUID | None:
    """The session that a client calls so, by external id or else by content id."""
    values = {"caller": row(caller), "project": project, "name": name, "platform": platform}
    found = await rows.values(await conn.execute(_FIND, values), UUID)
    return found[0] if found else None


async def listed(
    conn: Conn, caller: Caller, where: SessionFilter, *, after: UUID | None, limit: int
) -> list[Session]:
    """Newest start first, from behind the session `after`."""
    started = None
    if after is not None:
        started = await rows.value(await conn.execute(_STARTED, (after, after)), datetime)
    values = msgspec.structs.asdict(where) | {
        "caller": row(caller),
        "after": after,
        "started": started,
        "limit": limit,
    }
    return await rows.many(await conn.execute(_LIST, values), Session)


async def end_idle(
    conn: Conn, limit: int, after: UUID | None = None, *, batch: int = _BATCH
) -> tuple[list[IdleEnded], UUID | None]:
    """Ends what has gone quiet: open sessions, and of the ended ones the next `batch` behind `after`.

    With what was ended, behind which session the next run goes on; None: from the first.
    """
    at = after or _FIRST
    found = await rows.values(await conn.execute(_UPTO, (at, batch - 1)), UUID)
    upto = found[0] if found else None
    ended = await rows.many(await conn.execute(_END_IDLE, (limit, at, upto or _LAST)), IdleEnded)
    # A full run may have left some of this round: it is looked at again.
    return ended, (after if len(ended) >= limit else upto)


def _as_it_is(document: object) -> bytes:
    assert isinstance(document, bytes)  # noqa: S101 - the type of the field it came from
    return document
