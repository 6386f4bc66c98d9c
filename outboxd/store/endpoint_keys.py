"""What is signed with: keys, sealed to their endpoint, several in force while one is replaced."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.config.kinds import SealKey
from outboxd.db import rows
from outboxd.errors import Conflict
from outboxd.model import Caller
from outboxd.store import secrets
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]
Kind = Literal["hmac", "ed25519"]

SEALED_AS = "sealed"
"""The column of `endpoint_secrets` that a key is sealed to, with the endpoint's id."""
HEADERS_AS = "headers"
"""And the column of `endpoints` that its headers are."""

_ADD = b"select outbox.add_endpoint_key(%s, %s, %s, %s)"
_ROTATE = f"select outbox.rotate_endpoint_key({CALLER}, %s, %s, %s, %s, %s)".encode()
_LIVE = f"""
select s.kind, s.sealed, s.public_key as public from outbox.endpoint_secrets s
join outbox.endpoints e on e.id = s.endpoint_id
where e.id = %s and outbox.sees({CALLER}, e.team_id, e.project_id)
  and (s.expires_at is null or s.expires_at > outbox.clock())
order by s.created_at desc, s.id desc
""".encode()
# Whoever gives a secret of his own waits for others of the project who do.
_LOCK = b"select from outbox.projects where id = %s for no key update"
_OF_PROJECT = b"""
select s.endpoint_id, s.sealed from outbox.endpoint_secrets s
join outbox.endpoints e on e.id = s.endpoint_id
where e.project_id = %s and s.kind = %s and (s.expires_at is null or s.expires_at > outbox.clock())
"""
_FORGET = b"""
delete from outbox.endpoint_secrets s where s.ctid = any (array(
  select o.ctid from outbox.endpoint_secrets o where o.expires_at <= (select outbox.clock())
  order by o.expires_at limit %s for update skip locked))
"""
# What is sealed says by which key, in front.
_OLD_KEYS = b"""
select s.id, s.endpoint_id as owner, s.sealed from outbox.endpoint_secrets s
where substring(s.sealed from 1 for length(%(head)s)) <> %(head)s limit %(limit)s
"""
_OLD_HEADERS = b"""
select e.id, e.id as owner, e.headers as sealed from outbox.endpoints e
where e.headers is not null and substring(e.headers from 1 for length(%(head)s)) <> %(head)s limit %(limit)s
"""
_COUNT_OLD = b"""
select (select count(*) from outbox.endpoint_secrets s
    where substring(s.sealed from 1 for length(%(head)s)) <> %(head)s)
  + (select count(*) from outbox.endpoints e
    where e.headers is not null and substring(e.headers from 1 for length(%(head)s)) <> %(head)s) as n
"""
_MOVE_KEY = b"update outbox.endpoint_secrets set sealed = %s where id = %s and sealed = %s"
_MOVE_HEADERS = b"update outbox.endpoints set headers = %s where id = %s and headers = %s"


class SealedKey(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    sealed: bytes
    public: str | None
    """Of ed25519, as `whpk_…`."""


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """In force, newest first. Private keys are not told to anybody."""

    secrets: list[str]
    public_keys: list[str]


class _Old(msgspec.Struct, frozen=True):
    id: UUID
    owner: UUID
    sealed: bytes


def sealed(keys: Sequence[SealKey], owner: UUID, kind: Kind, text: str, public: str | None) -> SealedKey:
    """Raises NotConfigured if there is no key to seal with."""
    return SealedKey(
        kind=kind, sealed=secrets.seal(keys, text.encode(), owner=owner, column=SEALED_AS), public=public
    )


async def add(conn: Conn, endpoint: UUID, key: SealedKey) -> None:
    """To an endpoint that the caller of this has just written. Raises LimitReached."""
    await conn.execute(_ADD, (endpoint, key.kind, key.sealed, key.public))


async def rotate(conn: Conn, caller: Caller, endpoint: UUID, key: SealedKey, overlap: timedelta) -> datetime:
    """Until when the old ones of that kind sign too. Raises NotFound, LimitReached."""
    values = (endpoint, key.kind, key.sealed, key.public, overlap)
    [until] = await rows.values(await conn.execute(_ROTATE, (row(caller), *values)), datetime)
    return until


async def live(conn: Conn, caller: Caller, endpoint: UUID, keys: Sequence[SealKey]) -> Live:
    """Raises NotConfigured without the key that sealed one of them."""
    found = await rows.many(await conn.execute(_LIVE, (endpoint, row(caller))), SealedKey)
    return Live(
        secrets=[_clear(keys, each.sealed, endpoint) for each in found if each.kind == "hmac"],
        public_keys=[each.public for each in found if each.public is not None],
    )


async def check_unused(conn: Conn, project: UUID, kind: Kind, text: str, keys: Sequence[SealKey]) -> None:
    """Raises Conflict if an endpoint of the project signs with that one; until the end of the transaction
    none begins to."""
    await conn.execute(_LOCK, (project,))
    found = await (await conn.execute(_OF_PROJECT, (project, kind))).fetchall()
    if any(_clear(keys, each["sealed"], each["endpoint_id"]) == text for each in found):
        raise Conflict("an endpoint of this project signs with that secret already")


async def forget(conn: Conn, limit: int = 5000) -> int:
    """How many were dropped that have expired."""
    return (await conn.execute(_FORGET, [limit])).rowcount


async def to_reseal(conn: Conn, keys: Sequence[SealKey]) -> int:
    """How many secrets and headers another key than the first has sealed."""
    return await rows.value(await conn.execute(_COUNT_OLD, {"head": secrets.head_of(keys)}), int)


async def reseal(conn: Conn, keys: Sequence[SealKey], limit: int = 500) -> int:
    """How many secrets and headers were moved to the first key; none are left once it is 0.

    What somebody changes meanwhile is sealed by the first key anyway. Raises NotConfigured without the
    key that sealed one of them."""
    given = {"head": secrets.head_of(keys), "limit": limit}
    moved = 0
    for select, column, update in (
        (_OLD_KEYS, SEALED_AS, _MOVE_KEY),
        (_OLD_HEADERS, HEADERS_AS, _MOVE_HEADERS),
    ):
        for old in await rows.many(await conn.execute(select, given), _Old):
            clear = secrets.unseal(keys, old.sealed, owner=old.owner, column=column)
            new = secrets.seal(keys, clear, owner=old.owner, column=column)
            moved += (await conn.execute(update, (new, old.id, old.sealed))).rowcount
    return moved


def _clear(keys: Sequence[SealKey], given: bytes, owner: UUID) -> str:
    return secrets.unseal(keys, given, owner=owner, column=SEALED_AS).decode()
