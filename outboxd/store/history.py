"""Jobs as people and clients see them: where each stands now, and what happened to it.

The state of a job is the table its row stands in, so every read joins those tables by job id: a
set at a time, each by its index.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Attempt, Caller
from outboxd.model.jobs import Generated, Outcome, State
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

COUNTED = 10_000
"""Up to here a total is exact."""

# {jobs}: a set of job bodies, already chosen. The ledger is looked at by primary key, newest first.
SHOWN = """
select j.id, j.team_id, j.project_id, j.event_id, q.name as queue, q.handler, j.priority, j.ordering_key,
  p.state, coalesce(r.attempt, w.attempt, l.attempt, d.attempt, a.attempt, 0) as attempt,
  coalesce(r.series, w.series, l.series, d.series, a.series, 0) as series,
  coalesce(j.max_attempts, q.attempts) as max_attempts,
  coalesce(r.run_at, w.run_at, l.run_at, j.run_at, outbox.uuid7_time(j.id)) as run_at,
  outbox.uuid7_time(j.id) as created_at, j.expires_at,
  coalesce(j.deadline, outbox.uuid7_time(j.id) + outbox.hold()) as deadline,
  coalesce(w.held, k.held, case when p.state = 'queued' and q.closed_until > outbox.clock()
    then q.closed_reason end) as held,
  a.at as told_at, l.claimed_at, d.failed_at,
  case when p.state in ('completed', 'failed', 'cancelled') then e.outcome end as outcome,
  f.class as class_, f.error, f.status, f.attempt as failed_attempt, f.retry_at, f.at as erred_at,
  coalesce(j.request_id, v.request_id) as request_id,
  coalesce(j.session_id, v.session_id) as session_id,
  coalesce((select nullif(count(*), 0) from outbox.members m where m.job_id = j.id),
    (j.event_id is not null)::int)::int as event_count,
  q.paused or coalesce(q.closed_until > outbox.clock(), false) or w.held is not null as stopped
"""
FROM = """
join outbox.queues q on q.id = j.queue_id
left join outbox.ready r on r.job_id = j.id
left join outbox.later w on w.job_id = j.id
left join outbox.lanes k on r.lane < 0 and k.id = r.lane
left join outbox.dead_letters d on d.job_id = j.id
left join (
  select u.* , x.claimed_at from outbox.leases x
  cross join lateral unnest(x.job_ids, x.attempts, x.series, x.run_ats) u(job_id, attempt, series, run_at)
) l on l.job_id = j.id
left join lateral (select t.* from outbox.attempts t
  where t.job_id = j.id order by t.no desc limit 1) a on true
left join lateral (select coalesce(case when t.outcome = 'completed' and q.handler in ('observe', 'summarize')
    then t.output ->> 'outcome' end, t.outcome) as outcome from outbox.attempts t
  where t.job_id = j.id and t.outcome not in ('retried', 'purged') order by t.no desc limit 1) e on true
left join lateral (select t.* from outbox.attempts t
  where t.job_id = j.id and t.outcome in ('failed', 'timed_out', 'lost') order by t.no desc limit 1) f on true
left join lateral (select v.request_id, v.session_id from outbox.events v where v.id = j.event_id) v on true
cross join lateral (select case
  when l.job_id is not null then 'processing'
  when d.job_id is not null or a.outcome = 'purged' then 'failed'
  when r.job_id is null and w.job_id is null and a.outcome in ('completed', 'cancelled') then a.outcome
  else 'queued' end as state) p
"""
_OF_IDS = f"""
{SHOWN} from unnest(%s::uuid[]) u(id)
cross join lateral (select j.* from outbox.jobs j where j.id = u.id) j {FROM}
where outbox.sees({CALLER}, j.team_id, j.project_id)
""".encode()
_OPEN = b"""
select j.id from unnest(%s::uuid[]) j(id)
left join lateral (select t.outcome from outbox.attempts t
  where t.job_id = j.id order by t.no desc limit 1) a on true
where not exists (select from outbox.dead_letters d where d.job_id = j.id)
  and (a.outcome is null or a.outcome not in ('completed', 'cancelled', 'purged')
    or exists (select from outbox.ready r where r.job_id = j.id)
    or exists (select from outbox.later r where r.job_id = j.id))
"""
_EVENTS = b"""
select j.id, u.id as event_id, q.name as queue, q.handler, j.gathered
from unnest(%s::uuid[]) u(id)
cross join lateral (
  select j.id, j.queue_id, exists (select from outbox.members m where m.job_id = j.id offset 0) as gathered
  from outbox.jobs j where j.event_id = u.id
  union
  select j.id, j.queue_id, true from outbox.members m
  cross join lateral (select j.id, j.queue_id from outbox.jobs j where j.id = m.job_id offset 0) j
  where m.event_id = u.id) j
join outbox.queues q on q.id = j.queue_id
order by j.id
"""
_ATTEMPTS = f"""
select a.attempt, a.series, a.lease_id, a.worker_id,
  outbox.ms(coalesce(a.started_at, a.at)) as started_at_epoch, outbox.ms(a.at) as ended_at_epoch,
  a.outcome, a.class as class_, a.status, a.error as message,
  outbox.ms(a.retry_at) as retry_at_epoch, a.ms as duration_ms, a.no,
  case when q.name like 'endpoint:%%' then coalesce(a.detail -> 'delivery', 'null') end as delivery
from outbox.jobs j
join outbox.queues q on q.id = j.queue_id
join outbox.attempts a on a.job_id = j.id
where j.id = %s and outbox.sees({CALLER}, j.team_id, j.project_id) and a.no > %s
order by a.no limit %s
""".encode()
# The last execution of each; what is no execution (a retry, a purge) is passed by.
_LAST = b"""
select j.id, t.attempt, t.series, t.lease_id, t.worker_id,
  outbox.ms(coalesce(t.started_at, t.at)) as started_at_epoch, outbox.ms(t.at) as ended_at_epoch,
  t.outcome, t.class as class_, t.status, t.error as message,
  outbox.ms(t.retry_at) as retry_at_epoch, t.ms as duration_ms,
  coalesce(t.detail -> 'delivery', 'null') as delivery
from unnest(%s::uuid[]) j(id)
cross join lateral (select t.* from outbox.attempts t
  where t.job_id = j.id and t.outcome not in ('retried', 'purged') order by t.no desc limit 1) t
"""
_RUNNING = b"""
select u.attempt, u.series, l.id as lease_id, l.worker_id, outbox.ms(l.claimed_at) as started_at_epoch,
  null as ended_at_epoch, 'running' as outcome, null as class_, null as status, null as message,
  null as retry_at_epoch, null as duration_ms
from outbox.leases l
cross join lateral unnest(l.job_ids, l.attempts, l.series) u(job_id, attempt, series)
where l.job_ids @> array[%s] and u.job_id = %s
"""
_EXTRAS = b"""
select c.progress, (select a.output from outbox.attempts a where a.job_id = j.id and a.outcome = 'completed'
  order by a.no desc limit 1) as output
from (select %s::uuid as id) j left join outbox.checkpoints c on c.job_id = j.id
"""
_PAYLOADS = b"""
select j.id, coalesce(j.payload, e.payload, 'null') as payload
from unnest(%s::uuid[]) u(id)
cross join lateral (select j.* from outbox.jobs j where j.id = u.id) j
left join lateral (select e.payload from outbox.events e where e.id = j.event_id) e on true
"""
_WHY = b"select rank, reason, detail, outbox.ms(until) as until_epoch from outbox.why(%s) order by rank"


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the views of a job are made of."""

    id: UUID
    team_id: UUID
    project_id: UUID
    event_id: UUID | None
    queue: str
    handler: str
    priority: int
    ordering_key: str | None
    state: State
    attempt: int
    series: int
    max_attempts: int
    run_at: datetime
    created_at: datetime
    deadline: datetime
    expires_at: datetime | None
    held: str | None
    told_at: datetime | None
    """The last word of the ledger."""
    claimed_at: datetime | None
    failed_at: datetime | None
    outcome: Outcome | Generated | None
    class_: str | None
    error: str | None
    status: int | None
    failed_attempt: int | None
    retry_at: datetime | None
    erred_at: datetime | None
    request_id: str | None
    session_id: UUID | None
    event_count: int
    """Events that it works on."""
    stopped: bool
    """Its queue is paused or closed, or it is held."""


class EventJob(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    event_id: UUID
    queue: str
    handler: str
    gathered: bool
    """One job for several events."""


class Reason(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    reason: str
    detail: str | None
    until_epoch: int | None


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    progress: Raw | None
    output: Raw | None


class LedgerRow(Attempt, frozen=True, kw_only=True, rename="camel"):
    no: int
    """Counts everything that happened to the job; what pages go by."""


async def of_ids(conn: Conn, caller: Caller, jobs: Collection[UUID]) -> list[JobRow]:
    """Those of them that the caller may see."""
    return await rows.many(await conn.execute(_OF_IDS, (list(jobs), row(caller))), JobRow)


async def still_open(conn: Conn, jobs: Collection[UUID]) -> set[UUID]:
    """Those that have not ended."""
    return set(await rows.values(await conn.execute(_OPEN, (list(jobs),)), UUID))


async def of_events(conn: Conn, events: Collection[UUID]) -> list[EventJob]:
    """Every job made of these events, alone or with others, oldest first."""
    return await rows.many(await conn.execute(_EVENTS, (list(events),)), EventJob)


async def attempts(conn: Conn, caller: Caller, job: UUID, after: int, limit: int) -> list[LedgerRow]:
    """The ledger of a job, oldest first, from number `after` on."""
    return await rows.many(await conn.execute(_ATTEMPTS, (job, row(caller), after, limit)), LedgerRow)


async def running(conn: Conn, job: UUID) -> Attempt | None:
    """The attempt that a worker has in hand."""
    return await rows.maybe(await conn.execute(_RUNNING, (job, job)), Attempt)


async def last_attempts(conn: Conn, jobs: Collection[UUID]) -> dict[UUID, Attempt]:
    """Of deliveries: how the last attempt of each went, with what its target answered."""
    found = await (await conn.execute(_LAST, (list(jobs),))).fetchall()
    return {each["id"]: rows.struct(each, Attempt) for each in found}


def attempt_of(told: LedgerRow) -> Attempt:
    return Attempt(**{name: getattr(told, name) for name in Attempt.__struct_fields__})


async def payloads(conn: Conn, jobs: Collection[UUID]) -> dict[UUID, Raw]:
    """What each works on: its own payload, else its event's."""
    cur = await conn.execute(_PAYLOADS, (list(jobs),))
    return {found["id"]: found["payload"] for found in await cur.fetchall()}


async def extras(conn: Conn, job: UUID) -> Extras:
    return await rows.one(await conn.execute(_EXTRAS, (job,)), Extras)


async def why(conn: Conn, job: UUID) -> list[Reason]:
    """Why it is not running, the decisive reason first."""
    return await rows.many(await conn.execute(_WHY, (job,)), Reason)
