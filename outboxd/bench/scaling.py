"""What another worker process adds: handlers that only cost us, and handlers that wait for somebody else.

Each process is a worker with its own pool, as `outboxd work` is one. A job that ran or ended twice makes
the figure n/a.
"""

from collections.abc import Mapping

import msgspec
import psycopg

from outboxd.bench.drain import Did, Order
from outboxd.bench.ground import PAYLOAD, Ground, NotMeasuredError
from outboxd.bench.measure import Measure, Take

PROCESSES = (1, 2, 3, 4)
WAIT_MS = 100
_SLOTS = 50
_WAITING_JOBS = 4_000
_TWICE = """
  select count(*) - count(distinct job_id) as twice, count(*) as ends
  from outbox.attempts where outcome = 'completed'
"""


def name(kind: str, processes: int) -> str:
    return f"scale {kind}, {processes} process{'es' if processes > 1 else ''}"


def _scaled(processes: int, wait_ms: int, batch: int) -> Take:
    """Jobs a second, from the start of the first process to the end of the last."""
    figure = name("waiting" if wait_ms else "no-op", processes)

    async def take(ground: Ground, system: str) -> Mapping[str, float]:
        jobs = min(_WAITING_JOBS, ground.size.jobs) if wait_ms else ground.size.jobs
        order = Order(
            system=system, dsn="", act="fill", jobs=jobs, batch=batch, payload=PAYLOAD, wait_ms=wait_ms
        )
        async with ground.database(schema=False) as dsn:
            await ground.fill(msgspec.structs.replace(order, dsn=dsn))
            ground.checkpoint()
            did = await ground.drain(
                msgspec.structs.replace(order, dsn=dsn, act="drain", share=processes > 1), processes
            )
            _once(dsn, did, jobs)
        return {figure: jobs / (max(one.ended for one in did) - min(one.began for one in did))}

    return take


def _once(dsn: str, did: list[Did], jobs: int) -> None:
    """Raises NotMeasuredError unless each job ran once and ended once."""
    ran = sum(one.jobs for one in did)
    with psycopg.connect(dsn, autocommit=True) as conn:
        twice, ends = conn.execute(_TWICE).fetchone() or (0, 0)
    if (ran, ends, twice) != (jobs, jobs, 0):
        raise NotMeasuredError(f"of {jobs} jobs {ran} ran, {ends} ended, {twice} of them twice")


def _measure(kind: str, processes: int, wait_ms: int, batch: int) -> Measure:
    figure = name(kind, processes)
    return Measure(
        name=figure, gives={figure: "jobs/s"}, take=_scaled(processes, wait_ms, batch), systems=("outboxd",),
        rounds=3,
    )  # fmt: skip


MEASURES = (
    *(_measure("no-op", processes, 0, 100) for processes in PROCESSES),
    *(_measure("waiting", processes, WAIT_MS, _SLOTS // 2) for processes in PROCESSES),
)
