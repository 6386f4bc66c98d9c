"""Death between the model's answer and the end of the commit: one observation, one end, all calls metered."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from outboxd.db.pool import Database
from tests import invariants
from tests.daemon.daemons import Place
from tests.memory import fleet
from tests.memory.brain import Brain
from tests.memory.fleet import Fleet
from tests.proxy import Proxy
from tests.waiting import until

proves = pytest.mark.proves

_PUBLISH = """
select outbox.publish('tool_use', '{"tool_name": "Edit"}', p_project => id) from outbox.projects
"""
_QUIET = """
select not exists (select from outbox.ready) and not exists (select from outbox.later)
  and not exists (select from outbox.leases)
"""
_STANDS = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""
# The commit itself waits, with everything written.
_SLOW_COMMIT = """
create function wait() returns trigger language plpgsql as $$
begin perform pg_advisory_xact_lock(7); return null; end $$;
create constraint trigger waits after insert on outbox.observations
deferrable initially deferred for each row execute function wait()
"""
_BEFORE = "lock table outbox.observations in exclusive mode"
_WITHIN = "select pg_advisory_xact_lock(7)"


@pytest.fixture
def place(tmp_path: Path, dsn: str) -> Iterator[Place]:
    made = Place(tmp_path, dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(_SLOW_COMMIT)
    made.project()
    yield made
    made.close()


@proves("M2", "M20", "L3")
@pytest.mark.parametrize(
    ("where", "outcomes", "calls"),
    [(_BEFORE, ["lost", "completed"], ["lost", "ok"]), (_WITHIN, ["completed"], ["ok"])],
    ids=["before the commit", "in the commit"],
)
def test_a_worker_killed_with_the_answer_in_its_hand_leaves_one_observation(
    place: Place, where: str, outcomes: list[str], calls: list[str]
) -> None:
    with fleet.model(delay=0) as model:
        crew = Fleet(place, 1, **model.settings).ready()
        with _held(place.dsn, where):
            place.value(_PUBLISH)
            place.until(_STANDS)
            crew.kill()
        place.until(_QUIET, limit=20)
        assert len(calls) == model.told["calls"]
    with psycopg.connect(place.dsn, autocommit=True) as conn:
        assert [(1,)] == conn.execute("select count(*) from outbox.observations").fetchall()
        assert outcomes == _column(conn, "select outcome from outbox.attempts order by no")
        assert calls == _column(conn, "select class from outbox.usage_calls order by id")
        assert [] == invariants.broken(conn)


@proves("M5")
async def test_a_connection_lost_before_the_commit_is_settled_again_without_another_call(mind: Brain) -> None:
    async with mind.at_work():
        async with _held_meanwhile(mind, _BEFORE):
            event = await mind.event()
            await until(lambda: _true(mind, _STANDS))
            await mind.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
        await mind.end(event, "completed")
    await _once(mind)


@proves("M5", "L3")
async def test_a_commit_whose_answer_is_lost_is_not_made_again(mind: Brain) -> None:
    await mind.crew.conn.execute(_SLOW_COMMIT.encode())
    async with (
        Proxy.before(mind.crew.dsn) as (proxy, through),
        Database.open(through) as db,
        mind.at_work(db=db),
    ):
        async with _held_meanwhile(mind, _WITHIN):
            event = await mind.event()
            await until(lambda: _true(mind, _STANDS))
            proxy.cut_answers()
        await mind.end(event, "completed")
    await _once(mind)


async def _once(mind: Brain) -> None:
    assert (1, 1) == (len(mind.fake.calls), len(await mind.observations()))
    assert ["ok"] == [call["class"] for call in await mind.calls()]
    assert ["completed"] == [row["outcome"] for row in await mind.rows("select outcome from outbox.attempts")]


@contextmanager
def _held(dsn: str, where: str) -> Iterator[None]:
    """Writes of observations get as far as that."""
    with psycopg.connect(dsn) as holder:
        holder.execute(where.encode())
        yield
        holder.rollback()


@asynccontextmanager
async def _held_meanwhile(mind: Brain, where: str) -> AsyncIterator[None]:
    async with await AsyncConnection.connect(mind.crew.dsn) as holder:
        await holder.execute(where.encode())
        yield
        await holder.rollback()


async def _true(mind: Brain, statement: str) -> bool:
    return bool(await mind.value(statement))


def _column(conn: psycopg.Connection[Any], statement: str) -> list[str]:
    return [row[0] for row in conn.execute(statement.encode())]
