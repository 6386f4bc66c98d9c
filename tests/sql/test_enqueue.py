"""enqueue: direct jobs, their options, and unique keys."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant
from tests.proofs import proves

HOUR = timedelta(hours=1)


def refusal(engine: Engine, tenant: Tenant, options: Any, queue: str | None = "work") -> str | None:
    with pytest.raises(psycopg.Error) as refused:
        engine.do(
            f"select outbox.enqueue({EVERYWHERE}, %s, '{{}}', %s, %s)",
            *(queue, tenant.project, Jsonb(options)),
        )
    for table in ("jobs", "ready", "later", "expiries", "job_keys"):
        assert engine.one(f"select count(*) from outbox.{table}") == 0
    return refused.value.sqlstate


def test_options_become_the_body(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    job = engine.enqueue(
        tenant,
        payload=[1],
        priority=-7,
        runAt=clock.now + HOUR,
        maxAttempts=3,
        timeoutMs=1500,
        deadline=clock.now + 2 * HOUR,
        expiresAt=clock.now + 3 * HOUR,
        watched=True,
        traceparent="t",
    )
    row = engine.rows("select * from outbox.jobs")[0]

    assert (row["id"], row["payload"], row["priority"], row["max_attempts"]) == (job, [1], -7, 3)
    assert (row["timeout"], row["watched"], row["traceparent"]) == (timedelta(seconds=1.5), True, "t")
    assert [row[k] - clock.now for k in ("run_at", "deadline", "expires_at")] == [HOUR, 2 * HOUR, 3 * HOUR]
    assert (row["team_id"], row["project_id"], row["request_id"]) == (tenant.team, tenant.project, "req-1")
    waits = engine.rows("select run_at, priority, lane from outbox.later")[0]
    assert waits == {"run_at": clock.now + HOUR, "priority": 7, "lane": tenant.lane}
    assert engine.one("select at from outbox.expiries") == clock.now + 2 * HOUR


def test_a_past_run_at_means_now(engine: Engine, tenant: Tenant, clock: Clock) -> None:
    job = engine.enqueue(tenant, runAt=clock.now - HOUR)
    assert engine.rows("select job_id, run_at from outbox.ready") == [{"job_id": job, "run_at": clock.now}]


@pytest.mark.parametrize(
    "options",
    [
        {"orderingKey": "k"},
        {"nope": 1},
        {"priority": 101},
        {"priority": "high"},
        {"priority": 1.5},
        {"maxAttempts": 0},
        {"maxAttempts": 101},
        {"timeoutMs": 999},
        {"timeoutMs": 86_400_001},
        {"runAt": "soon"},
        {"runAt": "infinity"},
        {"runAt": "2200-01-01"},
        {"deadline": "2000-01-01"},
        {"expiresAt": "2000-01-01"},
        {"uniqueKey": ""},
        {"uniqueKey": "x" * 256},
        {"uniqueKey": "x", "uniqueUntil": "never"},
        {"onDuplicate": "replace"},
        [],
        None,
    ],
)
def test_a_bad_option_leaves_nothing(engine: Engine, tenant: Tenant, options: Any) -> None:
    assert refusal(engine, tenant, options) == "OX400"


@pytest.mark.parametrize("queue", ["", "Upper", "-x", "a b", "x" * 101, "x\n", None])
def test_a_bad_queue_name_is_refused(engine: Engine, tenant: Tenant, queue: str | None) -> None:
    assert refusal(engine, tenant, {}, queue) == "OX400"


def test_a_payload_over_a_mebibyte_is_refused(engine: Engine, tenant: Tenant) -> None:
    with pytest.raises(psycopg.Error) as refused:
        engine.enqueue(tenant, payload="x" * 1_048_576)
    assert refused.value.sqlstate == "OX413"


def test_a_queue_has_one_handler(engine: Engine, tenant: Tenant) -> None:
    engine.enqueue(tenant, "resize", handler="resize")
    engine.enqueue(tenant, "resize")
    with pytest.raises(psycopg.Error) as refused:
        engine.enqueue(tenant, "resize", handler="other")
    assert refused.value.sqlstate == "OX409"


def test_a_team_makes_a_hundred_queues(engine: Engine, tenant: Tenant) -> None:
    for n in range(100):
        engine.enqueue(tenant, f"q{n}")
    with pytest.raises(psycopg.Error) as refused:
        engine.enqueue(tenant, "one-more")
    assert refused.value.sqlstate == "OX409"
    engine.enqueue(tenant, "q7")
    engine.enqueue(engine.tenant(), "one-more")


@proves("T2", "T5")
def test_tenancy_is_the_callers(engine: Engine, tenant: Tenant) -> None:
    sibling, stranger = engine.tenant(team=tenant.team), engine.tenant()

    def enqueue(caller: str, project: UUID | None) -> str | None:
        try:
            engine.do(f"select outbox.enqueue({caller}, 'work', '{{}}', %s)", project)
        except psycopg.Error as refused:
            return refused.sqlstate
        return "ok"

    team = f"row('{tenant.team}', null, false, null, 'a', null)::outbox.caller"
    one = f"row('{tenant.team}', array['{tenant.project}']::uuid[], false, null, 'a', null)::outbox.caller"
    assert [enqueue(team, t.project) for t in (tenant, sibling, stranger)] == ["ok", "ok", "OX404"]
    assert [enqueue(one, t.project) for t in (tenant, sibling, stranger)] == ["ok", "OX404", "OX404"]
    assert (enqueue(one, None), enqueue(team, None), enqueue(team, uuid4())) == ("ok", "OX400", "OX404")
    assert enqueue("null::outbox.caller", tenant.project) == "OX400"
    engine.do("update outbox.projects set archived_at = outbox.clock() where id = %s", tenant.project)
    assert enqueue(team, tenant.project) == "OX409"


def test_a_unique_key_answers_with_the_living_job(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    first = engine.enqueued(tenant, uniqueKey="u")
    assert first["duplicate"] is False
    assert engine.enqueued(tenant, uniqueKey="u") == first | {"duplicate": True}
    got = engine.claim(worker)[0]
    assert engine.enqueued(tenant, uniqueKey="u")["duplicate"] is True
    engine.end(worker, got)

    assert engine.enqueued(tenant, uniqueKey="u")["duplicate"] is False
    assert engine.enqueued(tenant, "other", uniqueKey="u")["duplicate"] is False
    assert engine.enqueued(engine.tenant(), uniqueKey="u")["duplicate"] is False


@pytest.mark.parametrize("how", ["failed", "expired", "cancelled"])
def test_every_end_frees_the_key(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock, how: str
) -> None:
    job = engine.enqueue(tenant, uniqueKey="u", expiresAt=clock.now + HOUR)
    if how == "failed":
        engine.end(worker, engine.claim(worker)[0], "failed", final=True)
    elif how == "expired":
        clock.forward(HOUR)
        assert engine.expire() == 1
    else:
        engine.cancel(job)

    assert engine.enqueued(tenant, uniqueKey="u")["duplicate"] is False


def test_a_key_until_started_is_free_once_claimed(engine: Engine, tenant: Tenant, worker: UUID) -> None:
    engine.enqueue(tenant, uniqueKey="u", uniqueUntil="started")
    assert engine.enqueued(tenant, uniqueKey="u")["duplicate"] is True
    engine.claim(worker)
    assert engine.enqueued(tenant, uniqueKey="u")["duplicate"] is False
