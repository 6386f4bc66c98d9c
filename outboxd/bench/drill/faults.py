"""What is done to the crew, the server and the wires. One list; a seed decides what comes when."""

import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg

from outboxd.bench.drill.crew import Crew, Member
from outboxd.bench.drill.deafness import Deafness
from outboxd.bench.drill.world import BEAT, World

_TERMINATE = """
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
  order by random() limit 1
"""

# How often each comes; backends are terminated all the time.
_WEIGHTS = {
    "kill": 6, "freeze": 2, "term": 1, "restart": 1, "deaf": 2, "mute": 1, "lock": 1, "snapshot": 1,
}  # fmt: skip
NAMES = (*_WEIGHTS, "backends")


class Faults:
    """`tick()` does one fault, on the main thread: the server may only be started from there."""

    def __init__(
        self, world: World, crew: Crew, wire: Deafness, choice: random.Random, only: frozenset[str]
    ) -> None:
        self._world, self._crew, self._wire, self._choice = world, crew, wire, choice
        self._timers: list[threading.Timer] = []
        self.done: list[tuple[str, float, str, int]] = []
        """(fault, time, whom, pid) of each that was done."""
        self._table: dict[str, Callable[[], tuple[str, int]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "term": self._term,
            "restart": self._restart,
            "deaf": self._deaf,
            "mute": self._mute,
            "lock": self._lock,
            "snapshot": self._snapshot,
        }
        self._names = [name for name in self._table if not only or name in only]
        self.terminator = threading.Thread(target=self._terminate, daemon=True)
        self.terminating = "backends" in only or not only
        self._stopping = threading.Event()

    def start(self) -> None:
        if self.terminating:
            self.terminator.start()

    def tick(self) -> None:
        """One fault by weight, and everything that died starts again."""
        if self._names:
            name = self._choice.choices(self._names, [_WEIGHTS[n] for n in self._names])[0]
            whom, pid = self._table[name]()
            self.done.append((name, time.time(), whom, pid))
        self._crew.revive()

    def stop(self) -> None:
        """Ends what goes on, and heals what can be healed."""
        self._stopping.set()
        for timer in self._timers:
            timer.join()
        self._wire.swallowing.clear()
        for member in self._crew.members:
            member.signal(signal.SIGCONT)
        self._crew.revive()

    def _kill(self) -> tuple[str, int]:
        return self._hit(self._crew.pick(self._choice), signal.SIGKILL)

    def _freeze(self) -> tuple[str, int]:
        member = self._crew.pick(self._choice)
        self._later(BEAT * self._choice.uniform(6, 8), lambda: member.signal(signal.SIGCONT))
        return self._hit(member, signal.SIGSTOP)

    def _term(self) -> tuple[str, int]:
        member = self._crew.pick(self._choice)
        self._later(0.5, lambda: member.signal(signal.SIGTERM))
        return self._hit(member, signal.SIGTERM)

    def _restart(self) -> tuple[str, int]:
        self._world.server.restart_immediate()
        return "server", 0

    def _deaf(self) -> tuple[str, int]:
        self._wire.swallowing.set()
        self._later(self._choice.uniform(2, 6), self._wire.swallowing.clear)
        return "wires", 0

    def _mute(self) -> tuple[str, int]:
        self._say("alter database outboxd set outbox.notify = 'off'")
        self._later(3, lambda: self._say("alter database outboxd reset outbox.notify"))
        return "producers", 0

    def _lock(self) -> tuple[str, int]:
        self._neighbour("begin; lock table outbox.jobs in access exclusive mode", 1)
        return "jobs", 0

    def _snapshot(self) -> tuple[str, int]:
        self._neighbour("begin isolation level repeatable read; select count(*) from outbox.leases", 8)
        return "everybody", 0

    def _hit(self, member: Member, number: signal.Signals) -> tuple[str, int]:
        pid = member.pid
        member.signal(number)
        return member.name, pid

    def _later(self, seconds: float, then: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, then)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _say(self, statement: str) -> None:
        with suppress(psycopg.Error, RuntimeError), self._world.connect() as conn:
            conn.execute(statement.encode())

    def _neighbour(self, statement: str, seconds: float) -> None:
        """Somebody else's transaction, open for a while."""

        def run() -> None:
            with suppress(psycopg.Error, RuntimeError), self._world.connect() as conn:
                conn.execute("set lock_timeout = '2s'")
                conn.execute(statement.encode())
                self._stopping.wait(seconds)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

    def _terminate(self) -> None:
        """Five backends a second, whoever they belong to."""
        while not self._stopping.wait(0.2):
            self._say(_TERMINATE)
