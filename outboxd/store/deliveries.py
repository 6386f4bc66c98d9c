"""What one attempt to deliver reads when it is about to send, and what it leaves on its endpoint."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection

from outboxd.config.kinds import SealKey
from outboxd.db import rows
from outboxd.store import secrets
from outboxd.store.endpoint_keys import HEADERS_AS, SEALED_AS

Conn = AsyncConnection[dict[str, Any]]

# Rights, address and secrets are those of now, not those of the publish. The feed's partitions are
# pruned by time: an event is numbered after it was received. Asked for the project as well, a planner
# without statistics would read all of the project's feed.
READ = b"""
select e.id, e.url, e.state, coalesce(e.disabled_at <= t.now - interval '7 days', false) as given_up,
  e.timeout, e.terminal_4xx, e.max_body_bytes, e.headers as sealed_headers, e.last_class,
  e.consecutive_failures > 0 or q.probing as failing, p.egress as trusted,
  outbox.backoff(%(attempt)s, q.backoff, random()) as wait, t.now,
  array(select s.sealed from outbox.endpoint_secrets s
    where s.endpoint_id = e.id and s.kind = any (k.kinds) and (s.expires_at is null or s.expires_at > t.now)
    order by s.created_at desc, s.id desc) as sealed_secrets,
  e.team_id, e.project_id, e.format, v.type, v.occurred_at, v.payload, v.traceparent, v.tracestate, v.hops,
  v.subject, v.ordering_key, v.expires_at, v.source, v.source_event_id, v.content_type, v.encoding,
  v.attributes,
  (select concat(s.epoch, '-', f.seq) from outbox.streams s cross join outbox.feed f
    where s.project_id = e.project_id and f.event_id = %(event)s
      and f.sequenced_at >= v.received_at - interval '1 hour' limit 1) as position
from outbox.queues q
join outbox.endpoints e on e.queue_id = q.id
join outbox.projects p on p.id = e.project_id
cross join (select outbox.clock() as now) t
cross join lateral (select case e.signing when 'v1' then array['hmac'] when 'v1a' then array['ed25519']
  else array['hmac', 'ed25519'] end as kinds) k
left join lateral (select v.* from outbox.events v
  where v.id = %(event)s and v.project_id = e.project_id and v.expunged_at is null) v on true
where q.name = %(queue)s
"""
_NOTE = b"select outbox.note_delivery(%s, %s, %s, %s, %s, %s, %s) as opened"
_END = b"select outbox.end_deliveries(%s)"
_HOLD = b"select outbox.hold_endpoint(%s)"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint at the moment of sending, and the event that it is owed."""

    id: UUID
    url: str
    state: str
    given_up: bool
    """Disabled for so long that nothing waits for it any more."""
    timeout: timedelta
    terminal_4xx: bool
    max_body_bytes: int
    sealed_headers: bytes | None
    sealed_secrets: list[bytes]
    """Those in force, newest first."""
    last_class: str | None
    """How the last attempt ended that was worth remembering."""
    failing: bool
    """The last attempts failed, or it is being tried: a success is news."""
    trusted: bool
    """May the project call what the deployment allows besides the public network?"""
    wait: timedelta
    """Until the next attempt, by the endpoint's schedule, if this one fails."""
    now: datetime
    team_id: UUID
    project_id: UUID
    format: Literal["standard", "ce-structured", "ce-binary"]
    type: str | None
    """None, as all that follows: there is no such event, or it was expunged."""
    occurred_at: datetime | None
    payload: Raw | None
    traceparent: str | None
    tracestate: str | None
    hops: int | None
    subject: str | None
    ordering_key: str | None
    expires_at: datetime | None
    source: str | None
    """This and the next four: of events that came as CloudEvents."""
    source_event_id: str | None
    content_type: str | None
    encoding: str | None
    attributes: Raw | None
    position: str | None
    """In the feed, once it is numbered."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt changes on its endpoint."""

    class_: str | None = None
    """None: it says nothing about the endpoint."""
    status: int | None = None
    result: Literal["success", "failure"] | None = None
    """None: neither begins, goes on with nor ends a row of failures."""
    closed: timedelta | None = None
    """How long the endpoint's queue rests."""
    disabled: str | None = None
    """Why it gets nothing more."""


async def read(conn: Conn, queue: str, event: UUID | None, attempt: int) -> Target | None:
    """None when the endpoint was deleted. An event of another project is none."""
    cur = await conn.execute(READ, {"queue": queue, "event": event, "attempt": attempt})
    return await rows.maybe(cur, Target)


async def note(conn: Conn, endpoint: UUID, event: UUID, given: Note) -> bool:
    """Writes what is new of it, in the transaction that settles the attempt; whether the breaker opened."""
    values = (given.class_, given.status, given.result, given.closed, given.disabled)
    return await rows.value(await conn.execute(_NOTE, (endpoint, event, *values)), bool)


async def hold(conn: Conn, endpoint: UUID) -> None:
    """Closes the queue of a disabled endpoint until its deliveries are given up."""
    await conn.execute(_HOLD, (endpoint,))


async def end(conn: Conn, limit: int) -> int:
    """How many were cancelled that waited for an endpoint which was deleted."""
    return await rows.value(await conn.execute(_END, (limit,)), int)


def secrets_of(target: Target, keys: Sequence[SealKey]) -> list[str]:
    """In the clear, newest first. Raises NotConfigured without the key that sealed one of them."""
    return [
        secrets.unseal(keys, sealed, owner=target.id, column=SEALED_AS).decode()
        for sealed in target.sealed_secrets
    ]


def headers_of(target: Target, keys: Sequence[SealKey]) -> dict[str, str]:
    """The endpoint's own, in the clear. Raises NotConfigured without the key that sealed them."""
    if target.sealed_headers is None:
        return {}
    clear = secrets.unseal(keys, target.sealed_headers, owner=target.id, column=HEADERS_AS)
    return msgspec.json.decode(clear, type=dict[str, str])
