"""What a fault can reach, and how: later, by SQL, by a neighbour's transaction."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec
import psycopg

from outboxd.bench.drill.crew import Crew
from outboxd.bench.drill.wires import Wires
from outboxd.bench.drill.world import World


def hold_snapshot(world: World, seconds: float, every: float, stopping: threading.Event) -> None:
    """Somebody's old snapshot, again and again: from 40 % of each period on, for so long."""
    while not stopping.wait(0.4 * every):
        with suppress(psycopg.Error, RuntimeError), world.connect() as conn:
            conn.execute("begin isolation level repeatable read")
            conn.execute("select count(*) from outbox.leases")
            stopping.wait(seconds)
        stopping.wait(0.6 * every - seconds)


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault did: to whom, with which process, and for how long it goes on by itself."""

    whom: str
    pid: int = 0
    lasts: float = 0


class Scene:
    """Made once a drill. `heal()` ends what goes on and undoes what can be undone."""

    def __init__(self, world: World, crew: Crew, wires: Wires, choice: random.Random) -> None:
        self.world, self.crew, self.wires, self.choice = world, crew, wires, choice
        self.stopping = threading.Event()
        self.blow_at: Callable[[], None] = lambda: None
        """Called at the very moment of a fault that takes long, in place of its start."""
        self._timers: list[threading.Timer] = []
        self._threads: list[threading.Thread] = []

    def later(self, seconds: float, then: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, then)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def say(self, statement: str) -> bool:
        """Whether the server heard it."""
        with suppress(psycopg.Error, RuntimeError), self.world.connect() as conn:
            conn.execute(statement.encode())
            return True
        return False

    def insist(self, statement: str) -> None:
        """For what undoes a fault: said until it is heard, or nobody would judge the drill rightly."""
        while not self.say(statement):
            self.stopping.wait(0.2)

    def neighbour(self, seconds: float, *statements: str, end: str = "rollback") -> None:
        """Somebody else's transaction, open for a while."""

        def run() -> None:
            with suppress(psycopg.Error, RuntimeError), self.world.connect() as conn:
                conn.execute("set lock_timeout = '2s'")
                conn.execute("begin")
                for statement in statements:
                    conn.execute(statement.encode())
                self.stopping.wait(seconds)
                conn.execute(end.encode())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def heal(self) -> None:
        self.stopping.set()
        for timer in self._timers:
            timer.join()
        self.wires.heal()
        for thread in self._threads:
            thread.join(10)
