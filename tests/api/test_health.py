"""What is told of the process's health, and to whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.daemon.readiness import Readiness
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, serving
from tests.clock import Clock

Conn = AsyncConnection[DictRow]
proves = pytest.mark.proves

UNSAID = ("host", "pid", "worker", "platform", "prefix", "model", "claude", "dsn", "127.0.0.1")
OPEN = ("/livez", "/readyz", "/healthz", "/api/health", "/api/readiness", "/api/version", "/v1/info", "/")


async def checks(db: Database, provider: str = "claude") -> dict[str, str]:
    made = Readiness(db, {}, provider=provider)
    made.booted = True
    return await made.checks()


@proves("M22")
async def test_a_server_that_keeps_up_is_ready(db: Database, conn: Conn) -> None:
    assert {"ok"} == set((await checks(db)).values())


@proves("M22")
async def test_a_queue_that_is_a_quarter_of_an_hour_late_degrades_it(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute("select outbox.enqueue(outbox.me(), 'work', '{}', %s, '{}')", [tenant.project])
    clock.forward(timedelta(minutes=14))
    assert "ok" == (await checks(db))["queues"]
    clock.forward(timedelta(minutes=2))
    assert "degraded" == (await checks(db))["queues"]


@proves("M22")
@pytest.mark.parametrize("stands_in", [False, True])
async def test_a_default_provider_on_hold_degrades_it(
    db: Database, conn: Conn, clock: Clock, stands_in: bool
) -> None:
    held = "select outbox.provider_failed(%s, 'quota_exhausted', null, %s)"
    await conn.execute(held, ["gemini", False])
    assert "ok" == (await checks(db))["provider"]
    await conn.execute(held, ["claude", not stands_in])
    assert "degraded" == (await checks(db))["provider"]
    # Whatever this process thinks is the default, queues that are closed are closed.
    assert ("ok" if stands_in else "degraded") == (await checks(db, "offline"))["provider"]
    clock.forward(timedelta(minutes=16))
    assert "ok" == (await checks(db))["provider"]


@proves("M22")
async def test_a_chore_that_is_late_degrades_it(db: Database, conn: Conn, clock: Clock) -> None:
    await conn.execute("insert into outbox.chores (name, last_success_at) values ('reap', outbox.clock())")
    assert "ok" == (await checks(db))["chores"]
    clock.forward(timedelta(minutes=2))
    assert "degraded" == (await checks(db))["chores"]


@proves("M22")
async def test_health_tells_what_works_and_nothing_of_where(db: Database, conn: Conn) -> None:
    async with serving(db) as served:
        served.ready.found = {"database": "ok", "provider": "degraded"}
        health = (await served.http.get("/api/health")).json()
        said = {path: (await served.http.get(path)).text.lower() for path in OPEN}

    assert ("degraded", True) == (health["status"], health["dependencies"]["degraded"])
    assert {"database": "ok", "provider": "degraded"} == health["dependencies"]["statuses"]
    # Names of fields that older clients look for, whose values are constant.
    shown = {
        path: text.replace("workerpath", "").replace("generationworkermanager", "")
        for path, text in said.items()
    }
    assert [] == [(path, word) for path, text in shown.items() for word in UNSAID if word in text]


@proves("M27")
@pytest.mark.parametrize(
    ("policy", "told", "reason"), [("off", "disabled", "generation"), ("per-event", "enabled", "role")]
)
async def test_health_tells_whether_anything_is_generated(
    db: Database, policy: str, told: str, reason: str
) -> None:
    async with serving(db, GENERATION=policy) as served:
        health = (await served.http.get("/api/health")).json()
        info = (await served.http.get("/v1/info")).json()

    assert told == health["ai"]["provider"]
    # This process serves only: who works tells more in its log.
    assert {"status": "disabled", "reason": reason} == info["boundaries"]["generationWorkerManager"]


async def lanes(served: Served, key: str | None) -> dict[str, Any]:
    async with served.client(key) as http:
        reply = await http.get("/v1/info")
    assert 200 == reply.status_code
    return {lane["kind"]: lane for lane in reply.json()["queueLanes"]}


async def made(conn: Conn, project: Any, queue: str, **options: Any) -> None:
    await conn.execute(
        "select outbox.enqueue(outbox.me(), %s, '{}', %s, %s)",
        [queue, project, Jsonb({"handler": queue, **options})],
    )


@proves("M22")
async def test_lanes_are_told_to_a_key_that_reads_jobs_and_of_its_team_alone(
    db: Database, conn: Conn
) -> None:
    mine = await seed.tenant(conn, "acme", "jobs:read")
    theirs = await seed.tenant(conn, "umbrella", "jobs:read")
    _, blind = await seed.key(conn, mine.team, "events:write")
    _, operator = await seed.key(conn, None, "*")
    for _ in range(2):
        await made(conn, mine.project, "observe")
    await made(conn, mine.project, "observe", runAt=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    await made(conn, theirs.project, "summarize")
    async with serving(db) as served:
        assert {} == await lanes(served, None)
        assert {} == await lanes(served, blind)
        assert {} == await lanes(served, operator)
        ours = await lanes(served, mine.key)
        other = await lanes(served, theirs.key)

    assert ("observe", 2, 1, 0) == tuple(ours["observe"][n] for n in ("name", "waiting", "delayed", "active"))
    assert 0 == ours["summarize"]["waiting"]
    assert (0, 1) == (other["observe"]["waiting"], other["summarize"]["waiting"])


async def test_lanes_tell_what_runs_failed_and_is_done(db: Database, conn: Conn) -> None:
    mine = await seed.tenant(conn, "acme", "jobs:read")
    for _ in range(4):
        await made(conn, mine.project, "observe")
    found = await conn.execute(
        "select worker_id from outbox.enlist('w', '{observe}', null, '{\"slots\": 10}')"
    )
    [row] = await found.fetchall()
    claimed = await (await conn.execute("select * from outbox.claim(%s, 3)", [row["worker_id"]])).fetchall()
    for job, outcome in zip(claimed, ("completed", "failed"), strict=False):
        said = {
            "lease": str(job["lease_id"]),
            "job": str(job["job_id"]),
            "outcome": outcome,
            "ms": 1,
            "final": True,
        }
        await conn.execute("select * from outbox.settle(%s, %s)", [row["worker_id"], Jsonb([said])])
    async with serving(db) as served:
        observe = (await lanes(served, mine.key))["observe"]
    names = ("waiting", "active", "completed", "failed", "delayed")
    assert (1, 1, 1, 1, 0) == tuple(observe[name] for name in names)
