"""How long it takes from a commit to the handler's start, and to the settled end."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psycopg

from outboxd.bench import daemons, tenants
from outboxd.bench.drain import Order
from outboxd.bench.ground import PAYLOAD, Ground, NotMeasuredError
from outboxd.bench.measure import Measure
from outboxd.bench.posting import posting

_POLL = 2.0
"""Seconds at which an idle process looks, with LISTEN proven."""
_BETWEEN = 0.05
_LATEST = 5.0
_OFF_SAMPLES = 5
_SETTLED = """
select extract(epoch from a.at - outbox.uuid7_time(a.job_id)) * 1000 from outbox.attempts a
where a.outcome = 'completed' and a.job_id > %s order by 1
"""
_SLICE = 0.02
_POINTS = (50, 95, 99)

Publish = Callable[[str], Awaitable[float]]
"""(payload) → when it was committed."""


async def _by_sql(ground: Ground, system: str) -> Mapping[str, float]:
    """A SQL producer, its hint gated; the worker sleeps in another process."""
    async with _asleep(ground) as (dsn, project), _producer(dsn, project) as publish:
        found = await _picked_up(ground.size.pick_ups, publish)
    return {"pick-up p50": _at(found, 0.5), "pick-up p95": _at(found, 0.95)}


async def _unheard(ground: Ground, system: str) -> Mapping[str, float]:
    """The same with notifications off: what is left is the poll."""
    async with _asleep(ground, notify="off") as (dsn, project), _producer(dsn, project) as publish:
        found = await _picked_up(_OFF_SAMPLES, publish, between=_POLL * 1.3)
    return {"pick-up off": max(found), "pick-up off, beyond poll": max(max(found) - _POLL * 1000, 0)}


async def _same_process(ground: Ground, system: str) -> Mapping[str, float]:
    """HTTP into the process that works: from the sending of the request, so its commit is counted in."""
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        key = await tenants.key(dsn, project)
        async with daemons.whole(dsn) as (_, port), _client(port, key, project) as publish:
            found = await _picked_up(ground.size.pick_ups, publish)
    return {"pick-up, same process p50": _at(found, 0.5), "pick-up, same process p95": _at(found, 0.95)}


async def _end_to_end(ground: Ground, system: str) -> Mapping[str, float]:
    """From the publishing statement to the settled end, by the database's clock: idle, then at half of what
    a drain does."""
    async with _asleep(ground) as (dsn, project):
        idle = await asyncio.to_thread(_one_by_one, dsn, project, ground.size.pick_ups)
    rate = await _half_of_drain(ground)
    async with _asleep(ground) as (dsn, project):
        loaded = await asyncio.to_thread(_at_rate, dsn, project, rate, ground.size.seconds)
    ends = {"idle": idle, "at half load": loaded}
    return {
        f"end to end {name} p{at}": _at(found, at / 100) for name, found in ends.items() for at in _POINTS
    }


async def _half_of_drain(ground: Ground) -> float:
    async with ground.database(schema=False) as dsn:
        jobs = ground.size.jobs // 2
        await ground.fill(Order(system="outboxd", dsn=dsn, act="fill", jobs=jobs, payload=PAYLOAD))
        (did,) = await ground.drain(Order(system="outboxd", dsn=dsn, act="drain", jobs=jobs, batch=100))
    return jobs / (did.ended - did.began) / 2


def _one_by_one(dsn: str, project: UUID, times: int) -> list[float]:
    for _ in range(times):
        tenants.enqueue(dsn, 1, PAYLOAD, [project])
        time.sleep(_BETWEEN)
    return _ends(dsn, times)


def _at_rate(dsn: str, project: UUID, rate: float, seconds: float) -> list[float]:
    """Small transactions, so many that the rate is kept; or as many as one producer can."""
    start, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - start) < seconds:
        owed = int(now * rate) - sent
        if owed > 0:
            tenants.enqueue(dsn, owed, PAYLOAD, [project], batch=500)
            sent += owed
        time.sleep(_SLICE)
    return _ends(dsn, sent)


def _ends(dsn: str, jobs: int) -> list[float]:
    """Milliseconds of each, ascending, as soon as all have ended."""
    deadline, found = time.monotonic() + 30, list[float]()
    with psycopg.connect(dsn, autocommit=True) as conn:
        while time.monotonic() < deadline:
            found = [float(row[0]) for row in conn.execute(_SETTLED, [UUID(int=0)])]
            if len(found) >= jobs:
                return found
            time.sleep(0.2)
    raise NotMeasuredError(f"{len(found)} of {jobs} jobs ended")


@asynccontextmanager
async def _asleep(ground: Ground, notify: str = "gated") -> AsyncIterator[tuple[str, UUID]]:
    """A database with a worker in another process that has nothing to do."""
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f"alter database \"{conn.info.dbname}\" set outbox.notify = '{notify}'")
        async with daemons.work(dsn):
            await asyncio.sleep(_POLL)
            yield dsn, project


@asynccontextmanager
async def _producer(dsn: str, project: UUID) -> AsyncIterator[Publish]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:

        async def publish(payload: str) -> float:
            await conn.execute("select outbox.publish(%s, %s, %s)", [tenants.EVENT, payload, project])
            return time.time()

        yield publish


@asynccontextmanager
async def _client(port: int, key: str, project: UUID) -> AsyncIterator[Publish]:
    async with posting(port, key) as post:

        async def publish(payload: str) -> float:
            body = f'{{"eventType":"{tenants.EVENT}","projectId":"{project}","payload":{payload}}}'
            sent = time.time()
            status = await post("/v1/events", body)
            if status != 201:
                raise NotMeasuredError(f"the API answered {status}")
            return sent

        yield publish


async def _picked_up(times: int, publish: Publish, between: float = _BETWEEN) -> list[float]:
    """Milliseconds from each commit to its handler's start, ascending."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "began"
        os.mkfifo(pipe)
        # Held open for writing too, so that it does not end with each handler.
        ends = os.open(pipe, os.O_RDWR)
        try:
            found = []
            for _ in range(times):
                began = asyncio.get_running_loop().run_in_executor(None, os.read, ends, 100)
                committed = await publish(f'{{"tell":"{pipe}"}}')
                try:
                    async with asyncio.timeout(_LATEST):
                        found.append((float((await asyncio.shield(began)).split()[0]) - committed) * 1000)
                except TimeoutError:
                    os.write(ends, b"never\n")
                    raise NotMeasuredError(f"a job was not picked up within {_LATEST:.0f} s") from None
                await asyncio.sleep(between)
            return sorted(found)
        finally:
            os.close(ends)


def _at(ascending: list[float], part: float) -> float:
    return ascending[min(int(len(ascending) * part), len(ascending) - 1)]


MEASURES = (
    Measure(name="pick-up", gives={"pick-up p50": "ms", "pick-up p95": "ms"}, take=_by_sql),
    Measure(
        name="pick-up same",
        gives={"pick-up, same process p50": "ms", "pick-up, same process p95": "ms"},
        take=_same_process,
        rounds=3,
    ),
    Measure(
        name="pick-up off",
        gives={"pick-up off": "ms", "pick-up off, beyond poll": "ms"},
        take=_unheard,
        rounds=1,
    ),
    Measure(
        name="end to end",
        gives={f"end to end {load} p{at}": "ms" for load in ("idle", "at half load") for at in _POINTS},
        take=_end_to_end,
        rounds=2,
    ),
)
