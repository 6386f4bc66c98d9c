"""The claim loop of one enlistment: claim while there is work, sleep without losing a wake.

    room in buffer and slots ─▶ look, if due ─▶ claim ─▶ begin ─┐
          ▲                                       │ nothing     │
          │                                       ▼             │
          │      say "I sleep" ─▶ claim once more ─▶ wait       │
          └──────────────────────────────────────────┴──────────┘

Who falls asleep first says so, then claims once more: what was committed before it said so sent no
hint, and that claim finds it. Hints get lost all the same; the poll of the process wakes us too.
After a full claim we wait until half of the slots are free, because a claim of fifty costs little
more than a claim of one; but not for long, or jobs that run for minutes would hold up short ones.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Unavailable
from outboxd.loops.settling import Settler
from outboxd.loops.slots import Slots
from outboxd.loops.spots import Spots
from outboxd.loops.wakes import Wakes
from outboxd.model import Claimed
from outboxd.store import jobs, workers
from outboxd.store.jobs import Spot

log = structlog.get_logger()

Begin = Callable[[Sequence[Claimed]], None]
Known = Callable[[], Iterable[UUID]]

LOOK_MOST = 1000
_PATIENCE = 0.05
_HINT_SPREAD = 0.005
_LONGEST_SLEEP = timedelta(seconds=60)
_DOUBTFUL_SLEEP = timedelta(seconds=1)
_BUSY_GATE = (0.005, 0.020)
_LONGEST_GATE = 1.0
_AWAY = (0.05, 2.0)
_DOUBTS = (0.0, 5.0, 20.0)
"""Seconds after a claim that was not answered at which we look for what it took."""


class Claimer:
    """`run()` it in a task; `stop()` before cancelling what begins jobs."""

    def __init__(
        self,
        db: Database,
        worker: UUID,
        wakes: Wakes,
        slots: Slots,
        settler: Settler,
        spots: Spots,
        *,
        handlers: Collection[str],
        begin: Begin,
        known: Known,
    ) -> None:
        """`begin` gets what was claimed and must not wait; `known` tells the leases of all that is not
        settled. `handlers`: whose hints we want while asleep."""
        self._db = db
        self._worker = worker
        self._wakes = wakes
        self._slots = slots
        self._settler = settler
        self._spots = spots
        self._handlers = handlers
        self._begin = begin
        self._known = known
        self._doubts: list[float] = []
        self._after: Spot | None = None
        self._asleep = False
        self._full = False
        self._gates = 0
        self.claiming = False
        """A claim is under way."""
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self.hinted = False
        """A hint of another process woke us, and so it did others: come a little apart."""

    async def run(self) -> None:
        """Until it is stopped. Raises LeaseLost when the database knows us as dead."""
        self._task = asyncio.current_task()
        failures = 0
        while not self._stopped:
            try:
                await self._room()
                await self._clear_doubts()
                if not await self.once():
                    await self._rest()
                failures = 0
            except Unavailable as away:
                log.warning("claim failed", code=away.code)
                await asyncio.sleep(min(_AWAY[0] * 2**failures, _AWAY[1]))
                failures = min(failures + 1, 10)

    async def stop(self) -> None:
        """No claim begins any more; one that is under way ends, and `begin` gets what it claimed."""
        self._stopped = True
        task = self._task
        if task is None:
            return
        if not self.claiming:
            task.cancel()
        await asyncio.wait([task])

    async def once(self) -> int:
        """How many jobs were claimed and begun, none when nothing is due for us."""
        limit = min(self._slots.free, jobs.CLAIM_MOST)
        if self._spots.stale:
            await self._look()
        wants = self._spots.pick(limit, self._slots.rooms())
        if not wants:
            self._gates = self._gates + 1 if len(self._spots) else 0
            return 0
        claimed = await self._claim(sum(want.n for want in wants), limit, wants)
        self._spots.took(claimed)
        self._gates = 0 if claimed else self._gates + 1
        if claimed and self._asleep:
            await self._wake_up()
        return len(claimed)

    def contended(self) -> bool:
        """There is work that a limit kept from us: try when something of ours has ended."""
        return self._gates > 0

    async def _room(self) -> None:
        await self._settler.room()
        await self._slots.at_least(1)
        half = (self._slots.size + 1) // 2
        if self._full and self._slots.free < half:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._slots.at_least(half)
            except TimeoutError:
                return

    async def _clear_doubts(self) -> None:
        """A claim may have been committed though its answer was lost, even some time after."""
        if self._doubts and time.monotonic() >= self._doubts[0]:
            async with self._db.connection() as conn:
                back = await jobs.release_others(conn, self._worker, self._known())
            self._doubts.pop(0)
            if back:
                log.warning("claim unanswered, released", jobs=back)

    async def _look(self) -> None:
        """From where the last look ended, when it could not show everything."""
        async with self._db.connection() as conn:
            found = await jobs.look(conn, self._worker, self._after, LOOK_MOST)
            if not found and self._after is not None:
                found = await jobs.look(conn, self._worker, None, LOOK_MOST)
        self._after = found[-1] if len(found) == LOOK_MOST else None
        self._spots.fill(found)

    async def _claim(self, asked: int, limit: int, wants: Sequence[jobs.Want]) -> list[Claimed]:
        begun = time.perf_counter()
        self.claiming = True
        try:
            async with self._db.connection() as conn:
                claimed = await jobs.claim(conn, self._worker, limit, wants)
            self._begin(claimed)
        except Unavailable:
            self._doubts = [time.monotonic() + seconds for seconds in _DOUBTS]
            raise
        finally:
            self.claiming = False
        self._full = len(claimed) == asked
        result = "full" if self._full else "short" if claimed else "empty"
        telemetry.CLAIMS_TOTAL.labels(result).inc()
        telemetry.CLAIM_SECONDS.observe(time.perf_counter() - begun)
        telemetry.CLAIM_ROWS.observe(len(claimed))
        return claimed

    async def _rest(self) -> None:
        self._full = False
        self._spots.forget()
        if self._gates:
            # Somebody else claims behind a gate, or a limit is reached: soon, then less often.
            pause = min(random.uniform(*_BUSY_GATE) * 2 ** min(self._gates - 1, 10), _LONGEST_GATE)  # noqa: S311
            await self._wakes.queues.wait(timedelta(seconds=pause))
            return
        if not self._asleep:
            await self._fall_asleep()
            if await self.once() or self._gates:
                return
        await self._wakes.queues.wait(_DOUBTFUL_SLEEP if self._doubts else _LONGEST_SLEEP)
        self._spots.forget()
        if self.hinted:
            self.hinted = False
            await asyncio.sleep(random.uniform(0, _HINT_SPREAD))  # noqa: S311  spread, no secret

    async def _fall_asleep(self) -> None:
        async with self._db.connection() as conn:
            await workers.sleeps(conn, self._worker, self._handlers)
        self._asleep = True

    async def _wake_up(self) -> None:
        async with self._db.connection() as conn:
            await workers.wakes(conn, self._worker)
        self._asleep = False
