"""How fast events reach a receiver that takes them at once, and how fast what one was owed is made up for."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import LiteralString
from uuid import UUID

import psycopg

from outboxd.bench import daemons, receiver, tenants
from outboxd.bench.ground import PAYLOAD, Ground, NotMeasuredError, child, line
from outboxd.bench.measure import Measure
from outboxd.bench.posting import posting

_WITHIN = 300.0
_LOOK_EVERY = 0.02
_AT_ONCE = 64
_RATE = 1000
_SETTINGS = {
    "OUTBOXD_SECRET_KEYS": "k1:" + base64.b64encode(b"b" * 32).decode(),
    "OUTBOXD_EGRESS_ALLOW": "127.0.0.1/32",
    # All that it knows handlers for.
    "OUTBOXD_WORKER_QUEUES": "",
}
_TRUST: LiteralString = "update outbox.projects set egress = true"
_QUEUE: LiteralString = "select q.name from outbox.endpoints e join outbox.queues q on q.id = e.queue_id"
_DELIVERED: LiteralString = """
select count(*) from outbox.attempts a join outbox.jobs j on j.id = a.job_id
join outbox.queues q on q.id = j.queue_id where q.handler = 'deliver' and a.outcome = 'completed'
"""
_NUMBERED: LiteralString = "select coalesce(sum(head), 0)::bigint from outbox.streams"
_RECOVER: LiteralString = """
select r.job_id from outbox.endpoints e
cross join lateral outbox.recover(outbox.me(), e.id, now() - interval '1 hour', p_rate => %s) r
"""
_MADE: LiteralString = """
select coalesce((select (a.output ->> 'made')::bigint from outbox.attempts a
  join outbox.jobs j on j.id = a.job_id join outbox.queues q on q.id = j.queue_id
  where q.name = 'recover' and a.outcome = 'completed'), 0)
"""


async def _delivered(ground: Ground, system: str) -> Mapping[str, float]:
    """From the moment that a paused endpoint goes on to its last delivery, by one worker, 64 at a time."""
    events = ground.size.delivered
    async with _receiving(ground) as (dsn, project, port, target):
        await _endpoint(dsn, project, port, target)
        queue = str(_value(dsn, _QUEUE))
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("select outbox.pause(outbox.me(), %s)", [queue])
            await asyncio.to_thread(tenants.publish, dsn, events, PAYLOAD, project)
            began = time.perf_counter()
            conn.execute("select outbox.resume(outbox.me(), %s)", [queue])
        await _until(dsn, _DELIVERED, events)
        return {"deliver": events / (time.perf_counter() - began)}


async def _recovered(ground: Ground, system: str) -> Mapping[str, float]:
    """Events that were there before their endpoint was, at 1,000 a second."""
    events = ground.size.delivered
    async with _receiving(ground) as (dsn, project, port, target):
        await asyncio.to_thread(tenants.publish, dsn, events, PAYLOAD, project)
        await _until(dsn, _NUMBERED, events)
        await _endpoint(dsn, project, port, target)
        began = time.perf_counter()
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(_RECOVER, [_RATE])
        await _until(dsn, _MADE, events)
        made = time.perf_counter() - began
        await _until(dsn, _DELIVERED, events)
        return {"recover made": events / made, "recover delivered": events / (time.perf_counter() - began)}


@asynccontextmanager
async def _receiving(ground: Ground) -> AsyncIterator[tuple[str, UUID, int, int]]:
    """The database, its project, the daemon's port and the receiver's."""
    async with ground.database() as dsn, child("outboxd.bench.receiver", receiver.Order()) as process:
        (project,) = tenants.prepare(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(_TRUST)
        target = int(await line(process) or 0)
        async with daemons.whole(dsn, _SETTINGS) as (_, port):
            yield dsn, project, port, target


async def _endpoint(dsn: str, project: UUID, port: int, target: int) -> None:
    key = await tenants.key(dsn, project, ("endpoints:write",))
    async with posting(port, key) as post:
        url = f"http://127.0.0.1:{target}/"
        status = await post("/v1/endpoints", f'{{"url":"{url}","concurrency":{_AT_ONCE}}}')
    if status != 201:
        raise NotMeasuredError(f"the endpoint was answered with {status}")


async def _until(dsn: str, statement: LiteralString, wanted: int) -> None:
    deadline = time.perf_counter() + _WITHIN
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        while True:
            row = await (await conn.execute(statement)).fetchone()
            seen = int(row[0]) if row else 0
            if seen >= wanted:
                return
            if time.perf_counter() > deadline:
                raise NotMeasuredError(f"{seen} of {wanted} were seen within {_WITHIN:.0f} s")
            await asyncio.sleep(_LOOK_EVERY)


def _value(dsn: str, statement: LiteralString) -> object:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(statement).fetchone()
    return row[0] if row else None


MEASURES = (
    Measure(name="deliver", gives={"deliver": "deliveries/s"}, take=_delivered, rounds=3),
    Measure(
        name="recover",
        gives={"recover made": "deliveries/s", "recover delivered": "deliveries/s"},
        take=_recovered,
        rounds=2,
    ),
)
