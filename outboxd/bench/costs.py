"""What a job costs the server: WAL, dead rows, transactions, notifications."""

from collections.abc import Callable, Mapping
from uuid import UUID

from outboxd.bench import tenants, verbs
from outboxd.bench.counters import Heard, Window
from outboxd.bench.drain import Order
from outboxd.bench.ground import PAYLOAD, Ground
from outboxd.bench.measure import Measure

_WARM = 1_000
_LANES = 100

Door = Callable[[str, int, UUID], None]
"""(dsn, how many, project): takes that many jobs in, so that they are due."""


def _direct(dsn: str, jobs: int, project: UUID) -> None:
    tenants.enqueue(dsn, jobs, PAYLOAD, [project], batch=100)


def _event(dsn: str, jobs: int, project: UUID) -> None:
    tenants.publish(dsn, jobs, PAYLOAD, project)
    tenants.number(dsn, project)


def _keyed(dsn: str, jobs: int, project: UUID) -> None:
    tenants.publish(dsn, jobs, PAYLOAD, project, keys=_LANES)
    tenants.number(dsn, project)


_DOORS: Mapping[str, Door] = {"direct": _direct, "event": _event, "keyed": _keyed}


def _whole_way(kind: str) -> Measure:
    """In, numbered where it is an event, claimed, settled; in batches of 100."""

    async def take(ground: Ground, system: str) -> Mapping[str, float]:
        jobs = ground.size.cost_jobs
        async with ground.database() as dsn:
            (project,) = tenants.prepare(dsn)
            tenants.lease_size(dsn, 100)
            await _once(dsn, _DOORS[kind], _WARM, project)
            ground.checkpoint()
            # The pages that are touched first after the checkpoint are written as images: before we count.
            await _once(dsn, _DOORS[kind], _WARM, project)
            with Window(dsn) as seen:
                await _once(dsn, _DOORS[kind], jobs, project)
        return {
            f"wal {kind}": (seen.wal - seen.full_page_bytes) / jobs,
            f"wal {kind}, page images": seen.full_page_bytes / jobs,
            f"dead {kind}": seen.dead / jobs,
        }

    units = {f"wal {kind}": "B/job", f"wal {kind}, page images": "B/job", f"dead {kind}": "rows/job"}
    return Measure(name=f"cost {kind}", gives=units, take=take, rounds=3)


async def _once(dsn: str, door: Door, jobs: int, project: UUID) -> None:
    door(dsn, jobs, project)
    await verbs.drain(dsn, 100)


async def _busy(ground: Ground, system: str) -> Mapping[str, float]:
    """The real worker on a backlog, from its first statement to its last."""
    jobs = ground.size.jobs
    async with ground.database(schema=False) as dsn:
        order = Order(system=system, dsn=dsn, act="fill", jobs=jobs, payload=PAYLOAD)
        await ground.fill(order)
        with Heard(dsn) as heard, Window(dsn) as seen:
            await ground.drain(Order(system=system, dsn=dsn, act="drain", jobs=jobs, batch=100))
        return {"transactions": seen.transactions / jobs, "notifications": heard.count / jobs}


MEASURES = (
    *(_whole_way(kind) for kind in _DOORS),
    Measure(name="busy", gives={"transactions": "/job", "notifications": "/job"}, take=_busy, rounds=3),
)
