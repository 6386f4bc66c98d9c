"""Workers: they claim, settle, freeze, and come back with what they remember."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.model.oracle import Job, Lease, Worker
from tests.model.stage import BOTH, SECOND, STATES, Stage, action, picks


class Workers(Stage):
    @action(1, pick=picks)
    def freeze(self, pick: int) -> None:
        self.pick_worker(pick).frozen = True

    @action(3, pick=picks)
    def wake_up(self, pick: int) -> None:
        """It beats; declared dead meanwhile it enlists anew, and its old leases stay in its memory."""
        worker = list(self.world.workers)[pick % len(self.world.workers)]
        self.world.workers[worker].frozen = False
        self.beat(worker)
        if self.world.workers[worker].fenced and len(self.world.workers) < 6:
            self.enlist()

    def pick_worker(self, pick: int) -> Worker:
        return self.world.workers[list(self.world.workers)[pick % len(self.world.workers)]]

    @action(16, pick=picks, limit=([1, 2, 5, 50]), how=(["alone", "looked", "hinted"]))
    def claim(self, pick: int, limit: int, how: str) -> None:
        worker = list(self.world.workers)[pick % len(self.world.workers)]
        if self.world.is_dead(worker):
            assert self.refused(lambda: self.engine.claim(worker, limit)) == "OX409"
            return
        spots = None if how == "alone" else self.spots(worker, how == "hinted")
        rows = self.engine.claim(worker, limit, spots)
        assert len(rows) <= limit
        ended = self.adopt_ends()
        free = [j for j in self.world.jobs.values() if self.world.may_start(j) and not j.over(self.world.now)]
        could = any(self.world.room(job.queue) for job in free)
        for row in rows:
            self.check_claimed(row)
        for row in rows:
            self.take_claimed(worker, row)
        if how != "hinted":
            assert rows or not could or (ended and how == "looked"), f"{how}: nothing claimed of {free}"
            self.check_order([self.world.jobs[row["job_id"]] for row in rows], free)

    def spots(self, worker: UUID, hinted: bool) -> list[str]:
        rows = self.engine.look(worker)
        if hinted:
            for row in rows:
                row["run_at"] += SECOND
        return [f"({r['queue_id']},{r['lane']},{r['priority']},{r['run_at']},{r['want'] * 3})" for r in rows]

    def adopt_ends(self) -> bool:
        """A claim may end what it meets past its time, and nothing else. Did it?"""
        ended = False
        for row in self.engine.rows(STATES):
            job = self.world.jobs.get(row["id"])
            if job and job.state == "ready" and row["place"] in ("cancelled", "dead_letters"):
                assert job.over(self.world.now), f"{job.id} was ended before its time"
                self.world.end_over(job)
                ended = True
        return ended

    def check_claimed(self, row: dict[str, Any]) -> None:
        job = self.world.jobs[row["job_id"]]
        assert self.world.may_start(job), f"{job} must not start"
        assert job.over(self.world.now) is None, f"{job} is past its time"
        assert (row["attempt"], row["no"], row["series"]) == (job.attempt + 1, job.no + 1, job.series)
        assert (row["queue"], row["ordering_key"], row["priority"]) == (
            job.queue,
            job.key,
            0 if job.key else job.priority,
        )

    def take_claimed(self, worker: UUID, row: dict[str, Any]) -> None:
        job, lease = self.world.jobs[row["job_id"]], row["lease_id"]
        if lease not in self.world.leases:
            deadline = self.engine.one("select deadline_at from outbox.leases where id = %s", lease)
            self.world.leases[lease] = Lease(worker=worker, queue=job.queue, jobs=set(), deadline=deadline)
        self.world.claimed(job, lease)
        assert self.world.leases[lease].deadline >= self.world.now + job.timeout + 30 * SECOND
        self.said.append((worker, lease, job.id))

    def check_order(self, taken: list[Job], free: list[Job]) -> None:
        """Within a share: priority, then due time."""
        for job in taken:
            for other in free:
                if not job.lane and not other.lane and other.state == "ready":
                    same = (job.queue, job.project) == (other.queue, other.project)
                    assert not same or (-other.priority, other.due) >= (-job.priority, job.due)

    @action(
        16,
        first=picks,
        n=range(1, 5),
        outcome=(["completed", "completed", "failed", "snoozed", "cancelled"]),
        delay=([None, 0, 2000]),
        final=BOTH,
        stale=BOTH,
    )
    def settle(self, first: int, n: int, outcome: str, delay: int | None, final: bool, stale: bool) -> None:
        if not self.said:
            return
        open_ = [s for s in self.said if s[1] in self.world.leases and s[2] in self.world.leases[s[1]].jobs]
        pool = self.said if stale or not open_ else open_
        start = first % len(pool)
        items = [s for s in pool[start : start + n] if s[0] == pool[start][0]]
        more: dict[str, Any] = {"retryInMs": delay, "final": final} if outcome == "failed" else {}
        if outcome == "snoozed":
            more = {"forMs": delay or 0}
        wait = None if outcome == "failed" and delay is None else timedelta(milliseconds=delay or 0)
        words = [{"lease": lease, "job": job, "outcome": outcome, "ms": 1} | more for _, lease, job in items]
        rows = self.engine.settle(items[0][0], *words)
        seen: set[tuple[UUID, UUID]] = set()
        accepted = []
        for worker, lease, job in items:
            holds = lease in self.world.leases and job in self.world.leases[lease].jobs
            accepted.append(holds and self.world.leases[lease].worker == worker and (lease, job) not in seen)
            seen.add((lease, job))
        by_item = {(row["lease_id"], row["job_id"]): row for row in rows}
        for item, good in zip(items, accepted, strict=True):
            if good:
                self.settled(by_item[item[1], item[2]], outcome, wait, final)
        for item, good in zip(items, accepted, strict=True):
            if not good:
                self.refused_item(by_item[item[1], item[2]], item, outcome)

    def settled(self, row: dict[str, Any], outcome: str, wait: timedelta | None, final: bool) -> None:
        job = self.world.jobs[row["job_id"]]
        states, (low, high) = self.world.next_states(job, outcome, wait, final=final)
        assert row["accepted"], f"{row} of {job}"
        assert row["note"] is None
        assert row["state"] in states, f"{row} of {job}"
        if row["state"] == "queued":
            assert low - timedelta(microseconds=2) <= row["due_at"] <= high + timedelta(microseconds=2)
        self.world.apply(job, outcome, row["state"], row["due_at"], row["lease_id"])

    def refused_item(self, row: dict[str, Any], item: tuple[UUID, UUID, UUID], outcome: str) -> None:
        worker, lease, job = item
        again = (outcome, lease) in self.world.jobs[job].ledger
        alive = lease in self.world.leases and self.world.leases[lease].worker == worker
        note = "repeated" if again else "not_in_lease" if alive else "lease_over"
        assert (row["accepted"], row["note"]) == (again, note)

    @action(2, pick=picks, part=BOTH)
    def release(self, pick: int, part: bool) -> None:
        if not self.said:
            return
        worker, lease, job = self.said[pick % len(self.said)]
        held = self.world.leases.get(lease)
        jobs = sorted(held.jobs & {job} if part else held.jobs) if held else []
        assert self.engine.release(worker, lease, [job] if part else None) == len(jobs)
        for one in jobs:
            found = self.world.jobs[one]
            ((state,), _) = self.world.next_states(found, "released")
            self.world.apply(found, "released", state, self.world.now, lease)

    @action(2, pick=picks, seconds=([1, 40, 600]))
    def extend(self, pick: int, seconds: int) -> None:
        if not self.said:
            return
        worker, lease, _ = self.said[pick % len(self.said)]
        held = self.world.leases.get(lease)
        refused = self.refused(lambda: self.engine.extend(worker, lease, seconds * SECOND))
        assert refused == (None if held else "OX409")
        if held:
            held.deadline = self.engine.one("select deadline_at from outbox.leases where id = %s", lease)

    @action(1, pick=picks)
    def report(self, pick: int) -> None:
        if not self.said:
            return
        worker, lease, job = self.said[pick % len(self.said)]
        held = lease in self.world.leases and job in self.world.leases[lease].jobs
        sql = "select outbox.report(%s, %s, %s, null, '1')"
        assert self.refused(lambda: self.engine.do(sql, worker, lease, job)) == (None if held else "OX409")
