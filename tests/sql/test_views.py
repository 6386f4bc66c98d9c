"""Each view on a made situation, and the columns that sql/README.md promises."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.sql.engine import MINUTE, Conn, Engine

SQL = Path(__file__).parents[2] / "sql"
VIEWS = sorted(path.stem for path in (SQL / "views").glob("*.sql"))


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


async def view(engine: Engine, name: str, where: str = "true") -> list[dict[str, Any]]:
    return await engine.rows(f"select * from outbox.{name} where {where}")


def promised() -> dict[str, list[str]]:
    """The table of views in the contract."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", (SQL / "README.md").read_text(), re.MULTILINE)
    return {name: [column.strip() for column in columns.split(",")] for name, columns in rows}


@pytest.mark.parametrize("name", VIEWS)
async def test_the_columns_are_those_of_the_contract(engine: Engine, name: str) -> None:
    cursor = await engine.conn.execute(f"select * from outbox.{name} limit 0".encode())
    assert cursor.description is not None
    assert promised()[name] == [column.name for column in cursor.description]


def test_the_contract_names_no_other_view() -> None:
    assert VIEWS == sorted(promised())


async def test_no_view_shows_a_payload(engine: Engine, conn: Conn) -> None:
    await engine.route()
    worker = await engine.worker()
    await engine.rows(
        "select outbox.publish('x.y', '{\"secret\": \"hunter2\"}', p_project => %s)", engine.project
    )
    await engine.fail(worker, await engine.claim_one(worker))
    await engine.call("enqueue", "work", {"secret": "hunter2"}, engine.project)
    for name in VIEWS:
        if name not in ("vacuum_pins", "pending_stalled"):
            assert "hunter2" not in str(await view(engine, name)), name


async def test_queue_depth(engine: Engine, clock: Clock) -> None:
    worker = await engine.worker()
    first = clock.now + timedelta(milliseconds=1)
    for state in ("failed", "processing", "queued", "queued"):
        await engine.in_state(state, worker)
    await engine.enqueue(runAt=(clock.now + MINUTE).isoformat())
    await engine.call("snooze", await engine.enqueue(), clock.now + 2 * MINUTE)
    await engine.call("configure_queue", "work", {"concurrency": 5})
    (row,) = await view(engine, "queue_depth", "queue = 'work'")
    counts = {
        name: row[name] for name in ("due", "later", "held", "running", "failed", "workers", "idle_workers")
    }
    assert {
        "due": 2,
        "later": 2,
        "held": 1,
        "running": 1,
        "failed": 1,
        "workers": 1,
        "idle_workers": 1,
    } == counts
    assert ("work", "pull:work", False, False, 5) == tuple(
        row[name] for name in ("queue", "handler", "capped", "paused", "concurrency")
    )
    assert row["lag"] == clock.now - row["oldest_due_at"]
    assert row["oldest_due_at"] > first
    assert row["next_due_at"] > clock.now


async def test_queue_depth_counts_to_ten_thousand(engine: Engine) -> None:
    await engine.enqueue()
    await engine.rows(
        "insert into outbox.ready select outbox.clock(), lane, gen_random_uuid(), queue_id, 0, 0, 0, 0"
        " from outbox.ready, generate_series(1, 10000) returning 1"
    )
    (row,) = await view(engine, "queue_depth", "queue = 'work'")
    assert (10000, True) == (row["due"], row["capped"])
    (tenant,) = await view(engine, "tenant_depth")
    assert (10000, True) == (tenant["due"], tenant["capped"])


async def test_a_blocked_lane_is_no_lag(engine: Engine, clock: Clock) -> None:
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": "block"})
    await engine.publish("k")
    await engine.publish("k")
    worker = await engine.worker()
    await engine.fail(worker, await engine.claim_one(worker))
    (row,) = await view(engine, "queue_depth", "queue = 'work'")
    assert (1, None) == (row["due"], row["lag"])


async def test_tenant_depth(engine: Engine) -> None:
    other = await engine.add_project()
    await engine.route()
    for queue in ("aaa", "zzz"):
        await engine.enqueue(queue)
    for _ in range(3):
        await engine.enqueue("aaa", project=other)
    await engine.publish("k")
    await engine.call("weigh", "aaa", other, 4)
    await engine.call("pause", "aaa", other)
    rows = await engine.rows("select * from outbox.tenant_depth order by queue, due")
    assert [
        ("aaa", engine.project, 1),
        ("aaa", other, 3),
        ("work", engine.project, 1),
        ("zzz", engine.project, 1),
    ] == [(row["queue"], row["project_id"], row["due"]) for row in rows]
    assert (4, True) == (rows[1]["weight"], rows[1]["paused"])
    assert (1, False) == (rows[0]["weight"], rows[0]["paused"])
    assert all(row["oldest_due_at"] for row in rows)


async def test_open_leases(engine: Engine, clock: Clock) -> None:
    job = await engine.enqueue()
    worker = await engine.worker(host="box-1")
    claimed = await engine.claim_one(worker)
    clock.forward(MINUTE)
    (row,) = await view(engine, "open_leases")
    assert (job, "work", worker, "box-1", claimed["lease_id"], 1, MINUTE) == tuple(
        row[name] for name in ("job_id", "queue", "worker_id", "host", "lease_id", "attempt", "age")
    )


async def test_stuck_jobs(engine: Engine, clock: Clock) -> None:
    await engine.route("keyed")
    await engine.call("configure_queue", "keyed", {"onDead": "block"})
    worker = await engine.worker("work", "keyed", "busy", "paused")
    expected = {}
    head, behind = await engine.publish("k"), await engine.publish("k")
    await engine.fail(worker, await engine.claim_one(worker))
    expected[behind] = "lane"
    silent = await engine.worker("silent")
    expected[await engine.enqueue("silent")] = "worker_silent"
    await engine.claim_one(silent)
    expected[await engine.enqueue("paused")] = "queue_paused"
    await engine.call("pause", "paused")
    expected[await engine.enqueue("nobody")] = "no_worker"
    expected[await engine.enqueue("busy")] = "busy"
    expected[await engine.enqueue(runAt=(clock.now + timedelta(seconds=1)).isoformat())] = "not_staged"
    expected[await engine.publish("late", place=False)] = "not_numbered"
    clock.forward(2 * MINUTE)
    await engine.rows("select * from outbox.beat(%s)", worker)
    rows = await engine.rows("select * from outbox.stuck_jobs")
    assert expected == {row["job_id"]: row["reason"] for row in rows}
    assert head == next(row["blocked_by"] for row in rows if row["job_id"] == behind)
    assert sorted(row["since"] for row in rows) == [row["since"] for row in rows]


async def test_nothing_is_stuck_within_a_minute(engine: Engine) -> None:
    await engine.enqueue()
    assert [] == await view(engine, "stuck_jobs")


async def test_held_jobs(engine: Engine, clock: Clock) -> None:
    await engine.route()
    for job in (await engine.publish(), await engine.publish(), await engine.publish("k")):
        await engine.call("snooze", job, clock.now + MINUTE, "budget")
    await engine.call("snooze", await engine.publish("l"), clock.now + MINUTE, "provider")
    rows = await engine.rows("select * from outbox.held_jobs order by held")
    assert [("budget", 3, False), ("provider", 1, False)] == [
        (row["held"], row["jobs"], row["capped"]) for row in rows
    ]
    assert rows[0]["oldest_at"] < clock.now < rows[0]["until"]


async def test_dead_jobs(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.enqueue()
    await engine.fail(worker, await engine.claim_one(worker), status=502, error="x" * 400)
    (row,) = await view(engine, "dead_jobs")
    assert (job, "work", "pull:work", 1, "Boom", 502, "x" * 300) == tuple(
        row[name] for name in ("job_id", "queue", "handler", "attempts", "class", "status", "error")
    )


async def test_failure_groups(engine: Engine, clock: Clock) -> None:
    worker = await engine.worker()
    for n in range(3):
        await engine.enqueue()
        await engine.fail(worker, await engine.claim_one(worker), error=f"order {n} is odd\nmore", status=500)
    await engine.enqueue()
    await engine.fail(worker, await engine.claim_one(worker), error="other")
    rows = await engine.rows("select * from outbox.failure_groups order by jobs desc")
    assert [("order # is odd", 500, 3, 3), ("other", None, 1, 1)] == [
        (row["error_head"], row["status"], row["attempts"], row["jobs"]) for row in rows
    ]
    assert rows[0]["first_at"] < rows[0]["last_at"]
    clock.forward(timedelta(hours=25))
    assert [] == await view(engine, "failure_groups")


async def test_throughput(engine: Engine, clock: Clock) -> None:
    clock.set(clock.now.replace(second=10))
    worker = await engine.worker()
    for state in ("completed", "completed", "failed"):
        await engine.in_state(state, worker)
    (row,) = await view(engine, "throughput")
    assert (2, 1, 0, False) == tuple(row[name] for name in ("completed", "failed", "lost", "complete"))
    assert (5, 5) == (row["run_p50_ms"], row["run_p95_ms"])
    clock.forward(MINUTE)
    (row,) = await view(engine, "throughput")
    assert row["complete"]


async def test_blocked_lanes(engine: Engine, clock: Clock) -> None:
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": "block"})
    worker = await engine.worker()
    dead = await engine.publish("dead")
    await engine.publish("dead")
    await engine.fail(worker, await engine.claim_one(worker))
    held, retries = await engine.publish("held"), await engine.publish("retries")
    await engine.call("snooze", held, clock.now + MINUTE, "budget")
    await engine.settle(worker, await engine.claim_one(worker), "failed", retryInMs=60_000)
    await engine.publish("fine")
    rows = await engine.rows("select * from outbox.blocked_lanes order by state")
    assert [("dead", dead, "blocked", 1), ("held", held, "held", 0), ("retries", retries, "waiting", 0)] == [
        (row["ordering_key"], row["head_job_id"], row["state"], row["waiting"]) for row in rows
    ]
    assert rows[0]["due_at"] is None
    assert rows[1]["due_at"] > clock.now


async def test_live_workers(engine: Engine, clock: Clock) -> None:
    worker = await engine.worker(host="box-1", version="1.0", pid=42)
    assert ["alive"] == [row["state"] for row in await view(engine, "live_workers")]
    await engine.rows("update outbox.workers set draining = true returning id")
    assert ["draining"] == [row["state"] for row in await view(engine, "live_workers")]
    clock.forward(timedelta(seconds=5))
    (row,) = await view(engine, "live_workers")
    assert (worker, "box-1", 42, "1.0", "silent", timedelta(seconds=5)) == tuple(
        row[name] for name in ("worker_id", "host", "pid", "version", "state", "beat_age")
    )


async def test_a_worker_that_has_gone_works_no_queue_whether_it_beat_or_not(
    engine: Engine, clock: Clock
) -> None:
    await engine.enqueue()
    await engine.worker()
    await engine.worker(liveness="lease", leaseSeconds=60)
    for seconds, alive in ((0, 2), (20, 1), (281, 0)):
        clock.forward(timedelta(seconds=seconds))
        (row,) = await view(engine, "queue_depth", "queue = 'work'")
        assert row["workers"] == alive, seconds


async def test_endpoint_health(engine: Engine, clock: Clock) -> None:
    job = await engine.enqueue("endpoint:x", handler="deliver")
    await engine.rows(
        "insert into outbox.endpoints (id, team_id, project_id, queue_id, url, last_class, created_at,"
        " updated_at) select %s, %s, %s, id, 'https://user:pass@hooks.example.org:8443/x?y', 'timeout',"
        " now(), now() from outbox.queues where name = 'endpoint:x' returning id",
        job,
        engine.team,
        engine.project,
    )
    await engine.rows(
        "update outbox.queues set closed_until = %s, closed_reason = 'breaker' returning id",
        clock.now + MINUTE,
    )
    (row,) = await view(engine, "endpoint_health")
    assert ("hooks.example.org", "enabled", "breaker", "timeout", 1, clock.now + MINUTE) == tuple(
        row[name] for name in ("host", "state", "reason", "last_class", "queued", "closed_until")
    )


async def test_stream_lag(engine: Engine, clock: Clock) -> None:
    await engine.route()
    await engine.publish()
    await engine.publish(place=False)
    clock.forward(MINUTE)
    (row,) = await view(engine, "stream_lag")
    assert (1, 0, 1, MINUTE, False) == tuple(
        row[name] for name in ("head", "floor", "pending", "oldest_pending_age", "capped")
    )


async def test_pending_stalled(engine: Engine, dsn: str) -> None:
    assert [] == await view(engine, "pending_stalled")
    async with await psycopg.AsyncConnection.connect(dsn) as slow:
        await slow.execute("select outbox.publish('x', '{}', p_project => %s)", [engine.project])
        await slow.execute("select pg_sleep(1.1)")
        (row,) = await view(engine, "pending_stalled")
        assert (slow.info.backend_pid, "idle in transaction") == (row["pid"], row["state"])


async def test_chore_health(engine: Engine, clock: Clock) -> None:
    await engine.rows(
        "insert into outbox.chores (name, last_success_at) values ('reap', %s), ('stage', %s) returning 1",
        clock.now - timedelta(seconds=62),
        clock.now - timedelta(seconds=64),
    )
    late = {row["chore"]: row["late"] for row in await view(engine, "chore_health")}
    assert (False, True, True) == (late["reap"], late["stage"], late["vacuum"])


async def test_vacuum_pins(engine: Engine, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, application_name="report") as old:
        await old.execute("set transaction isolation level repeatable read")
        await old.execute("select 1")
        rows = await view(engine, "vacuum_pins", "application = 'report'")
        assert [
            ("session", old.info.backend_pid, f"select pg_terminate_backend({old.info.backend_pid})")
        ] == [(row["kind"], row["pid"], row["cure"]) for row in rows]
        assert rows[0]["xmin_age"] >= 0


async def test_table_health(engine: Engine) -> None:
    names = [row["table_name"] for row in await view(engine, "table_health")]
    assert {"jobs", "ready", "events"} <= set(names)
    assert len(names) == len(set(names))
    assert "jobs_all" not in names


async def test_held_partitions(engine: Engine, conn: Conn, clock: Clock) -> None:
    await conn.execute("alter table outbox.jobs detach partition outbox.jobs_all; truncate outbox.jobs_all")
    clock.set(clock.now.replace(hour=12))
    await conn.execute("select outbox.make_partitions(1)")
    job = await engine.enqueue(runAt=(clock.now + timedelta(days=100)).isoformat())
    clock.forward(timedelta(days=40))
    rows = await view(engine, "held_partitions", "held_by is not null")
    assert [("jobs", job)] == [(row["table_name"], row["held_by"]) for row in rows]
    assert rows[0]["from_at"] < clock.now - timedelta(days=39) < rows[0]["to_at"] + timedelta(days=1)


async def test_key_use(engine: Engine, clock: Clock) -> None:
    day = timedelta(days=1)
    made = {
        "revoked": (None, None, clock.now),
        "expired": (None, clock.now - day, None),
        "expires within 14 days": (None, clock.now + day, None),
        "never used": (None, None, None),
        "unused for 90 days": (clock.now - 91 * day, None, None),
        None: (clock.now, None, None),
    }
    for n, (note, (used, expires, revoked)) in enumerate(made.items()):
        await engine.rows(
            "insert into outbox.keys (id, hash, prefix, name, scopes, actor, created_at, last_used_at,"
            " expires_at, revoked_at) values (gen_random_uuid(), sha256(%s::bytea), 'x', %s, '{}', 'x',"
            " now(), %s, %s, %s) returning 1",
            str(n).encode(),
            note,
            used,
            expires,
            revoked,
        )
    rows = await view(engine, "key_use")
    assert len(made) == len(rows)
    assert [row["name"] for row in rows] == [row["note"] for row in rows]


async def test_audit_trail_is_one_chain_per_job(engine: Engine) -> None:
    await engine.route()
    job = await engine.publish()
    event = await engine.value("select event_id from outbox.jobs where id = %s", job)
    worker = await engine.worker()
    await engine.settle(worker, await engine.claim_one(worker), "failed", retryInMs=0)
    await engine.fail(worker, await engine.claim_one(worker))
    await engine.call("retry", job)
    await engine.settle(worker, await engine.claim_one(worker))
    rows = await engine.rows("select * from outbox.audit_trail where event_id = %s order by at", event)
    assert ["event.received", "job.queued"] == [row["action"] for row in rows[:2]]
    assert ["job.completed", "job.failed", *["job.processing"] * 3, "job.retry_scheduled"] == sorted(
        row["action"] for row in rows[2:]
    )
    told = await engine.rows(
        "select action, actor from outbox.audit_trail where job_id = %s order by at", job
    )
    assert "job.retried_by_operator" in [row["action"] for row in told]


@pytest.mark.parametrize("queue", ["work", "observe"])
async def test_what_is_done_to_a_job_is_said_once_and_by_its_name(engine: Engine, queue: str) -> None:
    handler = "observe" if queue == "observe" else "pull:work"
    job = await engine.enqueue(queue, handler=handler)
    worker = await engine.value(
        "select worker_id from outbox.enlist('w', %s, null, '{\"slots\": 9}')", [handler]
    )
    await engine.settle(worker, await engine.claim_one(worker), "snoozed", retryInMs=0)
    await engine.rows("select outbox.stage()")
    claimed = await engine.claim_one(worker)
    await engine.rows("select outbox.release(%s, %s)", worker, claimed["lease_id"])
    await engine.fail(worker, await engine.claim_one(worker))
    await engine.call("retry", job)
    await engine.call("cancel", job)
    ledger = await engine.ledger(job)
    assert ["snoozed", "released", "failed", "retried", "cancelled"] == ledger
    prefix = "generation_job" if queue == "observe" else "job"
    named = ["queued", "processing", "processing", "processing", "failed"]
    done = ["retried_by_operator", "cancelled_by_operator"]
    caller = "row(null, null, true, null, 'cli:ann', null)::outbox.caller"
    for rows in (
        await engine.rows("select action from outbox.audit_trail where job_id = %s", job),
        await engine.rows(
            f"select action from outbox.audit_page({caller}, %s::jsonb, null, 99)", f'{{"jobId": "{job}"}}'
        ),
        await engine.rows(f"select action from outbox.audit_page({caller}, '{{}}', null, 99)"),
    ):
        told = [row["action"] for row in rows if row["action"].startswith(f"{prefix}.")]
        assert sorted(f"{prefix}.{verb}" for verb in named + done) == sorted(told)


async def test_a_job_put_off_beyond_its_deadline_has_failed(engine: Engine, clock: Clock) -> None:
    job = await engine.enqueue(deadline=(clock.now + MINUTE).isoformat())
    worker = await engine.worker()
    await engine.settle(worker, await engine.claim_one(worker), "snoozed", retryInMs=600_000)
    assert ["failed"] == await engine.states(job)
    (row,) = await view(engine, "audit_trail", f"job_id = '{job}' and action like '%failed'")
    assert ("job.failed", "snoozed") == (row["action"], row["details"]["classification"])


async def test_audit_trail_follows_a_request(engine: Engine) -> None:
    caller = "row(null, null, true, null, 'key:x', 'r-1')::outbox.caller"
    (made,) = await engine.call("enqueue", "work", {}, engine.project, caller=caller)
    await engine.claim_one(await engine.worker())
    rows = await engine.rows(
        "select action, job_id from outbox.audit_trail where request_id = 'r-1' order by at"
    )
    assert [("job.queued", made["job_id"]), ("job.processing", made["job_id"])] == [
        tuple(row.values()) for row in rows
    ]


async def test_generation_has_its_own_names_in_the_trail(engine: Engine) -> None:
    job = await engine.enqueue("observe", handler="observe")
    (row,) = await view(engine, "audit_trail", f"job_id = '{job}' and action like '%queued'")
    assert ("generation_job.queued", "observation_generation_job") == (row["action"], row["resource_type"])


async def test_server_health(engine: Engine) -> None:
    rows = {row["check_name"]: row for row in await view(engine, "server_health")}
    assert {"version", "connections", "notification_queue", "fsync", "synchronous_commit"} <= set(rows)
    assert rows["version"]["ok"]
    assert not rows["fsync"]["ok"]  # this test server is run without


# Generation --------------------------------------------------------------------------------------------


async def called(engine: Engine, at: Any, provider: str = "claude", /, **more: Any) -> None:
    said = {"class": "ok", "in": 100, "out": 20, "cost": 7, "project": engine.project} | more
    await engine.rows(
        "insert into outbox.usage_calls (id, at, team_id, project_id, job_id, provider, model, class,"
        " tokens_in, tokens_out, estimated, cost_micros, ms, observations)"
        " values (gen_random_uuid(), %s, %s, %s,"
        " gen_random_uuid(), %s, 'm', %s, %s, %s, false, %s, 5, 1) returning 1",
        *(at, engine.team, said["project"], provider, said["class"], said["in"], said["out"], said["cost"]),
    )


async def set_row(engine: Engine, name: str, value: str) -> None:
    await engine.rows("insert into outbox.settings values (%s, %s) returning 1", name, value)


async def test_provider_health(engine: Engine, clock: Clock) -> None:
    clock.set(clock.now.replace(hour=12))
    await set_row(engine, "providers", "claude,offline")
    await called(engine, clock.now - timedelta(hours=30))
    await called(engine, clock.now - timedelta(hours=2))
    await called(engine, clock.now - MINUTE, **{"class": "ok", "cost": None})
    for kind in ("transient", "cancelled", "lost"):
        await called(engine, clock.now, **{"class": kind, "in": 1, "out": 0, "cost": None})
    await engine.rows("select outbox.provider_failed('claude', 'quota_exhausted', null, true)")
    await engine.rows("select outbox.provider_failed('gemini', 'transient', null, false)")
    rows = {row["provider"]: row for row in await view(engine, "provider_health")}
    assert {"claude", "gemini", "offline"} == set(rows)
    claude = rows["claude"]
    assert ("quota_exhausted", clock.now, clock.now + timedelta(minutes=15)) == (
        claude["class"],
        claude["since"],
        claude["held_until"],
    )
    assert (clock.now - MINUTE, 4, 1) == tuple(claude[n] for n in ("last_ok_at", "calls_1h", "failed_1h"))
    assert (243, 7, 5) == tuple(claude[n] for n in ("tokens_today", "cost_micros_today", "calls_today"))
    assert (1, 0, False) == tuple(claude[n] for n in ("holds", "failures", "capped"))
    assert (None, 1) == (rows["gemini"]["held_until"], rows["gemini"]["failures"])
    clock.forward(timedelta(minutes=16))
    over = (await view(engine, "provider_health", "provider = 'claude'"))[0]
    assert (None, "quota_exhausted") == (over["held_until"], over["class"])


async def test_usage_by_day(engine: Engine, clock: Clock) -> None:
    clock.set(clock.now.replace(day=15, hour=12))
    other = await engine.add_project()
    await set_row(engine, "budget_tokens_per_month", "1000")
    await engine.rows(
        "update outbox.projects set settings = %s where id = %s returning 1",
        *(Jsonb({"budgets": {"tokensPerMonth": 240}}), engine.project),
    )
    await called(engine, clock.now - timedelta(days=100))
    await called(engine, clock.now - timedelta(days=20))
    await called(engine, clock.now - timedelta(days=1))
    await called(engine, clock.now)
    await called(engine, clock.now, "gemini", **{"class": "timeout", "out": 0, "cost": None})
    await called(engine, clock.now, project=other)
    await engine.rows(
        "insert into outbox.usage_requests (team_id, project_id, day, requests)"
        " values (%s, %s, %s, 9) returning 1",
        *(engine.team, other, clock.now.date()),
    )
    today = f"day = '{clock.now.date()}' and project_id = '{engine.project}'"
    rows = await view(engine, "usage_by_day", f"{today} and provider = 'claude'")
    assert {
        "call": 1,
        "tokens_in": 100,
        "tokens_out": 20,
        "tokens": 120,
        "cost_micros": 7,
        "observation": 1,
    } == {row["kind"]: row["total"] for row in rows}
    [tokens] = [row for row in rows if row["kind"] == "tokens"]
    # 120 of yesterday, 120 and 100 of today; the month before does not count.
    assert (240, 1.4167) == (tokens["cap"], float(tokens["used_ratio"]))
    theirs = await view(engine, "usage_by_day", f"project_id = '{other}' and cap is not null")
    assert [("tokens", 1000, 0.12)] == [(row["kind"], row["cap"], float(row["used_ratio"])) for row in theirs]
    failed = await view(engine, "usage_by_day", f"{today} and provider = 'gemini'")
    assert {"call", "call_failed", "call_unpriced"} < {row["kind"] for row in failed}
    [asked] = await view(engine, "usage_by_day", "kind = 'request'")
    assert (other, None, 9) == (asked["project_id"], asked["provider"], asked["total"])
    assert 3 == len(await engine.rows("select distinct day from outbox.usage_by_day"))


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["provider_health", "usage_by_day"])
async def test_views_of_usage_answer_at_once_when_much_was_called(engine: Engine, name: str) -> None:
    projects = [engine.project, *[await engine.add_project() for _ in range(19)]]
    await engine.rows(
        "insert into outbox.usage_calls (id, at, team_id, project_id, job_id, provider, model, class,"
        " tokens_in, tokens_out, estimated, cost_micros, ms, observations)"
        " select gen_random_uuid(), outbox.clock() - g * interval '20 s', %s, (%s::uuid[])[1 + g %% 20],"
        " gen_random_uuid(), (array['claude', 'gemini'])[1 + g %% 2], 'm', 'ok', 10, 10, false, 1, 5, 1"
        " from generate_series(1, 200000) g returning 1",
        *(engine.team, projects),
    )
    await engine.conn.execute("analyze outbox.usage_calls")
    took = []
    for _ in range(3):
        (plan,) = await engine.rows(f"explain (analyze, timing off, format json) select * from outbox.{name}")
        took.append(plan["QUERY PLAN"][0]["Execution Time"])
    assert min(took) < 200


async def test_what_a_closed_provider_keeps_waiting_is_held(engine: Engine, clock: Clock) -> None:
    for queue in ("observe", "summarize"):
        await engine.enqueue(queue, handler=queue)
    assert [] == await view(engine, "held_jobs")
    await engine.rows("select outbox.provider_failed('claude', 'auth_invalid', interval '5 min', true)")
    rows = await engine.rows("select * from outbox.held_jobs order by queue")
    assert [("provider", "observe", 1), ("provider", "summarize", 1)] == [
        (row["held"], row["queue"], row["jobs"]) for row in rows
    ]
    assert [engine.project, clock.now + timedelta(minutes=5)] == [rows[0]["project_id"], rows[0]["until"]]
    clock.forward(timedelta(minutes=6))
    assert [] == await view(engine, "held_jobs")


async def test_the_trail_of_a_time_has_jobs_however_old_they_are(engine: Engine, clock: Clock) -> None:
    job = await engine.enqueue()
    clock.forward(timedelta(days=120))
    await engine.claim(await engine.worker())
    caller = "row(null, null, true, null, 'cli:ann', null)::outbox.caller"
    filtered = Jsonb({"since": (clock.now - MINUTE).isoformat()})
    rows = await engine.rows(f"select * from outbox.audit_page({caller}, %s, null, 99)", filtered)
    assert [("job.failed", str(job))] == [
        (row["action"], row["resource_id"]) for row in rows if row["resource_type"] == "job"
    ]
