"""Who is signed in to the console: 256 random bits in a cookie, their SHA-256 here."""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.store.callers import CALLER, row
from outboxd.store.keys import Found, digest

Conn = AsyncConnection[dict[str, Any]]

SCOPE = "admin"
"""What a key has to open to sign in, and to stay."""
_VIA = b"select set_config('outbox.via', 'console', true)"
_OPEN = f"select outbox.open_console({CALLER}, %s, %s)".encode()
_CLOSE = f"select outbox.close_console({CALLER}, %s) as was".encode()
_LIVING = """
k.revoked_at is null and (k.expires_at is null or k.expires_at > (select outbox.clock()))
  and k.scopes && (select outbox.scope_openers('admin'))
"""
_FIND = f"""
select s.hash, s.csrf, s.opened_at, s.expires_at,
  s.expires_at < outbox.console_until(s.opened_at, c.now - interval '1 min') as worn,
  k.name as key_name, k.prefix, t.name as team, p.name as project,
  k.id, k.team_id, k.project_id, k.actor, k.scopes, outbox.effective_scopes(k.scopes) as effective,
  true as live, null as lives, false as unnoticed
from outbox.console_sessions s
join outbox.keys k on k.id = s.key_id and {_LIVING}
cross join (select outbox.clock() as now) c
left join outbox.teams t on t.id = k.team_id
left join outbox.projects p on p.id = k.project_id
where s.hash = %s and s.expires_at > c.now
""".encode()
_TOUCH = b"""
update outbox.console_sessions set expires_at = outbox.console_until(opened_at, outbox.clock())
where hash = %s
"""
_STILL = f"""
select s.hash from unnest(%s::bytea[]) u (hash)
cross join lateral (select x.hash, x.key_id from outbox.console_sessions x
  where x.hash = u.hash and x.expires_at > (select outbox.clock()) offset 0) s
join outbox.keys k on k.id = s.key_id
where {_LIVING}
""".encode()
_FORGET = b"""
delete from outbox.console_sessions s where s.ctid = any (array(
  select e.ctid from outbox.console_sessions e where e.expires_at <= (select outbox.clock())
  order by e.expires_at limit %s for update skip locked))
"""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in, by a key that lives."""

    hash: bytes
    csrf: bytes
    opened_at: datetime
    expires_at: datetime
    worn: bool
    """Its use was not written for a minute."""
    key_name: str | None
    prefix: str
    team: str | None
    """Its name, as `project`."""
    project: str | None
    key: Found


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    hash: bytes
    csrf: bytes
    opened_at: datetime
    expires_at: datetime
    worn: bool
    key_name: str | None
    prefix: str
    team: str | None
    project: str | None


async def via(conn: Conn) -> None:
    """What this transaction writes into the audit trail came by the console."""
    await conn.execute(_VIA)


async def open_one(conn: Conn, caller: Caller) -> str:
    """The secret for the cookie. Raises Forbidden unless the caller's key lives and opens `admin`."""
    secret = secrets.token_urlsafe(32)
    await conn.execute(_OPEN, (row(caller), digest(secret.encode()), secrets.token_bytes(32)))
    return secret


async def find(conn: Conn, hashed: bytes) -> Session | None:
    """None when it is over, or its key is; use is written once a minute at most."""
    found = await (await conn.execute(_FIND, (hashed,))).fetchone()
    if found is None:
        return None
    plain = rows.struct(found, _Row)
    return Session(key=rows.struct(found, Found), **msgspec.structs.asdict(plain))


async def touch(conn: Conn, hashed: bytes) -> None:
    """It is used: an hour more, up to eight in all."""
    await conn.execute(_TOUCH, (hashed,))


async def close(conn: Conn, caller: Caller, hashed: bytes) -> bool:
    """Whether it was open."""
    return await rows.value(await conn.execute(_CLOSE, (row(caller), hashed)), bool)


async def still_open(conn: Conn, hashes: Collection[bytes]) -> set[bytes]:
    """Those of them that go on."""
    return set(await rows.values(await conn.execute(_STILL, (list(hashes),)), bytes))


async def forget(conn: Conn, limit: int = 5000) -> int:
    """How many were dropped that are over."""
    return (await conn.execute(_FORGET, (limit,))).rowcount
