"""Workers that lie, die and come back; rescuers; and everything said twice.

Four workers claim and settle: in parts, in parts that overlap, the same words again from another
connection. Each is declared dead now and then while it works, and goes on to settle what is no longer
its own. Two rescuers reap. Nothing may be lost, and nothing may succeed twice.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from tests.engine import Engine, Tenant, result

DEATH, TWICE, FAILURE, SNOOZE = 0.15, 0.4, 0.08, 0.04


@dataclasses.dataclass
class Storm:
    dsn: str
    jobs: int
    seed: int = 1
    seen: Counter[str] = dataclasses.field(default_factory=Counter)
    """What happened, by name: claimed, rescued, refused, repeated, deaths, …"""
    completed: Counter[UUID] = dataclasses.field(default_factory=Counter)
    """How often a settle said that it had completed that job."""
    over: threading.Event = dataclasses.field(default_factory=threading.Event)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def run(self, workers: int = 4, rescuers: int = 2, limit: float = 300) -> None:
        """Returns when every job has ended; raises what any thread raised."""
        self.fill()
        with ThreadPoolExecutor(workers + rescuers + 1) as pool:
            running = [pool.submit(self.work, n) for n in range(workers)]
            running += [pool.submit(self.rescue) for _ in range(rescuers)]
            running.append(pool.submit(self.wait, limit))
            for one in running:
                one.result()

    def fill(self) -> None:
        """Nine of ten free, the others in lanes of some fifteen jobs."""
        engine = Engine(self.dsn)
        tenant = engine.tenant()
        engine.route(tenant, "thing.done")
        engine.queue(attempts=100, backoff={"scheduleMs": [1]})
        with engine.conn.transaction():
            for n in range(self.jobs):
                if n % 10:
                    engine.enqueue(tenant)
                else:
                    engine.publish(tenant, ordering_key=f"k{n % 7}-{n // 1500}")
        self.number(engine, tenant)
        engine.close()

    def number(self, engine: Engine, tenant: Tenant) -> None:
        while engine.sequence(tenant):
            pass
        while engine.one("select exists (select from outbox.unplaced)"):
            engine.place(tenant)

    def wait(self, limit: float) -> None:
        engine, until = Engine(self.dsn), time.monotonic() + limit
        ended = "select count(distinct job_id) from outbox.attempts where outcome = 'completed'"
        try:
            while engine.one(ended) < self.jobs:
                if time.monotonic() > until:
                    raise TimeoutError(f"{engine.one(ended)} of {self.jobs} jobs ended: {self.seen}")
                engine.stage()
                time.sleep(0.02)
        finally:
            self.over.set()
            engine.close()

    # Workers

    def work(self, number: int) -> None:
        rng, engine, other = random.Random(self.seed + number), Engine(self.dsn), Engine(self.dsn)
        worker = self.enlist(engine)
        while not self.over.is_set():
            rows = engine.claim(worker, rng.choice([1, 5, 20, 100]))
            if not rows:
                time.sleep(0.005)
                continue
            self.count(claimed=len(rows))
            dies = rng.random() < DEATH
            if dies:
                self.declare_dead(engine, worker)
            for part in self.parts(rng, rows):
                self.say(rng, engine, other, worker, part)
            if dies:
                worker = self.enlist(engine)
        engine.close()
        other.close()

    def enlist(self, engine: Engine) -> UUID:
        worker = engine.worker()
        engine.do("update outbox.workers set beat_at = 'infinity' where id = %s", worker)
        return worker

    def declare_dead(self, engine: Engine, worker: UUID) -> None:
        """The rescuers come while it goes on working."""
        engine.do("update outbox.workers set beat_at = outbox.clock() - interval '1 h' where id = %s", worker)
        self.count(deaths=1)
        time.sleep(0.02)

    def parts(self, rng: random.Random, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Whole (the fast path), or cut in two with an overlap."""
        if rng.random() < 0.5:
            return [rows]
        cut = rng.randrange(len(rows) + 1)
        return [part for part in (rows[: cut + 2], rows[cut:]) if part]

    def say(
        self, rng: random.Random, engine: Engine, other: Engine, worker: UUID, rows: list[dict[str, Any]]
    ) -> None:
        words = [self.word(rng, row) for row in rows]
        if rng.random() >= TWICE:
            self.heard(engine.settle(worker, *words))
            return
        again = words[::-1] if rng.random() < 0.5 else words
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(other.settle, worker, *again)
            self.heard(engine.settle(worker, *words))
            self.heard(second.result())

    def word(self, rng: random.Random, row: dict[str, Any]) -> dict[str, Any]:
        drawn = rng.random()
        if drawn < FAILURE:
            return result(row, "failed", retryInMs=rng.choice([0, 1]))
        if drawn < FAILURE + SNOOZE:
            return result(row, "snoozed", forMs=0)
        return result(row)

    def heard(self, rows: list[dict[str, Any]]) -> None:
        with self._lock:
            for row in rows:
                self.seen[row["note"] or "accepted"] += 1
                if row["state"] == "completed" and row["note"] is None:
                    self.completed[row["job_id"]] += 1

    def count(self, **more: int) -> None:
        with self._lock:
            self.seen.update(more)

    # Rescuers

    def rescue(self) -> None:
        engine = Engine(self.dsn)
        while not self.over.is_set():
            self.count(rescued=len(engine.reap(5)))
            time.sleep(0.002)
        engine.close()
