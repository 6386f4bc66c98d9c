"""Whether those who hold streams open still may: one statement for all, each 30 seconds and at a revocation.

Weakness: while the database cannot be asked, everybody may go on; nothing new can be read then either.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import structlog

from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.store import stream_tokens

log = structlog.get_logger()

EVERY = timedelta(seconds=30)


class Standing:
    def __init__(self, db: Database, every: timedelta = EVERY) -> None:
        self._db = db
        self._every = every.total_seconds()
        self._held: dict[UUID, dict[object, Callable[[], None]]] = {}
        self._now = asyncio.Event()
        self._looker: asyncio.Task[None] | None = None

    @contextmanager
    def of(self, key: UUID, end: Callable[[], None]) -> Iterator[None]:
        """Calls `end` once the key opens streams no more."""
        mark = object()
        self._held.setdefault(key, {})[mark] = end
        if self._looker is None or self._looker.done():
            self._looker = asyncio.create_task(self._look(), name="standing of streams")
        try:
            yield
        finally:
            del self._held[key][mark]
            if not self._held[key]:
                del self._held[key]

    def revoked(self, key: UUID | None) -> None:
        """None: any may have been."""
        if key is None or key in self._held:
            self._now.set()

    async def once(self) -> None:
        asked = set(self._held)
        if not asked:
            return
        async with self._db.connection() as conn:
            opening = await stream_tokens.opening(conn, asked)
        for key in asked - opening:
            for end in tuple(self._held.get(key, {}).values()):
                end()

    async def _look(self) -> None:
        """Lives while somebody holds a stream open."""
        while self._held:
            try:
                async with asyncio.timeout(self._every):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            try:
                await self.once()
            except Error as failed:
                log.warning("rights of open streams not looked at", code=failed.code)
