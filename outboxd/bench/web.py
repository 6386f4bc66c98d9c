"""How fast events get in: over HTTP, against the same server without a database, and by SQL."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Literal
from uuid import UUID

import msgspec

from outboxd.bench import load, server, tenants
from outboxd.bench.draining import OURS
from outboxd.bench.ground import Ground, NotMeasuredError, child, line
from outboxd.bench.measure import Measure

NOTHING, BARE = "no database", "bare ASGI"
_ANSWERS: Mapping[str, Literal["database", "nothing", "bare"]] = {
    OURS: "database",
    NOTHING: "nothing",
    BARE: "bare",
}
_PAYLOAD = '{"text":"' + "x" * 190 + '"}'
"""200 bytes."""


async def _single(ground: Ground, system: str) -> Mapping[str, float]:
    seen = await _posted(ground, system, "/v1/events", _event, ground.size.clients)
    return {
        "ingest single": seen.answered / seen.seconds,
        "ingest single p50": seen.p50_ms,
        "ingest single p99": seen.p99_ms,
    }


async def _batch(ground: Ground, system: str) -> Mapping[str, float]:
    size = ground.size.batch

    def body(project: UUID) -> str:
        return "[" + ",".join([_event(project)] * size) + "]"

    seen = await _posted(ground, system, "/v1/events/batch", body, 8)
    return {"ingest batch": seen.answered * size / seen.seconds}


async def _posted(
    ground: Ground, system: str, path: str, body: Callable[[UUID], str], clients: int
) -> load.Seen:
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        key = await tenants.key(dsn, project)
        async with child("outboxd.bench.server", server.Order(dsn=dsn, answers=_ANSWERS[system])) as process:
            port = int(await line(process) or 0)
            plan = load.Plan(
                host="127.0.0.1",
                port=port,
                path=path,
                key=key,
                body=body(project),
                connections=clients,
                seconds=ground.size.seconds,
            )
            async with child("outboxd.bench.load", plan) as client:
                seen = msgspec.json.decode(await line(client), type=load.Seen)
    if seen.failed or not seen.answered:
        raise NotMeasuredError(f"{seen.failed} of {seen.answered} requests were not answered with 201")
    return seen


def _event(project: UUID) -> str:
    return f'{{"eventType":"{tenants.EVENT}","projectId":"{project}","payload":{_PAYLOAD}}}'


async def _sql(ground: Ground, system: str) -> Mapping[str, float]:
    """One connection: single calls, then batches of 100."""
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        single = await asyncio.to_thread(_published, dsn, ground.size.jobs // 10, project, 1)
        hundreds = await asyncio.to_thread(_published, dsn, ground.size.jobs, project, 100)
    return {"publish SQL single": single, "publish SQL in 100s": hundreds}


def _published(dsn: str, events: int, project: UUID, batch: int) -> float:
    began = time.perf_counter()
    tenants.publish(dsn, events, _PAYLOAD, project, batch=batch)
    return events / (time.perf_counter() - began)


MEASURES = (
    Measure(
        name="ingest single",
        gives={"ingest single": "events/s", "ingest single p50": "ms", "ingest single p99": "ms"},
        take=_single,
        systems=(OURS, NOTHING, BARE),
    ),
    Measure(name="ingest batch", gives={"ingest batch": "events/s"}, take=_batch, systems=(OURS, NOTHING)),
    Measure(
        name="ingest SQL",
        gives={"publish SQL single": "events/s", "publish SQL in 100s": "events/s"},
        take=_sql,
    ),
)
