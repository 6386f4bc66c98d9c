"""A project that falls behind is told to slow down, where the deployment says so."""

import time
from datetime import timedelta
from uuid import UUID

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Overloaded
from outboxd.store import backlogs

_EVERY = 5.0
_MOST_PROJECTS = 10_000


class Backlogs:
    """Counts a project's living jobs at most every 5 s, and only while a bound is set."""

    def __init__(self, db: Database, most: int) -> None:
        self._db = db
        self._most = most
        self._counted: dict[UUID, tuple[float, int]] = {}

    async def admit(self, projects: set[UUID]) -> None:
        """Raises Overloaded when one of them has reached the bound."""
        if not self._most:
            return
        for project in projects:
            if await self._live(project) >= self._most:
                telemetry.INGEST_REFUSED_TOTAL.labels("live_jobs").inc()
                raise Overloaded("this project has too many waiting jobs", timedelta(seconds=5))

    async def _live(self, project: UUID) -> int:
        at, count = self._counted.pop(project, (0.0, 0))
        if not at or time.monotonic() - at >= _EVERY:
            async with self._db.connection() as conn:
                at, count = time.monotonic(), await backlogs.live(conn, project, self._most)
        while len(self._counted) >= _MOST_PROJECTS:
            del self._counted[next(iter(self._counted))]
        self._counted[project] = (at, count)
        return count
