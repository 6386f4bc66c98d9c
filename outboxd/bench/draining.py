"""How fast a backlog is worked off: us, the raw limit, the peers."""

from collections.abc import Mapping

import msgspec

from outboxd.bench.drain import Did, Order
from outboxd.bench.ground import PAYLOAD, Ground, NotMeasuredError
from outboxd.bench.measure import Measure, Take

OURS, RAW, VERBS = "outboxd", "raw SQL", "SQL verbs"
PEERS = ("procrastinate", "pgqueuer")
_SLOW = {"procrastinate"}


def drain(batch: int, processes: int = 1) -> Take:
    """Jobs a second, from the start of the first process to the end of the last."""
    figure = name(batch, processes)

    async def take(ground: Ground, system: str) -> Mapping[str, float]:
        jobs = _jobs(ground, system, batch)
        order = Order(system=system, dsn="", act="fill", jobs=jobs, batch=batch, payload=PAYLOAD)
        async with ground.database(schema=False) as dsn:
            await ground.fill(_at(order, dsn, "fill"))
            ground.checkpoint()
            did = await ground.drain(_at(order, dsn, "drain", share=processes > 1), processes)
        return {figure: _rate(did, jobs)}

    return take


def name(batch: int, processes: int = 1) -> str:
    return f"drain {batch}" + (", two processes" if processes > 1 else "")


def _jobs(ground: Ground, system: str, batch: int) -> int:
    """Fewer where a transaction is a job or a few: the rate is the same, the wait is not."""
    if system in _SLOW:
        return ground.size.slow_jobs
    return ground.size.jobs // (1 if batch >= 100 else 2 if batch >= 10 else 10)


def _at(order: Order, dsn: str, act: str, *, share: bool = False) -> Order:
    return msgspec.structs.replace(order, dsn=dsn, act=act, share=share)


def _rate(did: list[Did], jobs: int) -> float:
    ran = sum(one.jobs for one in did)
    if ran != jobs:
        raise NotMeasuredError(f"{ran} of {jobs} jobs ran")
    return jobs / (max(one.ended for one in did) - min(one.began for one in did))


def _measure(batch: int, processes: int = 1, systems: tuple[str, ...] = (OURS, VERBS, RAW)) -> Measure:
    figure = name(batch, processes)
    return Measure(name=figure, gives={figure: "jobs/s"}, take=drain(batch, processes), systems=systems)


MEASURES = (
    _measure(1),
    _measure(10),
    _measure(100, systems=(OURS, *PEERS, RAW, VERBS)),
    _measure(100, 2, systems=(OURS, *PEERS, RAW)),
)
