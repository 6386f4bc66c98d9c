"""The handlers of the drill's workers: `outboxd work --app outboxd.bench.drill.tasks:app`.

A job's payload is the one that `producers` made: its number, and the folder of the ledger. Every call is
written down outside Postgres before anything happens, so that calls can be counted against effects.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from outboxd import App, Done, Refused
from outboxd.bench.drill.ledger import Ledger

_LEDGERS: dict[str, Ledger] = {}
_EFFECT = "insert into drill.effects (job_id, event_id, n) values (%s, %s, %s)"
_TURN = "insert into drill.turns (job_id, lane, n) values (%s, %s, %s)"


def _called(job: Any, kind: str) -> None:
    folder = job.payload.get("ledger")
    if folder is None:
        return
    if folder not in _LEDGERS:
        _LEDGERS[folder] = Ledger(Path(folder) / f"calls-{os.getpid()}.jsonl")
    key = job.payload.get("key")
    _LEDGERS[folder].write(kind=kind, job=str(job.id), attempt=job.attempt, key=key, at=time.monotonic())


async def effect(job: Any, run: Any) -> Done:
    """One row for each job, in the transaction that completes it."""
    _called(job, "effect")
    await asyncio.sleep(job.payload["n"] % 7 * 0.002)

    async def write(conn: Any) -> None:
        await conn.execute(_EFFECT, [job.id, job.event_id, job.payload["n"]])

    return Done(write=write)


async def turn(job: Any, run: Any) -> Done:
    """Keyed: one at a time per lane, in the order of the feed. Every tenth first attempt fails."""
    _called(job, "turn")
    if job.payload["n"] % 10 == 0 and job.attempt == 1:
        raise RuntimeError("a head that fails once")

    async def write(conn: Any) -> None:
        await conn.execute(_TURN, [job.id, job.ordering_key, job.payload["n"]])

    return Done(write=write)


async def steady(job: Any, run: Any) -> None:
    """Costs nothing; one in twenty fails at first."""
    if job.payload.get("fails") and job.attempt == 1:
        raise RuntimeError("fails once")


async def narrow(job: Any, run: Any) -> None:
    """In a queue that allows three at once, over all processes."""
    _called(job, "narrow")
    await asyncio.sleep(0.05)


def poison(job: Any, run: Any) -> None:
    """Ends in the dead letters, every time."""
    raise Refused("poisoned")


async def raises(job: Any, run: Any) -> None:
    """Fails as only a defect does."""
    raise ZeroDivisionError


async def hang(job: Any, run: Any) -> None:
    """Until its time is up."""
    await asyncio.Event().wait()


async def block(job: Any, run: Any) -> None:
    """Nothing else in its process gets on meanwhile."""
    time.sleep(1.5)  # noqa: ASYNC251 - that is what it is for


async def leave(job: Any, run: Any) -> None:
    """The process is gone, and with it whatever else ran there."""
    os._exit(13)


async def big(job: Any, run: Any) -> Done:
    """More than anybody wants to keep."""
    return Done(output={"text": "x" * 10 * 2**20})


_ALL = {
    "effect": effect,
    "turn": turn,
    "narrow": narrow,
    "steady": steady,
    "poison": poison,
    "raise": raises,
    "hang": hang,
    "block": block,
    "exit": leave,
    "big": big,
}
app = App(handlers=_ALL, open=list(_ALL))
