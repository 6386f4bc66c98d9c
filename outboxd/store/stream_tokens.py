"""Stream tokens, for clients that cannot send a header: `obt_` and 32 random bytes, stored as SHA-256."""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row
from outboxd.store.keys import Found, digest

Conn = AsyncConnection[dict[str, Any]]

PREFIX = "obt_"
SCOPE = "streams:read"

_MINT = f"select outbox.mint_stream_token({CALLER}, %s, %s, %s, %s, %s, %s) as expires_at".encode()
_FIND = b"""
select t.project_id as of_project, t.types, t.session_id, t.subject,
  k.id, k.team_id, k.project_id, k.actor, k.scopes,
  outbox.effective_scopes(k.scopes) as effective,
  k.revoked_at is null and (k.expires_at is null or k.expires_at > c.now) as live,
  extract(epoch from k.expires_at - c.now)::float8 as lives, false as unnoticed
from outbox.stream_tokens t
join outbox.keys k on k.id = t.key_id
cross join (select outbox.clock() as now) c
where t.hash = %s and t.expires_at > c.now
"""
_FORGET = b"""
delete from outbox.stream_tokens t where t.ctid = any (array(
  select e.ctid from outbox.stream_tokens e where e.expires_at <= (select outbox.clock())
  order by e.expires_at limit %s for update skip locked))
"""
_OPENING = f"""
select k.id from unnest(%s::uuid[]) u (id)
cross join lateral (select x.* from outbox.keys x where x.id = u.id offset 0) k
where k.revoked_at is null and (k.expires_at is null or k.expires_at > (select outbox.clock()))
  and k.scopes && (select outbox.scope_openers('{SCOPE}'))
""".encode()


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What it opens, and by whose right."""

    key: Found
    project: UUID
    types: Sequence[str] | None
    session: UUID | None
    subject: str | None


class _Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    of_project: UUID
    types: list[str] | None
    session_id: UUID | None
    subject: str | None


async def mint(
    conn: Conn,
    caller: Caller,
    project: UUID,
    *,
    types: Sequence[str] | None,
    session: UUID | None,
    subject: str | None,
    ttl: timedelta,
) -> tuple[str, datetime]:
    """The secret, which nobody shows again, and when it expires. Raises Forbidden, NotFound, LimitReached."""
    secret = PREFIX + secrets.token_urlsafe(32)
    values = (row(caller), digest(secret.encode()), project, types and list(types), session, subject, ttl)
    return secret, await rows.value(await conn.execute(_MINT, values), datetime)


async def find(conn: Conn, hashed: bytes) -> Token | None:
    """One that has not expired; its key may be dead."""
    found = await (await conn.execute(_FIND, (hashed,))).fetchone()
    if found is None:
        return None
    narrowed = rows.struct(found, _Narrowed)
    return Token(
        key=rows.struct(found, Found),
        project=narrowed.of_project,
        types=narrowed.types,
        session=narrowed.session_id,
        subject=narrowed.subject,
    )


async def opening(conn: Conn, keys: Collection[UUID]) -> set[UUID]:
    """Those of the keys that open streams now."""
    return set(await rows.values(await conn.execute(_OPENING, (list(keys),)), UUID))


async def forget(conn: Conn, limit: int = 5000) -> int:
    """How many were dropped that had expired."""
    return (await conn.execute(_FORGET, [limit])).rowcount
