"""What was deleted stays deleted, whatever a worker had in hand meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant
from tests.sql.memory import MS, SECOND, policy, session

ITEM = {
    "index": 0,
    "key": "generation:v1:x",
    "kind": "change",
    "content": "kettle",
    "metadata": {},
    "hash": "00",
}


def remember(engine: Engine, tenant: Tenant, **more: Any) -> UUID:
    memory = {"content": "kettle", "kind": "manual", "metadata": {}, **more}
    made: UUID = engine.one(
        f"select observation_id from outbox.write_memory({EVERYWHERE}, %s, %s)", tenant.project, Jsonb(memory)
    )
    return made


def begin(engine: Engine, tenant: Tenant) -> dict[str, Any]:
    (purge,) = engine.rows(f"select * from outbox.begin_purge({EVERYWHERE}, %s)", tenant.project)
    return purge


def finish(engine: Engine, tenant: Tenant, limit: int = 5000) -> int:
    """Batches until it is over."""
    for n in range(1, 50):
        if engine.one("select step from outbox.continue_purge(%s, %s)", tenant.project, limit) == 5:
            return n
    raise AssertionError("the purge does not end")


def in_hand(engine: Engine, tenant: Tenant) -> tuple[UUID, dict[str, Any], UUID]:
    """A worker, the job of generation that it has just claimed, and the event that it is about."""
    policy(engine, tenant, "per-event")
    event = engine.publish(tenant, payload={"secret": "tea"})
    worker = engine.worker("observe")
    engine.do("update outbox.workers set beat_at = 'infinity'")
    (job,) = engine.claim(worker, 1, [f"({engine.queue('observe')},{tenant.lane},0,-infinity,1)"])
    return worker, job, event


def record(engine: Engine, job: UUID, event: UUID) -> list[dict[str, Any]]:
    items = Jsonb([{**ITEM, "sources": [str(event)]}])
    return engine.rows("select * from outbox.record_observations(%s, %s, false)", job, items)


def fenced(engine: Engine, worker: UUID, job: dict[str, Any]) -> bool:
    held: bool = engine.one("select outbox.fence(%s, %s, %s)", worker, job["lease_id"], job["job_id"])
    return held


def waiting(dsn: str, statement: str, *given: Any) -> Callable[[], Any]:
    """Said on another connection, where it waits for a lock now; the call gives its answer."""
    other = Engine(dsn)
    pid = other.conn.info.backend_pid
    asked = ThreadPoolExecutor(1)
    answer = asked.submit(other.one, statement, *given)
    with psycopg.connect(dsn, autocommit=True) as watch:
        for _ in range(500):
            found = watch.execute("select cardinality(pg_blocking_pids(%s))", [pid]).fetchone()
            if found != (0,) or answer.done():
                break
            time.sleep(0.01)
    assert not answer.done(), answer.result()

    def answered() -> Any:
        said = answer.result(10)
        asked.shutdown()
        other.close()
        return said

    return answered


def test_a_worker_in_mid_call_writes_nothing_after_the_mark(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    worker, job, event = in_hand(engine, tenant)
    clock.forward(MS)
    begin(engine, tenant)
    # Still its job: the mark is all that stands in the way.
    assert fenced(engine, worker, job)
    assert [] == record(engine, job["job_id"], event)
    clock.forward(MS)
    finish(engine, tenant)
    assert not fenced(engine, worker, job)
    assert "cancelled" == engine.place_of(job["job_id"])
    assert 0 == engine.one("select count(*) from outbox.observations")


def test_a_worker_in_mid_call_writes_nothing_about_an_expunged_event(engine: Engine, tenant: Tenant) -> None:
    worker, job, event = in_hand(engine, tenant)
    engine.rows(f"select * from outbox.expunge_event({EVERYWHERE}, %s)", event)
    assert not fenced(engine, worker, job)
    assert [] == record(engine, job["job_id"], event)
    assert {"payload": {}} == engine.rows("select payload from outbox.events where id = %s", event)[0]


def test_an_observation_that_is_being_written_when_its_event_is_expunged_goes_too(
    engine: Engine, tenant: Tenant, dsn: str
) -> None:
    worker, job, event = in_hand(engine, tenant)
    writer = Engine(dsn)
    with writer.conn.transaction():
        assert fenced(writer, worker, job)
        assert 1 == len(record(writer, job["job_id"], event))
        expunging = waiting(dsn, f"select observations from outbox.expunge_event({EVERYWHERE}, %s)", event)
    writer.close()
    assert 1 == expunging()
    assert 0 == engine.one("select count(*) from outbox.observations")


def test_a_summary_that_is_written_while_a_purge_begins_is_no_younger_than_the_purge(
    engine: Engine, tenant: Tenant, clock: Clock, dsn: str
) -> None:
    one = session(engine, tenant)
    job = engine.one(f"select job_id from outbox.end_session({EVERYWHERE}, %s)", one)
    clock.forward(MS)
    other = Engine(dsn)
    with other.conn.transaction():
        begin(other, tenant)
        clock.forward(MS)
        writing = waiting(
            dsn, "select count(*) from outbox.record_summary(%s, 'kettle', '{}', outbox.clock())", job
        )
    other.close()
    assert 0 == writing()
    assert 0 == engine.one("select count(*) from outbox.observations")


@pytest.mark.parametrize("limit", [1, 2, 5000])
def test_a_purge_in_batches_of_any_size_leaves_nothing(
    engine: Engine, tenant: Tenant, clock: Clock, limit: int
) -> None:
    other = engine.tenant()
    for each in (tenant, other):
        for n in range(3):
            event = engine.publish(each, payload={"secret": n}, session=session(engine, each))
            memory = remember(engine, each)
            engine.do(
                "insert into outbox.observation_sources values"
                " (gen_random_uuid(), %s, %s, 'agent_event', %s, null, outbox.clock())",
                *(memory, each.project, event),
            )
    clock.forward(SECOND)
    begin(engine, tenant)
    finish(engine, tenant, limit)
    told = "select observations, agent_events, sessions, jobs from outbox.purges where project_id = %s"
    assert {"observations": 3, "agent_events": 3, "sessions": 3, "jobs": 0} == engine.rows(
        told, tenant.project
    )[0]
    for table in ("observations", "observation_sources", "sessions"):
        assert [{"project_id": other.project, "count": 3}] == engine.rows(
            f"select project_id, count(*) from outbox.{table} group by 1"
        )
    left = engine.rows(
        "select project_id, payload from outbox.events where payload <> '{}' and type = 'thing.done'"
    )
    assert {other.project} == {row["project_id"] for row in left}


def test_a_purge_that_goes_on_keeps_its_mark_and_the_next_one_has_its_own(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    clock.forward(MS)
    first = begin(engine, tenant)
    clock.forward(MS)
    assert first == begin(engine, tenant)
    finish(engine, tenant)
    clock.forward(MS)
    assert begin(engine, tenant)["mark"] > first["mark"]


def test_only_one_goes_on_with_a_purge_at_a_time(engine: Engine, tenant: Tenant, dsn: str) -> None:
    begin(engine, tenant)
    other = Engine(dsn)
    with other.conn.transaction():
        other.rows("select * from outbox.continue_purge(%s)", tenant.project)
        assert engine.one("select project_id from outbox.continue_purge(%s)", tenant.project) is None
    other.close()


def test_a_memory_under_an_old_key_can_be_written_anew_after_a_purge(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    old = remember(engine, tenant, key="k")
    assert old == remember(engine, tenant, key="k")
    clock.forward(MS)
    begin(engine, tenant)
    clock.forward(MS)
    new = remember(engine, tenant, key="k")
    assert old != new
    assert new == remember(engine, tenant, key="k")


def test_a_role_that_is_not_ours_deletes_nothing(engine: Engine, tenant: Tenant) -> None:
    memory = remember(engine, tenant)
    stranger = f"row('{engine.tenant().team}', null, false, null, 'x', null)::outbox.caller"
    for call in ("delete_memory", "change_memory"):
        more = "" if call == "delete_memory" else ', \'{"kind": "x"}\''
        with pytest.raises(psycopg.Error) as refused:
            engine.rows(f"select outbox.{call}({stranger}, %s{more})", memory)
        assert "OX404" == refused.value.sqlstate
    with pytest.raises(psycopg.Error) as refused:
        engine.rows(f"select * from outbox.begin_purge({stranger}, %s)", tenant.project)
    assert "OX404" == refused.value.sqlstate
