"""What a database that was put back from a dump says: until when it knows, what it will do again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.config.kinds import SealKey
from outboxd.db import rows
from outboxd.errors import Broken, NotConfigured
from outboxd.store import secrets
from outboxd.store.endpoint_keys import HEADERS_AS, SEALED_AS

Conn = AsyncConnection[dict[str, Any]]

MOST = 10_000
"""Sealed values that are tried."""

# Workers beat every few seconds wherever one runs; where none did, the newest rows say it.
_LAST = b"""
select greatest((select max(w.beat_at) from outbox.workers w),
  (select max(c.last_success_at) from outbox.chores c),
  (select max(s.sequenced_at) from outbox.streams s where s.head > 0),
  (select e.received_at from outbox.events e order by e.id desc limit 1),
  (select l.at from outbox.audit_log l order by l.id desc limit 1)) as last, outbox.clock() as now
"""
# What was due, or in hand, when the dump was made: afterwards it was done, and here it is not.
_AGAIN = b"""
select count(*) filter (where q.class = 'endpoint') as deliveries,
  count(distinct q.id) filter (where q.class = 'endpoint') as endpoints,
  count(*) filter (where q.class <> 'endpoint') as jobs
from (
  (select r.queue_id from outbox.ready r where r.run_at <= (select outbox.clock()) limit 100000)
  union all (select l.queue_id from outbox.later l where l.run_at <= (select outbox.clock()) limit 100000)
  union all select l.queue_id from outbox.leases l cross join lateral unnest(l.job_ids)) j
join outbox.queues q on q.id = j.queue_id
"""
_LEASES = b"select count(*)::int from outbox.leases"
_SAME = b"select count(*)::int from outbox.streams s where s.head > 0 and s.cluster = outbox.cluster()"
_SEALED = b"""
select s.endpoint_id as owner, s.sealed, false as header from outbox.endpoint_secrets s
union all select e.id, e.headers, true from outbox.endpoints e where e.headers is not null
limit %s
"""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    last: datetime | None
    """The last sign of life in it."""
    now: datetime


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """What was due or in hand, and may have been done since."""

    deliveries: int
    endpoints: int
    """To so many of them."""
    jobs: int
    """That are no deliveries."""


async def gap(conn: Conn) -> Gap:
    return await rows.one(await conn.execute(_LAST), Gap)


async def again(conn: Conn) -> Again:
    return await rows.one(await conn.execute(_AGAIN), Again)


async def leases(conn: Conn) -> int:
    """In the hands of workers of before."""
    return await rows.value(await conn.execute(_LEASES), int)


async def unaware_streams(conn: Conn) -> int:
    """Feeds that cannot tell that this is not the history they were written in."""
    return await rows.value(await conn.execute(_SAME), int)


async def lost_secrets(conn: Conn, keys: Sequence[SealKey]) -> tuple[int, int]:
    """How many sealed values do not open with these keys, and how many there are, of the first `MOST`."""
    found = await (await conn.execute(_SEALED, (MOST,))).fetchall()
    return sum(not _opens(keys, each["owner"], each["sealed"], each["header"]) for each in found), len(found)


def _opens(keys: Sequence[SealKey], owner: UUID, sealed: bytes, header: bool) -> bool:
    try:
        secrets.unseal(keys, sealed, owner=owner, column=HEADERS_AS if header else SEALED_AS)
    except (NotConfigured, Broken):
        return False
    return True
