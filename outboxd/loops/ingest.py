"""Group commit: concurrent requests share a transaction, and no timer makes a lone one wait.

    publish(unit) ──▶ queue, bounded in events and bytes ──▶ committer: whatever has gathered,
       ▲                                                        ≤ 500 events or 8 MiB
       └────────────── answer, after COMMIT ◀── outbox.ingest ──┘

While one group commits, the next gathers: an idle server commits a single event at once, a busy one
makes bigger groups. A row that raises is found by halving and fails alone. When the answer to a
COMMIT is lost, the group is repeated once under the same event ids, and what exists is answered
as stored. Weakness: one slow group (a lock, a sick row) delays those behind it, at most by its
timeouts; a unit that has waited 5 s is told so.
"""

import asyncio
import time
from collections import deque
from datetime import datetime, timedelta

import structlog

from outboxd import telemetry
from outboxd.db import rows
from outboxd.db.faults import Clash, CommitUnknown, Contention, MissingPartition
from outboxd.db.pool import Database
from outboxd.errors import Broken, DatabaseUnavailable, Error, Overloaded, ShuttingDown
from outboxd.loops import blame
from outboxd.loops.wakes import Wakes
from outboxd.store import ids, partitions
from outboxd.store.idempotency import Claim
from outboxd.store.ingest import Incoming, Outcome, encoded
from outboxd.store.ingest_once import Asked, ingest_once
from outboxd.telemetry import spans

log = structlog.get_logger()

_GROUP_EVENTS = 500
_GROUP_BYTES = 8 * 1024 * 1024
_LONGEST_WAIT = 5.0
_CLOCK_EVERY = 60.0
_STATEMENT = timedelta(seconds=10)
_LOCK = timedelta(milliseconds=500)
_IDLE = timedelta(seconds=5)
_SECOND = timedelta(seconds=1)
_TIMES = 3
_FULL = "more events are waiting for their commit than this server holds"
_UNKNOWN = "the database went away while committing: whether this was stored is not known; \
sending it again is safe under an idempotency key or a source event id"


class _Unit:
    """What stands or falls together, on its way."""

    __slots__ = ("answer", "asked", "bytes", "events", "since")

    def __init__(
        self, events: list[Incoming], claim: Claim | None, answer: asyncio.Future[list[Outcome]]
    ) -> None:
        self.events = events
        self.asked = Asked([encoded(event) for event in events], claim)
        self.bytes = sum(map(len, self.asked.events))
        self.answer = answer
        self.since = time.monotonic()

    def fail(self, error: Error) -> None:
        """A requester who has gone left a cancelled future behind."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Ingest:
    """The HTTP door's way in. `run` commits; `publish` may be called by any number of tasks."""

    def __init__(
        self,
        db: Database,
        wakes: Wakes,
        *,
        queue_events: int = 10_000,
        queue_bytes: int = 64 * 1024 * 1024,
        drain: timedelta = timedelta(seconds=30),
    ) -> None:
        self.mint = ids.Mint()
        self._db = db
        self._wakes = wakes
        self._most_events = queue_events
        self._most_bytes = queue_bytes
        self._drain = drain.total_seconds()
        self._queue: deque[_Unit] = deque()
        self._events = 0
        self._bytes = 0
        self._something = asyncio.Event()
        self._closed = False
        self._timed_at = float("-inf")
        self._expiry: asyncio.TimerHandle | None = None
        # Read when somebody scrapes: two gauges an event cost more than its encoding.
        telemetry.INGEST_QUEUE_EVENTS.set_function(lambda: self._events)
        telemetry.INGEST_QUEUE_BYTES.set_function(lambda: self._bytes)

    @property
    def full(self) -> bool:
        return self._events >= self._most_events or self._bytes >= self._most_bytes

    @property
    def oldest_wait(self) -> float | None:
        return time.monotonic() - self._queue[0].since if self._queue else None

    def admit(self, size: int = 0) -> None:
        """Raises Overloaded or ShuttingDown if `size` more bytes would not be taken, before they are read."""
        if self._closed:
            raise ShuttingDown("this server is stopping", _SECOND)
        if self._events and (self.full or self._bytes + size > self._most_bytes):
            telemetry.INGEST_REFUSED_TOTAL.labels("full").inc()
            raise Overloaded(_FULL, _SECOND)

    async def publish(self, events: list[Incoming], claim: Claim | None = None) -> list[Outcome]:
        """Stores one unit and answers after its COMMIT, one outcome an event; once, under a claim.

        Refusals are outcomes. Raises Overloaded, ShuttingDown, DatabaseUnavailable (with member
        `outcome="unknown"` when nobody knows), Invalid, Conflict or Broken, and then nothing is stored.
        """
        self.admit()
        unit = _Unit(events, claim, asyncio.get_running_loop().create_future())
        if self._queue and (
            self._events + len(events) > self._most_events or self._bytes + unit.bytes > self._most_bytes
        ):
            telemetry.INGEST_REFUSED_TOTAL.labels("full").inc()
            raise Overloaded(_FULL, _SECOND)
        self._put(unit)
        first = events[0]
        with spans.span("publish", first.traceparent, first.tracestate, project=first.project_id) as span:
            span.note(event=first.id if len(events) == 1 else None, request=first.request_id)
            return await unit.answer

    async def run(self, stop: asyncio.Event) -> None:
        """Commits until `stop` is set; then what is queued is committed and answered, the rest refused."""
        await self._measure()
        try:
            async with asyncio.TaskGroup() as tasks:
                clock = tasks.create_task(self._keep_time())
                committer = tasks.create_task(self._commit_all())
                await stop.wait()
                self._closed = True
                self._something.set()
                await asyncio.wait({committer}, timeout=self._drain)
                clock.cancel()
                committer.cancel()
        finally:
            self._closed = True
            self._refuse_rest()

    async def _commit_all(self) -> None:
        while not self._closed or self._queue:
            await self._something.wait()
            group = self._take()
            if group:
                await self._store(group)

    def _put(self, unit: _Unit) -> None:
        self._queue.append(unit)
        self._weigh(len(unit.events), unit.bytes)
        self._something.set()
        if self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(_LONGEST_WAIT, self._expire)

    def _take(self) -> list[_Unit]:
        """The next group: at least one unit, if there is one."""
        group: list[_Unit] = []
        events = size = 0
        while self._queue:
            unit = self._queue[0]
            if group and (events + len(unit.events) > _GROUP_EVENTS or size + unit.bytes > _GROUP_BYTES):
                break
            group.append(self._queue.popleft())
            events, size = events + len(unit.events), size + unit.bytes
        if not self._queue and not self._closed:
            self._something.clear()
        self._weigh(-events, -size)
        return group

    def _weigh(self, events: int, size: int) -> None:
        self._events += events
        self._bytes += size

    def _expire(self) -> None:
        """Units that have waited too long leave; nothing of them was stored."""
        old = time.monotonic() - _LONGEST_WAIT
        while self._queue and self._queue[0].since <= old:
            unit = self._queue.popleft()
            self._weigh(-len(unit.events), -unit.bytes)
            telemetry.INGEST_REFUSED_TOTAL.labels("waited").inc()
            unit.fail(Overloaded("the event waited too long for its commit; nothing was stored", _SECOND))
        self._expiry = None
        if self._queue:
            wait = self._queue[0].since - old
            self._expiry = asyncio.get_running_loop().call_later(wait, self._expire)

    async def _store(self, group: list[_Unit]) -> None:
        try:
            found = await self._repeated(group)
        except Error as failed:
            if len(group) > 1 and blame.a_row(failed):
                telemetry.INGEST_ISOLATIONS_TOTAL.inc()
                half = len(group) // 2
                await self._store(group[:half])
                await self._store(group[half:])
                return
            self._failed(group, failed)
        except BaseException:
            # Cancelled, or a defect of ours: whoever waits must not wait for ever.
            for unit in group:
                unit.fail(DatabaseUnavailable(_UNKNOWN, outcome="unknown"))
            raise
        else:
            await self._answer(group, found)

    async def _repeated(self, group: list[_Unit]) -> list[list[Outcome]]:
        """Once more after what passes by itself; under the same ids where COMMIT may have gone through."""
        again = False
        for attempt in range(_TIMES + 1):
            try:
                return await self._once(group, again=again)
            except CommitUnknown:
                if again:
                    raise DatabaseUnavailable(_UNKNOWN, outcome="unknown") from None
                again = True
            except (Contention, Clash) as failed:
                # A clash with ourselves: the lost COMMIT came through while its repeat was waiting.
                if (isinstance(failed, Clash) and not again) or attempt == _TIMES:
                    raise
                telemetry.DB_RETRIES_TOTAL.inc()
            except MissingPartition:
                await self._make_partitions()
                raise
            except Error as failed:
                if again:
                    raise DatabaseUnavailable(_UNKNOWN, outcome="unknown") from failed
                if attempt or not blame.the_connection(failed):
                    raise
                telemetry.DB_RETRIES_TOTAL.inc()
        raise Broken("unreachable: the last attempt raises or returns")

    async def _once(self, group: list[_Unit], *, again: bool) -> list[list[Outcome]]:
        telemetry.INGEST_GROUP_SIZE.observe(sum(len(unit.events) for unit in group))
        with telemetry.INGEST_COMMIT_SECONDS.time():
            async with self._db.transaction(_STATEMENT, lock_timeout=_LOCK, idle_timeout=_IDLE) as conn:
                return await ingest_once(conn, [unit.asked for unit in group], again=again)

    async def _answer(self, group: list[_Unit], found: list[list[Outcome]]) -> None:
        self._tell(group, found)
        for unit, outcomes in zip(group, found, strict=True):
            if any(outcome.status == 0 for outcome in outcomes):
                await self._store([unit])
            elif not unit.answer.done():
                unit.answer.set_result(outcomes)

    def _tell(self, group: list[_Unit], found: list[list[Outcome]]) -> None:
        """After COMMIT: wakes whoever has to do with the new jobs, and counts."""
        queues: dict[str, str] = {}
        projects = set()
        counts = {"accepted": 0, "duplicate": 0, "refused": 0}
        for unit, outcomes in zip(group, found, strict=True):
            for event, outcome in zip(unit.events, outcomes, strict=True):
                counts[_kind(outcome)] += 1
                if outcome.duplicate and outcome.status == 201:
                    telemetry.INGEST_DUPLICATES_TOTAL.labels("differs" if outcome.differs else "same").inc()
                if outcome.status == 201 and not outcome.known:
                    projects.add(event.project_id)
                    queues.update((job.queue, job.handler) for job in outcome.jobs if job.due)
        for kind, count in counts.items():
            telemetry.INGEST_EVENTS_TOTAL.labels("http", kind).inc(count)
        if projects:
            self._wakes.committed(queues, projects)

    def _failed(self, group: list[_Unit], failed: Error) -> None:
        told = blame.answer(failed)
        log.warning("events not stored", units=len(group), code=told.code, exc_info=failed)
        telemetry.INGEST_EVENTS_TOTAL.labels("http", "failed").inc(sum(len(unit.events) for unit in group))
        for unit in group:
            unit.fail(told)

    def _refuse_rest(self) -> None:
        while self._queue:
            self._queue.popleft().fail(ShuttingDown("this server is stopping; nothing was stored", _SECOND))
        self._weigh(-self._events, -self._bytes)

    async def _make_partitions(self) -> None:
        try:
            async with self._db.transaction(3 * _STATEMENT) as conn:
                await partitions.make_partitions(conn)
        except Error as failed:
            log.warning("partitions not made", code=failed.code, exc_info=failed)

    def on_time(self, theirs: datetime, ours: float) -> None:
        """What the database's clock said when ours said `ours`: polls see it, and spare us the question."""
        self.mint.set(theirs, ours)
        self._timed_at = time.monotonic()

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_EVERY)
            if time.monotonic() - self._timed_at > _CLOCK_EVERY:
                await self._measure()

    async def _measure(self) -> None:
        """How far the database's clock is ahead; an old measure serves while it cannot be asked."""
        try:
            async with self._db.connection() as conn:
                before = time.time()
                now = await rows.value(await conn.execute("select outbox.clock()"), datetime)
                self.on_time(now, (before + time.time()) / 2)
        except Error as failed:
            log.warning("database clock not measured", code=failed.code)


def _kind(outcome: Outcome) -> str:
    if outcome.status != 201:
        return "refused"
    return "duplicate" if outcome.known else "accepted"
