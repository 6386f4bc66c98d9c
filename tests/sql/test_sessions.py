"""Sessions: who is the same again, what a start and an end change, and what they leave alone."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from outboxd.api import wire
from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant
from tests.sql.sessions import (
    HOUR,
    MINUTE,
    SECOND,
    audited,
    end,
    event,
    idle,
    session,
    setting,
    start,
)

PLATFORMS = [
    (None, None),
    ("", "claude"),
    (" \t\u00a0", "claude"),
    ("Claude Code", "claude"),
    ("CLAUDE", "claude"),
    ("transcript", "codex"),
    ("transcripts", "transcripts"),
    ("OpenAI Codex CLI", "codex"),
    ("codex-for-cursor", "codex"),
    ("My Cursor", "cursor"),
    ("cursor claude", "cursor"),
    ("  Zed   Editor ", "zed-editor"),
    ("a\u2003b", "a-b"),
    ("ÉDITEUR", "Éditeur"),
    ("raw", "raw"),
]


@pytest.mark.parametrize(("given", "name"), PLATFORMS, ids=repr)
def test_a_platform_has_one_name_in_sql_and_in_python(
    engine: Engine, given: str | None, name: str | None
) -> None:
    assert name == engine.one("select outbox.platform_of(%s)", given)
    assert name == wire.platform_of(given)
    assert name == engine.one("select outbox.platform_of(%s)", name)


IDENTITIES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"external": "e"}, {"external": "e"}, True),
    ({"external": "e"}, {"external": "e", "content": "other", "agent": "other"}, True),
    ({"external": "e"}, {"external": "e", "platform": "codex"}, False),
    ({"external": "e", "platform": "Claude Code"}, {"external": "e", "platform": "claude"}, True),
    ({"external": "e"}, {"external": "E"}, False),
    ({"content": "c"}, {"content": "c"}, True),
    ({"content": "c"}, {"content": "c", "agent": "a"}, False),
    ({"content": "c", "agent": "a"}, {"content": "c", "agent": "a", "agent_type": "t"}, True),
    ({"content": "c"}, {"content": "c", "platform": "codex"}, False),
    ({"content": "c"}, {"external": "c"}, False),
    ({"agent": "a", "platform": "codex"}, {"agent": "a", "platform": "codex"}, True),
    ({"agent": "a", "platform": "codex"}, {"agent": "a", "platform": "codex", "agent_type": "t"}, False),
    ({"agent": "a"}, {"agent": "a"}, False),
    ({"platform": "codex"}, {"platform": "codex"}, False),
    ({"external": "", "content": "c"}, {"content": "c"}, True),
    ({}, {}, False),
]


@pytest.mark.parametrize(("first", "second", "same"), IDENTITIES, ids=repr)
def test_what_makes_it_the_same_session_again(
    engine: Engine, tenant: Tenant, first: dict[str, Any], second: dict[str, Any], same: bool
) -> None:
    one, made = start(engine, tenant, **first)
    two, again = start(engine, tenant, **second)
    assert (True, not same) == (made, again)
    assert same == (one == two)
    assert (2 - same) == engine.one("select count(*) from outbox.sessions")


def test_the_same_identity_in_another_project_is_another_session(engine: Engine, tenant: Tenant) -> None:
    sibling = engine.tenant(tenant.team)
    assert start(engine, tenant, external="e")[0] != start(engine, sibling, external="e")[0]


def test_an_agent_alone_is_found_while_its_session_is_open(engine: Engine, tenant: Tenant) -> None:
    known = {"agent": "a", "platform": "codex"}
    first, _ = start(engine, tenant, **known)
    assert (first, False) == start(engine, tenant, **known)
    end(engine, first)
    second, made = start(engine, tenant, **known)
    assert made
    assert first != second


@pytest.mark.proves("M14")
def test_a_repeated_start_overwrites_nothing_and_fills_what_was_missing(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    id_, _ = start(engine, tenant, external="e", agent="a", metadata={"k": 1})
    before = session(engine, id_)
    clock.forward(MINUTE)
    other = {"agent": "b", "agent_type": "t", "content": "c", "metadata": {"k": 2, "new": 3}}
    assert (id_, False) == start(engine, tenant, external="e", **other)
    after = session(engine, id_)

    changed = {name for name in before if before[name] != after[name]}
    assert {"agent_type", "content_session_id", "metadata", "updated_at"} == changed
    assert ("a", "t", "c", {"k": 1, "new": 3}) == (
        after["agent_id"],
        after["agent_type"],
        after["content_session_id"],
        after["metadata"],
    )
    clock.forward(MINUTE)
    start(engine, tenant, external="e", **other)
    assert after == session(engine, id_)
    assert ["session.write", "session.write"] == audited(engine, id_)


def test_metadata_grows_to_32_kib_and_no_further(engine: Engine, tenant: Tenant) -> None:
    id_, _ = start(engine, tenant, external="e", metadata={"a": "x" * 20_000})
    start(engine, tenant, external="e", metadata={"b": "x" * 20_000})
    start(engine, tenant, external="e", metadata={"c": 1})
    assert {"a", "c"} == set(session(engine, id_)["metadata"])


def test_an_ended_session_is_found_ended_and_open_again_only_when_asked(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    id_, _ = start(engine, tenant, external="e")
    assert (id_, False) == start(engine, tenant, external="e", reopen=True)
    assert ["session.write"] == audited(engine, id_)
    assert session(engine, id_)["reopened_at"] is None

    clock.forward(MINUTE)
    end(engine, id_)
    ended = clock.now
    clock.forward(MINUTE)
    start(engine, tenant, external="e")
    assert ended == session(engine, id_)["ended_at"]

    start(engine, tenant, external="e", reopen=True)
    assert (None, clock.now, 1) == tuple(
        session(engine, id_)[name] for name in ("ended_at", "reopened_at", "end_count")
    )
    assert ["session.write", "session.end", "session.reopen"] == audited(engine, id_)


def test_an_end_makes_the_summary_job_due_after_the_quiet_time(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    id_, _ = start(engine, tenant, external="e")
    event(engine, clock, tenant, id_)
    job, ended = end(engine, id_)
    assert ended
    [made] = engine.rows("select * from outbox.jobs")
    assert (job, id_, None, clock.now + 30 * SECOND, 8) == tuple(
        made[name] for name in ("id", "session_id", "event_id", "run_at", "max_attempts")
    )
    assert [{"job_id": job, "run_at": clock.now + 30 * SECOND, "lane": tenant.lane}] == engine.rows(
        "select job_id, run_at, lane from outbox.later"
    )
    assert ["summarize"] == [row["handler"] for row in engine.rows(
        "select q.handler from outbox.jobs j join outbox.queues q on q.id = j.queue_id")]  # fmt: skip


def test_settings_say_when_and_whether_a_summary_is_made(engine: Engine, tenant: Tenant) -> None:
    setting(engine, tenant, {"summary": {"quietSeconds": 0}})
    job, _ = end(engine, start(engine, tenant)[0])
    assert "ready" == engine.place_of(job) if job else False
    setting(engine, tenant, {"summary": {"enabled": False}})
    id_, _ = start(engine, tenant)
    assert (None, True) == end(engine, id_)
    assert (None, False) == end(engine, id_)


def test_an_end_again_with_nothing_new_writes_nothing(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    id_, _ = start(engine, tenant, external="e")
    event(engine, clock, tenant, id_)
    job, _ = end(engine, id_)
    before = engine.rows("select xmin::text, * from outbox.sessions")
    clock.forward(HOUR)
    assert (job, False) == end(engine, id_)
    assert before == engine.rows("select xmin::text, * from outbox.sessions")
    assert ["session.write", "session.end"] == audited(engine, id_)


def test_an_end_after_new_events_moves_and_keeps_a_job_that_waits(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    id_, _ = start(engine, tenant, external="e")
    first, _ = end(engine, id_)
    event(engine, clock, tenant, id_)
    assert (first, True) == end(engine, id_)
    assert (clock.now, 2) == tuple(session(engine, id_)[name] for name in ("ended_at", "end_count"))
    assert 1 == engine.one("select count(*) from outbox.jobs")


@pytest.mark.parametrize("fate", ["leases", "completed", "dead_letters", "cancelled"])
def test_an_end_after_new_events_makes_a_new_job_once_the_old_one_is_taken(
    engine: Engine, tenant: Tenant, clock: Clock, fate: str
) -> None:
    worker = engine.worker("summarize")
    id_, _ = start(engine, tenant, external="e")
    first, _ = end(engine, id_)
    assert first
    taken(engine, clock, worker, first, fate)
    assert (first, False) == end(engine, id_), "nothing new: the same job, whatever became of it"
    event(engine, clock, tenant, id_)
    second, ended = end(engine, id_)
    assert ended
    assert first != second
    assert second == session(engine, id_)["summary_job"]


def taken(engine: Engine, clock: Clock, worker: UUID, job: UUID, fate: str) -> None:
    """The job due, claimed, and ended in that way."""
    if fate == "cancelled":
        engine.cancel(job)
        return
    clock.forward(MINUTE)
    engine.stage()
    engine.do("update outbox.workers set beat_at = 'infinity'")
    [claimed] = engine.claim(worker)
    assert job == claimed["job_id"]
    if fate == "completed":
        engine.end(worker, claimed)
    elif fate == "dead_letters":
        engine.end(worker, claimed, "failed", final=True, **{"class": "x", "error": "no"})
    assert fate == engine.place_of(job)


def test_an_event_that_commits_late_counts_though_its_id_is_old(
    dsn: str, engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    id_, _ = start(engine, tenant, external="e")
    with psycopg.connect(dsn) as slow:
        slow.execute("select outbox.publish('x', p_project => %s, p_session => %s)", (tenant.project, id_))
        event(engine, clock, tenant, id_)
        end(engine, id_)
        assert not end(engine, id_)[1]
        slow.commit()
    assert end(engine, id_)[1]


def test_retention_of_events_is_no_news(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    id_, _ = start(engine, tenant, external="e")
    old = event(engine, clock, tenant, id_)
    event(engine, clock, tenant, id_)
    end(engine, id_)
    engine.do("delete from outbox.events where id = %s", old)
    assert not end(engine, id_)[1]


@pytest.mark.proves("M14")
def test_a_hook_that_ends_the_session_every_turn_is_harmless(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    """Ten turns of a minute, each started, worked and ended by hooks; then nothing for an hour."""
    worker = engine.worker("summarize")
    engine.do("update outbox.workers set beat_at = 'infinity'")
    id_, _ = start(engine, tenant, external="e", content="e", platform="claude")
    ends, covered = [], []
    for _ in range(10):
        assert (id_, False) == start(engine, tenant, external="e", content="e", platform="claude")
        event(engine, clock, tenant, id_)
        event(engine, clock, tenant, id_)
        for _ in range(3):
            end(engine, id_)
        ends.append(session(engine, id_)["ended_at"])
        clock.forward(MINUTE)
        engine.stage()
        for job in engine.claim(worker):
            covered.append(engine.one("select count(*) from outbox.events where session_id = %s", id_))
            engine.end(worker, job)
    assert sorted(set(ends)) == ends
    assert [2 * n for n in range(1, 11)] == covered
    row = session(engine, id_)
    assert (10, 20) == (row["end_count"], row["ended_events"])
    clock.forward(2 * HOUR)
    assert [] == idle(engine)


def test_a_session_of_others_is_unknown_and_of_an_archived_project_closed(
    engine: Engine, tenant: Tenant
) -> None:
    id_, _ = start(engine, tenant, external="e")
    stranger = f"row('{uuid4()}', null, false, null, 'x', null)::outbox.caller"
    for session_id in (id_, uuid4()):
        with pytest.raises(psycopg.Error) as refused:
            engine.do(f"select outbox.end_session({stranger}, %s)", session_id)
        assert ("OX404", "Session not found") == (
            refused.value.sqlstate,
            refused.value.diag.message_primary,
        )
    engine.do("update outbox.projects set archived_at = outbox.clock()")
    for verb, given in (("end_session", id_), ("start_session", tenant.project)):
        with pytest.raises(psycopg.Error) as refused:
            engine.do(f"select outbox.{verb}({EVERYWHERE}, %s)", given)
        assert ("OX409", "ProjectArchived") == (refused.value.sqlstate, refused.value.diag.message_hint)


def test_a_purged_session_is_given_to_nobody(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    old, _ = start(engine, tenant, external="e")
    clock.forward(SECOND)
    engine.do("update outbox.projects set purged_at = outbox.clock()")
    clock.forward(SECOND)
    new, made = start(engine, tenant, external="e")
    assert made
    assert (new, False) == start(engine, tenant, external="e")
    with pytest.raises(psycopg.Error, match="Session not found"):
        end(engine, old)
    clock.forward(2 * HOUR)
    assert [new] == idle(engine)
    engine.do("update outbox.sessions set identity = identity where id = %s", old)


IDLE = timedelta(seconds=3600)


def test_a_silent_session_ends_by_itself(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    id_, _ = start(engine, tenant, external="e")
    clock.forward(IDLE - MINUTE)
    event(engine, clock, tenant, id_)
    clock.forward(2 * MINUTE)
    assert [] == idle(engine)
    clock.forward(IDLE)
    assert [id_] == idle(engine)
    assert clock.now == session(engine, id_)["ended_at"]
    assert "later" == engine.place_of(session(engine, id_)["summary_job"])
    assert [{"endCount": 1, "reason": "idle"}] == [
        row["details"]
        for row in engine.rows("select details from outbox.audit_log where action = 'session.end'")
    ]
    assert [] == idle(engine)


@pytest.mark.proves("M14")
def test_an_ended_session_that_went_on_and_fell_silent_is_ended_again(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    id_, _ = start(engine, tenant, external="e")
    end(engine, id_)
    event(engine, clock, tenant, id_)
    assert [] == idle(engine)
    clock.forward(IDLE + SECOND)
    assert [] == idle(engine, upto=str(UUID(int=0))), "not in this part of the round"
    assert [id_] == idle(engine)
    assert 2 == session(engine, id_)["end_count"]


def test_a_reopened_session_is_not_idle_yet(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    id_, _ = start(engine, tenant, external="e")
    end(engine, id_)
    clock.forward(2 * IDLE)
    start(engine, tenant, external="e", reopen=True)
    clock.forward(IDLE - SECOND)
    assert [] == idle(engine)
    clock.forward(2 * SECOND)
    assert [id_] == idle(engine)


def test_projects_say_how_long_and_never(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    never, quick = engine.tenant(), engine.tenant()
    setting(engine, never, {"session": {"idleEndSeconds": 0}})
    setting(engine, quick, {"session": {"idleEndSeconds": 60}})
    start(engine, never)
    start(engine, tenant)
    mine, _ = start(engine, quick)
    clock.forward(MINUTE + SECOND)
    assert [mine] == idle(engine)


def test_one_run_ends_no_more_than_its_limit(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    made = {start(engine, tenant)[0] for _ in range(5)}
    clock.forward(2 * IDLE)
    first = idle(engine, 3)
    assert 3 == len(first)
    assert made == {*first, *idle(engine, 3)}
    with pytest.raises(psycopg.Error, match="1 to 500"):
        idle(engine, 501)


def delete(engine: Engine, id_: UUID, limit: int = 5000) -> bool:
    gone: bool = engine.one(f"select outbox.delete_session({EVERYWHERE}, %s, %s)", id_, limit)
    return gone


@pytest.mark.parametrize("fate", ["later", "leases", "completed", "dead_letters", "cancelled"])
@pytest.mark.proves("M16")
def test_a_session_is_deleted_whatever_its_summary_job_does(
    engine: Engine, tenant: Tenant, clock: Clock, fate: str
) -> None:
    worker = engine.worker("summarize")
    id_, _ = start(engine, tenant, external="e")
    seen = event(engine, clock, tenant, id_)
    job, _ = end(engine, id_)
    assert job
    if fate != "later":
        taken(engine, clock, worker, job, fate)
    assert delete(engine, id_)
    assert 0 == engine.one("select count(*) from outbox.sessions")
    assert ("completed" if fate == "completed" else "cancelled") == engine.place_of(job)
    assert [None] == [row["session_id"] for row in engine.rows(
        "select session_id from outbox.events where id = %s", seen)]  # fmt: skip
    with pytest.raises(psycopg.Error, match="Session not found"):
        delete(engine, id_)


@pytest.mark.proves("M16")
def test_a_deletion_waits_for_nobody_who_holds_the_summary_job(
    dsn: str, engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    worker = engine.worker("summarize")
    id_, _ = start(engine, tenant, external="e")
    job, _ = end(engine, id_)
    assert job
    taken(engine, clock, worker, job, "leases")
    with psycopg.connect(dsn) as settling:
        settling.execute("select from outbox.leases for update")
        engine.do("set lock_timeout = '1s'")
        assert delete(engine, id_)


def test_links_go_in_bounded_parts(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    id_, _ = start(engine, tenant, external="e")
    for _ in range(5):
        event(engine, clock, tenant, id_)
    assert [False, False, True] == [delete(engine, id_, 2) for _ in range(3)]
    assert 0 == engine.one("select count(*) from outbox.events where session_id is not null")
