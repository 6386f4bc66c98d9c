"""What a process costs that has nothing to do, and how much memory it takes."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Mapping

import psycopg

from outboxd.bench import daemons, tenants
from outboxd.bench.ground import PAYLOAD, Ground
from outboxd.bench.measure import Measure

_SETTLED_DOWN = 10.0
"""Seconds until the polls have become rare."""
_FIRST_RUNS = 35.0
"""And until each chore has run once, which it does within 30 s of the start."""
_PROOF = 15.0
"""Seconds between proofs of LISTEN: that one arrives is a transaction for the server, and no statement."""
_COUNT = "select xact_commit + xact_rollback from pg_stat_database where datname = %s"
_QUEUES = "bench,observe,summarize"
_MIB = 2**20
_NOWHERE = "host=127.0.0.1 port=1 dbname=nowhere connect_timeout=1"


async def _proven(ground: Ground, system: str) -> Mapping[str, float]:
    statements, cpu = await _quiet(ground, {})
    return {"idle statements": statements, "idle CPU": cpu}


async def _unproven(ground: Ground, system: str) -> Mapping[str, float]:
    statements, cpu = await _quiet(ground, {"OUTBOXD_LISTEN_URL": _NOWHERE}, proofs=False)
    return {"idle statements, no LISTEN": statements, "idle CPU, no LISTEN": cpu}


async def _remembering(ground: Ground, system: str) -> Mapping[str, float]:
    """With the agents' memory on, and its queues worked at."""
    memory = {"OUTBOXD_GENERATION": "per-event", "OUTBOXD_PROVIDER": "offline"}
    given = memory | {"OUTBOXD_WORKER_QUEUES": _QUEUES}
    statements, cpu = await _quiet(ground, given, part=0.5)
    return {"idle statements, memory": statements, "idle CPU, memory": cpu}


async def _quiet(
    ground: Ground, environ: Mapping[str, str], part: float = 1, *, proofs: bool = True
) -> tuple[float, float]:
    """Statements a second, each its own transaction, and per cent of a core.

    Less what the server does by itself, such as autovacuum: a database that nobody uses tells that.
    """
    seconds = ground.size.idle * part
    async with ground.database() as dsn, ground.database() as unused:
        tenants.prepare(dsn)
        tenants.prepare(unused)
        async with daemons.work(dsn, environ) as process:
            await asyncio.sleep(_FIRST_RUNS)
            before, alone, cpu = _statements(ground, dsn), _statements(ground, unused), daemons.cpu(process)
            await asyncio.sleep(seconds)
            done = _statements(ground, dsn) - before - (_statements(ground, unused) - alone)
            arrived = seconds / _PROOF if proofs else 0
            return (done - arrived) / seconds, (daemons.cpu(process) - cpu) / seconds * 100


def _statements(ground: Ground, dsn: str) -> int:
    """Asked through another database, so that the question is not counted."""
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(ground.dsn, autocommit=True) as conn:
        row = conn.execute(_COUNT, [name]).fetchone()
    return int(row[0]) if row else 0


async def _memory(ground: Ground, system: str) -> Mapping[str, float]:
    """Of one process with API and worker: idle, with a long backlog that it may not touch, then draining."""
    async with ground.database() as dsn:
        (project,) = tenants.prepare(dsn)
        async with daemons.whole(dsn) as (process, _):
            await asyncio.sleep(_SETTLED_DOWN)
            idle = daemons.rss(process)
            tenants.pause(dsn)
            await asyncio.to_thread(tenants.stock, dsn, ground.size.backlog, PAYLOAD, [project])
            await asyncio.sleep(_SETTLED_DOWN / 2)
            waiting = daemons.rss(process)
            tenants.resume(dsn)
            peak = await _peak(process, ground.size.seconds)
    return {
        "memory idle": idle / _MIB,
        "memory backlog": max(max(waiting, peak) - idle, 0) / _MIB,
        "memory peak": peak / _MIB,
    }


async def _peak(process: Process, seconds: float) -> int:
    most = 0
    for _ in range(round(seconds * 5)):
        most = max(most, daemons.rss(process))
        await asyncio.sleep(0.2)
    return most


MEASURES = (
    Measure(name="idle", gives={"idle statements": "/s", "idle CPU": "% of a core"}, take=_proven, rounds=1),
    Measure(
        name="idle deaf",
        gives={"idle statements, no LISTEN": "/s", "idle CPU, no LISTEN": "% of a core"},
        take=_unproven,
        rounds=1,
    ),
    Measure(
        name="idle memory",
        gives={"idle statements, memory": "/s", "idle CPU, memory": "% of a core"},
        take=_remembering,
        rounds=1,
    ),
    Measure(
        name="memory",
        gives={"memory idle": "MiB", "memory backlog": "MiB above idle", "memory peak": "MiB"},
        take=_memory,
        rounds=1,
    ),
)
