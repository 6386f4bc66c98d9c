"""What jobs.md promises, as plain Python: the other opinion that the SQL is compared with.

Written from the page and not from the SQL. Where the engine may choose (which of equal jobs, the jitter
of a backoff) the oracle says what is allowed, and takes over what was chosen.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from uuid import UUID

LaneKey = tuple[str, UUID, str]

ALIVE = ("unplaced", "ready", "later", "leases")
BACKOFF = (timedelta(seconds=1), timedelta(seconds=8))
"""Base and cap that every queue of the model has."""


@dataclasses.dataclass(kw_only=True)
class Job:
    id: UUID
    project: UUID
    queue: str
    key: str | None = None
    priority: int = 0
    max_attempts: int = 12
    timeout: timedelta = timedelta(minutes=5)
    deadline: datetime
    expires: datetime | None = None
    unique: str | None = None
    until_started: bool = False
    state: str
    """unplaced, ready, later, leases, dead_letters, completed, cancelled, purged."""
    due: datetime
    """When it may run; in a lane, its place."""
    place: float = 0
    """Order inside its lane."""
    attempt: int = 0
    no: int = 0
    series: int = 0
    lease: UUID | None = None
    ledger: list[tuple[str, UUID | None]] = dataclasses.field(default_factory=list)

    @property
    def lane(self) -> LaneKey | None:
        return (self.queue, self.project, self.key) if self.key else None

    def over(self, now: datetime) -> str | None:
        """How it ends if nobody has started it by now."""
        if self.expires is not None and self.expires <= now:
            return "cancelled"
        return "failed" if self.deadline <= now else None

    def say(self, outcome: str, lease: UUID | None = None) -> None:
        self.no += 1
        self.ledger.append((outcome, lease))


@dataclasses.dataclass(kw_only=True)
class Lease:
    worker: UUID
    queue: str
    jobs: set[UUID]
    deadline: datetime


@dataclasses.dataclass(kw_only=True)
class Worker:
    beat: datetime
    frozen: bool = False
    fenced: bool = False
    told: list[UUID] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(kw_only=True)
class World:
    now: datetime
    jobs: dict[UUID, Job] = dataclasses.field(default_factory=dict)
    leases: dict[UUID, Lease] = dataclasses.field(default_factory=dict)
    workers: dict[UUID, Worker] = dataclasses.field(default_factory=dict)
    keys: dict[tuple[UUID, str, str], UUID] = dataclasses.field(default_factory=dict)
    waits: dict[LaneKey, datetime] = dataclasses.field(default_factory=dict)
    """When the head of a lane may run, if that is not at its place: retries, snoozes."""
    blocked: dict[LaneKey, UUID] = dataclasses.field(default_factory=dict)
    paused: set[str | tuple[str, UUID]] = dataclasses.field(default_factory=set)
    limits: dict[str, int] = dataclasses.field(default_factory=dict)
    blocking: frozenset[str] = frozenset()
    """Queues whose dead heads block."""
    places: int = 0

    # Lanes

    def in_lane(self, lane: LaneKey) -> list[Job]:
        """What has a place there, in order."""
        found = [j for j in self.jobs.values() if j.lane == lane and j.state in ("ready", "leases")]
        return sorted(found, key=lambda j: j.place)

    def heads(self, job: Job) -> bool:
        """It is the first of a lane that nothing blocks."""
        if job.lane is None or job.state not in ("ready", "leases") or job.lane in self.blocked:
            return False
        return self.in_lane(job.lane)[0] is job

    def next_place(self) -> int:
        self.places += 1
        return self.places

    # Claims

    def open_to_claims(self, job: Job) -> bool:
        return job.queue not in self.paused and (job.queue, job.project) not in self.paused

    def room(self, queue: str) -> int:
        held = sum(len(lease.jobs) for lease in self.leases.values() if lease.queue == queue)
        return max(self.limits.get(queue, 10**6) - held, 0)

    def may_start(self, job: Job) -> bool:
        """Its place, its time, its lane and its queue allow it; not whether its time has run out."""
        if job.state != "ready" or not self.open_to_claims(job):
            return False
        if job.lane is None:
            return job.due <= self.now
        head = self.in_lane(job.lane)[0] is job
        return head and self.waits.get(job.lane, job.due) <= self.now and job.lane not in self.blocked

    def is_dead(self, worker: UUID) -> bool:
        found = self.workers.get(worker)
        return found is None or found.fenced or found.beat < self.now - timedelta(seconds=15)

    def claimed(self, job: Job, lease: UUID) -> None:
        job.attempt += 1
        job.state, job.lease = "leases", lease
        self.leases[lease].jobs.add(job.id)
        if job.until_started:
            self.free_key(job)

    # Ends

    def leave(self, job: Job) -> None:
        """Out of its lease."""
        if job.lease is not None:
            lease = self.leases[job.lease]
            lease.jobs.discard(job.id)
            if not lease.jobs:
                del self.leases[job.lease]
            job.lease = None

    def end(self, job: Job, outcome: str) -> None:
        """completed, cancelled, purged."""
        if self.heads(job):
            self.waits.pop(job.lane, None)  # type: ignore[arg-type]
        self.leave(job)
        self.unblock(job)
        job.state = outcome
        self.free_key(job)

    def die(self, job: Job) -> None:
        was_head = self.heads(job)
        self.leave(job)
        job.state = "dead_letters"
        self.free_key(job)
        if job.lane is not None and was_head:
            self.waits.pop(job.lane, None)
            if job.queue in self.blocking:
                self.blocked[job.lane] = job.id

    def unblock(self, job: Job) -> None:
        if job.lane is not None and self.blocked.get(job.lane) == job.id:
            del self.blocked[job.lane]

    def free_key(self, job: Job) -> None:
        held = (job.project, job.queue, job.unique or "")
        if self.keys.get(held) == job.id:
            del self.keys[held]

    def back(self, job: Job, due: datetime, *, spent: bool) -> None:
        """Queued again: due then. A keyed job keeps its place and holds its lane."""
        self.leave(job)
        job.attempt -= not spent
        if job.lane is not None:
            job.state = "ready"
            self.waits[job.lane] = due
        else:
            job.state, job.due = ("ready" if due <= self.now else "later"), due

    # What an outcome means

    def next_states(
        self, job: Job, outcome: str, delay: timedelta | None = None, *, final: bool = False
    ) -> tuple[set[str], tuple[datetime, datetime]]:
        """The states it may go to (completed, cancelled, failed, queued), and the bounds of its due time."""
        if outcome in ("completed", "cancelled"):
            return {outcome}, (self.now, self.now)
        low, high = self._delays(job, outcome, delay)
        due = (self.now + low, self.now + high)
        if outcome in ("released", "snoozed", "lost") and job.expires is not None and job.expires <= self.now:
            return {"cancelled"}, due
        end = min(job.deadline, job.expires) if outcome == "failed" and job.expires else job.deadline
        past = {at > job.deadline or (at >= end and end != job.deadline) for at in due}
        if outcome == "released":
            return {"queued"}, due
        if outcome != "snoozed" and (final or job.attempt >= job.max_attempts):
            past = {True}
        return {"failed" if late else "queued" for late in past}, due

    def _delays(self, job: Job, outcome: str, delay: timedelta | None) -> tuple[timedelta, timedelta]:
        if delay is not None:
            return delay, delay
        last = job.ledger[-1][0] if job.ledger else ""
        if outcome == "released" or (outcome == "lost" and last != "lost"):
            return timedelta(), timedelta()
        full = min(BACKOFF[1], BACKOFF[0] * 2 ** (job.attempt - 1))
        return full / 2, full

    def apply(self, job: Job, outcome: str, state: str, due: datetime | None, lease: UUID | None) -> None:
        """What was decided among `next_states` happens."""
        expired = state == "cancelled"
        job.say("cancelled" if expired else outcome, lease)
        if state in ("completed", "cancelled"):
            self.end(job, state)
        elif state == "failed":
            self.die(job)
        else:
            assert due is not None
            back = job.due if outcome == "released" and job.lane is None else due
            self.back(job, back, spent=outcome not in ("released", "snoozed"))

    def end_over(self, job: Job) -> None:
        """Its time ran out before anybody started it."""
        how = job.over(self.now)
        assert how is not None
        job.say(how)
        if how == "cancelled":
            self.end(job, "cancelled")
        else:
            self.die(job)
