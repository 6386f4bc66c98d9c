"""The engine beside its oracle: one drawn call a step, and both compared after it."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from tests import invariants
from tests.model.operate import Operators
from tests.model.produce import Producers
from tests.model.stage import ACTIONS, SECOND, STATES, action
from tests.model.work import Workers


class EngineMachine(Producers, Workers, Operators):
    @rule(seed=st.integers(0, 2**32 - 1))
    def step(self, seed: int) -> None:
        """One call, drawn by weight: hypothesis' own choice of rules goes less deep."""
        self.steps += 1
        rng = random.Random(seed * 1000 + self.steps)
        (name,) = rng.choices(list(ACTIONS), [weight for weight, _ in ACTIONS.values()])
        args = {key: rng.choice(choices) for key, choices in ACTIONS[name][1].items()}
        note(f"{name} {args}")
        getattr(self, name)(**args)

    @action(10, us=([1, 10, *[1_000_000] * 4, *[4_000_000] * 3, *[9_000_000] * 2, 61_000_000]))
    def forward(self, us: int) -> None:
        self.clock.forward(timedelta(microseconds=us))
        self.world.now = self.clock.now
        for worker, known in self.world.workers.items():
            if not known.frozen:
                self.beat(worker)

    @action(5)
    def reap(self) -> None:
        for worker in self.world.workers:
            self.world.workers[worker].fenced = self.world.is_dead(worker)
        over = {
            job: lease
            for lease, held in self.world.leases.items()
            if self.world.is_dead(held.worker) or held.deadline <= self.world.now
            for job in held.jobs
        }
        hung = {job for job, lease in over.items() if not self.world.is_dead(self.world.leases[lease].worker)}
        rows = self.engine.reap(100)
        assert {row["job_id"]: row["lease_id"] for row in rows} == over
        for row in rows:
            job, outcome = self.world.jobs[row["job_id"]], "timed_out" if row["job_id"] in hung else "lost"
            states, (low, high) = self.world.next_states(job, "failed" if outcome == "timed_out" else "lost")
            assert row["state"] in states, f"{row} of {job}"
            due = self.engine.one(
                "select retry_at from outbox.attempts where job_id = %s order by no desc limit 1", job.id
            )
            assert due is None or low - 2 * SECOND / 10**6 <= due <= high + 2 * SECOND / 10**6
            self.world.apply(job, outcome, row["state"], due, row["lease_id"])

    @action(3)
    def expire(self) -> None:
        due = [
            j for j in self.world.jobs.values() if j.state in ("ready", "later") and j.over(self.world.now)
        ]
        assert self.engine.expire() == len(due)
        for job in sorted(due, key=lambda j: j.place):
            self.world.end_over(job)

    @invariant()
    def every_job_is_where_the_oracle_says(self) -> None:
        rows = {row["id"]: row for row in self.engine.rows(STATES)}
        assert rows.keys() == self.world.jobs.keys()
        for job in self.world.jobs.values():
            row = rows[job.id]
            wanted = "none" if job.state == "unplaced" else job.state
            assert row["place"] == wanted, f"{row} of {job}"
            assert row["last_no"] == job.no == len(job.ledger), f"{row} of {job}"
            if job.state in ("ready", "later", "leases"):
                assert (row["attempt"], row["series"]) == (job.attempt, job.series), f"{row} of {job}"
                if job.lane is None and job.state != "leases":
                    assert abs(row["run_at"] - job.due) < SECOND / 1000, f"{row} of {job}"
                job.due = row["run_at"]

    @invariant()
    def lanes_are_in_the_order_of_the_feed(self) -> None:
        for lane in {j.lane for j in self.world.jobs.values() if j.lane}:
            waiting = [j for j in self.world.in_lane(lane) if j.state == "ready"]
            assert [j.due for j in waiting] == sorted({j.due for j in waiting}), lane

    @invariant()
    def each_job_stands_in_one_place(self) -> None:
        assert invariants.broken(self.engine.conn) == []

    @invariant()
    def keys_are_held_by_the_living(self) -> None:
        rows = self.engine.rows(
            "select k.project_id, q.name, k.key, k.job_id from outbox.job_keys k"
            " join outbox.queues q on q.id = k.queue_id"
        )
        assert {(r["project_id"], r["name"], r["key"]): r["job_id"] for r in rows} == self.world.keys
