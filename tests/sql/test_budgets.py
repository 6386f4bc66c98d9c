"""What a project and its team may spend: asked before each call, told when it is nearly or all gone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant
from tests.proofs import proves
from tests.waiting import until

NOON = datetime(2027, 3, 10, 12, 20, tzinfo=UTC)
HOUR_END = datetime(2027, 3, 10, 13, tzinfo=UTC)
MONTH_END = datetime(2027, 4, 1, tzinfo=UTC)


@pytest.fixture
def tenant(engine: Engine, clock: Clock) -> Tenant:
    clock.set(NOON)
    return engine.tenant()


def budgets(engine: Engine, project: UUID, **caps: int | None) -> None:
    patch = Jsonb({"settings": {"budgets": caps}})
    engine.do(f"select outbox.change_project({EVERYWHERE}, %s, %s)", project, patch)


def team_budgets(engine: Engine, team: UUID, **caps: int | None) -> None:
    engine.do(f"select outbox.change_team({EVERYWHERE}, %s, %s)", team, Jsonb({"budgets": caps}))


def job(engine: Engine, tenant: Tenant) -> UUID:
    made: UUID = engine.one(
        f"select job_id from outbox.enqueue({EVERYWHERE}, 'work', '{{}}', %s, '{{}}')", tenant.project
    )
    return made


def spend(
    engine: Engine, tenant: Tenant, tokens: int = 0, cost: int | None = None, call: UUID | None = None
) -> None:
    engine.do(
        "select outbox.meter_call(%s, %s, 'offline', 'offline-1', 'ok', %s, 0, false, %s, 5, 0)",
        call or uuid4(), job(engine, tenant), tokens, cost,
    )  # fmt: skip


def gate(engine: Engine, tenant: Tenant, tokens: int = 0, cost: int = 0) -> tuple[str | None, Any]:
    [found] = engine.rows("select * from outbox.budget_gate(%s, %s, %s)", tenant.project, tokens, cost)
    return found["closed"], found["until"]


def told(engine: Engine) -> list[tuple[str, str, int]]:
    """(type, scope.budget, spent) of what was said about budgets, in order."""
    return [
        (row["type"], f"{row['payload']['scope']}.{row['payload']['budget']}", row["payload"]["spent"])
        for row in engine.rows(
            "select type, payload from outbox.events where type like 'budget.%%' order by id"
        )
    ]


def test_without_a_budget_nothing_is_closed(engine: Engine, tenant: Tenant) -> None:
    spend(engine, tenant, 10**9)

    assert gate(engine, tenant, 10**9) == (None, None)


@pytest.mark.parametrize(
    ("name", "spent", "estimate"),
    [("tokensPerMonth", (90, None), (10, 0)), ("costMicrosPerMonth", (0, 90), (0, 10))],
)
@proves("M20")
def test_a_month_is_closed_from_spent_and_estimate_on_till_it_ends(
    engine: Engine, tenant: Tenant, clock: Clock, name: str, spent: Any, estimate: Any
) -> None:
    budgets(engine, tenant.project, **{name: 100})
    spend(engine, tenant, *spent)

    assert gate(engine, tenant, *(each - (each > 0) for each in estimate)) == (None, None)
    assert gate(engine, tenant, *estimate) == (f"project.{name}", MONTH_END)
    clock.set(MONTH_END)
    assert gate(engine, tenant, *estimate) == (None, None)


def test_an_hour_is_closed_when_its_calls_were_made(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    budgets(engine, tenant.project, callsPerHour=2)
    spend(engine, tenant)
    before = gate(engine, tenant)
    spend(engine, tenant)

    assert before == (None, None)
    assert gate(engine, tenant) == ("project.callsPerHour", HOUR_END)
    clock.set(HOUR_END)
    assert gate(engine, tenant) == (None, None)


def test_a_budget_of_nothing_is_always_closed(engine: Engine, tenant: Tenant) -> None:
    budgets(engine, tenant.project, callsPerHour=0)

    assert gate(engine, tenant)[0] == "project.callsPerHour"


def test_the_servers_budget_holds_for_a_project_that_sets_none(engine: Engine, tenant: Tenant) -> None:
    engine.do("insert into outbox.settings values ('budget_calls_per_hour', '0')")
    closed = gate(engine, tenant)[0]
    budgets(engine, tenant.project, callsPerHour=5)

    assert (closed, gate(engine, tenant)[0]) == ("project.callsPerHour", None)


def test_a_teams_budget_counts_all_its_projects_and_the_one_that_opens_last_decides(
    engine: Engine, tenant: Tenant
) -> None:
    sibling, stranger = engine.tenant(tenant.team), engine.tenant()
    team_budgets(engine, tenant.team, tokensPerMonth=100)
    budgets(engine, tenant.project, callsPerHour=0)
    spend(engine, sibling, 100)

    assert gate(engine, tenant) == ("team.tokensPerMonth", MONTH_END)
    assert gate(engine, stranger) == (None, None)


@proves("M20")
def test_every_call_is_counted_once_whatever_came_of_it(engine: Engine, tenant: Tenant) -> None:
    budgets(engine, tenant.project, callsPerHour=3)
    owed, call = job(engine, tenant), uuid4()
    for id_, class_ in (
        (call, "lost"), (call, "timeout"), (call, "ok"), (uuid4(), "parse_error"), (uuid4(), "cancelled")
    ):  # fmt: skip
        engine.do(
            "select outbox.meter_call(%s, %s, 'claude', 'm', %s, 5, 0, true, null, 7, 0)", id_, owed, class_
        )

    assert gate(engine, tenant)[0] == "project.callsPerHour"
    counted = engine.rows("select class, tokens_in from outbox.usage_calls order by class")
    assert [(row["class"], row["tokens_in"]) for row in counted] == [
        ("cancelled", 5),
        ("parse_error", 5),
        ("timeout", 5),
    ]


SPENT = "select scope, budget, spent from outbox.budgets_of(%s) order by scope, budget"


def test_hours_that_are_over_are_summed_up_and_count_as_before(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    sibling = engine.tenant(tenant.team)
    caps = {"tokensPerMonth": 10**6, "costMicrosPerMonth": 10**6, "callsPerHour": 10**6}
    budgets(engine, tenant.project, **caps)
    team_budgets(engine, tenant.team, **caps)
    seen = []
    for hour in range(4):
        clock.set(NOON + timedelta(hours=hour))
        spend(engine, tenant, 10**hour, 3)
        spend(engine, sibling, 5)
        before = engine.rows(SPENT, tenant.project)
        engine.do("select outbox.roll_up_usage('31 days', 100)")
        assert before == engine.rows(SPENT, tenant.project)
        seen.append([row["spent"] for row in before])

    assert seen[-1] == [1, 12, 1111, 2, 12, 1131]
    summed = engine.rows(
        "select sum(calls)::int as calls from outbox.usage_hours where scope_id = %s", tenant.team
    )
    assert summed == [{"calls": 6}]
    engine.do("delete from outbox.usage_calls where at < %s", NOON + timedelta(hours=3))
    assert [row["spent"] for row in engine.rows(SPENT, tenant.project)] == seen[-1]
    clock.set(MONTH_END)
    assert {row["spent"] for row in engine.rows(SPENT, tenant.project)} == {0}


def test_a_call_that_ends_after_its_hour_was_summed_up_is_counted_as_it_ended(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    budgets(engine, tenant.project, tokensPerMonth=1000, costMicrosPerMonth=1000)
    team_budgets(engine, tenant.team, tokensPerMonth=1000)
    owed, call = job(engine, tenant), uuid4()
    meter = "select outbox.meter_call(%s, %s, 'claude', 'm', %s, %s, %s, false, %s, 7, 0)"
    engine.do(meter, call, owed, "lost", 500, 0, None)
    clock.forward(timedelta(hours=1))
    engine.do("select outbox.roll_up_usage('31 days', 100)")
    estimated = [row["spent"] for row in engine.rows(SPENT, tenant.project)]
    for _ in range(2):
        engine.do(meter, call, owed, "ok", 600, 250, 40)

    assert estimated == [0, 500, 500]
    assert [row["spent"] for row in engine.rows(SPENT, tenant.project)] == [40, 850, 850]
    assert sorted(told(engine)) == [
        ("budget.warning", "project.tokensPerMonth", 850),
        ("budget.warning", "team.tokensPerMonth", 850),
    ]


async def test_a_call_that_ends_while_its_hour_is_summed_up_is_counted_as_it_ended(
    engine: Engine, tenant: Tenant, clock: Clock, dsn: str
) -> None:
    budgets(engine, tenant.project, tokensPerMonth=1000)
    owed, call = job(engine, tenant), uuid4()
    meter = "select outbox.meter_call(%s, %s, 'claude', 'm', %s, %s, 0, false, null, 7, 0)"
    engine.do(meter, call, owed, "lost", 500)
    clock.forward(timedelta(hours=1))
    ending = Engine(dsn)
    with psycopg.connect(dsn) as closing:
        closing.execute("select outbox.close_usage()")
        ended = asyncio.create_task(asyncio.to_thread(ending.do, meter, call, owed, "ok", 600))
        await until(lambda: bool(engine.rows("select from pg_locks where not granted")))
    await ended
    ending.close()

    assert [row["spent"] for row in engine.rows(SPENT, tenant.project)] == [600]


def test_crossing_80_and_100_per_cent_is_told_once_a_period(
    engine: Engine, tenant: Tenant, clock: Clock
) -> None:
    budgets(engine, tenant.project, tokensPerMonth=100)
    for tokens in (79, 1, 1, 18, 1, 50):
        clock.forward(timedelta(seconds=1))
        spend(engine, tenant, tokens)

    assert told(engine) == [
        ("budget.warning", "project.tokensPerMonth", 80),
        ("budget.exhausted", "project.tokensPerMonth", 100),
    ]
    clock.set(MONTH_END)
    spend(engine, tenant, 85)
    assert told(engine)[2:] == [("budget.warning", "project.tokensPerMonth", 85)]


def test_a_gate_that_closes_by_the_estimate_says_so_once(engine: Engine, tenant: Tenant) -> None:
    budgets(engine, tenant.project, tokensPerMonth=100)
    spend(engine, tenant, 50)
    for _ in range(2):
        gate(engine, tenant, 60)

    assert told(engine) == [("budget.exhausted", "project.tokensPerMonth", 50)]


@pytest.mark.parametrize("who", ["project", "team"])
def test_another_budget_releases_what_a_budget_holds_and_nothing_else(
    engine: Engine, tenant: Tenant, who: str
) -> None:
    stranger = engine.tenant()
    mine, other, provider = job(engine, tenant), job(engine, stranger), job(engine, tenant)
    for id_, held in ((mine, "budget"), (other, "budget"), (provider, "provider")):
        engine.do(
            "with r as (delete from outbox.ready where job_id = %s returning *) insert into outbox.later"
            " select run_at + interval '1 day', lane, job_id, queue_id, priority, attempt, no, series, %s"
            " from r",
            id_, held,
        )  # fmt: skip
    if who == "project":
        budgets(engine, tenant.project, tokensPerMonth=10**6)
    else:
        team_budgets(engine, tenant.team, tokensPerMonth=10**6)

    assert [engine.place_of(id_) for id_ in (mine, other, provider)] == ["ready", "later", "later"]
