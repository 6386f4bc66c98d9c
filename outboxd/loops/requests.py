"""Requests, metered: counted here, added to the database by the chore `usage`.

A process that is killed loses at most what it counted since; one that ends in order loses nothing.
"""

import asyncio
import time
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog

from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.store import usage

log = structlog.get_logger()

ROWS = 5000
"""That one run of the chore lets go, at most."""
_PATIENCE = timedelta(seconds=30)
_REST = 600.0
"""Seconds between two looks at months that are over."""

Who = tuple[UUID, UUID | None]
"""A team, and the project that the key is bound to."""


class Counted(msgspec.Struct, kw_only=True, eq=False):
    requests: int = 0
    refused: int = 0


class Requests:
    """Bounded by the number of keys' tenancies that ask between two writes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: defaultdict[Who, Counted] = defaultdict(Counted)
        self._flying: dict[Who, Counted] = {}
        self._one_at_a_time = asyncio.Lock()
        self._summed_until = 0.0

    def count(self, who: Who) -> None:
        self._counts[who].requests += 1

    def refused(self, who: Who, *, counted: bool) -> None:
        """It was no request after all; `counted`: as one, before."""
        self._counts[who].refused += 1
        if counted:
            self._counts[who].requests -= 1

    def pending(self, team: UUID) -> int:
        """Requests of the team that the database does not know of."""
        known = (*self._counts.items(), *self._flying.items())
        return sum(counted.requests for (of, _), counted in known if of == team)

    async def once(self) -> None:
        """Adds what was counted. Raises when it could not: then it is added the next time."""
        async with self._one_at_a_time:
            self._flying, self._counts = dict(self._counts), defaultdict(Counted)
            added = False
            try:
                if self._flying:
                    await self._db.run(lambda conn: usage.add_requests(conn, self._flat()))
                added = True
            finally:
                if not added:
                    self._take_back()
                self._flying = {}

    async def flush(self) -> None:
        """As `once`, but only says that it could not."""
        try:
            await self.once()
        except Error as failed:
            log.info("requests not metered yet", code=failed.code)

    async def sum_up(self, kept: timedelta) -> int:
        """The chore: adds them, sums up a month that is over, lets rows go that are older than `kept`."""
        await self.once()
        if time.monotonic() < self._summed_until:
            return 0
        done = await self._db.run(lambda conn: usage.roll_up(conn, kept, ROWS), _PATIENCE)
        if done < ROWS:
            self._summed_until = time.monotonic() + _REST
        return done

    def _flat(self) -> list[usage.Requested]:
        return [
            usage.Requested(team=team, project=project, requests=each.requests, refused=each.refused)
            for (team, project), each in self._flying.items()
        ]

    def _take_back(self) -> None:
        for who, each in self._flying.items():
            self._counts[who].requests += each.requests
            self._counts[who].refused += each.refused
