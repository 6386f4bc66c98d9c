"""What was answered to requests that came with an Idempotency-Key.

claim ─▶ fresh: the effect, then `keep`, all in one transaction
      ─▶ done: what was answered then; busy: somebody is at it; other: the key was for another request
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.errors import Conflict, Error, IdempotencyMismatch

Conn = AsyncConnection[dict[str, Any]]

_CLAIM = b"select * from outbox.claim_replies(%s)"
_KEEP = b"select outbox.keep_reply(%s, %s, %s, %s)"
_FORGET = b"""
delete from outbox.idempotency i where i.ctid = any (array(
  select e.ctid from outbox.idempotency e where e.expires_at <= (select outbox.clock())
  order by e.expires_at limit %s for update skip locked))
"""
_SECOND = timedelta(seconds=1)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is to have its effect once."""

    team: UUID
    scope: UUID
    """The project it names, or the team."""
    route: str
    key: str
    fingerprint: str
    """SHA-256 of the request, in hex."""
    lives: timedelta

    def named(self) -> dict[str, str]:
        return {
            "team": str(self.team),
            "scope": str(self.scope),
            "route": self.route,
            "key": self.key,
            "fingerprint": self.fingerprint,
        }


class Claimed(msgspec.Struct, frozen=True):
    n: int
    state: Literal["fresh", "busy", "other", "done", "stranger"]
    status: int | None
    reply: Raw | None
    """What `keep` was given."""

    def refusal(self) -> Error | None:
        """Why it may not go on; None when it may, or was answered before."""
        if self.state == "busy":
            return Conflict("a request with this Idempotency-Key is in flight", retry_in=_SECOND)
        if self.state == "other":
            return IdempotencyMismatch("this Idempotency-Key was used for another request")
        return None


async def claim(conn: Conn, claims: Sequence[Claim]) -> list[Claimed]:
    """One answer a claim, in their order. Waits for nobody."""
    named = [each.named() for each in claims]
    return await rows.many(await conn.execute(_CLAIM, [Jsonb(named)]), Claimed)


async def keep(conn: Conn, what: Claim, status: int, reply: bytes) -> None:
    """`reply` is JSON. Only for a claim that was fresh, in its transaction."""
    await conn.execute(_KEEP, [Jsonb(what.named()), status, Jsonb(reply, dumps=bytes), what.lives])


async def forget(conn: Conn, limit: int = 5000) -> int:
    """How many answers were dropped that no longer count."""
    return (await conn.execute(_FORGET, [limit])).rowcount
