"""A worker for deliveries and recoveries as a process of its own, for tests that kill it.

python -m tests.handlers.recovering DSN
"""

import asyncio
import sys
from datetime import timedelta

from outboxd.db.pool import Database
from outboxd.handlers import handler, recover
from outboxd.loops.wakes import Wakes
from outboxd.loops.worker import Worker
from outboxd.store.workers import Offer


async def main(dsn: str) -> None:
    wakes, never = Wakes(), asyncio.Event()
    async with Database.open(dsn) as db:
        offer = Offer(name="recovering", slots=4, beat=timedelta(milliseconds=200))
        worker = Worker(db, wakes, handler.registry([recover.handler(db)]), offer, dsn=dsn)
        polls = asyncio.create_task(poll(db, wakes))
        await worker.run(never, never)
        polls.cancel()


async def poll(db: Database, wakes: Wakes) -> None:
    """What the other loops of a process do."""
    while True:
        async with db.connection() as conn:
            await conn.execute("select outbox.reap()")
            await conn.execute("select outbox.stage()")
        wakes.queues.wake(("*",))
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
