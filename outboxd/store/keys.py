"""API keys: `obx_` and 32 random bytes; only their SHA-256 is stored."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller, Key
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

PREFIX = "obx_"
_SHOWN = 8
"""Characters of a secret by which people tell keys apart."""

_VIEW = """
  id, name, prefix, scopes, team_id, project_id, actor as actor_id, created_by as created_by_key_id,
  outbox.ms(created_at) as created_at_epoch, outbox.ms(expires_at) as expires_at_epoch,
  outbox.ms(revoked_at) as revoked_at_epoch, outbox.ms(last_used_at) as last_used_at_epoch
"""
_FIND = b"""
select k.id, k.team_id, k.project_id, k.actor, k.scopes, outbox.effective_scopes(k.scopes) as effective,
  k.revoked_at is null and (k.expires_at is null or k.expires_at > c.now) as live,
  extract(epoch from k.expires_at - c.now)::float8 as lives,
  k.last_used_at is null or k.last_used_at < c.now - interval '5 min' as unnoticed
from outbox.keys k cross join (select outbox.clock() as now) c
where k.hash = %s
"""
_NOTICE = b"""
update outbox.keys set last_used_at = outbox.clock()
where id = %s and (last_used_at is null or last_used_at < outbox.clock() - interval '5 min')
"""
_MINT = f"select {_VIEW} from outbox.mint_key({CALLER}, %s, %s, %s, %s, %s, %s, %s)".encode()
_REVOKE = f"select {_VIEW} from outbox.end_key({CALLER}, %s)".encode()
_ROTATE = f"select {_VIEW} from outbox.rotate_key({CALLER}, %s, %s, %s, %s)".encode()
_GET = (
    f"select {_VIEW} from outbox.keys k where id = %s"
    f" and outbox.sees({CALLER}, team_id, project_id) and outbox.minds_key({CALLER}, k)"
).encode()
_OWN = f"select {_VIEW} from outbox.keys where id = %s".encode()
_LIST = f"""
select {_VIEW} from outbox.keys
where outbox.sees({CALLER}, team_id, project_id)
  and (%s::uuid is null or team_id = %s) and (%s::uuid is null or project_id = %s)
  and (not %s or (revoked_at is null and (expires_at is null or expires_at > outbox.clock())))
order by created_at desc, id desc limit %s
""".encode()
_PAGE = f"""
select {_VIEW} from outbox.keys k
where outbox.sees({CALLER}, team_id, project_id) and outbox.minds_key({CALLER}, k)
  and (%s::uuid is null or project_id = %s) and (%s::uuid is null or id < %s)
  and (%s::boolean is null
    or %s = (revoked_at is null and (expires_at is null or expires_at > outbox.clock())))
order by id desc limit %s
""".encode()
_PREFIXED = f"""
select {_VIEW} from outbox.keys where prefix = %s and outbox.sees({CALLER}, team_id, project_id) limit %s
""".encode()
# A retried job has another authority; then this counts one too many.
_STRANDED = f"""
select count(*)::int from (
  select from (
    select r.job_id from outbox.queues q join outbox.ready r on r.queue_id = q.id
    where q.handler in ('observe', 'summarize')
    union all
    select l.job_id from outbox.queues q join outbox.later l on l.queue_id = q.id
    where q.handler in ('observe', 'summarize')
  ) w
  cross join lateral (select j.event_id, j.key_id, j.team_id, j.project_id from outbox.jobs j
    where j.id = w.job_id offset 0) j
  left join lateral (select e.key_id from outbox.events e where e.id = j.event_id offset 0) e on true
  where coalesce(j.key_id, e.key_id) = %s and outbox.sees({CALLER}, j.team_id, j.project_id)
  limit %s
) s
""".encode()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A key as a request meets it."""

    id: UUID
    team_id: UUID | None
    project_id: UUID | None
    actor: str
    scopes: tuple[str, ...]
    effective: frozenset[str]
    """Every scope it opens, implied ones too."""
    live: bool
    """Neither revoked nor expired."""
    lives: float | None
    """Seconds until it expires; None: it does not."""
    unnoticed: bool
    """Its last use was written more than 5 minutes ago."""


def digest(secret: bytes) -> bytes:
    """What of a key is stored."""
    return hashlib.sha256(secret).digest()


async def find(conn: Conn, hashed: bytes) -> Found | None:
    """The key with this digest, live or not."""
    return await rows.maybe(await conn.execute(_FIND, (hashed,)), Found)


async def notice(conn: Conn, key: UUID) -> None:
    """Writes that it was used, at most every 5 minutes."""
    await conn.execute(_NOTICE, (key,))


async def mint(
    conn: Conn,
    caller: Caller,
    *,
    team: UUID | None,
    project: UUID | None,
    scopes: Sequence[str],
    name: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Key, str]:
    """A new key and its secret, which nobody can show again.

    Raises Invalid for an unknown scope, NotFound outside the caller's tenancy, LimitReached.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    values = (digest(secret.encode()), secret[:_SHOWN], team, project, list(scopes), name, expires_at)
    return await rows.one(await conn.execute(_MINT, (row(caller), *values)), Key), secret


async def revoke(conn: Conn, caller: Caller, key: UUID) -> Key:
    """Raises NotFound. A repeat changes nothing."""
    return await rows.one(await conn.execute(_REVOKE, (row(caller), key)), Key)


async def stranded(conn: Conn, caller: Caller, key: UUID, most: int = 10_000) -> int:
    """How many jobs of generation wait that this key asked for: revoked, it makes them fail."""
    return await rows.value(await conn.execute(_STRANDED, (key, row(caller), most)), int)


async def rotate(conn: Conn, caller: Caller, key: UUID, overlap: timedelta) -> tuple[Key, str]:
    """A key like this one with a new secret; the old one goes on for `overlap`, at most 7 days.

    Raises NotFound, Conflict when it is revoked.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    values = (row(caller), key, digest(secret.encode()), secret[:_SHOWN], overlap)
    return await rows.one(await conn.execute(_ROTATE, values), Key), secret


async def get(conn: Conn, caller: Caller, key: UUID) -> Key | None:
    """None also for one with which the caller's key has nothing to do."""
    return await rows.maybe(await conn.execute(_GET, (key, row(caller), row(caller))), Key)


async def prefixed(conn: Conn, caller: Caller, prefix: str, limit: int = 10) -> list[Key]:
    """Those that the caller may see and that begin so; rarely more than one."""
    return await rows.many(await conn.execute(_PREFIXED, (prefix, row(caller), limit)), Key)


async def own(conn: Conn, key: UUID) -> Key:
    """The key that asks."""
    return await rows.one(await conn.execute(_OWN, (key,)), Key)


async def listed(
    conn: Conn,
    caller: Caller,
    *,
    team: UUID | None = None,
    project: UUID | None = None,
    live: bool = False,
    limit: int = 50,
) -> list[Key]:
    """Newest first; those that the caller may see, or of them those that are neither revoked nor expired."""
    values = (row(caller), team, team, project, project, live, limit)
    return await rows.many(await conn.execute(_LIST, values), Key)


async def page(
    conn: Conn, caller: Caller, *, project: UUID | None, active: bool | None, after: UUID | None, limit: int
) -> list[Key]:
    """Newest first, of those with which the caller may deal."""
    values = (row(caller), row(caller), project, project, after, after, active, active, limit)
    return await rows.many(await conn.execute(_PAGE, values), Key)
