"""What is done to the crew, the servers and the wires. One list; a seed decides what comes when."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
import psycopg

from outboxd.bench.drill import blows, hits
from outboxd.bench.drill.crew import Crew, clock_library
from outboxd.bench.drill.scene import Hit, Scene
from outboxd.bench.drill.wires import Wires
from outboxd.bench.drill.world import World


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    group: str
    """Selects it as well."""
    weight: int
    """How often it comes, beside the others. 0: not by turns, it goes on all the time."""
    act: Callable[[Scene], Hit | None] | None = None
    needs: Literal["nothing", "own server", "standby", "clock library", "small disk"] = "nothing"


def _fault(act: Callable[[Scene], Hit | None], group: str, weight: int, needs: str = "nothing") -> Fault:
    return msgspec.convert(
        {"name": act.__name__, "group": group, "weight": weight, "needs": needs, "act": act}, Fault
    )


FAULTS = (
    _fault(hits.kill, "processes", 8),
    _fault(hits.freeze, "processes", 2),
    _fault(hits.term, "processes", 2),
    Fault(name="backends", group="backends", weight=0),
    _fault(blows.restart, "server", 2, "own server"),
    _fault(blows.disk, "server", 1, "small disk"),
    _fault(blows.failover, "failover", 1, "standby"),
    _fault(hits.deaf, "network", 1),
    _fault(hits.cut, "network", 2),
    _fault(hits.delay, "network", 1),
    _fault(hits.partition, "network", 1),
    _fault(hits.mute, "hints", 1),
    _fault(hits.hush, "hints", 1),
    _fault(hits.skew, "clocks", 1, "clock library"),
    _fault(hits.step, "clocks", 1),
    _fault(hits.lock, "neighbours", 1),
    _fault(hits.snapshot, "neighbours", 1),
    _fault(hits.loiter, "neighbours", 1),
    Fault(name="poison", group="poison", weight=0),
)
NAMES = tuple(dict.fromkeys(name for fault in FAULTS for name in (fault.group, fault.name)))


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One that was done. `at` is monotonic, `wall` the calendar's."""

    name: str
    at: float
    wall: float
    whom: str
    pid: int
    lasts: float


def chosen(names: Iterable[str]) -> list[Fault]:
    """Those of that name or group, all when there is none."""
    wanted = frozenset(names)
    return [fault for fault in FAULTS if not wanted or wanted & {fault.name, fault.group}]


def unable(faults: Iterable[Fault], *, own: bool, standby: bool, disk: str | None) -> dict[str, str]:
    """Name → why it cannot be done here."""
    own_server = None if own else "not on a server that is not the drill's own"
    why = {
        "nothing": None,
        "own server": own_server,
        "standby": own_server or (None if standby else "there is no standby (it needs pg_basebackup)"),
        "clock library": None if clock_library() else "libfaketime is not installed",
        "small disk": own_server or disk,
    }
    return {fault.name: reason for fault in faults if (reason := why[fault.needs])}


class Faults:
    """`tick()` does one fault, on the main thread: a server may only be started from there."""

    def __init__(
        self, world: World, crew: Crew, wires: Wires, choice: random.Random, faults: list[Fault]
    ) -> None:
        self.scene = Scene(world, crew, wires, choice)
        self.done: list[Done] = []
        self._turns = [fault for fault in faults if fault.weight]
        self._terminator = threading.Thread(target=self._terminate, daemon=True)
        self._terminating = any(fault.name == "backends" for fault in faults)
        self._first = list(self._turns)

    def start(self) -> None:
        if self._terminating:
            self._terminator.start()

    def tick(self) -> None:
        """One fault: each once, then by weight."""
        if self._turns and self._ours():
            self._do(self._drawn())

    def stop(self) -> None:
        """Ends what goes on, and heals what can be healed."""
        self.scene.heal()
        for member in self.scene.crew.members:
            member.signal(signal.SIGCONT)

    def _do(self, fault: Fault) -> None:
        began = [time.monotonic(), time.time()]

        def blow() -> None:
            began[:] = time.monotonic(), time.time()

        self.scene.blow_at = blow
        hit = fault.act(self.scene) if fault.act else None
        if hit is not None:
            at, wall = began
            self.done.append(
                Done(name=fault.name, at=at, wall=wall, whom=hit.whom, pid=hit.pid, lasts=hit.lasts)
            )

    def _drawn(self) -> Fault:
        choice = self.scene.choice
        if self._first:
            return self._first.pop(choice.randrange(len(self._first)))
        return choice.choices(self._turns, [fault.weight for fault in self._turns])[0]

    def _ours(self) -> bool:
        """Whether the marker is there. A server of ours that does not answer is ours all the same."""
        try:
            self.scene.world.connect().close()
        except psycopg.Error:
            return self.scene.world.pair is not None
        return True

    def _terminate(self) -> None:
        """Five backends a second, whoever of ours they belong to."""
        while not self.scene.stopping.wait(0.2):
            self.scene.say(hits.TERMINATE)
