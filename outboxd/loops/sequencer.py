"""Gives every committed event its number, and every keyed job its place: in any process, at any time.

    committed, outbox_pending, poll ──▶ round of projects ─▶ sequence, ≤ 50 a call ─▶ hint s:<project>
                                             ▲ full batch      │ keyed
                                             └─────────────────┤
                                                               ▼
                                        round of projects ─▶ place until nothing waits ─▶ queues wake

Numbering and placing are two tasks: a lane that a settling handler holds stops the placing of its
project for a while, and never the numbering of any. Nobody waits for another sequencer: a project
whose row is locked is skipped, and whoever holds it does the work. Should he die, the poll finds it.

Dead rows that somebody's old snapshot keeps are not waded through for ever: while looks are slow,
they start a margin before the last id that was numbered, and at the beginning once a second only.
Weakness: meanwhile an event whose producer took its id more than that margin ago, and commits late,
is numbered up to a second later than it could be, so behind events that were published after it.
"""

import asyncio
import time
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import structlog

from outboxd import telemetry
from outboxd.db.pool import Database
from outboxd.errors import Unavailable
from outboxd.loops.wakes import ANYTHING, Signal, Wakes
from outboxd.store import streams
from outboxd.store.streams import Grown

log = structlog.get_logger()

_BATCH = 1000
_MARGIN = 1000
_FULL_LOOK = 1.0
_SLOW = 0.05
_FEW = 100
_AT_ONCE = 4
"""Projects placed in parallel, each on a connection of the pool."""
_LANE_WAIT = timedelta(seconds=1)
_AFTER_FAILURE = 1.0
_BREATH = 0.05


class Sequencer:
    """`run()` in a task of its own."""

    def __init__(self, db: Database, wakes: Wakes, *, batch: int = _BATCH) -> None:
        self._db = db
        self._wakes = wakes
        self._batch = batch
        self._round = Round()
        self._placing = Round()
        self._to_place = Signal()
        self._seen: dict[UUID, int] = {}
        self._full_look_at = float("-inf")
        self._slow = False

    async def run(self) -> None:
        """Never returns; a database that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._numbering(), name="sequencer: numbering")
            group.create_task(self._places(), name="sequencer: placing")

    async def once(self, woken: set[str]) -> int:
        """Numbers everything that waits in the projects named (*: in all); how many events that were.

        Projects that wake us meanwhile join the round: one that floods would hide them till it ends.
        """
        self._round.add(await self._named(woken))
        numbered = 0
        while self._round:
            numbered += await self._number(self._round.take(streams.MOST_PROJECTS))
            self._round.add(await self._named(self._wakes.sequencer.take()))
        return numbered

    async def place_once(self, woken: set[str]) -> None:
        """Places everything numbered in the projects named (*: in all) that nobody else is placing."""
        if ANYTHING in woken:
            async with self._db.connection() as conn:
                self._placing.add(await streams.unplaced(conn))
        self._placing.add(UUID(name) for name in woken - {ANYTHING})
        while self._placing:
            async with asyncio.TaskGroup() as group:
                for project in self._placing.take(_AT_ONCE):
                    group.create_task(self._place(project), name=f"place {project}")

    async def _numbering(self) -> None:
        woken = {ANYTHING}
        while True:
            try:
                await self.once(woken)
                woken = await self._wakes.sequencer.wait()
            except Unavailable as away:
                log.warning("sequencing failed", code=away.code)
                woken = {ANYTHING}
                await asyncio.sleep(_AFTER_FAILURE)

    async def _places(self) -> None:
        woken = {ANYTHING}
        while True:
            try:
                await self.place_once(woken)
                woken = await self._to_place.wait()
            except Unavailable as away:
                log.warning("placing failed", code=away.code)
                woken = {ANYTHING}
                await asyncio.sleep(_AFTER_FAILURE)

    async def _named(self, woken: set[str]) -> list[UUID]:
        if ANYTHING not in woken:
            return [UUID(name) for name in woken]
        self._to_place.wake((ANYTHING,))
        async with self._db.connection() as conn:
            return await streams.pending(conn)

    async def _number(self, projects: list[UUID]) -> int:
        began = time.monotonic()
        full = not self._slow or began - self._full_look_at > _FULL_LOOK
        since = None if full else self._seen
        grown = await self._db.run(lambda conn: streams.sequence(conn, projects, self._batch, since))
        took = time.monotonic() - began
        numbered = sum(each.numbered for each in grown)
        if full:
            self._seen, self._full_look_at = {}, began
            self._slow = took > _SLOW and numbered < _FEW
        telemetry.SEQUENCE_SECONDS.observe(took)
        if grown:
            self._tell(grown)
        return numbered

    def _tell(self, grown: list[Grown]) -> None:
        for each in grown:
            self._seen[each.project_id] = max(each.last_id - _MARGIN, 0)
            telemetry.SEQUENCE_ROWS.observe(each.numbered)
        self._round.add(each.project_id for each in grown if each.numbered >= self._batch)
        self._to_place.wake(str(each.project_id) for each in grown if each.keyed)
        self._wakes.numbered({each.project_id: each.head for each in grown})

    async def _place(self, project: UUID) -> None:
        """One batch; the project comes again while it gets on."""
        try:
            async with self._db.transaction(lock_timeout=_LANE_WAIT) as conn:
                before = await streams.next_unplaced(conn, project)
                due = await streams.place(conn, project)
                after = await streams.next_unplaced(conn, project)
        except Unavailable as away:
            # Mostly a lane in the hands of a handler that writes: others go first.
            log.info("placing waits", code=away.code)
            self._to_place.wake((str(project),))
            await asyncio.sleep(_BREATH)
            return
        if due:
            self._wakes.committed({each.queue: each.handler for each in due})
        if after is not None and after != before:
            self._placing.add((project,))


class Round:
    """Projects in turn, each once."""

    def __init__(self) -> None:
        self._projects: dict[UUID, None] = {}

    def __bool__(self) -> bool:
        return bool(self._projects)

    def add(self, projects: Iterable[UUID]) -> None:
        self._projects.update(dict.fromkeys(projects))

    def take(self, most: int) -> list[UUID]:
        taken = list(self._projects)[:most]
        for project in taken:
            del self._projects[project]
        return taken
