"""Which events make a job of generation, and their sessions: said by the publishing statement."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import Engine, Tenant
from tests.proofs import proves
from tests.sql.memory import MS, SECOND, gathered, place, policy, session


def session_of(engine: Engine, event: UUID) -> UUID | None:
    found: UUID | None = engine.one("select session_id from outbox.events where id = %s", event)
    return found


def post(engine: Engine, tenant: Tenant, **event: Any) -> UUID:
    """One event in the shape of HTTP."""
    made: UUID = engine.one(
        "select event_id from outbox.publish_many(%s::jsonb[], %s)",
        [Jsonb({"eventType": "note", **event})],
        tenant.project,
    )
    return made


# Sessions --------------------------------------------------------------------------------------------


def test_an_event_is_linked_to_the_session_it_names(engine: Engine, tenant: Tenant) -> None:
    mine = session(engine, tenant)
    assert session_of(engine, engine.publish(tenant, session=mine)) == mine
    assert session_of(engine, post(engine, tenant, serverSessionId=str(mine))) == mine


def test_a_session_of_another_project_is_refused_and_nothing_is_stored(
    engine: Engine, tenant: Tenant
) -> None:
    sibling = engine.tenant(team=tenant.team)
    theirs = [session(engine, sibling), session(engine, engine.tenant()), uuid4()]
    for each in theirs:
        with pytest.raises(psycopg.Error) as refused:
            engine.publish(tenant, session=each)
        assert refused.value.sqlstate == "OX403"
        assert "server_session_id must belong to project_id and team_id" in str(refused.value)
    assert engine.one("select count(*) from outbox.events") == 0


def test_a_purged_session_is_nobody_s(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    mine = session(engine, tenant, "c")
    clock.forward(SECOND)
    engine.do("update outbox.projects set purged_at = outbox.clock() where id = %s", tenant.project)
    with pytest.raises(psycopg.Error, match="must belong"):
        engine.publish(tenant, session=mine)
    assert session_of(engine, post(engine, tenant, contentSessionId="c")) is None


def test_the_content_id_links_to_the_newest_session_of_the_project(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    session(engine, tenant, "c")
    clock.forward(MS)
    newest = session(engine, tenant, "c", "codex")
    clock.forward(MS)
    session(engine, engine.tenant(team=tenant.team), "c")
    assert session_of(engine, post(engine, tenant, contentSessionId="c")) == newest
    assert session_of(engine, post(engine, tenant, contentSessionId="other")) is None
    kept = engine.rows("select content_session_id from outbox.events order by content_session_id")
    assert [row["content_session_id"] for row in kept] == ["c", "other"]


def test_a_platform_that_is_said_narrows_the_link_also_when_it_is_null(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    bare = session(engine, tenant, "c")
    clock.forward(MS)
    codex = session(engine, tenant, "c", "codex")
    clock.forward(MS)
    cursor = session(engine, tenant, "c", "cursor")
    linked = [
        session_of(engine, post(engine, tenant, contentSessionId="c", **said))
        for said in (
            {},
            {"platformSource": None},
            {"platformSource": "Codex CLI"},
            {"platformSource": "cursor"},
            {"platformSource": "claude"},
        )
    ]
    assert linked == [cursor, bare, codex, cursor, None]


def test_a_session_that_is_named_wins_over_the_content_id(engine: Engine, tenant: Tenant) -> None:
    session(engine, tenant, "c")
    named = session(engine, tenant, "other")
    event = post(engine, tenant, serverSessionId=str(named), contentSessionId="c")
    assert session_of(engine, event) == named


def test_linking_locks_no_session(engine: Engine, tenant: Tenant, dsn: str) -> None:
    mine = session(engine, tenant, "c")
    with psycopg.connect(dsn) as other:
        other.execute("select from outbox.sessions where id = %s for update", [mine])
        engine.do("set lock_timeout = '1s'")
        assert session_of(engine, post(engine, tenant, contentSessionId="c")) == mine
        assert session_of(engine, engine.publish(tenant, session=mine)) == mine


# Policies --------------------------------------------------------------------------------------------


def test_without_a_word_from_anybody_nothing_is_generated(engine: Engine, tenant: Tenant) -> None:
    assert engine.jobs_of(engine.publish(tenant)) == []
    assert engine.one("select bool_or(gather) from outbox.pending") is False


def test_the_server_s_policy_holds_where_a_project_says_nothing(engine: Engine, tenant: Tenant) -> None:
    quiet = engine.tenant()
    policy(engine, quiet, "off")
    engine.do("insert into outbox.settings values ('generation', 'per-event')")
    assert len(engine.jobs_of(engine.publish(tenant))) == 1
    assert engine.jobs_of(engine.publish(quiet)) == []


def test_a_job_per_event_stands_in_the_queue_observe(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "per-event")
    engine.do("insert into outbox.settings values ('generation_attempts', '5')")
    mine = session(engine, tenant)
    event = engine.publish(tenant, session=mine, priority=3)
    (job,) = gathered(engine, tenant)
    assert (job["event_id"], job["session_id"], job["max_attempts"]) == (event, mine, 5)
    assert (job["priority"], job["members"], job["held"]) == (3, [], None)
    assert engine.place_of(job["id"]) == "ready"


def test_eight_attempts_unless_the_server_says_otherwise(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "per-event")
    engine.publish(tenant)
    assert gathered(engine, tenant)[0]["max_attempts"] == 8


@pytest.mark.parametrize("said", ["per-event", "debounce", "end-of-session"])
def test_generate_false_makes_no_job_and_routes_still_apply(
    engine: Engine, tenant: Tenant, said: str
) -> None:
    policy(engine, tenant, said)
    engine.route(tenant, "thing.done")
    event = engine.publish(tenant, generate=False)
    place(engine, tenant)
    assert len(engine.jobs_of(event)) == 1
    assert gathered(engine, tenant) == []


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"skipEventTypes": ["noise.*"]}, ["a_b", "axb", "tool"]),
        ({"skipEventTypes": ["a_b"]}, ["axb", "noise.x", "tool"]),
        ({"skipEventTypes": ["a?b"]}, ["noise.x", "tool"]),
        ({"skipEventTypes": ["%"]}, ["a_b", "axb", "noise.x", "tool"]),
        ({"skipTools": ["mcp__*"]}, ["a_b", "axb", "noise.x"]),
        ({"skipTools": ["*"]}, ["a_b", "axb", "noise.x"]),
        ({"skipEventTypes": ["*"]}, []),
    ],
)
def test_globs_filter_by_type_and_tool(
    engine: Engine, tenant: Tenant, filters: dict[str, Any], kept: list[str]
) -> None:
    policy(engine, tenant, "per-event", **filters)
    for kind in ("a_b", "axb", "noise.x"):
        engine.publish(tenant, kind, payload={"tool": "Bash"})
    engine.publish(tenant, "tool", payload={"tool_name": "mcp__github__get"})
    found = engine.rows(
        "select e.type from outbox.jobs j join outbox.events e on e.id = j.event_id order by e.type"
    )
    assert [row["type"] for row in found] == kept


def test_a_route_to_the_queue_decides_in_place_of_the_policy(engine: Engine, tenant: Tenant) -> None:
    for said in ("per-event", "debounce"):
        policy(engine, tenant, said)
        route = engine.route(tenant, "thing.done", "observe", max_attempts=2)
        event = engine.publish(tenant)
        place(engine, tenant)
        (job,) = engine.jobs_of(event)
        assert engine.one("select max_attempts from outbox.jobs where id = %s", job) == 2
        assert engine.one("select count(*) from outbox.members") == 0
        engine.do("update outbox.routes set enabled = false where id = %s", route)
        assert engine.jobs_of(engine.publish(tenant)) == []
        engine.do("delete from outbox.routes")


def test_a_job_of_generation_inherits_what_the_event_wants_of_its_jobs(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    policy(engine, tenant, "per-event")
    due = clock.now + 10 * SECOND
    (job,) = engine.jobs_of(engine.publish(tenant, run_at=due, ordering_key="k"))
    row = engine.rows("select run_at, ordering_key from outbox.jobs where id = %s", job)[0]
    assert row == {"run_at": due, "ordering_key": "k"}
    place(engine, tenant)


def test_what_we_announce_ourselves_is_not_generated_from(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "per-event")
    engine.do("select outbox.announce(%s, 'memory.deleted', '{}')", tenant.project)
    assert gathered(engine, tenant) == []


@proves("M3")
def test_the_same_event_twice_makes_one_job_and_changes_nothing_of_it(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "per-event")
    first = engine.publish(tenant, source_event_id="e1", payload={"n": 1})
    before = engine.rows("select * from outbox.jobs")
    again = engine.publish(tenant, source_event_id="e1", payload={"n": 2}, priority=9)
    assert again == first
    assert engine.rows("select * from outbox.jobs") == before
    assert engine.one("select payload from outbox.events") == {"n": 1}


def test_the_same_gathered_event_twice_is_one_member(engine: Engine, tenant: Tenant) -> None:
    policy(engine, tenant, "debounce")
    event = engine.publish(tenant, source_event_id="e1")
    engine.publish(tenant, source_event_id="e1")
    place(engine, tenant)
    engine.publish(tenant, source_event_id="e1")
    place(engine, tenant)
    (job,) = gathered(engine, tenant)
    assert job["members"] == [event]
