"""A process that fires schedules and does nothing else: python -m tests.schedules.process DSN PERIOD

The poll and the chore as a daemon has them. PERIOD, in seconds, is the longest it sleeps without a hint;
0: as long as a daemon does.
"""

import asyncio
import sys
import time
from datetime import timedelta

from outboxd.db.pool import Database
from outboxd.loops.poll import Poll
from outboxd.loops.scheduler import MOST, Scheduler
from outboxd.loops.sweeper import Chore, Sweeper
from outboxd.loops.wakes import Wakes

SECOND = timedelta(seconds=1)


async def main(dsn: str, period: float) -> None:
    wakes = Wakes()
    async with Database.open(dsn, pool_max=5) as db:
        tick = Chore(name="tick", interval=SECOND, once=Scheduler(db, wakes).once, full=MOST, asked=True)
        sweeper = Sweeper(db, [tick])

        def ask(name: str) -> None:
            if name == "tick":
                sweeper.ask(name)

        poll = Poll(
            db,
            wakes,
            ask=ask,
            idle=lambda _: None,
            proven=lambda: period == 0,
            unproven=timedelta(seconds=period),
        )
        print("ready", time.time(), flush=True)
        await asyncio.gather(poll.run(), sweeper.run())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
