"""A tick against edits, deletions, other schedulers, and death at each of its statements."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant
from tests.interleavings.sessions import Seen, Session
from tests.proofs import proves

HOUR = timedelta(hours=1)


@dataclasses.dataclass(kw_only=True)
class Due:
    """A schedule whose tick has come; its second, an hour on, is not due."""

    engine: Engine
    tenant: Tenant
    id: UUID

    def row(self) -> dict[str, Any]:
        found = self.engine.rows("select * from outbox.schedules where id = %s", self.id)
        return found[0] if found else {}

    def events(self) -> list[dict[str, Any]]:
        return self.engine.rows("select * from outbox.events where project_id = %s", self.tenant.project)


Make = Callable[[], Due]
Race = Callable[..., Iterator[Seen[Due]]]
FIELDS = {
    "name": "old", "cron": "every 1h", "timezone": "UTC", "type": "old", "payload": {}, "enabled": True,
    "missed": "once", "missed_cap": 100,
}  # fmt: skip


@pytest.fixture
def due(engine: Engine, clock: Clock) -> Make:
    def make() -> Due:
        tenant = engine.tenant()
        made: UUID = engine.one(
            f"select outbox.add_schedule({EVERYWHERE}, %s, %s, %s, %s)",
            *(tenant.project, Jsonb(FIELDS), clock.now - HOUR, clock.now),
        )
        return Due(engine=engine, tenant=tenant, id=made)

    return make


def fire(e: Engine, s: Due) -> Any:
    return e.rows(
        "select outbox.tick(d.id, d.next_at, d.next_at + interval '1 h', 0) as event"
        " from outbox.due_schedule(array(select x.id from outbox.schedules x where x.id <> %s)) d",
        s.id,
    )


def lock(e: Engine, s: Due) -> Any:
    return e.rows(f"select (outbox.lock_schedule({EVERYWHERE}, %s)).next_at", s.id)


def edit(e: Engine, s: Due) -> Any:
    """Another type and another time, half an hour ahead."""
    changes = Jsonb(FIELDS | {"type": "new", "name": "new", "state": "active"})
    return e.rows(
        f"select outbox.change_schedule({EVERYWHERE}, %s, %s, outbox.clock() + interval '30 min')",
        s.id,
        changes,
    )


def disable(e: Engine, s: Due) -> Any:
    return e.one(f"select outbox.disable_schedule({EVERYWHERE}, %s)", s.id)


def remove(e: Engine, s: Due) -> Any:
    return e.rows(f"select outbox.remove_schedule({EVERYWHERE}, %s)", s.id)


def fired(side: list[Any]) -> bool:
    return bool(side[0]) and side[0][0]["event"] is not None


@proves("S5")
def test_an_edit_and_a_tick_are_of_one_revision(due: Make, race: Race, clock: Clock) -> None:
    for seen in race(due, fire, [lock, edit]):
        s = seen.scene
        assert "l" not in seen.waited, seen.order
        told = [(each["type"], each["metadata"]["schedule"]["name"]) for each in s.events()]
        # Whoever had the row first: the tick fired as it was, or not at all.
        assert told == ([("old", "old")] if fired(seen.left) else []), seen.order
        row = s.row()
        assert (row["type"], row["revision"], row["next_at"]) == ("new", 2, clock.now + HOUR / 2), seen.order
        assert row["last_tick"] == (clock.now if fired(seen.left) else None)


@proves("S5")
@pytest.mark.parametrize("end", [disable, remove])
def test_nothing_fires_after_its_end_is_committed(due: Make, race: Race, end: Any) -> None:
    for seen in race(due, fire, end):
        assert "l" not in seen.waited, seen.order
        assert len(seen.scene.events()) == fired(seen.left), seen.order
        first = seen.order.index("l") < seen.order.index("r")
        assert fired(seen.left) == first, seen.order
        assert seen.scene.row().get("next_at") is None


@proves("S1")
def test_two_schedulers_fire_a_tick_once_and_never_wait(due: Make, race: Race, clock: Clock) -> None:
    for seen in race(due, fire, fire):
        assert seen.waited == set(), seen.order
        assert len(seen.scene.events()) == 1, seen.order
        assert seen.scene.row()["next_at"] == clock.now + HOUR


@proves("S1")
def test_a_tick_that_was_fired_is_not_fired_again_by_whoever_says_so(
    due: Make, race: Race, clock: Clock
) -> None:
    """Without the lock of `due_schedule`: both mean the same tick."""

    def again(e: Engine, s: Due) -> Any:
        return e.one("select outbox.tick(%s, %s, %s, 0)", s.id, clock.now, clock.now + HOUR)

    for seen in race(due, again, again):
        assert sorted(each is None for each in (seen.left[0], seen.right[0])) == [False, True], seen.order
        assert len(seen.scene.events()) == 1


@proves("S5", "S7")
def test_a_key_that_is_revoked_first_fires_nothing(due: Make, engine: Engine, race: Race) -> None:
    def owned() -> Due:
        s = due()
        key = engine.one(
            "insert into outbox.keys (id, hash, prefix, team_id, project_id, scopes, actor, created_at)"
            " values (gen_random_uuid(), sha256(gen_random_uuid()::text::bytea), 'obx_', %s, %s, '{*}', 'a',"
            " outbox.clock()) returning id",
            *(s.tenant.team, s.tenant.project),
        )
        engine.do("update outbox.schedules set key_id = %s where id = %s", key, s.id)
        return s

    def revoke(e: Engine, s: Due) -> Any:
        return e.rows(
            "update outbox.keys k set revoked_at = outbox.clock() from outbox.schedules s"
            " where s.id = %s and k.id = s.key_id returning 1",
            s.id,
        )

    for seen in race(owned, fire, revoke):
        before = seen.order.rindex("r") < seen.order.index("l")
        state = seen.scene.row()["state"]
        assert (len(seen.scene.events()), state) == ((0, "suspended") if before else (1, "active")), (
            seen.order
        )


HALT = """
create function public.halt() returns trigger language plpgsql as $$
declare
  v_seen int := coalesce(nullif(current_setting('test.seen', true), ''), '0')::int + 1;
begin
  if coalesce(current_setting('test.halt', true), '') <> '' then
    perform set_config('test.seen', v_seen::text, false);
    if v_seen = current_setting('test.halt')::int then
      perform pg_advisory_lock_shared(4242);
    end if;
  end if;
  return null;
end
$$
"""
WRITTEN = ("events", "event_keys", "jobs", "ready", "pending", "schedules")


@proves("S4")
def test_death_at_any_statement_does_neither_or_both(
    due: Make, engine: Engine, dsn: str, clock: Clock
) -> None:
    """The scheduler's connection is cut before and after each statement that writes, and before COMMIT."""
    engine.do(HALT)
    for table, when in itertools.product(WRITTEN, ("before", "after")):
        engine.do(
            f"create trigger halt_{when} {when} insert or update or delete on outbox.{table}"
            " for each statement execute function public.halt()"
        )
    engine.route(None, "old", "work")
    points = 0
    for point in itertools.count(1):
        s = due()
        halted = cut_at(engine, dsn, s, point)
        assert (s.events(), s.row()["next_at"], s.row()["last_tick"]) == ([], clock.now, None), point
        assert fire(engine, s)[0]["event"] is not None, point
        assert (len(s.events()), s.row()["next_at"]) == (1, clock.now + HOUR), point
        if not halted:
            break
        points = point
    # Each of the six tables is written, and halted at twice.
    assert points >= 2 * len(WRITTEN)


def cut_at(engine: Engine, dsn: str, s: Due, point: int) -> bool:
    """Whether there was such a point; behind the last the transaction is cut before its COMMIT."""
    engine.do("select pg_advisory_lock(4242)")
    try:
        with Session(dsn) as session:
            session.push(lambda: session.engine.do("select set_config('test.halt', %s, false)", str(point)))
            session.push(lambda: fire(session.engine, s))
            halted = not session.settled(engine)
            engine.do("select pg_terminate_backend(%s, 10000)", session.pid)
            session.finish()
            died = isinstance(session.results[-1], psycopg.Error)
        assert died == halted
        return halted
    finally:
        engine.do("select pg_advisory_unlock(4242)")
