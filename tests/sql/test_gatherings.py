"""Coalescing: many events, one job, due when it goes quiet, when it is full, or when the session ends."""

from datetime import timedelta
from typing import Any

import pytest

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant, result
from tests.proofs import proves
from tests.sql.memory import (
    SECOND,
    due_in,
    end,
    gathered,
    lost,
    one_gathered,
    place,
    policy,
    session,
)

DAY = timedelta(days=1)


def publish(engine: Engine, tenant: Tenant, n: int = 1, **args: Any) -> list[Any]:
    return [engine.publish(tenant, **args) for _ in range(n)]


@proves("M15")
@pytest.mark.parametrize("said", ["debounce", "end-of-session"])
def test_two_hundred_events_of_a_session_are_one_job(engine: Engine, tenant: Tenant, said: str) -> None:
    policy(engine, tenant, said, maxEvents=200)
    mine = session(engine, tenant)
    events = publish(engine, tenant, 120, session=mine)
    place(engine, tenant)
    events += publish(engine, tenant, 80, session=mine)
    assert place(engine, tenant) == [{"queue": "observe", "handler": "observe", "n": 1}]

    job = one_gathered(engine, tenant)
    assert job["members"] == events
    assert (job["event_id"], job["session_id"], job["open"]) == (events[0], mine, False)
    assert engine.place_of(job["id"]) == "ready"


def test_a_job_is_due_when_it_goes_quiet_and_at_the_latest_when_its_first_event_has_waited_enough(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    policy(engine, tenant, "debounce", quietMs=5000, maxWaitMs=12000)
    mine, waits = session(engine, tenant), []
    for _ in range(5):
        publish(engine, tenant, session=mine)
        place(engine, tenant)
        waits.append(due_in(engine, one_gathered(engine, tenant)) / SECOND)
        clock.forward(3 * SECOND)
    assert waits == [5, 5, 5, 3, 0]
    assert engine.place_of(one_gathered(engine, tenant)["id"]) == "ready"


def test_a_late_sequencer_makes_no_job_later(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    policy(engine, tenant, "debounce", quietMs=5000, maxWaitMs=12000)
    publish(engine, tenant)
    clock.forward(2 * SECOND)
    place(engine, tenant)
    assert due_in(engine, one_gathered(engine, tenant)) == 3 * SECOND


def test_only_the_due_time_moves_the_body_stays(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    policy(engine, tenant, "debounce")
    publish(engine, tenant)
    place(engine, tenant)
    before = engine.rows("select * from outbox.jobs")
    clock.forward(SECOND)
    publish(engine, tenant, 3)
    place(engine, tenant)
    assert engine.rows("select * from outbox.jobs") == before


def test_a_full_gathering_is_due_at_once_and_the_next_event_opens_another(
    engine: Engine, tenant: Tenant
) -> None:
    policy(engine, tenant, "debounce", maxEvents=3)
    mine = session(engine, tenant)
    events = publish(engine, tenant, 8, session=mine)
    assert place(engine, tenant) == [{"queue": "observe", "handler": "observe", "n": 2}]
    jobs = gathered(engine, tenant)
    assert [job["members"] for job in jobs if not job["open"]] == [events[:3], events[3:6]]
    (waiting,) = [job for job in jobs if job["open"]]
    assert (waiting["members"], waiting["event_id"]) == (events[6:], events[6])
    assert due_in(engine, waiting) == 5 * SECOND


def test_events_without_a_session_gather_by_adapter_and_platform(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "debounce")
    plain = publish(engine, tenant, 2)
    mine = session(engine, tenant)
    sessioned = publish(engine, tenant, session=mine)
    codex = engine.rows(
        "select event_id from outbox.publish_many(array[jsonb_build_object('eventType', 'a',"
        " 'platformSource', 'codex')], %s)",
        tenant.project,
    )
    place(engine, tenant)
    found = {tuple(job["members"]): job["session_id"] for job in gathered(engine, tenant)}
    assert found == {tuple(plain): None, tuple(sessioned): mine, (codex[0]["event_id"],): None}
    keys = engine.rows('select key from outbox.gatherings order by key collate "C"')
    assert {row["key"] for row in keys} == {str(mine), "sql|", "sql|codex"}


def test_an_open_session_holds_its_job_until_it_ends(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    policy(engine, tenant, "end-of-session")
    mine = session(engine, tenant)
    publish(engine, tenant, session=mine)
    place(engine, tenant)
    clock.forward(DAY)
    publish(engine, tenant, session=mine)
    place(engine, tenant)
    job = one_gathered(engine, tenant)
    assert (job["held"], due_in(engine, job)) == ("session_open", 29 * DAY)

    assert end(engine, mine) == 1
    job = one_gathered(engine, tenant)
    assert (engine.place_of(job["id"]), due_in(engine, job), len(job["members"])) == (
        "ready",
        timedelta(0),
        2,
    )
    assert end(engine, mine) == 0


def test_a_session_that_is_deleted_holds_its_job_no_longer(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "end-of-session")
    mine = session(engine, tenant)
    publish(engine, tenant, session=mine)
    place(engine, tenant)
    assert "session_open" == one_gathered(engine, tenant)["held"]
    assert engine.one(f"select outbox.delete_session({EVERYWHERE}, %s)", mine)
    assert "ready" == engine.place_of(one_gathered(engine, tenant)["id"])


def test_a_session_that_stays_open_for_ever_is_generated_from_after_thirty_days(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    """Not ended by its age, either: a job waits `hold_days` from when it is due."""
    policy(engine, tenant, "end-of-session")
    publish(engine, tenant, session=session(engine, tenant))
    place(engine, tenant)
    clock.forward(30 * DAY - SECOND)
    assert (engine.stage(), engine.expire()) == (0, 0)
    clock.forward(SECOND)
    assert (engine.stage(), engine.expire()) == (1, 0)
    clock.forward(30 * DAY)
    assert engine.expire() == 1
    assert lost(engine, tenant) == []


def test_events_of_an_ended_session_and_of_none_use_the_timers(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "end-of-session", quietMs=2000)
    mine = session(engine, tenant)
    end(engine, mine)
    publish(engine, tenant, session=mine)
    publish(engine, tenant)
    place(engine, tenant)
    assert [(job["held"], due_in(engine, job)) for job in gathered(engine, tenant)] == [
        (None, 2 * SECOND)
    ] * 2


def test_a_held_job_that_is_full_does_not_wait_for_the_end(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "end-of-session", maxEvents=2)
    mine = session(engine, tenant)
    publish(engine, tenant, session=mine)
    place(engine, tenant)
    publish(engine, tenant, 2, session=mine)
    place(engine, tenant)
    full, waiting = gathered(engine, tenant)
    assert (engine.place_of(full["id"]), len(full["members"]), full["open"]) == ("ready", 2, False)
    assert (waiting["held"], len(waiting["members"]), waiting["open"]) == ("session_open", 1, True)


def test_a_change_of_policy_moves_no_job_that_waits(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    policy(engine, tenant, "end-of-session")
    mine = session(engine, tenant)
    publish(engine, tenant, session=mine)
    place(engine, tenant)
    policy(engine, tenant, "debounce")
    clock.forward(SECOND)
    publish(engine, tenant, session=mine)
    place(engine, tenant)
    job = one_gathered(engine, tenant)
    assert (job["held"], due_in(engine, job), len(job["members"])) == (
        "session_open",
        30 * DAY - SECOND,
        2,
    )


def test_a_policy_that_was_switched_off_leaves_no_event_behind(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "debounce")
    (event,) = publish(engine, tenant)
    policy(engine, tenant, "off")
    place(engine, tenant)
    assert one_gathered(engine, tenant)["members"] == [event]


def test_what_an_operator_put_off_stays_put_off(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    policy(engine, tenant, "debounce", maxEvents=3)
    publish(engine, tenant)
    place(engine, tenant)
    until = clock.now + DAY
    job = one_gathered(engine, tenant)["id"]
    engine.do(
        "select outbox.snooze(row(null, null, true, null, 'test', 'r')::outbox.caller, %s, %s)", job, until
    )
    publish(engine, tenant, 3)
    place(engine, tenant)
    first, second = gathered(engine, tenant)
    assert (first["id"], first["due"], len(first["members"]), first["open"]) == (job, until, 3, False)
    assert len(second["members"]) == 1


def test_expunged_and_purged_events_join_nothing(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    policy(engine, tenant, "debounce")
    gone, purged = publish(engine, tenant, 2)
    engine.do("update outbox.events set expunged_at = outbox.clock() where id = %s", gone)
    engine.do("update outbox.projects set purged_at = outbox.clock() where id = %s", tenant.project)
    clock.forward(SECOND)
    (kept,) = publish(engine, tenant)
    place(engine, tenant)
    assert one_gathered(engine, tenant)["members"] == [kept]
    assert purged not in one_gathered(engine, tenant)["members"]


# Workers ---------------------------------------------------------------------------------------------


def worker(engine: Engine) -> Any:
    made = engine.worker("observe")
    engine.do("update outbox.workers set beat_at = 'infinity'")
    return made


def claimed(engine: Engine, tenant: Tenant, clock: Clock) -> tuple[Any, Any]:
    """A worker, and the one gathered job in its hands."""
    mine = worker(engine)
    clock.forward(timedelta(minutes=2))
    engine.stage()
    (job,) = engine.claim(mine)
    return mine, job


def test_a_job_in_hand_takes_events_until_it_is_closed(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    policy(engine, tenant, "debounce")
    events = publish(engine, tenant)
    place(engine, tenant)
    _, job = claimed(engine, tenant, clock)
    events += publish(engine, tenant)
    place(engine, tenant)
    assert one_gathered(engine, tenant)["members"] == events

    assert engine.one("select outbox.close_gathering(%s)", job["job_id"]) is True
    assert engine.one("select outbox.close_gathering(%s)", job["job_id"]) is False
    (late,) = publish(engine, tenant)
    place(engine, tenant)
    assert [row["members"] for row in gathered(engine, tenant)] == [events, [late]]


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled", "expired", "cancel"])
def test_the_end_of_a_job_closes_its_gathering_and_later_events_open_another(
    engine: Engine, tenant: Tenant, clock: Clock, how: str
) -> None:
    policy(engine, tenant, "debounce")
    publish(engine, tenant)
    place(engine, tenant)
    if how == "cancel":
        engine.cancel(one_gathered(engine, tenant)["id"])
    elif how == "expired":
        clock.forward(31 * DAY)
        assert engine.expire() == 1
    else:
        mine, job = claimed(engine, tenant, clock)
        engine.settle(mine, result(job, how, final=True))
    assert engine.one("select count(*) from outbox.gatherings") == 0
    (late,) = publish(engine, tenant)
    place(engine, tenant)
    assert gathered(engine, tenant)[-1]["members"] == [late]
    assert lost(engine, tenant) == []


@pytest.mark.parametrize("how", ["failed", "cancel"])
def test_a_retried_job_keeps_its_members_and_takes_no_new_ones(
    engine: Engine, tenant: Tenant, clock: Clock, how: str
) -> None:
    policy(engine, tenant, "debounce")
    events = publish(engine, tenant, 2)
    place(engine, tenant)
    job = one_gathered(engine, tenant)["id"]
    if how == "cancel":
        engine.cancel(job)
    else:
        mine, row = claimed(engine, tenant, clock)
        engine.settle(mine, result(row, "failed", final=True))
    engine.retry(job)
    publish(engine, tenant)
    place(engine, tenant)
    old, new = gathered(engine, tenant)
    assert (old["id"], old["members"], len(new["members"])) == (job, events, 1)
    assert engine.place_of(job) == "ready"


def test_a_job_that_came_back_keeps_its_due_time(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    """A backoff is not a quiet time."""
    policy(engine, tenant, "debounce")
    publish(engine, tenant)
    place(engine, tenant)
    mine, job = claimed(engine, tenant, clock)
    engine.settle(mine, result(job, "failed", retryInMs=600_000))
    publish(engine, tenant)
    place(engine, tenant)
    (row,) = gathered(engine, tenant)
    assert (due_in(engine, row), len(row["members"])) == (timedelta(minutes=10), 2)


def test_a_producer_waits_for_no_gathering(engine: Engine, tenant: Tenant, dsn: str) -> None:
    policy(engine, tenant, "debounce")
    mine = session(engine, tenant)
    publish(engine, tenant, session=mine)
    place(engine, tenant)
    other = Engine(dsn)
    with other.conn.transaction():
        for table in ("gatherings", "members", "later", "sessions", "placing", "streams"):
            other.do(f"select from outbox.{table} for update")
        engine.do("set lock_timeout = '500ms'")
        publish(engine, tenant, 3, session=mine)
    other.close()
