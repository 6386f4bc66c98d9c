"""Keys as requests show them, remembered for a few seconds.

What writes judges the key again in its own statement, so a stale entry here lets nobody write; a
reader is at most 5 s late, and at once out when the hint `k:<key>` arrives. Unknown keys and errors
are not remembered.
"""

import asyncio
import time
from uuid import UUID

import structlog

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.store import keys
from outboxd.store.keys import Found

log = structlog.get_logger()

_SECONDS = 5.0
_MOST = 10_000


class KeyRing:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[bytes, tuple[float, Found]] = {}
        self._asking: dict[bytes, asyncio.Task[Found | None]] = {}
        self._hit = telemetry.AUTH_CACHE_TOTAL.labels("hit")
        self._miss = telemetry.AUTH_CACHE_TOTAL.labels("miss")

    async def find(self, digest: bytes) -> Found | None:
        """The key, live or not. Raises DatabaseUnavailable rather than refuse a key it cannot look up."""
        known = self._known.get(digest)
        if known is not None and known[0] > time.monotonic():
            self._hit.inc()
            return known[1]
        self._miss.inc()
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(digest))
            asking.add_done_callback(lambda done: self._answered(digest, done))
        return await asyncio.shield(asking)

    def drop(self, key: UUID | None) -> None:
        """Forgets the key; None: every one, since hints were lost."""
        self._known = {} if key is None else {d: k for d, k in self._known.items() if k[1].id != key}
        # An answer that is on its way may be older than the revocation: nobody joins it or keeps it.
        self._asking.clear()

    async def _ask(self, digest: bytes) -> Found | None:
        async with self._db.connection() as conn:
            found = await keys.find(conn, digest)
        if found is not None and found.live and found.unnoticed:
            await self._notice(found)
        return found

    def _answered(self, digest: bytes, done: asyncio.Task[Found | None]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if self._asking.get(digest) is not done:
            return
        del self._asking[digest]
        found = None if failed else done.result()
        if found is None or not found.live:
            return
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        lives = _SECONDS if found.lives is None else min(_SECONDS, found.lives)
        self._known[digest] = (time.monotonic() + lives, found)

    async def _notice(self, found: Found) -> None:
        try:
            async with self._db.connection() as conn:
                await keys.notice(conn, found.id)
        except Error as failed:
            log.warning("use of a key not written", code=failed.code)
