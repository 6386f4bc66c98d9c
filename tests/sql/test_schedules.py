"""The verbs of schedules as operators and schedulers call them, and what they refuse."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant

MINUTE = timedelta(minutes=1)
FIELDS: dict[str, Any] = {
    "name": "s", "cron": "every 1m", "timezone": "UTC", "type": "a", "payload": {"b": 1}, "enabled": True,
    "missed": "once", "missed_cap": 100,
}  # fmt: skip


@pytest.fixture
def schedule(engine: Engine, tenant: Tenant, clock: Clock) -> UUID:
    made: UUID = add(engine, tenant, clock)
    return made


def add(engine: Engine, tenant: Tenant, clock: Clock, **fields: Any) -> Any:
    return engine.one(
        f"select outbox.add_schedule({EVERYWHERE}, %s, %s, %s, %s)",
        *(tenant.project, Jsonb(FIELDS | fields), clock.now, clock.now + MINUTE),
    )


def refusal(engine: Engine, sql: str, *args: Any) -> str | None:
    with pytest.raises(psycopg.Error) as refused:
        engine.do(sql, *args)
    return refused.value.sqlstate


def test_an_operator_stops_runs_and_removes_and_others_may_not(engine: Engine, schedule: UUID) -> None:
    try:
        for role in ("outbox_operator", "outbox_reader"):
            engine.do(f"create role t_{role} login")
            engine.do(f"grant {role} to t_{role}")
        engine.do("set session authorization t_outbox_reader")
        for verb in ("disable", "run", "remove"):
            assert refusal(engine, f"select outbox.{verb}_schedule(outbox.me(), %s)", schedule) == "42501"
        engine.do("set session authorization t_outbox_operator")
        event = engine.one("select outbox.run_schedule(outbox.me(), %s)", schedule)
        stopped = [engine.one("select outbox.disable_schedule(outbox.me(), %s)", schedule) for _ in range(2)]
        engine.do("select outbox.remove_schedule(outbox.me(), %s, 2)", schedule)
    finally:
        engine.do("reset session authorization")
        for role in ("outbox_operator", "outbox_reader"):
            engine.do(f"drop owned by t_{role}")
            engine.do(f"drop role t_{role}")
    assert stopped == [True, False]
    [published] = engine.rows("select * from outbox.events")
    assert (published["id"], published["actor"], published["payload"]) == (
        event,
        "sql:t_outbox_operator",
        {"b": 1},
    )
    assert engine.one("select count(*) from outbox.schedules") == 0


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "OX400"),
    ({"name": "a\nb"}, "OX400"),
    ({"name": None}, "OX400"),
    ({"type": None}, "OX400"),
    ({"type": "outboxd.x"}, "OX400"),
    ({"subject": "x" * 256}, "OX400"),
    ({"ordering_key": ""}, "OX400"),
    ({"missed": "some"}, "OX400"),
    ({"missed_cap": 0}, "OX400"),
    ({"missed_cap": 1001}, "OX400"),
    ({"starts_at": "2026-01-02", "ends_at": "2026-01-01"}, "OX400"),
    ({"payload": "x" * 65536}, "OX400"),
    ({"name": "taken"}, "OX409"),
]


def test_what_no_event_could_be_made_of_is_refused(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    add(engine, tenant, clock, name="taken")
    for fields, state in REFUSED:
        with pytest.raises(psycopg.Error) as refused:
            add(engine, tenant, clock, **fields)
        assert (state, fields) == (refused.value.sqlstate, fields)


def test_a_tick_that_is_not_due_or_of_nothing_does_nothing(
    engine: Engine, schedule: UUID, clock: Clock
) -> None:
    tick = "select outbox.tick(%s, %s, %s, %s)"
    due = clock.now + MINUTE
    assert engine.one(tick, schedule, due, due + MINUTE, 0) is None
    assert engine.one(tick, uuid4(), due, due + MINUTE, 0) is None
    clock.set(due)
    assert engine.one(tick, schedule, due - MINUTE, due + MINUTE, 0) is None
    assert refusal(engine, tick, schedule, due, due, 0) == "OX400"
    assert refusal(engine, tick, schedule, due, due + MINUTE, -1) == "OX400"
    assert refusal(engine, tick, schedule, due, due + MINUTE, None) == "OX400"
    with engine.conn.transaction():
        engine.do("set transaction isolation level repeatable read")
        assert engine.one("select next_at from outbox.schedules") == due
        with pytest.raises(psycopg.Error) as refused, engine.conn.transaction():
            engine.do("select outbox.due_schedule()")
        assert refused.value.sqlstate == "OX500"
    assert engine.one(tick, schedule, due, due + MINUTE, 0) is not None
    assert engine.one(tick, schedule, due, due + MINUTE, 0) is None


def test_what_is_refused_at_its_tick_is_suspended_with_its_code(
    engine: Engine, schedule: UUID, clock: Clock
) -> None:
    clock.forward(MINUTE)
    engine.do("update outbox.schedules set team_id = team_id, key_id = gen_random_uuid()")
    assert engine.one("select outbox.tick(%s, outbox.clock(), null, 0)", schedule) is None
    [row] = engine.rows("select state, reason, revision from outbox.schedules")
    assert row == {"state": "suspended", "reason": "revoked_key", "revision": 2}
    for verb in ("disable", "run", "remove"):
        assert refusal(engine, f"select outbox.{verb}_schedule({EVERYWHERE}, %s)", uuid4()) == "OX404"
    assert refusal(engine, f"select outbox.remove_schedule({EVERYWHERE}, %s, 1)", schedule) == "OX412"
