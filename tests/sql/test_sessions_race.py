"""Starts, ends, deletions and workers at the same session: real connections, released together."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant
from tests.sql.sessions import MINUTE, audited, end, event, idle, session, setting, start

START = f"select * from outbox.start_session({EVERYWHERE}, %s, p_external => 'e'{{}})"
END = f"select * from outbox.end_session({EVERYWHERE}, %s)"
DELETE = f"select outbox.delete_session({EVERYWHERE}, %s)"
IDLE = (
    "select * from outbox.end_idle_sessions(100, '00000000-0000-0000-0000-000000000000',"
    " 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
)
Act = Callable[[Connection[DictRow]], Any]


def said(statement: str, *given: Any) -> Act:
    def act(conn: Connection[DictRow]) -> Any:
        return conn.execute(statement.encode(), given).fetchall()

    return act


def together(dsn: str, *acts: Act) -> list[Any]:
    """What each says, on a connection of its own, all begun at once. A refusal is its SQLSTATE."""
    barrier = threading.Barrier(len(acts))
    found: list[Any] = [None] * len(acts)

    def run(n: int, act: Act) -> None:
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as conn:
            barrier.wait(10)
            try:
                found[n] = act(conn)
            except psycopg.Error as refused:
                found[n] = refused.sqlstate

    threads = [threading.Thread(target=run, args=(n, act)) for n, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return found


@pytest.mark.proves("M14")
def test_fifty_racing_starts_make_one_session_and_one_of_them_made_it(
    dsn: str, engine: Engine, tenant: Tenant
) -> None:
    found = together(dsn, *[said(START.format(""), tenant.project)] * 50)
    assert 1 == len({row["session_id"] for [row] in found})
    assert [False] * 49 + [True] == sorted(row["made"] for [row] in found)
    assert 1 == engine.one("select count(*) from outbox.sessions")
    assert ["session.write"] == audited(engine, found[0][0]["session_id"])


def test_racing_starts_fill_what_each_of_them_knows(dsn: str, engine: Engine, tenant: Tenant) -> None:
    more = [", p_agent => 'a'", ", p_content => 'c'"]
    more += [f""", p_metadata => '{{"k{n}": {n}}}'""" for n in range(8)]
    together(dsn, *(said(START.format(each), tenant.project) for each in more))
    [row] = engine.rows("select * from outbox.sessions")
    assert ("a", "c") == (row["agent_id"], row["content_session_id"])
    assert {f"k{n}": n for n in range(8)} == row["metadata"]


@pytest.mark.parametrize("round_", range(3))
def test_racing_ends_end_it_once_with_one_job(
    dsn: str, engine: Engine, tenant: Tenant, clock: Clock, round_: int
) -> None:
    id_, _ = start(engine, tenant, external="e")
    event(engine, clock, tenant, id_)
    found = together(dsn, *[said(END, id_)] * 10, said(IDLE))
    ends = [row for [row] in found[:-1]]
    assert [] == found[-1]
    assert 1 == len({row["job_id"] for row in ends})
    assert [False] * 9 + [True] == sorted(row["ended"] for row in ends)
    assert (1, 1) == (session(engine, id_)["end_count"], engine.one("select count(*) from outbox.jobs"))


def test_the_idle_end_and_a_client_end_it_once(
    dsn: str, engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    ids = [start(engine, tenant)[0] for _ in range(6)]
    clock.forward(120 * MINUTE)
    found = together(dsn, *(said(END, id_) for id_ in ids), said(IDLE), said(IDLE))
    assert not [each for each in found if isinstance(each, str)]
    assert [1] * 6 == [session(engine, id_)["end_count"] for id_ in ids]
    assert 6 == engine.one("select count(*) from outbox.jobs")


def test_ends_against_reopening_starts_leave_one_of_both_states(
    dsn: str, engine: Engine, tenant: Tenant
) -> None:
    id_, _ = start(engine, tenant, external="e")
    reopen = said(START.format(", p_reopen => true"), tenant.project)
    for _ in range(5):
        found = together(
            dsn, said(END, id_), reopen, said(END, id_), reopen, said(START.format(""), tenant.project)
        )
        assert not [each for each in found if isinstance(each, str)], found
        trail = audited(engine, id_)
        row = session(engine, id_)
        ends, opens = trail.count("session.end"), trail.count("session.reopen")
        assert row["end_count"] == ends
        assert (ends - opens) == (row["ended_at"] is not None)
    waiting = engine.rows("select job_id from outbox.later")
    assert [session(engine, id_)["summary_job"]] == [each["job_id"] for each in waiting]


def test_an_agent_that_starts_while_its_session_ends_has_an_open_one(
    dsn: str, engine: Engine, tenant: Tenant
) -> None:
    """The start waits for the end, finds the identity given up, and makes another session."""
    known = {"agent": "a", "platform": "codex"}
    id_, _ = start(engine, tenant, **known)
    again = f"select * from outbox.start_session({EVERYWHERE}, %s, p_agent => 'a', p_platform => 'codex')"
    with psycopg.connect(dsn, row_factory=dict_row) as ending:
        ending.execute(END.encode(), [id_])
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.extend(together(dsn, said(again, tenant.project))))
        thread.start()
        waits(engine)
        ending.commit()
        thread.join(10)
    [[row]] = found
    assert row["made"]
    assert id_ != row["session_id"]


def waits(engine: Engine) -> None:
    """Until another connection of this database waits for a lock."""
    for _ in range(1000):
        if engine.one(
            "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
            " and datname = current_database())"
        ):
            return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits for a lock")


def claimed(engine: Engine, tenant: Tenant, clock: Clock) -> tuple[UUID, UUID, dict[str, Any]]:
    """A session, a worker, and its summary job in that worker's hands."""
    worker = engine.worker("summarize")
    id_, _ = start(engine, tenant, external="e")
    event(engine, clock, tenant, id_)
    end(engine, id_)
    clock.forward(MINUTE)
    engine.stage()
    engine.do("update outbox.workers set beat_at = 'infinity'")
    [job] = engine.claim(worker)
    return id_, worker, job


def test_an_end_while_the_summary_settles_neither_waits_nor_deadlocks(
    dsn: str, engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    """Settling holds the job and then wants the session; an end holds the session and only looks at jobs."""
    id_, worker, job = claimed(engine, tenant, clock)
    event(engine, clock, tenant, id_)
    with psycopg.connect(dsn, row_factory=dict_row) as settling:
        settling.execute("select from outbox.leases where id = %s for update", [job["lease_id"]])
        engine.do("set lock_timeout = '2s'")
        second, ended = end(engine, id_)
        assert ended
        assert second != job["job_id"]
        settling.execute("update outbox.sessions set summarized_at = outbox.clock() where id = %s", [id_])
        settling.commit()
    engine.end(worker, job)
    assert (2, second) == tuple(session(engine, id_)[name] for name in ("end_count", "summary_job"))


@pytest.mark.proves("M16")
def test_a_deletion_against_the_worker_that_settles_ends_without_a_deadlock(
    dsn: str, engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    id_, worker, job = claimed(engine, tenant, clock)
    with psycopg.connect(dsn, row_factory=dict_row) as settling:
        settling.execute("select from outbox.leases where id = %s for update", [job["lease_id"]])
        found = together(dsn, said(DELETE, id_))
        assert [[{"delete_session": True}]] == found
        gone = settling.execute(
            "update outbox.sessions set summarized_at = outbox.clock() where id = %s", [id_]
        )
        assert 0 == gone.rowcount
        settling.commit()
    engine.end(worker, job)
    assert "completed" == engine.place_of(job["job_id"])


def test_deletions_ends_and_starts_at_once_leave_one_session_or_none(
    dsn: str, engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    setting(engine, tenant, {"summary": {"quietSeconds": 0}})
    for _ in range(5):
        id_, _ = start(engine, tenant, external="e")
        event(engine, clock, tenant, id_)
        found = together(
            dsn,
            said(END, id_),
            said(DELETE, id_),
            said(START.format(", p_reopen => true"), tenant.project),
            said(DELETE, id_),
            said(END, id_),
        )
        assert {each for each in found if isinstance(each, str)} <= {"OX404"}, found
        left = engine.one("select count(*) from outbox.sessions")
        made = [row["made"] for [row] in [found[2]]]
        assert left == (1 if made == [True] else 0)
        engine.do("delete from outbox.sessions")
    assert 0 == engine.one("select count(*) from outbox.ready")
    assert [] == idle(engine)
