"""C1, every second of a drill: in no moment does a job stand in two places, or in none."""

import threading
import time
from contextlib import suppress

import psycopg

from outboxd.bench.drill.places import C1
from outboxd.bench.drill.world import World

_SHARE = 10
"""It rests so many times as long as it looked: what it costs grows with the tables."""


class Watcher(threading.Thread):
    """`broken` says what it saw."""

    def __init__(self, world: World) -> None:
        super().__init__(name="watcher", daemon=True)
        self._world = world
        self.broken: list[str] = []
        self.looked = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        rest = 1.0
        while not self.stopping.wait(rest):
            began = time.monotonic()
            with suppress(psycopg.OperationalError, RuntimeError):
                self._look()
            rest = max(1.0, _SHARE * (time.monotonic() - began))

    def end(self) -> None:
        self.stopping.set()
        self.join(15)

    def _look(self) -> None:
        with self._world.connect() as conn:
            conn.execute("set statement_timeout = '10s'")
            self.broken += [
                f"while it ran: {row[0]} ({row[1]})" for row in conn.execute(C1.encode()).fetchmany(5)
            ]
            self.looked += 1
