"""GET /v1/usage: a month of a team or a project, its kinds, caps and groups."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import tenants, usage
from tests import seed
from tests.api.served import serving
from tests.clock import Clock
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
NOW = datetime(2027, 3, 10, 12, tzinfo=UTC)
KINDS = {
    "request", "event", "observation", "call", "call_failed", "tokens", "tokens_in", "tokens_out",
    "cost_micros",
}  # fmt: skip


async def spend(conn: Conn, project: UUID, **said: Any) -> None:
    call = {
        "at": NOW, "model": "m1", "class": "ok", "tokens_in": 10, "tokens_out": 5, "cost_micros": 7,
        "observations": 2,
    } | said  # fmt: skip
    await conn.execute(
        "insert into outbox.usage_calls (id, at, team_id, project_id, job_id, provider, model, class,"
        " tokens_in, tokens_out, estimated, cost_micros, ms, observations)"
        " select %s, %s, team_id, id, %s, 'p', %s, %s, %s, %s, false, %s, 1, %s"
        " from outbox.projects where id = %s",
        [
            uuid4(), call["at"], uuid4(), call["model"], call["class"], call["tokens_in"], call["tokens_out"],
            call["cost_micros"], call["observations"], project,
        ],
    )  # fmt: skip


@pytest.fixture
def march(clock: Clock) -> Clock:
    clock.set(NOW)
    return clock


async def asked(http: Any, **query: str) -> dict[str, Any]:
    reply = await http.get("/v1/usage", params=query)
    assert 200 == reply.status_code, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def test_a_month_of_nothing_has_every_kind_and_iso_bounds(
    db: Database, conn: Conn, march: Clock
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        found = await asked(served.http)
        december = await asked(served.http, month="2026-12")

    assert ("2027-03-01T00:00:00.000Z", "2027-04-01T00:00:00.000Z") == (found["since"], found["until"])
    assert dict.fromkeys(KINDS, 0) == found["usage"]
    assert ({}, {}, [], 0) == (found["caps"], found["remaining"], found["groups"], found["costUnknownCalls"])
    assert ("2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z") == (december["since"], december["until"])


async def test_every_call_counts_whatever_came_of_it(db: Database, conn: Conn, march: Clock) -> None:
    tenant = await seed.tenant(conn)
    await spend(conn, tenant.project)
    await spend(conn, tenant.project, **{"class": "timeout", "observations": 0, "cost_micros": None})
    await spend(conn, tenant.project, at=datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC))
    async with serving(db, tenant.key) as served:
        await served.http.post("/v1/events/batch", json=[{"eventType": "x"}] * 3)
        await served.app.state.api.requests.once()
        found = await asked(served.http)

    assert {
        "request": 1, "event": 3, "observation": 2, "call": 2, "call_failed": 1, "tokens": 30,
        "tokens_in": 20, "tokens_out": 10, "cost_micros": 7,
    } == found["usage"]  # fmt: skip
    assert 1 == found["costUnknownCalls"]


async def test_a_project_key_sees_its_project_and_a_team_key_all_of_them(
    db: Database, conn: Conn, march: Clock
) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, whole = await seed.key(conn, tenant.team, "memories:read")
    for project in (tenant.project, sibling, sibling, other.project):
        await spend(conn, project)
    async with serving(db, tenant.key) as served, served.client(whole) as team:
        own, all_of_them = await asked(served.http), await asked(team)
        grouped = (await asked(team, groupBy="project"))["groups"]

    assert (1, 3) == (own["usage"]["call"], all_of_them["usage"]["call"])
    assert {str(tenant.project): 1, str(sibling): 2} == {
        group["key"]: group["usage"]["call"] for group in grouped
    }


async def test_it_is_grouped_by_model_and_by_day(db: Database, conn: Conn, march: Clock) -> None:
    tenant = await seed.tenant(conn)
    await spend(conn, tenant.project)
    await spend(conn, tenant.project, model="m2", at=datetime(2027, 3, 1, tzinfo=UTC))
    await spend(conn, tenant.project, model="m2", at=datetime(2027, 3, 31, 23, 59, tzinfo=UTC))
    async with serving(db, tenant.key) as served:
        by_model = (await asked(served.http, groupBy="model"))["groups"]
        by_day = (await asked(served.http, groupBy="day"))["groups"]
        refused = await served.http.get("/v1/usage", params={"groupBy": "colour"})

    assert {"m1": 1, "m2": 2} == {each["key"]: each["usage"]["call"] for each in by_model}
    assert ["2027-03-01", "2027-03-10", "2027-03-31"] == [each["key"] for each in by_day]
    assert 400 == refused.status_code


@pytest.mark.parametrize("month", ["2027", "2027-13", "2027-1", "27-01", "2027-01-01", "now"])
async def test_a_month_that_is_none_is_400(db: Database, conn: Conn, month: str) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        assert 400 == (await served.http.get("/v1/usage", params={"month": month})).status_code


async def test_caps_and_what_is_left_of_them(db: Database, conn: Conn, march: Clock) -> None:
    tenant = await seed.tenant(conn)
    _, whole = await seed.key(conn, tenant.team, "*")
    _, operator = await seed.key(conn, None, "admin")
    await spend(conn, tenant.project)
    async with serving(db, tenant.key) as served, served.client(whole) as team:
        budgets = {"tokensPerMonth": 10, "callsPerHour": 5}
        await served.http.patch(f"/v1/projects/{tenant.project}", json={"settings": {"budgets": budgets}})
        async with served.client(operator) as boss:
            caps = {"requestsPerMonth": 100, "costMicrosPerMonth": 10}
            await boss.patch(f"/v1/teams/{tenant.team}", json={"budgets": caps})
        await served.app.state.api.requests.once()
        own, all_of_them = await asked(served.http), await asked(team)

    assert (budgets, {"tokensPerMonth": 0, "callsPerHour": 4}) == (own["caps"], own["remaining"])
    assert caps == all_of_them["caps"]
    assert {"requestsPerMonth": 99, "costMicrosPerMonth": 3} == all_of_them["remaining"]


async def test_a_key_without_the_scope_is_403(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", "events:write")
    async with serving(db, tenant.key) as served:
        assert 403 == (await served.http.get("/v1/usage")).status_code


@proves("M23")
async def test_a_month_that_is_over_is_summed_up_once_and_outlives_its_rows(
    db: Database, conn: Conn, march: Clock
) -> None:
    tenant = await seed.tenant(conn)
    await spend(conn, tenant.project)
    await spend(conn, tenant.project, model="m2", cost_micros=None)
    async with serving(db, tenant.key) as served:
        await served.http.get("/v1/me")
        await served.app.state.api.requests.once()
        before = await asked(served.http, groupBy="model")
        march.set(datetime(2027, 4, 2, 1, tzinfo=UTC))
        for _ in range(2):
            await usage.roll_up(conn, march.now - NOW)
        kept = await asked(served.http, month="2027-03", groupBy="model")
        march.set(datetime(2028, 6, 2, 1, tzinfo=UTC))
        for _ in range(2):
            await usage.roll_up(conn, march.now - datetime(2027, 6, 1, tzinfo=UTC))
        left = await (await conn.execute("select from outbox.usage_calls")).fetchall()
        later = await asked(served.http, month="2027-03", groupBy="model")

    assert before["usage"] == kept["usage"] == later["usage"]
    assert 1 == before["usage"]["request"]
    assert before["groups"] == kept["groups"] == later["groups"]
    assert (1, 0) == (later["costUnknownCalls"], len(left))
