"""The Python handlers of the demo's workers: `outboxd work --app outboxd.cli.demo.app:app`."""

import asyncio
import os
from typing import Any

from outboxd.handlers.python import App
from outboxd.model import Done, Job
from outboxd.model.contract import Run

BUILD_SECONDS = 0.4
"""What a build takes: long enough for a worker to be killed in the middle of some."""
FAILURES = 2
"""How often a deployment fails before it succeeds."""

_NOTE = b"insert into shop.notes (event_id, worker_pid) values (%s, %s)"
_BUILT = b"insert into shop.builds (event_id, worker_pid) values (%s, %s)"


async def note(job: Job, run: Run) -> Done:
    """Its row is written in the transaction that completes the job: exactly once, or not at all."""

    async def write(conn: Any) -> None:
        await conn.execute(_NOTE, (job.event_id, os.getpid()))

    return Done(output={"author": job.payload.get("sender")}, write=write)


async def build(job: Job, run: Run) -> Done:
    """Slow work happens with no transaction open."""
    await asyncio.sleep(BUILD_SECONDS)

    async def write(conn: Any) -> None:
        await conn.execute(_BUILT, (job.event_id, os.getpid()))

    return Done(write=write)


async def deploy(job: Job, run: Run) -> Done:
    if job.attempt <= FAILURES:
        raise ConnectionError("the cluster does not answer")
    return Done(output={"deployed": job.payload.get("version")})


app = App(
    handlers={"note": note, "build": build, "deploy": deploy},
    queues={"notes": "note", "builds": "build", "deploys": "deploy"},
    open=["note", "build", "deploy"],
    writes=["note", "build"],
)
