"""Limits of a minute and of a month: who is counted, what is said, and what happens when nobody can count."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd import telemetry
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, problem, serving
from tests.clock import Clock
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
SAID = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-policy", "ratelimit")


async def statuses(served: Served, calls: int, path: str = "/v1/me") -> list[int]:
    return [(await served.http.get(path)).status_code for _ in range(calls)]


async def requests(conn: Conn) -> dict[str, Any]:
    cur = await conn.execute(
        "select coalesce(sum(requests), 0)::int as requests, coalesce(sum(refused), 0)::int as refused"
        " from outbox.usage_requests"
    )
    found = await cur.fetchone()
    assert found
    return found


async def cap(conn: Conn, team: UUID, most: int) -> None:
    await conn.execute(
        "update outbox.teams set budgets = jsonb_build_object('requestsPerMonth', %s::int) where id = %s",
        [most, team],
    )


async def test_without_a_setting_nothing_is_limited_or_said(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.get("/v1/me")

    assert 200 == reply.status_code
    assert not set(SAID) & set(reply.headers)
    assert 0 == len(await (await conn.execute("select from outbox.rate_windows")).fetchall())


async def test_a_key_has_so_many_requests_in_a_minute_and_each_reply_says_how_many_are_left(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    _, other = await seed.key(conn, tenant.team, "*")
    clock.set(clock.now.replace(second=20, microsecond=0))
    ends = int(clock.now.timestamp()) + 40
    async with serving(db, tenant.key, RATE_LIMIT_PER_MIN="2") as served:
        first, last, over = [await served.http.get("/v1/me") for _ in range(3)]
        async with served.client(other) as another:
            others = await another.get("/v1/me")
        clock.set(clock.now.replace(second=59))
        still = await served.http.get("/v1/me")
        clock.set(clock.now.replace(second=0, minute=(clock.now.minute + 1) % 60))
        fresh = await served.http.get("/v1/me")

    assert [200, 200, 429, 200] == [r.status_code for r in (first, last, over, others)]
    assert ["2", "1", str(ends), '"requests";q=2;w=60', '"requests";r=1;t=40'] == [
        first.headers[name] for name in SAID
    ]
    assert ("0", "0") == (last.headers["x-ratelimit-remaining"], over.headers["x-ratelimit-remaining"])
    refused = problem(over)
    assert ("rate_limited", 40_000, "40") == (
        refused["error"], refused["retryAfterMs"], over.headers["retry-after"],
    )  # fmt: skip
    assert (429, "1", 200) == (still.status_code, still.headers["retry-after"], fresh.status_code)


async def test_junk_spends_nobodys_rate_and_refused_requests_spend_their_own(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn, "acme", "events:write")
    async with serving(db, tenant.key, RATE_LIMIT_PER_MIN="3") as served:
        async with served.client("obx_junk") as junk:
            shut = [(await junk.get("/v1/me")).status_code for _ in range(10)]
        found = await statuses(served, 2, "/v1/connect") + await statuses(served, 2)
        await served.app.state.api.requests.once()

    assert [403] * 10 == shut
    assert [403, 403, 200, 429] == found
    assert {"requests": 1, "refused": 3} == await requests(conn)


@proves("I6")
async def test_processes_share_a_limit(db: Database, conn: Conn, dsn: str, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with (
        Database.open(dsn) as second_db,
        serving(db, tenant.key, RATE_LIMIT_PER_MIN="10") as one,
        serving(second_db, tenant.key, RATE_LIMIT_PER_MIN="10") as two,
    ):
        replies = await asyncio.gather(
            *(served.http.get("/v1/me") for served in (one, two) for _ in range(15))
        )

    assert 10 == sum(reply.status_code == 200 for reply in replies)
    assert 20 == sum(reply.status_code == 429 for reply in replies)


@proves("I6")
async def test_when_nobody_can_count_everybody_passes_and_a_metric_says_so(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute("drop table outbox.rate_windows")
    before = telemetry.LIMITS_NOT_ASKED_TOTAL.labels("requests")._value.get()
    async with serving(db, tenant.key, RATE_LIMIT_PER_MIN="1") as served:
        found = await statuses(served, 3)

    assert [200] * 3 == found
    assert before + 3 == telemetry.LIMITS_NOT_ASKED_TOTAL.labels("requests")._value.get()


@pytest.mark.parametrize("batch", [True, False])
@proves("M21")
async def test_events_of_a_project_are_limited_and_a_batch_costs_its_length(
    db: Database, conn: Conn, clock: Clock, batch: bool
) -> None:
    tenant = await seed.tenant(conn)
    _, other = await seed.key(conn, tenant.team, "*", project=tenant.project)
    event = {"eventType": "x"}
    async with serving(db, tenant.key, EVENT_RATE_PER_MIN="5") as served, served.client(other) as second:
        if batch:
            replies = [await served.http.post("/v1/events/batch", json=[event] * 5)]
        else:
            replies = [await served.http.post("/v1/events", json=event) for _ in range(5)]
        over = await second.post("/v1/events", json=event)
        over_batch = await second.post("/v1/events/batch", json=[event])
        read = await second.get("/v1/events")

    assert (201, "0") == (replies[-1].status_code, replies[-1].headers["x-ratelimit-remaining"])
    assert [429, 429, 200] == [reply.status_code for reply in (over, over_batch, read)]
    assert int(over.headers["retry-after"]) >= 1
    assert 5 == (await seed.counts(conn))["events"]


async def test_of_two_limits_the_one_that_refused_is_told(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    settings = {"RATE_LIMIT_PER_MIN": "9", "EVENT_RATE_PER_MIN": "1"}
    async with serving(db, tenant.key, **settings) as served:
        passed, over = [await served.http.post("/v1/events", json={"eventType": "x"}) for _ in range(2)]

    assert ("9", "1") == (passed.headers["x-ratelimit-limit"], over.headers["x-ratelimit-limit"])
    assert [1, 1] == [len(reply.headers.get_list("x-ratelimit-limit")) for reply in (passed, over)]


async def test_a_month_ends_with_402_which_says_used_and_cap(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, MONTHLY_REQUEST_CAP="3") as served:
        found = await statuses(served, 5)
        over = problem(await served.http.get("/v1/me"))
        await served.app.state.api.requests.once()

    assert [200, 200, 200, 402, 402] == found
    assert ("quota_exceeded", 3, 3) == (over["error"], over["used"], over["cap"])
    assert {"requests": 3, "refused": 3} == await requests(conn)


async def test_the_teams_cap_wins_and_what_other_processes_counted_counts(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    await cap(conn, tenant.team, 4)
    async with serving(db, tenant.key) as first:
        before = await statuses(first, 3)
        await first.app.state.api.requests.once()
    async with serving(db, tenant.key, MONTHLY_REQUEST_CAP="1") as second:
        after = await statuses(second, 2)
        async with second.client(other.key) as stranger:
            others = [(await stranger.get("/v1/me")).status_code for _ in range(2)]

    assert ([200] * 3, [200, 402], [200, 402]) == (before, after, others)


async def test_concurrent_requests_of_a_process_do_not_pass_the_cap(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, MONTHLY_REQUEST_CAP="5") as served:
        await served.http.get("/v1/me")
        replies = await asyncio.gather(*(served.http.get("/v1/me") for _ in range(20)))

    assert 4 == sum(reply.status_code == 200 for reply in replies)


async def test_what_is_refused_for_its_scope_takes_nothing_of_the_month(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn, "acme", "events:write")
    async with serving(db, tenant.key, MONTHLY_REQUEST_CAP="1") as served:
        found = await statuses(served, 3, "/v1/connect") + await statuses(served, 2)

    assert [403, 403, 403, 200, 402] == found


@proves("M20")
async def test_requests_are_metered_whether_or_not_there_is_a_cap(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, whole = await seed.key(conn, tenant.team, "*")
    async with serving(db, tenant.key) as served, served.client(whole) as team:
        await statuses(served, 3)
        await team.get("/v1/me")
        await served.http.get("/livez")
        await served.app.state.api.requests.once()
        await served.app.state.api.requests.once()
    cur = await conn.execute("select project_id, requests from outbox.usage_requests order by requests")

    assert [(None, 1), (tenant.project, 3)] == [
        (row["project_id"], row["requests"]) for row in await cur.fetchall()
    ]


async def test_what_could_not_be_written_is_written_the_next_time(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await statuses(served, 2)
        await conn.execute("alter table outbox.usage_requests rename to away")
        await served.app.state.api.requests.flush()
        await conn.execute("alter table outbox.away rename to usage_requests")
        await statuses(served, 1)
        await served.app.state.api.requests.once()

    assert {"requests": 3, "refused": 0} == await requests(conn)


@pytest.mark.parametrize("limit", ["RATE_LIMIT_PER_MIN", "EVENT_RATE_PER_MIN", "MONTHLY_REQUEST_CAP"])
@proves("M21")
async def test_the_routes_of_older_clients_are_under_the_same_limits(
    db: Database, conn: Conn, clock: Clock, limit: str
) -> None:
    tenant = await seed.tenant(conn)
    body = {"contentSessionId": "s", "tool_name": "Read", "tool_input": {}}
    async with serving(db, tenant.key, **{limit: "1"}) as served:
        found = [
            (await served.http.post("/api/sessions/observations", json=body | {"tool_use_id": str(n)}))
            for n in range(2)
        ]

    assert [200, 402 if limit == "MONTHLY_REQUEST_CAP" else 429] == [reply.status_code for reply in found]
