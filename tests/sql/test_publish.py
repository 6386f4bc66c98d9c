"""publish and publish_many: what is stored, what is refused, and that a refusal leaves nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import Engine, Tenant
from tests.proofs import proves

TABLES = ("events", "event_keys", "jobs", "ready", "later", "pending", "expiries")


def counts(engine: Engine) -> dict[str, int]:
    return {table: engine.one(f"select count(*) from outbox.{table}") for table in TABLES}


def many(engine: Engine, tenant: Tenant | None, *events: Any) -> list[dict[str, Any]]:
    given = [Jsonb(event) for event in events]
    return engine.rows("select * from outbox.publish_many(%s::jsonb[], %s)", given, tenant and tenant.project)


def refusal(engine: Engine, sql: str, *args: Any) -> tuple[str | None, str]:
    before = counts(engine)
    with pytest.raises(psycopg.Error) as refused:
        engine.do(sql, *args)
    assert counts(engine) == before
    return refused.value.sqlstate, str(refused.value.diag.message_primary)


def test_an_event_is_stored_as_it_was_given(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    event = engine.publish(
        tenant,
        payload={"é": [1]},
        subject="s",
        ordering_key="k",
        metadata={"m": 1},
        occurred_at=datetime(2020, 1, 1, tzinfo=UTC),
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    row = engine.rows("select * from outbox.events")[0]

    assert (row["id"], row["team_id"], row["project_id"]) == (event, tenant.team, tenant.project)
    assert (row["payload"], row["subject"], row["ordering_key"]) == ({"é": [1]}, "s", "k")
    assert (row["metadata"], row["adapter"], row["actor"]) == ({"m": 1}, "sql", "sql:outboxd")
    assert (row["occurred_at"].year, row["received_at"]) == (2020, clock.now)
    assert row["traceparent"].startswith("00-aaaa")
    assert engine.one("select outbox.uuid7_time(%s)", event) == clock.now
    assert [r["event_id"] for r in engine.rows("select * from outbox.pending")] == [event]


def test_null_payload_and_bad_trace_are_empty(engine: Engine, tenant: Tenant) -> None:
    engine.publish(tenant, payload=None, traceparent="00-" + "0" * 32 + "-" + "b" * 16 + "-01")
    row = engine.rows("select payload, traceparent from outbox.events")[0]
    assert row == {"payload": {}, "traceparent": None}


@pytest.mark.parametrize(
    ("args", "state"),
    [
        ({"type": ""}, "OX400"),
        ({"type": "x" * 256}, "OX400"),
        ({"type": "a\nb"}, "OX400"),
        ({"type": "a\x85b"}, "OX400"),
        ({"type": "outboxd.x"}, "OX400"),
        ({"type": None}, "OX400"),
        ({"subject": "x" * 256}, "OX400"),
        ({"ordering_key": ""}, "OX400"),
        ({"ordering_key": "x" * 256}, "OX400"),
        ({"key": ""}, "OX400"),
        ({"key": "x" * 256}, "OX400"),
        ({"source_event_id": "x" * 513}, "OX400"),
        ({"priority": 101}, "OX400"),
        ({"priority": -101}, "OX400"),
        ({"metadata": Jsonb([1])}, "OX400"),
        ({"metadata": Jsonb({"x": "y" * 33_000})}, "OX400"),
        ({"occurred_at": "1969-12-31"}, "OX400"),
        ({"occurred_at": "infinity"}, "OX400"),
        ({"run_at": "infinity"}, "OX400"),
        ({"run_at": "2200-01-01"}, "OX400"),
        ({"expires_at": "2000-01-01"}, "OX400"),
        ({"session": uuid4()}, "OX403"),
        ({"project": uuid4()}, "OX403"),
        ({"payload": Jsonb("x" * 5_300_000)}, "OX413"),
    ],
)
def test_a_refused_publish_leaves_nothing(
    engine: Engine, tenant: Tenant, args: dict[str, Any], state: str
) -> None:
    engine.route(tenant, "*")
    given = {"type": "thing.done", "project": tenant.project} | args
    named = ", ".join(f"p_{name} => %s" for name in given)

    assert refusal(engine, f"select outbox.publish({named})", *given.values())[0] == state


def test_the_bounds_themselves_are_accepted(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    engine.publish(
        tenant,
        "x" * 255,
        key="k" * 255,
        subject="s" * 255,
        ordering_key="o" * 255,
        priority=-100,
        run_at=clock.now + timedelta(days=366),
    )
    assert counts(engine)["events"] == 1


def test_a_compressed_payload_counts_as_what_it_is(engine: Engine, tenant: Tenant) -> None:
    engine.do("create table doc (body jsonb)")
    engine.do("insert into doc values (%s)", Jsonb({"text": "x" * 6_000_000}))
    sql = "select outbox.publish('t', body, %s) from doc"
    assert refusal(engine, sql, tenant.project)[0] == "OX413"


def test_an_archived_project_takes_nothing(engine: Engine, tenant: Tenant) -> None:
    engine.do("update outbox.projects set archived_at = outbox.clock()")
    assert refusal(engine, "select outbox.publish('t', p_project => %s)", tenant.project)[0] == "OX409"


def test_the_project_comes_from_the_call_the_setting_or_there_is_only_one(
    engine: Engine, tenant: Tenant
) -> None:
    engine.do("select outbox.publish('t')")
    other = engine.tenant()
    assert refusal(engine, "select outbox.publish('t')")[0] == "OX400"
    engine.do(f"set outbox.project = '{other.project}'")
    engine.do("select outbox.publish('t')")
    engine.do("select outbox.publish('t', p_project => %s)", tenant.project)

    found = engine.rows("select project_id, count(*)::int as n from outbox.events group by 1")
    assert {row["project_id"]: row["n"] for row in found} == {tenant.project: 2, other.project: 1}


@proves("E5")
def test_a_key_answers_with_its_first_event_and_refuses_other_content(engine: Engine, tenant: Tenant) -> None:
    engine.route(tenant, "*")
    first = engine.publish(tenant, key="k", payload={"a": 1, "b": 2})
    assert engine.publish(tenant, key="k", payload={"b": 2, "a": 1}) == first
    sql = "select outbox.publish('thing.done', %s, %s, 'k')"
    state, said = refusal(engine, sql, Jsonb({"a": 2}), tenant.project)
    assert (state, "idempotency key" in said) == ("OX409", True)

    assert engine.publish(engine.tenant(), key="k", payload={"a": 2}) != first
    assert counts(engine)["jobs"] == 1


def test_a_native_id_answers_with_its_first_event_whatever_it_says(engine: Engine, tenant: Tenant) -> None:
    first = engine.publish(tenant, source_event_id="e-1", payload={"a": 1})
    assert engine.publish(tenant, source_event_id="e-1", payload={"a": 2}) == first


def test_native_keys_are_the_vectors_of_the_page(engine: Engine) -> None:
    team, project = UUID("11111111-1111-4111-8111-111111111111"), "22222222-2222-4222-8222-222222222222"
    now = engine.one("select outbox.clock()")
    engine.do("insert into outbox.teams values (%s, 't', '{}', %s, %s)", team, now, now)
    engine.do(
        "insert into outbox.projects (id, team_id, name, created_at, updated_at)"
        " values (%s, %s, 'p', %s, %s)",
        *(project, team, now, now),
    )
    sql = "select outbox.native_key(jsonb_populate_record(null::outbox.incoming, %s))"
    given = {"project_id": project, "adapter": "hook", "source_event_id": "evt-1"}
    keys = [engine.one(sql, Jsonb(given | more)) for more in ({}, {"platform_source": "claude-code"})]

    assert keys == [
        "agent_event:v1:6f40a658095cb3845a63425f0a0cd06364f181c88361b01d6bcf49f2227a1dd3",
        "agent_event:v1:08a4d730f6afa764e9c0ac5e68c980c70899279a76d0356dbba8a8a2ea50695f",
    ]


@proves("E4")
def test_a_key_outlives_its_job_and_then_ends(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.route(tenant, "*")
    first = engine.publish(tenant, key="k")
    engine.end(worker, engine.claim(worker)[0])
    assert engine.publish(tenant, key="k") == first
    clock.forward(timedelta(days=30))
    second = engine.publish(tenant, key="k")

    assert second != first
    assert engine.publish(tenant, key="k") == second


@proves("E1")
def test_publishing_commits_and_rolls_back_with_the_business_row(engine: Engine, tenant: Tenant) -> None:
    engine.route(tenant, "*")
    engine.do("create table orders (id int)")
    with engine.conn.transaction() as outer:
        engine.do("insert into orders values (1)")
        engine.publish(tenant, key="a")
        with engine.conn.transaction(force_rollback=True):
            engine.publish(tenant, key="b")
        raise psycopg.Rollback(outer)
    assert set(counts(engine).values()) == {0}
    with engine.conn.transaction():
        engine.do("insert into orders values (2)")
        engine.publish(tenant, key="a")
        with engine.conn.transaction(force_rollback=True):
            engine.publish(tenant, key="b")

    found = counts(engine)
    assert [found[t] for t in ("events", "event_keys", "jobs", "ready", "pending")] == [1] * 5


@proves("E1")
@pytest.mark.parametrize("table", ["events", "event_keys", "jobs", "ready", "pending"])
def test_a_failure_in_any_insert_takes_the_business_row_along(
    engine: Engine, tenant: Tenant, table: str
) -> None:
    engine.route(tenant, "*")
    engine.do("create table orders (id int)")
    engine.do(
        "create function boom() returns trigger language plpgsql as $$ begin raise exception 'boom'; end $$"
    )
    engine.do(f"create trigger boom before insert on outbox.{table} for each row execute function boom()")
    ordered = "with placed as (insert into orders values (1))"
    with pytest.raises(psycopg.errors.RaiseException):
        engine.do(f"{ordered} select outbox.publish('t', p_project => %s, p_key => 'a')", tenant.project)

    assert set(counts(engine).values()) == {0}
    assert engine.one("select count(*) from orders") == 0


@proves("E9")
def test_one_job_per_event_and_queue_and_the_narrowest_route_decides(engine: Engine, tenant: Tenant) -> None:
    def priority_after(**route: Any) -> list[int]:
        engine.route(**route)
        event = engine.publish(tenant, "a.b.c")
        return [
            row["priority"]
            for row in engine.rows("select priority from outbox.jobs where event_id = %s", event)
        ]

    assert priority_after(tenant=None, pattern="*", priority=1) == [1]
    assert priority_after(tenant=None, pattern="a.*", priority=2) == [2]
    assert priority_after(tenant=None, pattern="a.b.*", priority=3) == [3]
    assert priority_after(tenant=None, pattern="a.b.c", priority=4) == [4]
    assert priority_after(tenant=tenant, pattern="*", project_id=None, priority=5) == [5]
    assert priority_after(tenant=tenant, pattern="*", priority=6) == [6]
    assert priority_after(tenant=tenant, pattern="a.*", contains={"x": 1}, priority=7) == [6]
    assert priority_after(tenant=engine.tenant(), pattern="a.b.c", priority=8) == [6]
    assert priority_after(tenant=tenant, pattern="a.b.c", enabled=False) == []


@proves("E9")
def test_the_set_of_jobs_is_frozen_at_publish(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    event = engine.publish(tenant, ordering_key="k")
    engine.route(tenant, "*")
    engine.sequence(tenant)
    engine.place(tenant)

    assert engine.jobs_of(event) == []
    assert engine.claim(worker) == []


def test_a_routes_delay_is_added_to_the_events_time(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    engine.route(tenant, "*", delay=timedelta(hours=1), max_attempts=2, timeout=timedelta(seconds=9))
    engine.publish(tenant, run_at=clock.now + timedelta(hours=2))

    row = engine.rows("select * from outbox.jobs")[0]
    assert (row["run_at"], row["max_attempts"], row["timeout"]) == (
        clock.now + timedelta(hours=3),
        2,
        timedelta(seconds=9),
    )
    assert engine.one("select run_at from outbox.later") == row["run_at"]
    assert row["deadline"] == row["run_at"] + timedelta(days=30)


@proves("E6")
def test_a_batch_is_stored_in_its_order_or_not_at_all(engine: Engine, tenant: Tenant) -> None:
    said = many(engine, tenant, *({"eventType": "t", "payload": {"n": n}} for n in range(20)))
    stored = engine.rows("select event_id from outbox.pending order by id")
    assert [row["ord"] for row in said] == list(range(20))
    assert [row["event_id"] for row in said] == [row["event_id"] for row in stored]
    assert [row["event_id"] for row in said] == sorted(row["event_id"] for row in said)

    good, sql = Jsonb({"eventType": "t"}), "select * from outbox.publish_many(%s::jsonb[], %s)"
    for bad, state in (
        ({"eventType": ""}, "OX400"),
        ({"eventType": "t", "nope": 1}, "OX400"),
        ({"eventType": "t", "idempotencyKey": "x" * 256}, "OX400"),
        ({"eventType": "t", "idempotencyKey": ""}, "OX400"),
        ({"eventType": "t", "priority": "high"}, "OX400"),
        ({"eventType": "t", "projectId": str(uuid4())}, "OX403"),
    ):
        told = refusal(engine, sql, [good, Jsonb(bad), good], tenant.project)
        assert (told[0], "event 1: " in told[1]) == (state, True), told


@pytest.mark.parametrize("n", [0, 1001])
def test_a_batch_of_none_or_too_many_is_refused(engine: Engine, tenant: Tenant, n: int) -> None:
    sql = "select * from outbox.publish_many(%s::jsonb[], %s)"
    assert refusal(engine, sql, [Jsonb({"eventType": "t"})] * n, tenant.project)[0] == "OX400"


def test_duplicates_inside_a_batch_collapse_and_every_position_is_answered(
    engine: Engine, tenant: Tenant
) -> None:
    keyed = {"eventType": "t", "idempotencyKey": "k"}
    said = many(engine, tenant, keyed, {"eventType": "t"}, keyed)

    assert [row["duplicate"] for row in said] == [False, False, True]
    assert said[0]["event_id"] == said[2]["event_id"] != said[1]["event_id"]
    assert counts(engine)["events"] == 2


def test_both_sql_doors_store_the_same(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    engine.route(tenant, "*")
    epoch = int(clock.now.timestamp() * 1000)
    common = {"payload": {"a": 1}, "subject": "s", "metadata": {"m": 1}, "priority": 4}
    engine.publish(tenant, "t", key="a", ordering_key="o", occurred_at=clock.now, **common)
    wired = {"eventType": "t", "idempotencyKey": "b", "orderingKey": "o", "occurredAtEpoch": epoch}
    many(engine, tenant, wired | common)
    first, second = engine.rows("select to_jsonb(e) - 'id' as e from outbox.events e")
    assert first == second
    first, second = engine.rows("select to_jsonb(j) - 'id' - 'event_id' as j from outbox.jobs j")
    assert first == second


@proves("E2")
def test_sleepers_are_woken_at_commit_only_and_only_if_they_sleep(
    engine: Engine, tenant: Tenant, dsn: str, worker: UUID
) -> None:
    engine.route(tenant, "*")
    with psycopg.connect(dsn, autocommit=True) as ear:
        ear.execute("listen outbox_pending")

        def heard() -> int:
            return len(list(ear.notifies(timeout=0.05)))

        engine.publish(tenant)
        assert heard() == 0
        engine.do("insert into outbox.idle values ('pull:work', %s)", worker)
        with engine.conn.transaction(force_rollback=True):
            engine.publish(tenant)
        assert heard() == 0
        with engine.conn.transaction():
            engine.publish(tenant)
            assert heard() == 0
        assert heard() == 1
        engine.do("set outbox.notify = off")
        engine.publish(tenant)
        assert heard() == 0


def test_a_producer_role_reaches_its_projects_only(engine: Engine, tenant: Tenant) -> None:
    other, role = engine.tenant(), f"app_{uuid4().hex[:12]}"
    for known in ("producer", "worker", "operator", "reader"):
        engine.do(f"do $$ begin create role outbox_{known}; exception when others then null; end $$")
    engine.do(f"create role {role} login in role outbox_producer")
    engine.do("insert into outbox.producers values (%s, %s)", role, tenant.project)
    try:
        engine.do(f"grant usage on schema outbox to {role}")
        engine.do(f"grant execute on function outbox.publish, outbox.enqueue, outbox.me to {role}")
        engine.do(f"set session authorization {role}")
        engine.do("select outbox.publish('t')")
        engine.do("select outbox.enqueue(outbox.me(), 'work')")
        told = [
            _state(engine, "select outbox.publish('t', p_project => %s)", other.project),
            _state(engine, "select outbox.enqueue(outbox.me(), 'work', '{}', %s)", other.project),
            _state(engine, "select outbox.enqueue(row(null,null,true,null,'x',null), 'work')"),
            _state(engine, "insert into outbox.events (id) values (gen_random_uuid())"),
            _state(engine, "select * from outbox.jobs"),
        ]
    finally:
        engine.do("reset session authorization")
        engine.do(f"drop owned by {role}")
        engine.do(f"drop role {role}")
    assert told == ["OX403", "OX404", "OX403", "42501", "42501"]
    actors = engine.rows("select actor from outbox.events union select actor from outbox.jobs")
    assert {row["actor"] for row in actors} == {f"sql:{role}"}


def _state(engine: Engine, sql: str, *args: Any) -> str | None:
    with pytest.raises(psycopg.Error) as refused:
        engine.do(sql, *args)
    return refused.value.sqlstate
