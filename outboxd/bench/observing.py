"""How fast agents' events become observations, end to end, when the model answers at once."""

import asyncio
import time
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from outboxd.bench import daemons, model, tenants
from outboxd.bench.ground import Ground, NotMeasuredError, child, line
from outboxd.bench.measure import Measure

_SESSIONS = 20
_BATCH = 100
_WITHIN = 120.0
_LOOK_EVERY = 0.05

_SETTINGS = "update outbox.projects set settings = %s"
_START = "select session_id from outbox.start_session(outbox.me(), %s, %s)"
_PUBLISH = "select count(*) from outbox.publish_many(%s, %s)"
_OBSERVED = """
select count(distinct s.source_id) from outbox.observation_sources s where s.source_type = 'agent_event'
"""
_CALLS = "select count(*) from outbox.usage_calls"


async def _per_event(ground: Ground, system: str) -> Mapping[str, float]:
    return await _observed(ground, "per-event")


async def _debounced(ground: Ground, system: str) -> Mapping[str, float]:
    return await _observed(ground, "debounce")


async def _observed(ground: Ground, policy: Literal["per-event", "debounce"]) -> Mapping[str, float]:
    """From the first publishing statement to the last event with its observation, in one process."""
    events = ground.size.observed
    async with ground.database() as dsn, child("outboxd.bench.model", model.Order()) as process:
        (project,) = tenants.prepare(dsn)
        settings = {"OUTBOXD_GENERATION": policy, "OUTBOXD_WORKER_QUEUES": "observe,summarize"}
        given = settings | model.environ(int(await line(process) or 0))
        async with daemons.whole(dsn, given):
            seconds = await asyncio.to_thread(_until_observed, dsn, project, events)
        calls = _value(dsn, _CALLS)
    return {f"observed {policy}": events / seconds, f"calls an event, {policy}": calls / events}


def _until_observed(dsn: str, project: UUID, events: int) -> float:
    with psycopg.connect(dsn, autocommit=True) as conn:
        # What is counted is observations; that some are alike is no part of it.
        conn.execute(_SETTINGS, [Jsonb({"dedupe": {"enabled": False}, "generation": {"quietMs": 500}})])
        sessions = [conn.execute(_START, [project, f"run {n}"]).fetchone() for n in range(_SESSIONS)]
        began = time.perf_counter()
        for at in range(0, events, _BATCH):
            some = [_event(n, sessions[n // 50 % _SESSIONS]) for n in range(at, min(at + _BATCH, events))]
            conn.execute(_PUBLISH, [some, project])
        while (seen := _value(dsn, _OBSERVED)) < events:
            if time.perf_counter() - began > _WITHIN:
                raise NotMeasuredError(f"{seen} of {events} events were observed")
            time.sleep(_LOOK_EVERY)
        return time.perf_counter() - began


def _event(n: int, session: tuple[UUID] | None) -> Jsonb:
    """As a hook tells it, some 300 bytes."""
    told = str(session[0]) if session else None
    path = f"src/part{n % 97}/module{n % 31}.py"
    payload = {
        "tool_name": "Edit",
        "tool_input": {"file_path": path, "old_string": f"limit = {n}", "new_string": f"limit = {n + 1}"},
        "tool_response": {"ok": True, "text": f"The file {path} has been updated, line {n}."},
    }
    return Jsonb({"eventType": "tool_use", "payload": payload, "serverSessionId": told})


def _value(dsn: str, statement: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(statement.encode()).fetchone()
    return int(row[0]) if row else 0


MEASURES = (
    Measure(
        name="observe per-event",
        gives={"observed per-event": "events/s", "calls an event, per-event": "calls"},
        take=_per_event,
        rounds=2,
    ),
    Measure(
        name="observe debounce",
        gives={"observed debounce": "events/s", "calls an event, debounce": "calls"},
        take=_debounced,
        rounds=2,
    ),
)
