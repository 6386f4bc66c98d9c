"""One drill: build, load, break, calm down, judge."""

import random
import time
from collections.abc import Callable

import msgspec

from outboxd.bench.drill import faults as breaking
from outboxd.bench.drill import figures
from outboxd.bench.drill import judge as judging
from outboxd.bench.drill import stage as stages
from outboxd.bench.drill.crew import HERE, Crew, Way
from outboxd.bench.drill.doors import make_endpoint
from outboxd.bench.drill.faults import NAMES, Fault, Faults
from outboxd.bench.drill.judge import Verdict
from outboxd.bench.drill.load import Load
from outboxd.bench.drill.receiver import Receiver
from outboxd.bench.drill.watcher import Watcher
from outboxd.bench.drill.wires import Wires
from outboxd.bench.drill.world import World

__all__ = ["NAMES", "Plan", "drill"]

Tell = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and how to repeat it."""

    seconds: float = 60
    seed: int = 0
    faults: frozenset[str] = frozenset()
    """Names or groups of `FAULTS`; none: all of them."""
    server: str | None = None
    """DSN of a server on which to make a database; None: a private cluster."""
    standby: bool = True
    lossy: bool = False
    """The standby is waited for by nobody: what a failover loses is counted."""
    tomorrow: bool = True
    """Schedules and pulling over HTTP; not where the release before serves as well."""
    apis: int = 2
    workers: int = 3
    rate: float = 15
    """Events a second of each of the four producers."""
    pause: float = 1.5
    """Seconds between two faults, on average."""
    keep: bool = False


def drill(plan: Plan, tell: Tell) -> Verdict:
    """Runs on the main thread; what it made goes with it unless `keep`.

    Raises ConfigError where the server is not ours to break, DatabaseUnavailable where it is not there.
    """
    wanted = breaking.chosen(plan.faults)
    with stages.stage(plan, wanted, tell) as (world, able, skipped):
        for name, why in skipped.items():
            tell(f"not done: {name}, {why}")
        found = run(world, plan, able, tell)
    found.skipped, found.seed, found.seconds = skipped, plan.seed, plan.seconds
    return found


def run(
    world: World,
    plan: Plan,
    able: list[Fault],
    tell: Tell,
    *,
    way: Way = HERE,
    during: Callable[[Crew], None] | None = None,
) -> Verdict:
    """In a world that is there. `way` is how the crew is started, `during` is called once load is on it."""
    choice = random.Random(plan.seed)
    wires = Wires()
    receiver = Receiver(world.ledger, plan.seed)
    crew = Crew(world, wires, way, apis=plan.apis, workers=plan.workers)
    faults = Faults(world, crew, wires, choice, able)
    watcher = Watcher(world)
    try:
        crew.until_ready()
        crew.supervise()
        make_endpoint(world, receiver, crew.apis[0].port)
        tell(f"load on {len(crew.members)} processes for {plan.seconds:g} s, seed {plan.seed}")
        load = Load(world, crew.ports, plan, poison=any(fault.name == "poison" for fault in able))
        watcher.start()
        if during is not None:
            during(crew)
        _break(faults, plan, choice)
        faults.stop()
        load.stop()
        tell(f"{len(faults.done)} faults done; waiting until all is quiet")
        return _judged(world, plan, crew, faults, load, watcher, tell)
    finally:
        watcher.stopping.set()
        crew.close()
        receiver.close()
        wires.close()


def _judged(
    world: World, plan: Plan, crew: Crew, faults: Faults, load: Load, watcher: Watcher, tell: Tell
) -> Verdict:
    quiet = judging.calm(world, load.behind)
    late = load.end()
    watcher.end()
    found = judging.judge(world, faults.done, lossy=plan.lossy)
    found.broken += watcher.broken
    found.figures.quiet = quiet
    if quiet is None:
        rows = judging.waiting(world)
        found.broken.insert(0, f"stuck: {rows} rows wait {judging.QUIET:g} s after the last fault")
        found.broken += late
    for fault in faults.done:
        found.done[fault.name] = found.done.get(fault.name, 0) + 1
    tell(figures.summary(found.figures) + ("" if quiet is None else f"\nquiet after {quiet:.1f} s"))
    found.broken += [f"{name} ended with {status}" for name, status in crew.stop().items() if status != 0]
    return found


def _break(faults: Faults, plan: Plan, choice: random.Random) -> None:
    faults.start()
    end = time.monotonic() + plan.seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, choice.uniform(0.5, 1.5) * plan.pause))
        faults.tick()
