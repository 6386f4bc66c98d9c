"""How the engine keeps up in bad weather: old snapshots, a long backlog, many lanes, many tenants."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import psycopg

from outboxd.bench import tenants, verbs
from outboxd.bench.drain import Order
from outboxd.bench.ground import PAYLOAD, Ground, NotMeasuredError
from outboxd.bench.measure import Measure

_BATCH = 10
_CONNECTIONS = 4
_ENDS = 10.0
"""Seconds at the beginning and at the end that are laid against each other."""


async def _held(ground: Ground, system: str) -> Mapping[str, float]:
    """Small batches on four connections: free, then with somebody's snapshot held open."""
    seconds = ground.size.held
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        tenants.lease_size(dsn, _BATCH)
        tenants.stock(dsn, _enough(ground), PAYLOAD, [project])
        ground.checkpoint()
        free = await verbs.drain(
            dsn, _BATCH, connections=_CONNECTIONS, seconds=min(seconds, ground.size.seconds)
        )
        async with _snapshot(dsn):
            held = await verbs.drain(dsn, _BATCH, connections=_CONNECTIONS, seconds=seconds)
    if not held or held[-1].at < seconds * 0.9:
        raise NotMeasuredError("the backlog was too short for a machine as fast as this")
    ends = min(_ENDS, seconds / 3)
    return {
        "free snapshot": verbs.rate(free),
        "held snapshot": verbs.rate(held),
        "held decay": _between(held, seconds - ends, seconds) / _between(held, 0, ends),
    }


def _enough(ground: Ground) -> int:
    """For both windows at a rate that two cores do not reach with batches of ten."""
    return int(12_000 * (ground.size.held + ground.size.seconds))


@asynccontextmanager
async def _snapshot(dsn: str) -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("begin isolation level repeatable read")
        await conn.execute("select count(*) from outbox.queues")
        yield


def _between(settled: list[verbs.Settled], since: float, until: float) -> float:
    return sum(one.jobs for one in settled if since <= one.at < until) / (until - since)


async def _backlog(ground: Ground, system: str) -> Mapping[str, float]:
    """The same drain as `drain 100`, with a long backlog of others waiting in the same queue and share."""
    jobs, backlog = ground.size.jobs, ground.size.backlog
    async with ground.database() as dsn:
        tenants.stock(dsn, backlog + jobs, PAYLOAD, tenants.prepare(dsn))
        ground.checkpoint()
        did = await ground.drain(Order(system=system, dsn=dsn, act="drain", jobs=jobs, batch=100, share=True))
    return {"drain with backlog": did[0].jobs / (did[0].ended - did[0].began)}


async def _keyed(ground: Ground, system: str) -> Mapping[str, float]:
    """Events in 1,000 lanes, numbered and placed before; only claim and settle are timed."""
    lanes = ground.size.lanes
    jobs = max(ground.size.jobs // 5, lanes)
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        tenants.publish(dsn, jobs, PAYLOAD, project, keys=lanes)
        tenants.number(dsn, project)
        ground.checkpoint()
        did = await ground.drain(Order(system=system, dsn=dsn, act="drain", jobs=jobs, batch=100))
    return {f"drain {lanes:,} lanes": jobs / (did[0].ended - did[0].began)}


async def _shares(ground: Ground, system: str) -> Mapping[str, float]:
    """The same backlog, of 1,000 projects instead of one."""
    jobs, shares = ground.size.jobs, ground.size.shares
    async with ground.database() as dsn:
        tenants.enqueue(dsn, jobs, PAYLOAD, tenants.prepare(dsn, projects=shares))
        ground.checkpoint()
        did = await ground.drain(Order(system=system, dsn=dsn, act="drain", jobs=jobs, batch=100))
    return {f"drain {shares:,} shares": jobs / (did[0].ended - did[0].began)}


MEASURES = (
    Measure(
        name="held",
        gives={"free snapshot": "jobs/s", "held snapshot": "jobs/s", "held decay": "last / first"},
        take=_held,
        rounds=2,
    ),
    Measure(name="backlog", gives={"drain with backlog": "jobs/s"}, take=_backlog, rounds=3),
    Measure(name="lanes", gives={"drain 1,000 lanes": "jobs/s"}, take=_keyed),
    Measure(name="shares", gives={"drain 1,000 shares": "jobs/s"}, take=_shares),
)
