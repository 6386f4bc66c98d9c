"""What the process knows of itself: the checks behind /readyz. Names only, no hosts, no errors."""

import asyncio
import time
from collections.abc import Callable

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.store import pulse

_FRESH = 1.0
_LIMIT = 2.0
_PULSE = 5.0
"""How old what is known of the whole server may be: it asks more of the database."""

Check = Callable[[], str]
"""ok, degraded or failed, from memory."""


class Readiness:
    """`booted` once the schema is there; `stopping` when it should get no more traffic; `draining` when new
    requests are refused."""

    def __init__(self, db: Database, checks: dict[str, Check], *, provider: str) -> None:
        self.booted = False
        self.stopping = False
        self.draining = False
        self._db = db
        self._checks = checks
        self._provider = provider
        self._seen: dict[str, str] = {}
        self._seen_at = float("-inf")
        self._pulse: dict[str, str] = {}
        self._pulse_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def checks(self) -> dict[str, str]:
        """Name → ok, degraded, failed; the database is asked at most once a second."""
        async with self._one_at_a_time:
            if time.monotonic() - self._seen_at > _FRESH:
                self._seen = {"database": await self._database()}
                self._seen_at = time.monotonic()
            if self.booted and time.monotonic() - self._pulse_at > _PULSE:
                self._pulse = await self._server()
                self._pulse_at = time.monotonic()
        found = {
            **self._seen,
            "schema": "ok" if self.booted else "failed",
            "process": "failed" if self.stopping or self.draining else "ok",
            **self._pulse,
            **{name: check() for name, check in self._checks.items()},
        }
        telemetry.READY.set("failed" not in found.values())
        return found

    async def _database(self) -> str:
        try:
            async with asyncio.timeout(_LIMIT), self._db.connection() as conn:
                await conn.execute(b"select 1")
        except (Error, TimeoutError):
            return "failed"
        return "ok"

    async def _server(self) -> dict[str, str]:
        """What no process alone is to blame for; nothing while the database is away."""
        try:
            async with asyncio.timeout(_LIMIT), self._db.connection() as conn:
                found = await pulse.read(conn, self._provider)
        except (Error, TimeoutError):
            return {}
        told = {"queues": found.behind, "provider": found.held, "chores": found.stale}
        return {name: "degraded" if bad else "ok" for name, bad in told.items()}
