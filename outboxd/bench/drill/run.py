"""One drill: build, load, break, calm down, judge."""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import msgspec
import psycopg

from outboxd.bench.drill import judge as judging
from outboxd.bench.drill import world as worlds
from outboxd.bench.drill.crew import Crew
from outboxd.bench.drill.deafness import Deafness
from outboxd.bench.drill.endpoint import make_endpoint
from outboxd.bench.drill.faults import NAMES, Faults
from outboxd.bench.drill.judge import Verdict
from outboxd.bench.drill.producers import Http, Producer, Sql
from outboxd.bench.drill.receiver import Receiver
from outboxd.bench.drill.world import World

__all__ = ["NAMES", "Plan", "drill"]

QUIET = 60.0
"""Seconds that may pass between the last fault and nothing left to do."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and how to repeat it."""

    seconds: float = 60
    seed: int = 0
    faults: frozenset[str] = frozenset()
    """Names of `Faults`; none: all of them."""
    rate: float = 15
    """Events a second of each of the four producers."""
    pause: float = 1.5
    """Seconds between two faults, on average."""
    keep: bool = False


def drill(plan: Plan, tell: Callable[[str], None]) -> Verdict:
    """Runs on the main thread, in a temporary directory that goes with it unless `keep`."""
    with _folder(plan.keep, tell) as folder:
        world = asyncio.run(worlds.build(folder))
        try:
            return _run(world, plan, tell)
        finally:
            world.server.stop()


def _run(world: World, plan: Plan, tell: Callable[[str], None]) -> Verdict:
    choice = random.Random(plan.seed)
    wire = Deafness(world.dsn)
    receiver = Receiver(world.ledger, plan.seed)
    crew = Crew(world, wire.url)
    faults = Faults(world, crew, wire, choice, plan.faults)
    try:
        crew.until_ready()
        make_endpoint(world, receiver, crew.apis[0].port)
        tell(f"load on {len(crew.members)} processes for {plan.seconds:g} s, seed {plan.seed}")
        producers = _producers(world, crew, plan)
        _break(faults, plan, choice)
        _stop(producers)
        faults.stop()
        tell(f"{len(faults.done)} faults done; waiting until all is quiet")
        taken = _calm(world, crew)
        found = judging.judge(world, faults.done)
        if taken is None:
            found.broken.insert(
                0, f"stuck: {judging.waiting(world)} rows wait {QUIET:g} s after the last fault"
            )
        tell(judging.summary(found) + ("" if taken is None else f"\nquiet after {taken:.1f} s"))
        found.broken += [f"{name} ended with {status}" for name, status in crew.stop().items() if status != 0]
        return found
    finally:
        crew.close()
        receiver.close()
        wire.close()


def _producers(world: World, crew: Crew, plan: Plan) -> list[Producer]:
    made: list[Producer] = [Sql(world, f"sql{n}", plan.seed + n, plan.rate) for n in range(2)]
    made += [Http(world, f"http{n}", plan.seed + 10 + n, plan.rate, crew.ports) for n in range(2)]
    for producer in made:
        producer.start()
    return made


def _break(faults: Faults, plan: Plan, choice: random.Random) -> None:
    faults.start()
    end = time.monotonic() + plan.seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, choice.uniform(0.5, 1.5) * plan.pause))
        faults.tick()


def _stop(producers: list[Producer]) -> None:
    for producer in producers:
        producer.stopping.set()
    for producer in producers:
        producer.join(30)


def _calm(world: World, crew: Crew) -> float | None:
    """Seconds until nothing waits any more; None when it does not come to that."""
    start = time.monotonic()
    while time.monotonic() - start < QUIET:
        crew.revive()
        try:
            if judging.waiting(world) == 0:
                return time.monotonic() - start
        except psycopg.Error:
            pass
        time.sleep(0.2)
    return None


@contextmanager
def _folder(keep: bool, tell: Callable[[str], None]) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="outboxd-drill-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        if keep:
            tell(f"kept in {folder}")
        else:
            rmtree(folder, ignore_errors=True)
