"""Producers, and what gives their jobs a place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.engine import Tenant
from tests.model.oracle import Job
from tests.model.stage import BOTH, QUEUES, SECOND, Stage, action, delays, picks, queues


class Producers(Stage):
    @action(
        14,
        pick=picks,
        queue=queues,
        key=([None, "a", "a", "b"]),
        delay=delays,
        priority=([0, 0, 5, -5]),
        expires=([None, None, None, 3, 20]),
        late=BOTH,
    )
    def publish(
        self,
        pick: int,
        queue: str,
        key: str | None,
        delay: int,
        priority: int,
        expires: int | None,
        late: bool,
    ) -> None:
        tenant, now = self.tenants[pick % 2], self.tick()
        due = now + delay * SECOND
        args: dict[str, Any] = {"ordering_key": key, "priority": priority, "run_at": due if delay else None}
        end = due + expires * SECOND if expires else None
        door = self.late if late else self.engine
        event = door.publish(tenant, QUEUES[queue], expires_at=end, **args)
        (made,) = door.jobs_of(event)
        state = "unplaced" if key else "later" if delay else "ready"
        job = Job(id=made, project=tenant.project, queue=queue, key=key, priority=priority, state=state,
                  due=due, deadline=due + timedelta(days=30), expires=end)  # fmt: skip
        if late:
            self.late_made.append(job)
        else:
            self.stored(job)

    def stored(self, job: Job) -> None:
        self.world.jobs[job.id] = job

    @action(2, commit=BOTH)
    def end_late_transaction(self, commit: bool) -> None:
        if commit:
            self.late.conn.commit()
            for job in self.late_made:
                self.stored(job)
        else:
            self.late.conn.rollback()
        self.late_made = []

    @action(
        10,
        pick=picks,
        queue=queues,
        unique=([None, "u", "v"]),
        started=BOTH,
        delay=delays,
        priority=([0, 7]),
        attempts=([1, 2, 12]),
        deadline=([None, None, 10, 100]),
        timeout=([1, 300]),
    )
    def enqueue(
        self, pick: int, queue: str, unique: str | None, started: bool, delay: int, priority: int,
        attempts: int, deadline: int | None, timeout: int,
    ) -> None:  # fmt: skip
        tenant, now = self.tenants[pick % 2], self.tick()
        due = now + delay * SECOND
        options: dict[str, Any] = {"priority": priority, "maxAttempts": attempts, "timeoutMs": timeout * 1000}
        if unique:
            options |= {"uniqueKey": unique, "uniqueUntil": "started" if started else "ended"}
        if delay:
            options["runAt"] = due
        end = due + (deadline * SECOND if deadline else timedelta(days=30))
        if deadline:
            options["deadline"] = end
        said = self.engine.enqueued(tenant, queue, **options)
        held = (tenant.project, queue, unique or "")
        assert said["duplicate"] == (held in self.world.keys)
        if said["duplicate"]:
            assert said["job_id"] == self.world.keys[held]
            return
        job = Job(id=said["job_id"], project=tenant.project, queue=queue, priority=priority,
                  max_attempts=attempts, timeout=timeout * SECOND, unique=unique,
                  until_started=started and bool(unique),
                  state="later" if delay else "ready", due=due, deadline=end)  # fmt: skip
        self.world.jobs[job.id] = job
        if unique:
            self.world.keys[held] = job.id

    @action(9, pick=picks, limit=range(1, 5))
    def sequence(self, pick: int, limit: int) -> None:
        tenant = self.tenants[pick % 2]
        moved = self.keyed_pending(tenant, limit)
        self.engine.sequence(tenant, limit=limit)
        if moved:
            self.unplaced[tenant.project].append(moved)

    def keyed_pending(self, tenant: Tenant, limit: int) -> list[Job]:
        """The keyed jobs of the events that the next call will number, in their order."""
        rows = self.engine.rows(
            "select p.job from (select id, unnest(jobs) as job from (select id, jobs from outbox.pending"
            " where project_id = %s order by id limit %s) n) p order by p.id",
            *(tenant.project, limit),
        )
        return [self.world.jobs[row["job"]] for row in rows]

    @action(9, pick=picks)
    def place(self, pick: int) -> None:
        tenant = self.tenants[pick % 2]
        self.engine.place(tenant)
        batch = self.unplaced[tenant.project].pop(0) if self.unplaced[tenant.project] else []
        for job in batch:
            if job.state == "unplaced":
                job.state, job.place = "ready", self.world.next_place()

    @action(6)
    def stage(self) -> None:
        self.engine.stage()
        for job in self.world.jobs.values():
            if job.state == "later" and job.due <= self.world.now:
                job.state = "ready"
