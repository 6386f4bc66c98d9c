"""What is taken out of an event before anything of it is queued, logged or stored.

Private spans always; what looks like a secret besides where the project's `privacy.redactSecrets` says
`ingest`. That setting is remembered for a few seconds: a change of it reaches each process so late.
"""

import asyncio
import time
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from outboxd.db.pool import Database
from outboxd.errors import Broken
from outboxd.handlers.memory.privacy import PRIVATE, strip_raw
from outboxd.handlers.memory.redaction import Redactor
from outboxd.store import settings

_REDACT = "privacy.redactSecrets"
_SECONDS = 5.0
_MOST = 10_000
_IN_THREAD = 64 * 1024
"""From here on it takes so long that other requests should not wait for it."""


class Clean(msgspec.Struct, frozen=True):
    payload: Raw
    metadata: Raw | UnsetType
    removed: int
    """How many private spans there were."""


class Privacy:
    def __init__(self, db: Database, redactor: Redactor) -> None:
        self.redactor = redactor
        self._db = db
        self._known: dict[UUID, tuple[float, bool]] = {}

    async def clean(self, project: UUID, payload: Raw, metadata: Raw | UnsetType) -> Clean:
        """Raises Broken rather than let through what it could not look into."""
        redact = await self.redacts(project)
        try:
            if len(payload) < _IN_THREAD:
                return self._cleaned(payload, metadata, redact=redact)
            return await asyncio.to_thread(self._cleaned, payload, metadata, redact=redact)
        except Exception as failed:
            raise Broken("private spans could not be taken out: nothing was stored") from failed

    async def redacts(self, project: UUID) -> bool:
        """Whether secrets go before storage, in that project; no for one that is not there."""
        known = self._known.get(project)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        async with self._db.connection() as conn:
            said: bool = await settings.of_project(conn, project, _REDACT) == "ingest"
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[project] = (time.monotonic() + _SECONDS, said)
        return said

    def _cleaned(self, payload: Raw, metadata: Raw | UnsetType, *, redact: bool) -> Clean:
        clean, removed = self._part(payload, redact=redact)
        if metadata is UNSET:
            return Clean(clean, UNSET, removed)
        besides, more = self._part(metadata, redact=redact)
        return Clean(clean, besides, removed + more)

    def _part(self, part: Raw, *, redact: bool) -> tuple[Raw, int]:
        before = bytes(part)
        after, removed = strip_raw(before, PRIVATE)
        if redact:
            after = self.redactor.raw(after)
        return (part if after is before else Raw(after)), removed
