"""Operators, who may interfere at any time."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from tests.engine import EVERYWHERE
from tests.model.oracle import ALIVE, Job
from tests.model.stage import BOTH, SECOND, Stage, action, picks, queues


class Operators(Stage):
    @action(4, pick=picks)
    def cancel(self, pick: int) -> None:
        job = self.job(pick)
        if job is None:
            return
        refused = self.refused(lambda: self.engine.cancel(job.id))
        assert refused == ("OX409" if job.state in ("completed", "purged") else None)
        if refused or job.state == "cancelled":
            return
        lease = job.lease
        if lease is not None:
            holder = self.world.workers[self.world.leases[lease].worker]
            if not holder.fenced:
                holder.told.append(job.id)
        job.say("cancelled", lease)
        self.world.end(job, "cancelled")

    @action(6, pick=picks, dead=BOTH)
    def retry(self, pick: int, dead: bool) -> None:
        job = self.job(pick, "dead_letters", "cancelled") if dead else self.job(pick)
        if job is None:
            return
        taken = self.world.keys.get((job.project, job.queue, job.unique or ""), job.id) != job.id
        if job.state in ("dead_letters", "cancelled"):
            wanted = "OX409" if taken else None
        else:
            wanted = "OX409" if job.state in ("leases", "completed", "purged") else None
        assert self.refused(lambda: self.engine.retry(job.id)) == wanted, job
        if wanted:
            return
        now = self.world.now
        if job.state in ("ready", "later"):
            self.hasten(job)
        elif job.state != "unplaced":
            if job.state == "cancelled":
                job.place = self.world.next_place()
            self.world.unblock(job)
            job.say("retried")
            job.state, job.attempt = "ready", 0
            job.series += 1
            job.due = now
            if job.lane and self.world.heads(job):
                self.world.waits[job.lane] = now
            if job.unique:
                self.world.keys[job.project, job.queue, job.unique] = job.id

    def hasten(self, job: Job) -> None:
        if job.lane is None:
            if job.state == "later":
                job.due = self.world.now
            job.state = "ready"
        elif self.world.heads(job):
            self.world.waits[job.lane] = min(self.world.waits.get(job.lane, job.due), self.world.now)

    @action(3, pick=picks, seconds=([2, 30]))
    def snooze(self, pick: int, seconds: int) -> None:
        job = self.job(pick, *ALIVE)
        if job is None:
            return
        until = self.world.now + seconds * SECOND
        sql = f"select outbox.snooze({EVERYWHERE}, %s, %s)"
        refused = self.refused(lambda: self.engine.do(sql, job.id, until))
        if until > job.deadline:
            assert refused == "OX400"
        elif job.state in ("leases", "unplaced"):
            assert refused == ("OX409" if job.state == "leases" else "OX503")
        else:
            assert refused is None
            if job.lane is None:
                job.state, job.due = "later", until
            elif self.world.heads(job):
                self.world.waits[job.lane] = until

    @action(1, queue=queues)
    def purge(self, queue: str) -> None:
        self.engine.do(f"select outbox.purge({EVERYWHERE}, %s)", Jsonb({"queue": queue}))
        for job in self.world.jobs.values():
            if job.queue == queue and job.state == "dead_letters":
                job.say("purged")
                self.world.end(job, "purged")

    @action(3, pick=picks, queue=queues, share=BOTH, stop=(True, False, False, False))
    def pause(self, pick: int, queue: str, share: bool, stop: bool) -> None:
        project = self.tenants[pick % 2].project if share else None
        what = (queue, project) if project else queue
        was = what in self.world.paused
        if stop:
            self.engine.do(f"select outbox.pause({EVERYWHERE}, %s, %s)", queue, project)
            self.world.paused.add(what)
        else:
            assert self.engine.one(f"select outbox.resume({EVERYWHERE}, %s, %s)", queue, project) == was
            self.world.paused.discard(what)

    @action(2, limit=range(1, 5), weight=range(1, 6), pick=picks)
    def configure(self, limit: int, weight: int, pick: int) -> None:
        sql = f"select outbox.configure_queue({EVERYWHERE}, 'gated', %s)"
        self.engine.do(sql, Jsonb({"concurrency": limit}))
        project = self.tenants[pick % 2].project
        self.engine.do(f"select outbox.weigh({EVERYWHERE}, 'work', %s, %s)", project, weight)
        self.world.limits["gated"] = limit
