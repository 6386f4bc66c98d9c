"""Fires what is due: in any process, however many there are and whatever their clocks say.

    poll sees a tick ──▶ row, skip locked ──▶ its ticks until now ──▶ tick(): event, next tick ──▶ commit
                           ▲ by the database's clock   from the tick, not from a local clock          │
                           └──────────────────────── the next one, 50 a run ──────────────────────────┘

One transaction a schedule: a crash leaves the row as it was, due, and the next process finds it. A schedule
that cannot be fired (a defect, a statement that takes too long) stays due, is told, and is left out of the
round until everything else was had, so it stands in nobody's way.

Weakness: a tick is as late as the poll that sees it, a few ms after it is due where a process runs.
"""

from collections import deque
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

import structlog

from outboxd import telemetry
from outboxd.db.faults import MissingPartition
from outboxd.db.link import Link
from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.loops.wakes import Wakes
from outboxd.model import ticks
from outboxd.model.ticks import BadRule, Rule
from outboxd.store import partitions, schedules
from outboxd.store.schedules import Due, Tick

log = structlog.get_logger()

MOST = 50
"""Schedules a run."""
LATE = timedelta(seconds=60)
"""A tick that is older when it is fired was missed."""
_PATIENCE = timedelta(seconds=30)
_COUNTED = 10_000
"""Of ticks that were missed; the newest are found behind that too."""
_GLANCE = timedelta(hours=1)
_JUST = timedelta(microseconds=1)


class Scheduler:
    """`once()` is the body of a chore."""

    def __init__(self, db: Database, wakes: Wakes) -> None:
        self._db = db
        self._wakes = wakes
        self._left_out: set[UUID] = set()

    async def once(self) -> int:
        """How many schedules it fired. Raises what the first that could not be fired had raised."""
        fired, failed = 0, None
        for _ in range(MOST):
            try:
                if not await self._fire():
                    self._left_out.clear()
                    break
                fired += 1
            except Stuck as stuck:
                self._left_out.add(stuck.schedule)
                failed = failed or stuck.why
        if failed is not None:
            raise failed
        return fired

    async def _fire(self) -> bool:
        """Whether there was one to fire."""
        due = None
        try:
            async with self._db.transaction(_PATIENCE) as conn:
                due = await schedules.due(conn, self._left_out)
                if due is None:
                    return False
                events = await _fired(conn, due)
                queues = await schedules.owed(conn, events) if events else []
        except MissingPartition:
            async with self._db.transaction(_PATIENCE) as conn:
                await partitions.make_partitions(conn)
            raise
        except Exception as failed:
            if due is None:
                raise
            code = failed.code if isinstance(failed, Error) else type(failed).__name__
            log.warning("schedule not fired", schedule=due.id, code=code)
            raise Stuck(due.id, failed) from failed
        telemetry.INGEST_EVENTS_TOTAL.labels("schedule", "accepted").inc(len(events))
        self._wakes.committed({each.queue: each.handler for each in queues}, [due.project_id])
        return True


class Stuck(Exception):  # noqa: N818 - it is passed on as what it was
    def __init__(self, schedule: UUID, why: Exception) -> None:
        self.schedule = schedule
        self.why = why
        super().__init__(str(schedule))


async def _fired(conn: Link, due: Due) -> list[UUID]:
    """The events of its ticks."""
    try:
        rule = ticks.parsed(due.cron, due.timezone, due.created_at)
    except BadRule as bad:
        # Another release took it, or a zone is gone from the database of zones.
        log.warning("schedule suspended", schedule=due.id, code=f"bad_{bad.field}")
        await schedules.suspend(conn, due.id, f"bad_{bad.field}")
        return []
    plan = planned(due, rule)
    events = await schedules.tick(conn, due.id, plan)
    if len(events) < sum(each.at is not None for each in plan):
        log.warning("schedule suspended", schedule=due.id)
    elif missed := sum(each.missed for each in plan):
        log.warning("ticks missed", schedule=due.id, ticks=missed, policy=due.missed)
    return events


def planned(due: Due, rule: Rule) -> list[Tick]:
    """What is done about the ticks that have come, oldest first; the last says when the next one is.

    `missed` of an event: how many ticks that were missed it stands for.
    """
    counted, came = _came(due, rule)
    late = sum(tick < due.now - LATE for tick in came)
    missed = counted - len(came) + late
    following = _within(due, rule.after(came[-1]))
    if not missed:
        return _in_turn(came, 0, following)
    if due.missed == "once":
        return [Tick(at=came[-1], next=following, missed=missed if late == len(came) else counted - 1)]
    if due.missed == "all":
        kept = came[-(len(came) - late + min(late, due.missed_cap)) :]
        return _in_turn(kept, counted - len(kept), following)
    fresh = came[late:]
    begins = fresh[0] if fresh else following
    return [Tick(at=None, next=begins, missed=missed), *_in_turn(fresh, 0, following)]


def _in_turn(came: list[datetime], missed: int, following: datetime | None) -> list[Tick]:
    """Each its event, the first of which tells of those that get none."""
    nexts = [*came[1:], following]
    return [Tick(at=at, next=nexts[n], missed=missed if n == 0 else 0) for n, at in enumerate(came)]


def _came(due: Due, rule: Rule) -> tuple[int, list[datetime]]:
    """How many ticks have come, counted to 10,000, and the newest of them: as many as could matter."""
    most = due.missed_cap + LATE // ticks.SHORTEST + 2
    until = due.now if due.ends_at is None else max(min(due.now, due.ends_at - _JUST), due.next_at)
    counted = 0
    newest: deque[datetime] = deque(maxlen=most)
    for tick in islice(rule.between(due.next_at, until), _COUNTED):
        counted += 1
        newest.append(tick)
    if counted < _COUNTED:
        return counted, list(newest)
    oldest, span = newest[0], _GLANCE
    while True:
        first = rule.after(max(until - span, oldest))
        newest = deque([] if first is None else rule.between(first, until), maxlen=most)
        if len(newest) == most or until - span <= oldest:
            return counted, list(newest)
        span *= 2


def _within(due: Due, tick: datetime | None) -> datetime | None:
    return None if tick is None or (due.ends_at is not None and tick >= due.ends_at) else tick
