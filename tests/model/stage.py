"""What the rules of the model share: a database, its oracle, and the list of what may be called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from hypothesis.stateful import RuleBasedStateMachine
from psycopg.rows import dict_row
from pytest_postgresql.executors import NoopExecutor

from tests import cluster
from tests.clock import Clock
from tests.engine import Engine
from tests.model.oracle import Job, Worker, World

SECOND = timedelta(seconds=1)
QUEUES = {"work": "thing.done", "gated": "thing.gated", "stop": "thing.stop"}
"""Plain; with a limit of two at once; and one whose dead heads block."""

STATES = """
select j.id, coalesce(p.place, a.outcome, 'none') as place, p.lane, p.run_at, p.attempt, p.no, p.series,
  coalesce(a.no, 0) as last_no
from outbox.jobs j
left join (
  select job_id, 'ready' as place, lane, run_at, attempt, no, series from outbox.ready
  union all select job_id, 'later', lane, run_at, attempt, no, series from outbox.later
  union all select m.job, 'leases', m.lane, m.run_at, m.attempt, m.no, m.series
  from outbox.leases l
  cross join unnest(l.job_ids, l.lanes, l.run_ats, l.attempts, l.nos, l.series)
    m(job, lane, run_at, attempt, no, series)
  union all select job_id, 'dead_letters', 0, place, attempt, no, series from outbox.dead_letters
) p on p.job_id = j.id
left join lateral (
  select a.outcome, a.no from outbox.attempts a where a.job_id = j.id order by a.no desc limit 1
) a on true
"""

queues = sorted(QUEUES)
picks = range(10**6)
delays = [0, 0, 0, 1, 5, 60]
BOTH = (False, True)

ACTIONS: dict[str, tuple[int, dict[str, Sequence[Any]]]] = {}
"""Each method that may be called, how often, and what each argument is drawn from."""

F = TypeVar("F", bound=Callable[..., None])


def action(weight: int, /, **drawn: Sequence[Any]) -> Callable[[F], F]:
    def keep(method: F) -> F:
        ACTIONS[method.__name__] = weight, drawn
        return method

    return keep


class Stage(RuleBasedStateMachine):
    server: NoopExecutor
    """Set by the test that runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.janitor = cluster.clone(self.server)
        self.janitor.__enter__()
        dsn = self.janitor.dsn
        self.clock = Clock(dsn)
        self.engine = Engine(dsn)
        self.engine.do("select setseed(0.5)")
        self.late = Engine(conn=psycopg.connect(dsn, row_factory=dict_row))
        self.late_made: list[Job] = []
        self.steps = 0
        self.tenants = [self.engine.tenant(), self.engine.tenant()]
        for queue, kind in QUEUES.items():
            self.engine.queue(queue, backoff={"baseMs": 1000, "capMs": 8000}, on_dead="advance")
            self.engine.route(None, kind, queue)
        self.engine.queue("gated", concurrency=2)
        self.engine.queue("stop", on_dead="block")
        self.world = World(now=self.clock.now, limits={"gated": 2}, blocking=frozenset({"stop"}))
        self.said: list[tuple[UUID, UUID, UUID]] = []
        """(worker, lease, job) of every claim there ever was."""
        self.unplaced: dict[UUID, list[list[Job]]] = {t.project: [] for t in self.tenants}
        for _ in range(2):
            self.enlist()

    def teardown(self) -> None:
        for one in (self.engine, self.late, self.clock):
            one.close()
        self.janitor.__exit__(None, None, None)

    def enlist(self) -> UUID:
        worker = self.engine.worker(*(f"pull:{queue}" for queue in QUEUES))
        self.world.workers[worker] = Worker(beat=self.world.now)
        return worker

    def job(self, pick: int, *states: str) -> Job | None:
        found = [j for j in self.world.jobs.values() if not states or j.state in states]
        return found[pick % len(found)] if found else None

    def refused(self, call: Any) -> str | None:
        try:
            call()
        except psycopg.Error as error:
            return error.sqlstate
        return None

    def tick(self) -> datetime:
        """A millisecond later, so that ids and due times differ and a run can be repeated exactly."""
        self.clock.forward(SECOND / 1000)
        self.world.now = self.clock.now
        return self.world.now

    def beat(self, worker: UUID) -> None:
        known = self.world.workers[worker]
        said = self.engine.beat(worker)
        assert said["alive"] == (not known.fenced)
        if said["alive"]:
            assert sorted(said["cancelled"]) == sorted(known.told)
            known.beat, known.told = self.world.now, []
