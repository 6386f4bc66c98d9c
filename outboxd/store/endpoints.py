"""Webhook targets. What is secret of one is sealed to its id before it comes here."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.config.kinds import SealKey
from outboxd.db import rows
from outboxd.model import Caller, Endpoint
from outboxd.store import endpoint_keys, secrets
from outboxd.store.callers import CALLER, row
from outboxd.store.endpoint_keys import HEADERS_AS, SealedKey

Conn = AsyncConnection[dict[str, Any]]


_SHOWN = """
select e.id, e.team_id, e.project_id, e.uid, e.url, e.types, e.contains, e.excludes, e.state,
  e.disabled_reason, e.ordering, q.on_dead, coalesce(q.concurrency, 8) as concurrency,
  q.rate_per_second::float8 as rate_per_second, q.rate_burst as burst,
  (extract(epoch from e.timeout) * 1000)::int as timeout_ms,
  extract(epoch from e.first_delay)::int || case when q.attempts = 1 then '{}' else array(
    select (s::numeric / 1000)::int from jsonb_array_elements_text(q.backoff -> 'scheduleMs') s)
    end as retry_schedule,
  extract(epoch from e.max_age)::int as max_age_seconds, e.terminal_4xx,
  (extract(epoch from e.disable_after) / 3600)::int as disable_after_hours,
  e.format, e.max_body_bytes, e.signing, e.headers as sealed_headers, e.description,
  e.metadata, outbox.ms(e.created_at) as created_at_epoch, outbox.ms(e.updated_at) as updated_at_epoch,
  e.revision,
  jsonb_build_object('state',
    case when e.state = 'disabled' then e.state when q.closed_until > outbox.clock() then 'closed'
      when q.probing then 'half_open' else e.state end,
    'closedUntilEpoch', case when q.closed_until > outbox.clock() then outbox.ms(q.closed_until) end,
    'consecutiveFailures', e.consecutive_failures,
    'firstFailureAtEpoch', outbox.ms(e.first_failure_at),
    'lastClass', e.last_class, 'lastStatus', e.last_status,
    'lastSuccessAtEpoch', outbox.ms(e.last_success_at), 'lastFailureAtEpoch', outbox.ms(e.last_failure_at),
    'queued', w.queued, 'oldestQueuedAtEpoch', outbox.ms(w.oldest)) as health
from outbox.endpoints e
join outbox.queues q on q.id = e.queue_id
cross join lateral (select count(*) as queued, min(outbox.uuid7_time(j.job_id)) as oldest from (
  (select r.job_id from outbox.ready r where r.queue_id = e.queue_id limit 10000)
  union all (select r.job_id from outbox.later r where r.queue_id = e.queue_id limit 10000)) j) w
"""
_GET = f"""
{_SHOWN} where (e.id = %s or (e.uid = %s and (%s::uuid is null or e.project_id = %s)))
  and outbox.sees({CALLER}, e.team_id, e.project_id) limit 2
""".encode()
_LIST = f"""
{_SHOWN} where outbox.sees({CALLER}, e.team_id, e.project_id)
  and (%s::uuid is null or e.project_id = %s) and (%s::uuid is null or e.id < %s)
  and (%s::text is null or e.state = %s)
  and (%s::text is null or e.types && outbox.candidates(%s))
order by e.id desc limit %s
""".encode()
_HOLD = b"select id from outbox.endpoints where id = %s for update"
_OPEN = f"select outbox.open_endpoint({CALLER}, %s, %s, %s, %s, %s)".encode()
_CHANGE = f"select outbox.change_endpoint({CALLER}, %s, %s, %s, %s)".encode()
_REMOVE = f"select outbox.remove_endpoint({CALLER}, %s)".encode()
_EGRESS = b"select egress from outbox.projects where id = %s"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is to be stored."""

    fields: Mapping[str, Any]
    """Columns of `endpoints`."""
    queue: Mapping[str, Any]
    """Settings of its queue."""
    headers: bytes | None
    """Sealed."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: Endpoint
    sealed_headers: bytes | None


async def get(
    conn: Conn, caller: Caller, named: str, keys: Sequence[SealKey], *, project: UUID | None = None
) -> Stored | None:
    """By id, or by `uid:<uid>`; None if there is none, or more than one project has that uid."""
    uid = named.removeprefix("uid:") if named.startswith("uid:") else None
    values = (None if uid else _uuid(named), uid, project, project, row(caller))
    found = await (await conn.execute(_GET, values)).fetchall()
    return _stored(found[0], keys) if len(found) == 1 else None


async def listed(
    conn: Conn,
    caller: Caller,
    keys: Sequence[SealKey],
    *,
    project: UUID | None = None,
    state: str | None = None,
    event_type: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> list[Endpoint]:
    """Newest first; `event_type`: those that would receive it."""
    values = (row(caller), project, project, after, after, state, state, event_type, event_type, limit)
    found = await (await conn.execute(_LIST, values)).fetchall()
    return [_stored(each, keys).endpoint for each in found]


async def open_one(
    conn: Conn, caller: Caller, endpoint: UUID, project: UUID | None, plan: Plan, signing: Sequence[SealedKey]
) -> None:
    """`signing` are its first keys. Raises NotFound, LimitReached, Conflict when the uid is taken."""
    values = (endpoint, project, Jsonb(plan.fields), Jsonb(plan.queue), plan.headers)
    await conn.execute(_OPEN, (row(caller), *values))
    for key in signing:
        await endpoint_keys.add(conn, endpoint, key)


async def hold(conn: Conn, endpoint: UUID) -> None:
    """Nobody else changes it until this transaction ends."""
    await conn.execute(_HOLD, (endpoint,))


async def change(conn: Conn, caller: Caller, endpoint: UUID, plan: Plan) -> None:
    """Raises NotFound, or Clash when the uid is taken."""
    values = (endpoint, Jsonb(plan.fields), Jsonb(plan.queue), plan.headers)
    await conn.execute(_CHANGE, (row(caller), *values))


async def remove(conn: Conn, caller: Caller, endpoint: UUID) -> None:
    """Raises NotFound."""
    await conn.execute(_REMOVE, (row(caller), endpoint))


async def trusted(conn: Conn, project: UUID) -> bool:
    """May the project call what the deployment allows besides the public network?"""
    return bool(await rows.values(await conn.execute(_EGRESS, (project,)), bool) == [True])


def headers_of(stored: Stored, keys: Sequence[SealKey]) -> dict[str, str]:
    """In the clear, for who sends them."""
    if stored.sealed_headers is None:
        return {}
    clear = secrets.unseal(keys, stored.sealed_headers, owner=stored.endpoint.id, column=HEADERS_AS)
    return msgspec.json.decode(clear, type=dict[str, str])


def _stored(found: dict[str, Any], keys: Sequence[SealKey]) -> Stored:
    sealed = found.pop("sealed_headers")
    names: dict[str, str] = {}
    if sealed is not None and keys:
        clear = secrets.unseal(keys, sealed, owner=found["id"], column=HEADERS_AS)
        names = dict.fromkeys(msgspec.json.decode(clear, type=dict[str, str]), "***")
    return Stored(endpoint=rows.struct({**found, "headers": names}, Endpoint), sealed_headers=sealed)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
