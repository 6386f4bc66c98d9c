"""One look at the database for all loops of a process: what is promised when hints are lost.

    committed, heard ──▶ 50 ms ─▶ 200 ms ─▶ 1 s ─▶ every 2 s         (1 s while leases are open,
         ▲                                                            200 ms without LISTEN,
         └── whatever a look finds makes its loop commit something    earlier at the next due time)

While things happen the looks are 50 ms behind the last of them and at most 250 ms apart. When they
come slowly the process says in `idle` that its sequencer sleeps, so that producers in SQL notify it.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog

from outboxd.db.pool import Database
from outboxd.errors import Unavailable
from outboxd.loops.wakes import ANYTHING, Wakes
from outboxd.store import queues
from outboxd.store.queues import Look

log = structlog.get_logger()

LADDER = tuple(timedelta(milliseconds=ms) for ms in (50, 200, 1000, 2000))
_BUSY = timedelta(milliseconds=250)
_WITH_LEASES = timedelta(seconds=1)
_SLEEPY = 2
"""From this step of the ladder on, producers in SQL are asked to notify."""
_AFTER_FAILURE = timedelta(seconds=1)

UPKEEP = ("expire", "interactions", "purge", "endpoints", "sessions_idle")
"""Chores that a look has work for, besides those of the queues."""

Ask = Callable[[str], None]
"""Runs that chore now, or as soon as it may."""
OnTime = Callable[[datetime, float], None]
"""Gets what the database's clock says, and what ours said then, unix seconds."""


class Poll:
    """`run()` in a task of its own."""

    def __init__(
        self,
        db: Database,
        wakes: Wakes,
        *,
        ask: Ask,
        idle: Ask,
        proven: Callable[[], bool],
        worker: Callable[[], UUID | None] = lambda: None,
        learn: Callable[[], None] = lambda: None,
        on_time: OnTime = lambda *_: None,
        unproven: timedelta = timedelta(milliseconds=200),
    ) -> None:
        """`ask` and `idle` get a chore's name: there is work for it, there is none. `learn`: a handler was
        declared that the worker does not know. `unproven` is the pace while hints do not arrive."""
        self._db = db
        self._wakes = wakes
        self._ask = ask
        self._idle = idle
        self._proven = proven
        self._worker = worker
        self._learn = learn
        self._on_time = on_time
        self._unproven = unproven
        self._process = uuid4()
        self._step = 0
        self.looks = 0

    async def run(self) -> None:
        """Never returns; a database that is away is waited for."""
        while True:
            try:
                await self._sleep(await self.once())
            except Unavailable as away:
                log.warning("poll failed", code=away.code)
                await asyncio.sleep(_AFTER_FAILURE.total_seconds())

    async def once(self) -> Look:
        """One look, and everybody woken for whom it found something."""
        worker = self._worker()
        async with self._db.connection() as conn:
            before = time.time()
            look = await queues.poll(
                conn, worker, worker or self._process, asleep=self._step >= _SLEEPY and self._proven()
            )
            self._on_time(look.now, (before + time.time()) / 2)
        self.looks += 1
        if look.due_queues:
            self._wakes.queues.wake((ANYTHING,))
        if look.pending or look.unplaced:
            self._wakes.sequencer.wake((ANYTHING,))
        moves = bool(look.due_queues) or look.leases_open or look.pending
        for chore, wanted in (("stage", look.to_stage), ("reap", look.to_reap), ("vacuum", moves)):
            (self._ask if wanted else self._idle)(chore)
        if "handlers" in look.upkeep:
            self._learn()
        for chore in UPKEEP:
            (self._ask if chore in look.upkeep else self._idle)(chore)
        ticks = look.next_tick is not None and look.next_tick <= look.now
        (self._ask if ticks else self._idle)("tick")
        return look

    async def _sleep(self, look: Look) -> None:
        """Until the next look is due; what happens meanwhile brings it near, and never holds it up."""
        if look.newly:
            return
        latest = time.monotonic() + self._latest(look).total_seconds()
        due = min(latest, time.monotonic() + self._pace(look).total_seconds())
        first = None
        while (left := due - time.monotonic()) > 0:
            if await self._wakes.poll.wait(timedelta(seconds=left)):
                self._step = 0
                now = time.monotonic()
                first = first or now
                due = min(latest, now + LADDER[0].total_seconds(), first + _BUSY.total_seconds())

    def _pace(self, look: Look) -> timedelta:
        pace = LADDER[self._step]
        self._step = min(self._step + 1, len(LADDER) - 1)
        if not self._proven():
            return min(pace, self._unproven)
        return min(pace, _WITH_LEASES) if look.leases_open else pace

    def _latest(self, look: Look) -> timedelta:
        """When something becomes due by itself. What is due and still there is in somebody's hands: look
        again, but not at once."""
        latest = LADDER[-1] if look.next_due is None else max(look.next_due - look.now, LADDER[0])
        # A tick that is due was handed to its chore, which wakes us when it has fired it.
        if look.next_tick is not None and look.next_tick > look.now:
            latest = min(latest, look.next_tick - look.now)
        return latest
