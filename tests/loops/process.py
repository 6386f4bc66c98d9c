"""A worker as a process of its own, for tests that kill, stop and starve it.

python -m tests.loops.process DSN BEAT     handlers `exits`, `waits`, `quick`; one line a start on stdout
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any

from outboxd.db.listen import Listener
from outboxd.db.pool import Database
from outboxd.handlers import handler, python
from outboxd.loops.wakes import Wakes
from outboxd.loops.worker import Worker
from outboxd.model import Done, Job
from outboxd.store.workers import Offer


async def exits(job: Job, run: Any) -> None:
    print("start", job.id, job.attempt, flush=True)
    os._exit(1)


async def waits(job: Job, run: Any) -> Done:
    print("start", job.id, job.attempt, flush=True)
    await asyncio.sleep(job.payload.get("seconds", 0))
    return Done(output={"pid": os.getpid()})


async def main(dsn: str, beat: float) -> int:
    known = handler.registry(python.handlers(python.App(handlers={"exits": exits, "waits": waits})))
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signalled)
    listener = Listener(dsn, period=timedelta(seconds=5))
    wakes = Wakes()
    listener.subscribe(wakes.heard)
    async with Database.open(dsn) as db:
        offer = Offer(name="process", slots=4, beat=timedelta(seconds=beat), pid=os.getpid())
        worker = Worker(db, wakes, known, offer, dsn=dsn, listener=listener, drain=timedelta(seconds=1))
        hears = asyncio.create_task(listener.run())
        polls = asyncio.create_task(poll(wakes))
        await worker.run(stop, hurry)
        for task in (hears, polls):
            task.cancel()
        await asyncio.wait([hears, polls])
    return 1 if hurry.is_set() else 0


async def poll(wakes: Wakes) -> None:
    while True:
        await asyncio.sleep(0.1)
        wakes.queues.wake(("*",))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], float(sys.argv[2]))))
