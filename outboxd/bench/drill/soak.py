"""A soak: no fault, much time. Nothing grows that should not, and the end is as quick as the beginning.

    warm-up, a fifth │ first tenth ⋯⋯ a snapshot held open, a minute in ten ⋯⋯ last tenth │ judged as a drill

Half an hour or more is held to the bounds as they stand; what is shorter says less, and may be three times
them.
"""

import statistics
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from outboxd.bench.drill import gauges, stage
from outboxd.bench.drill import judge as judging
from outboxd.bench.drill.crew import HERE, Crew
from outboxd.bench.drill.doors import drop_schedule, make_endpoint, make_schedule
from outboxd.bench.drill.gauges import Sample
from outboxd.bench.drill.judge import Verdict
from outboxd.bench.drill.readers import Subscriber, behind
from outboxd.bench.drill.receiver import Receiver
from outboxd.bench.drill.run import Plan, Tell
from outboxd.bench.drill.scene import hold_snapshot
from outboxd.bench.drill.steady import Steady
from outboxd.bench.drill.wires import Wires
from outboxd.bench.drill.world import World

_LONG = 1800.0
_MIB = 2**20
_HOLDS = 600.0
"""A snapshot is held for a tenth of each so many seconds; a shorter soak has one."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: float
    limit: float

    @property
    def held(self) -> bool:
        return self.value <= self.limit


class Soaked(msgspec.Struct, kw_only=True):
    verdict: Verdict
    rate: float
    """Events a second that were published, on average."""
    bounds: list[Bound] = []
    samples: list[Sample] = []


def soak(plan: Plan, rate: float, tell: Tell) -> Soaked:
    """As `drill`: on the main thread, in a private cluster without a standby, or a database of its own."""
    plan = msgspec.structs.replace(plan, standby=False)
    with stage.stage(plan, [], tell) as (world, _, _):
        return _run(world, plan, rate, tell)


def _run(world: World, plan: Plan, rate: float, tell: Tell) -> Soaked:
    wires, receiver = Wires(), Receiver(world.ledger, plan.seed)
    receiver.failing = 0.05
    crew = Crew(world, wires, HERE, apis=1, workers=2)
    steady = Steady(world, rate)
    readers = [Subscriber(world, f"reader{n}", plan.seed + n, crew.ports) for n in range(4)]
    try:
        crew.until_ready()
        make_endpoint(world, receiver, crew.apis[0].port)
        schedule = make_schedule(world, crew.apis[0].port)
        tell(f"{rate:g} events a second on {len(crew.members)} processes for {plan.seconds:g} s")
        for thread in (steady, *readers):
            thread.start()
        samples = _watched(world, crew, steady, plan.seconds, tell)
        steady.stopping.set()
        steady.join(30)
        drop_schedule(world, crew.ports(), schedule)
        return _judged(world, crew, steady, readers, samples, plan, tell)
    finally:
        for reader in readers:
            reader.stopping.set()
        crew.close()
        receiver.close()
        wires.close()


def _watched(world: World, crew: Crew, steady: Steady, seconds: float, tell: Tell) -> list[Sample]:
    pause = min(10.0, max(1.0, seconds / 60))
    stopping = threading.Event()
    period = min(_HOLDS, seconds)
    holding = threading.Thread(target=hold_snapshot, args=(world, period / 10, period, stopping), daemon=True)
    holding.start()
    samples: list[Sample] = []
    began = last = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        time.sleep(min(pause, began + seconds - now))
        at = time.monotonic()
        samples.append(gauges.read(world, crew, at - began, at - last))
        last = at
        if len(samples) % 30 == 0:
            tell(f"{at - began:.0f} s: {steady.published} events, {samples[-1].due} jobs due")
    stopping.set()
    holding.join(10)
    return samples


def _judged(
    world: World,
    crew: Crew,
    steady: Steady,
    readers: Sequence[Subscriber],
    samples: list[Sample],
    plan: Plan,
    tell: Tell,
) -> Soaked:
    quiet = judging.calm(world, lambda: behind(world, list(readers)))
    for reader in readers:
        reader.stopping.set()
        reader.join(10)
    found = judging.judge(world, [])
    found.figures.quiet, found.seed, found.seconds = quiet, plan.seed, plan.seconds
    if quiet is None:
        found.broken.insert(0, f"stuck: {judging.waiting(world)} rows wait")
    limits = bounds(samples, plan.seconds)
    for bound in limits:
        tell(f"{'ok ' if bound.held else 'NO '} {bound.name}: {bound.value:,.1f}, at most {bound.limit:,.1f}")
    found.broken += [f"{b.name} is {b.value:,.1f}, at most {b.limit:,.1f}" for b in limits if not b.held]
    found.broken += [f"{name} ended with {status}" for name, status in crew.stop().items() if status != 0]
    return Soaked(verdict=found, rate=steady.published / plan.seconds, bounds=limits, samples=samples)


def bounds(samples: Sequence[Sample], seconds: float) -> list[Bound]:
    """What the page asks of everything after the warm-up."""
    warm = [sample for sample in samples if sample.at > seconds / 5]
    tenth = max(2, len(warm) // 10)
    first, last = warm[:tenth], warm[-tenth:]
    loose = 1 if seconds >= _LONG else 3
    hours = (last[-1].at - first[0].at) / 3600

    def median(of: Sequence[Sample], what: Callable[[Sample], float | None]) -> float:
        return statistics.median([value for each in of if (value := what(each)) is not None] or [0.0])

    def grown(name: str) -> float:
        return (median(last, lambda s: s.rss[name]) - median(first, lambda s: s.rss[name])) / _MIB

    before, after = median(first, lambda s: s.p99_ms), median(last, lambda s: s.p99_ms)
    wal = _wal(first, warm), _wal(last, warm)
    return [
        # Pages of the allocator come in lumps: 4 MiB are not a leak, whatever the time.
        *(
            Bound(name=f"{name} grew, MiB", value=grown(name), limit=4 * loose + hours)
            for name in first[0].rss
        ),
        Bound(name="ready, MiB", value=max(s.ready_bytes for s in warm) / _MIB, limit=64),
        Bound(name="dead rows, most", value=max(s.dead_rows for s in warm), limit=200_000),
        Bound(name="WAL a job, last to first", value=abs(wal[1] / wal[0] - 1) * 100, limit=10 * loose),
        Bound(name="p99, last to first", value=after / max(before, 5), limit=1.5 * loose),
        Bound(name="descriptors more", value=last[-1].descriptors - first[0].descriptors, limit=5 * loose),
        Bound(name="connections more", value=last[-1].connections - first[0].connections, limit=3 * loose),
    ]


def _wal(some: Sequence[Sample], all_of: Sequence[Sample]) -> float:
    """Bytes of WAL for each end of an attempt; of all samples where these few saw none."""
    ended = some[-1].ended - some[0].ended
    if ended <= 0:
        some, ended = all_of, max(1, all_of[-1].ended - all_of[0].ended)
    return max(1.0, (some[-1].wal_bytes - some[0].wal_bytes) / ended)
