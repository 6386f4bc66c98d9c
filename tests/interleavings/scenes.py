"""What two sessions race about, and what they do to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant, result
from tests.interleavings.sessions import Seen, every

SECOND = timedelta(seconds=1)


@dataclasses.dataclass(kw_only=True)
class Scene:
    """One project's few jobs, in a queue of their own, and one worker for it."""

    engine: Engine
    tenant: Tenant
    queue: str
    worker: UUID
    jobs: list[UUID] = dataclasses.field(default_factory=list)
    claimed: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def enqueue(self, n: int = 1, **options: Any) -> Scene:
        self.jobs += [self.engine.enqueue(self.tenant, self.queue, **options) for _ in range(n)]
        return self

    def keyed(self, *keys: str) -> Scene:
        self.jobs += [self.engine.keyed(self.tenant, key) for key in keys]
        return self

    def claim(self) -> Scene:
        self.claimed = self.engine.claim(self.worker)
        return self

    def fail(self) -> Scene:
        self.claim()
        self.engine.settle(self.worker, *(result(r, "failed", final=True) for r in self.claimed))
        return self

    def die(self) -> Scene:
        self.engine.do(
            "update outbox.workers set beat_at = outbox.clock() - interval '1 h' where id = %s", self.worker
        )
        return self

    def places(self) -> list[str]:
        return [self.engine.place_of(job) for job in self.jobs]

    def outcomes(self) -> list[list[str]]:
        """The ledger of each job."""
        return [[row["outcome"] for row in self.engine.ledger(job)] for job in self.jobs]


Make = Callable[[], Scene]
Race = Callable[..., Iterator[Seen[Scene]]]


@pytest.fixture
def scene(engine: Engine, clock: Clock) -> Make:
    """A fresh one; those before it stay, and must not matter."""
    made = 0

    def fresh() -> Scene:
        nonlocal made
        made += 1
        clock.forward(SECOND)
        tenant, queue = engine.tenant(), f"q{made}"
        engine.route(tenant, "thing.done", queue)
        worker = engine.worker(f"pull:{queue}")
        engine.do("update outbox.workers set beat_at = 'infinity' where id = %s", worker)
        return Scene(engine=engine, tenant=tenant, queue=queue, worker=worker)

    return fresh


@pytest.fixture
def race(engine: Engine, dsn: str) -> Race:
    def run(make: Make, left: Any, right: Any) -> Iterator[Seen[Scene]]:
        sides = [side if isinstance(side, list) else [side] for side in (left, right)]
        return every(engine, dsn, make, *sides)

    return run


def claim(e: Engine, s: Scene) -> Any:
    return e.claim(s.worker)


def settle(e: Engine, s: Scene) -> Any:
    return e.settle(s.worker, *map(result, s.claimed))


def fail(e: Engine, s: Scene) -> Any:
    return e.settle(s.worker, *(result(row, "failed", retryInMs=0) for row in s.claimed))


def cancel(e: Engine, s: Scene) -> Any:
    return e.cancel(s.jobs[0])


def retry(e: Engine, s: Scene) -> Any:
    return e.retry(s.jobs[0])


def purge(e: Engine, s: Scene) -> Any:
    return e.one(f"select (outbox.purge({EVERYWHERE}, %s)).affected", Jsonb({"queue": s.queue}))


def pause(e: Engine, s: Scene) -> Any:
    return e.rows(f"select outbox.pause({EVERYWHERE}, %s)", s.queue)


def limit(e: Engine, s: Scene) -> Any:
    return e.rows(f"select outbox.configure_queue({EVERYWHERE}, %s, %s)", s.queue, Jsonb({"concurrency": 1}))


def retire(e: Engine, s: Scene) -> Any:
    return e.one("select outbox.retire(%s)", s.worker)


def reap(e: Engine, s: Scene) -> Any:
    return e.reap()


def expire(e: Engine, s: Scene) -> Any:
    return e.expire()


def stage(e: Engine, s: Scene) -> Any:
    return e.stage()


def sequence(e: Engine, s: Scene) -> Any:
    return e.sequence(s.tenant)


def place(e: Engine, s: Scene) -> Any:
    return e.place(s.tenant)


def publish(e: Engine, s: Scene) -> Any:
    return e.publish(s.tenant)


def ids(rows: Any) -> set[UUID]:
    return {row["job_id"] for row in rows}
