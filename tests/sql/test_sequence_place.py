"""sequence and place: numbers without gaps, and lanes in the order of the feed."""

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.clock import Clock
from tests.engine import Engine, Tenant
from tests.proofs import proves

SECOND = timedelta(seconds=1)


def feed(engine: Engine, tenant: Tenant) -> list[tuple[int, UUID]]:
    rows = engine.rows(
        "select seq, event_id from outbox.feed where project_id = %s order by seq", tenant.project
    )
    return [(row["seq"], row["event_id"]) for row in rows]


@proves("F1")
def test_numbers_are_contiguous_in_the_order_of_publishing(engine: Engine, tenant: Tenant) -> None:
    made = [engine.publish(tenant) for _ in range(5)]
    said = engine.sequence(tenant, limit=3)
    assert [(r["head"], r["numbered"], r["keyed"]) for r in said] == [(3, 3, 0)]
    with engine.conn.transaction(force_rollback=True):
        engine.publish(tenant)
        assert engine.sequence(tenant)[0]["numbered"] == 3
    made.append(engine.publish(tenant))
    engine.sequence(tenant)

    assert feed(engine, tenant) == list(enumerate(made, 1))
    assert engine.one("select count(*) from outbox.pending") == 0


def test_several_projects_a_call_and_only_those_that_moved_answer(engine: Engine, tenant: Tenant) -> None:
    other, quiet = engine.tenant(), engine.tenant()
    events = {t.project: [engine.publish(t) for _ in range(n)] for t, n in ((tenant, 2), (other, 1))}
    said = {row["project_id"]: row["head"] for row in engine.sequence(tenant, quiet, other)}

    assert said == {tenant.project: 2, other.project: 1}
    assert [event for _, event in feed(engine, tenant)] == events[tenant.project]
    assert engine.sequence(tenant, other) == []


def test_a_hint_starts_there_and_without_one_nothing_is_missed(engine: Engine, tenant: Tenant) -> None:
    for _ in range(4):
        engine.publish(tenant)
    ids = [row["id"] for row in engine.rows("select id from outbox.pending order by id")]
    sql = "select numbered, last_id from outbox.sequence(%s, 1000, %s)"
    assert engine.rows(sql, [tenant.project], [ids[2]]) == [{"numbered": 2, "last_id": ids[3]}]
    assert engine.rows(sql, [tenant.project], [None]) == [{"numbered": 2, "last_id": ids[1]}]


@pytest.mark.parametrize(("n", "limit"), [(0, 10), (51, 10), (1, 0), (1, 10_001)])
def test_bad_arguments_are_refused(engine: Engine, n: int, limit: int) -> None:
    with pytest.raises(psycopg.Error) as refused:
        engine.do("select outbox.sequence(%s, %s)", [uuid4() for _ in range(n)], limit)
    assert refused.value.sqlstate == "OX400"


@pytest.mark.parametrize("verb", ["sequence(array[gen_random_uuid()])", "place(gen_random_uuid())"])
def test_other_isolation_levels_are_refused(engine: Engine, verb: str) -> None:
    engine.do("set default_transaction_isolation = serializable")
    with pytest.raises(psycopg.Error) as refused:
        engine.do(f"select outbox.{verb}")
    assert refused.value.sqlstate == "OX500"


def test_another_history_opens_a_new_epoch_and_keeps_how_far_the_old_one_agrees(
    engine: Engine, tenant: Tenant
) -> None:
    for _ in range(3):
        engine.publish(tenant)
    engine.sequence(tenant)
    old = engine.one("select epoch from outbox.streams")
    engine.do("update outbox.streams set cluster = 'elsewhere', head = 2")
    engine.do("delete from outbox.feed where seq = 3")
    engine.publish(tenant)
    engine.sequence(tenant)

    now = engine.rows("select epoch, head, cluster from outbox.streams")[0]
    assert (now["head"], now["epoch"] == old) == (3, False)
    assert now["cluster"] == engine.one("select outbox.cluster()")
    assert engine.rows("select epoch, last_seq from outbox.stream_epochs") == [{"epoch": old, "last_seq": 2}]


def test_a_stream_keeps_eight_epochs(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    for n in range(11):
        engine.do("update outbox.streams set cluster = %s", str(n))
        engine.publish(tenant)
        engine.sequence(tenant)
        clock.forward(SECOND)
    assert engine.one("select count(*) from outbox.stream_epochs") == 8


@proves("C14")
def test_places_follow_the_feed_and_a_later_due_time_holds_those_behind(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    first = engine.publish(tenant, ordering_key="k", run_at=clock.now + 10 * SECOND)
    second = engine.publish(tenant, ordering_key="k")
    third = engine.publish(tenant, ordering_key="k", run_at=clock.now + 5 * SECOND)
    engine.sequence(tenant)
    engine.place(tenant)
    places = engine.rows(
        "select r.run_at, j.event_id from outbox.ready r join outbox.jobs j on j.id = r.job_id order by 1"
    )
    due = clock.now + 10 * SECOND
    assert [row["event_id"] for row in places] == [first, second, third]
    assert [row["run_at"] - due for row in places] == [timedelta(microseconds=n) for n in range(3)]
    lane = engine.rows("select due_at, last_place from outbox.lanes")[0]
    assert lane == {"due_at": due, "last_place": places[-1]["run_at"]}

    clock.forward(9 * SECOND)
    assert engine.claim(worker) == []
    clock.forward(SECOND)
    assert [row["event_id"] for row in engine.claim(worker)] == [first]


def test_a_batch_is_placed_in_parts_and_the_cursor_follows(engine: Engine, tenant: Tenant) -> None:
    engine.route(tenant, "thing.done")
    made = [engine.publish(tenant, ordering_key=f"k{n % 3}") for n in range(10)]
    engine.sequence(tenant)
    cursors = []
    while engine.one("select count(*) from outbox.unplaced"):
        engine.place(tenant, limit=4)
        cursors.append(engine.one("select placed from outbox.placing"))

    assert cursors == [4, 8, 10]
    for n in range(3):
        found = engine.rows(
            "select j.event_id from outbox.ready r join outbox.jobs j on j.id = r.job_id"
            " where j.ordering_key = %s order by r.run_at",
            f"k{n}",
        )
        assert [row["event_id"] for row in found] == made[n::3]


def test_place_says_which_queues_have_a_lane_that_is_new(engine: Engine, tenant: Tenant) -> None:
    engine.route(tenant, "thing.done")
    engine.route(tenant, "thing.done", "other", ordered=False)
    engine.publish(tenant, ordering_key="k")
    engine.sequence(tenant)
    assert engine.place(tenant) == [{"queue": "work", "handler": "pull:work", "n": 1}]
    engine.publish(tenant, ordering_key="k")
    engine.sequence(tenant)
    assert engine.place(tenant) == []


def test_a_job_cancelled_before_its_event_was_numbered_gets_no_place(
    engine: Engine, tenant: Tenant, worker: UUID
) -> None:
    engine.route(tenant, "thing.done")
    event = engine.publish(tenant, ordering_key="k")
    job = engine.jobs_of(event)[0]
    engine.cancel(job)
    engine.sequence(tenant)
    engine.place(tenant)

    assert engine.claim(worker) == []
    assert engine.place_of(job) == "cancelled"
    assert engine.one("select count(*) from outbox.lanes") == 0


@proves("C15")
def test_many_short_lived_keys_leave_no_lane_behind(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "thing.done")
    ended = 0
    for n in range(300):
        engine.publish(tenant, ordering_key=f"k{n % 70}")
    while engine.sequence(tenant, limit=60):
        engine.place(tenant)
        clock.forward(SECOND)
        got = engine.claim(worker, 30)
        ended += len(got)
        engine.settle(
            worker, *({"lease": r["lease_id"], "job": r["job_id"], "outcome": "completed"} for r in got)
        )
    while True:
        engine.place(tenant)
        clock.forward(SECOND)
        got = engine.claim(worker, 100)
        if not got:
            break
        ended += len(got)
        engine.settle(
            worker, *({"lease": r["lease_id"], "job": r["job_id"], "outcome": "completed"} for r in got)
        )

    assert ended == 300
    assert [engine.one(f"select count(*) from outbox.{t}") for t in ("ready", "lanes", "leases")] == [0, 0, 0]
