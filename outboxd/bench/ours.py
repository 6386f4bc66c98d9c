"""outboxd as its own adapter: the real worker with a Python handler that does nothing."""

import asyncio

from outboxd import __version__
from outboxd.bench import tenants
from outboxd.bench.verbs import Verbs
from outboxd.db import migrate


class Outboxd:
    name = "outboxd"
    version = __version__

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def setup(self) -> None:
        asyncio.run(migrate.migrate(self._dsn))

    def enqueue(self, jobs: int, payload: str) -> None:
        tenants.enqueue(self._dsn, jobs, payload, tenants.prepare(self._dsn, lease_size=500))

    def drain(self, jobs: int, batch: int) -> tuple[int, float]:
        return Verbs(self._dsn).drain(jobs, batch)
