"""redrive, cancel_many and purge: one filter, oldest first, never waiting."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import MINUTE, Conn, Engine

VERBS = ("redrive", "cancel_many", "purge")


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    return await Engine.made(conn, clock)


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(dsn) as opened:
        yield opened


async def dead(engine: Engine, n: int = 3) -> list[UUID]:
    worker = await engine.worker()
    return [await engine.dead(worker) for _ in range(n)]


async def bulk(engine: Engine, verb: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    (done,) = await engine.call(verb, given, **more)
    return done


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"colour": "red"},
        {"ids": []},
        {"ids": ["not an id"]},
        {"ids": ["00000000-0000-7000-8000-000000000000"] * 1001},
        {"ids": ["00000000-0000-7000-8000-000000000000"], "queue": "work"},
        {"queue": None},
        {"status": "failed"},
        {"status": []},
        {"status": ["completed"]},
        {"status": ["nonsense"]},
        {"since": "when the cows come home"},
        {"sourceType": "carrier_pigeon"},
        {"classification": "Boom"},
        {"sessionId": "x"},
    ],
)
async def test_a_wrong_filter_is_refused(engine: Engine, verb: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(psycopg.Error) as refused:
        await engine.call(verb, wrong)
    assert "OX400" == refused.value.sqlstate


@pytest.mark.parametrize(
    ("verb", "status"), [("redrive", "processing"), ("cancel_many", "cancelled"), ("purge", "queued")]
)
async def test_a_state_that_the_verb_cannot_take_is_refused(engine: Engine, verb: str, status: str) -> None:
    with pytest.raises(psycopg.Error, match="status is of") as refused:
        await engine.call(verb, {"status": [status]})
    assert "OX400" == refused.value.sqlstate


@pytest.mark.parametrize("more", [{"p_limit": 0}, {"p_limit": 10001}, {"p_reason": "x" * 501}])
@pytest.mark.parametrize("verb", VERBS)
async def test_limits_of_arguments(engine: Engine, verb: str, more: dict[str, Any]) -> None:
    with pytest.raises(psycopg.Error) as refused:
        await engine.call(verb, {"queue": "work"}, **more)
    assert "OX400" == refused.value.sqlstate


@pytest.mark.parametrize("rate", [-1, 1001, None])
async def test_a_rate_is_0_to_1000(engine: Engine, rate: int | None) -> None:
    with pytest.raises(psycopg.Error) as refused:
        await engine.call("redrive", {"queue": "work"}, p_rate=rate)
    assert "OX400" == refused.value.sqlstate


@proves("R9")
async def test_dead_letters_are_retried_by_default(engine: Engine) -> None:
    jobs = await dead(engine)
    await engine.enqueue()
    done = await bulk(engine, "redrive", {"queue": "work"}, p_rate=0)
    assert (3, 3, 0, 0, jobs) == (
        done["matched"],
        done["affected"],
        done["skipped"],
        done["remaining"],
        done["sample"],
    )
    assert done["first_due_at"] == done["last_due_at"] == engine.clock.now
    assert ["queued"] * 3 == await engine.states(*jobs)
    assert [] == await engine.misplaced()


async def test_queued_jobs_are_cancelled_by_default(engine: Engine) -> None:
    failed = await dead(engine, 1)
    queued = [await engine.enqueue(), await engine.enqueue(runAt=(engine.clock.now + MINUTE).isoformat())]
    done = await bulk(engine, "cancel_many", {"queue": "work"})
    assert (2, queued) == (done["affected"], done["sample"])
    assert ["failed", "cancelled", "cancelled"] == await engine.states(*failed, *queued)


async def test_every_state_can_be_cancelled_and_workers_are_told(engine: Engine) -> None:
    worker = await engine.worker()
    jobs = [await engine.in_state(state, worker) for state in ("failed", "processing", "queued")]
    done = await bulk(engine, "cancel_many", {"queue": "work", "status": ["queued", "processing", "failed"]})
    assert 3 == done["affected"]
    assert ["cancelled"] * 3 == await engine.states(*jobs)
    assert [jobs[1]] == (await engine.row("select * from outbox.beat(%s)", worker))["cancelled"]
    assert [] == await engine.misplaced()


@proves("R9")
async def test_purged_jobs_stay_failed_and_readable(engine: Engine) -> None:
    jobs = await dead(engine)
    done = await bulk(engine, "purge", {"status": ["failed"]})
    assert 3 == done["affected"]
    assert ["failed"] * 3 == await engine.states(*jobs)
    assert ["failed", "purged"] == await engine.ledger(jobs[0])
    assert 0 == await engine.value("select count(*) from outbox.dead_letters")
    assert 0 == (await bulk(engine, "purge", {"status": ["failed"]}))["matched"]


@pytest.mark.parametrize(
    ("verb", "state"), [("redrive", "failed"), ("cancel_many", "queued"), ("purge", "failed")]
)
async def test_a_dry_run_selects_the_same_and_changes_nothing(engine: Engine, verb: str, state: str) -> None:
    worker = await engine.worker()
    jobs = [await engine.in_state("failed", worker) for _ in range(3)]
    if state == "queued":
        jobs = [await engine.enqueue() for _ in range(3)]
    told = await bulk(engine, verb, {"queue": "work"}, p_limit=2, p_dry_run=True)
    assert [state] * 3 == await engine.states(*jobs)
    done = await bulk(engine, verb, {"queue": "work"}, p_limit=2)
    names = ("matched", "affected", "skipped", "remaining", "sample")
    assert [told[name] for name in names] == [done[name] for name in names] == [3, 2, 0, 1, jobs[:2]]
    assert (True, False) == (told["dry_run"], done["dry_run"])


@proves("R10")
async def test_due_times_are_staggered_in_rows(engine: Engine, clock: Clock) -> None:
    jobs = await dead(engine, 4)
    done = await bulk(engine, "redrive", {"queue": "work"}, p_rate=2)
    due = [(await engine.state(job))["run_at"] - clock.now for job in jobs]
    assert [timedelta(seconds=n / 2) for n in range(4)] == due
    assert (clock.now, clock.now + timedelta(seconds=1.5)) == (done["first_due_at"], done["last_due_at"])
    worker = await engine.worker()
    assert jobs[:1] == [row["job_id"] for row in await engine.claim(worker)]
    clock.forward(timedelta(seconds=1))
    await engine.rows("select outbox.stage()")
    assert set(jobs[1:3]) == {row["job_id"] for row in await engine.claim(worker)}


async def test_cancelled_and_delayed_jobs_can_be_redriven(engine: Engine) -> None:
    delayed = await engine.enqueue(runAt=(engine.clock.now + MINUTE).isoformat())
    cancelled = await engine.in_state("cancelled", await engine.worker())
    done = await bulk(engine, "redrive", {"queue": "work", "status": ["cancelled", "queued"]}, p_rate=0)
    assert 2 == done["affected"]
    worker = await engine.worker()
    assert {delayed, cancelled} == {row["job_id"] for row in await engine.claim(worker)}
    assert [] == await engine.misplaced()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"queue": "mail"}, ["mail"]),
        ({"handler": "observe"}, ["observe"]),
        ({"classification": ["Boom"]}, ["work", "mail"]),
        ({"classification": ["Other", "Nothing"]}, ["observe"]),
        ({"sourceType": "agent_event"}, ["event"]),
        ({"sourceType": "direct"}, ["work", "mail", "observe"]),
        ({"sourceType": "session_summary"}, []),
        ({"sessionId": "22222222-2222-7222-8222-222222222222"}, ["event"]),
    ],
)
async def test_what_a_filter_selects(engine: Engine, given: dict[str, Any], expected: list[str]) -> None:
    made = await one_of_each(engine)
    done = await bulk(engine, "redrive", given | {"status": ["failed"]}, p_dry_run=True)
    assert {made[name] for name in expected} == set(done["sample"])


async def one_of_each(engine: Engine) -> dict[str, UUID]:
    worker = (
        await engine.row("select * from outbox.enlist('w', '{pull:work,pull:mail,pull:events,observe}')")
    )["worker_id"]
    made = {}
    for queue, handler, kind in (
        ("work", "pull:work", "Boom"),
        ("mail", "pull:mail", "Boom"),
        ("observe", "observe", "Other"),
    ):
        made[queue] = await engine.enqueue(queue, handler=handler)
        await engine.fail(worker, await engine.claim_one(worker), **{"class": kind})
    await engine.route("events")
    made["event"] = await engine.publish()
    await engine.fail(worker, await engine.claim_one(worker), **{"class": "Third"})
    await engine.rows(
        "update outbox.events set session_id = '22222222-2222-7222-8222-222222222222' returning id"
    )
    return made


@pytest.mark.parametrize("as_number", [False, True])
async def test_since_and_until_are_about_the_failure(engine: Engine, clock: Clock, as_number: bool) -> None:
    worker = await engine.worker()
    early = await engine.dead(worker)
    clock.forward(MINUTE)
    since = clock.now
    late = await engine.dead(await engine.worker())
    said: Any = since.timestamp() * 1000 if as_number else since.isoformat()
    assert [late] == (await bulk(engine, "purge", {"since": said}, p_dry_run=True))["sample"]
    assert [early] == (await bulk(engine, "purge", {"until": said}, p_dry_run=True))["sample"]


async def test_a_team_reaches_its_own_jobs_only(engine: Engine) -> None:
    team = await engine.add_team()
    theirs = await engine.add_project(team)
    await dead(engine, 2)
    foreign = await engine.dead(await engine.worker(), project=theirs)
    caller = f"row('{team}', null, false, null, 'key:x', null)::outbox.caller"
    assert [foreign] == (await bulk(engine, "purge", {"queue": "work"}, caller=caller))["sample"]
    with pytest.raises(psycopg.Error, match="Project not found") as refused:
        await engine.call("purge", {"projectId": str(engine.project)}, caller=caller)
    assert "OX404" == refused.value.sqlstate
    assert 2 == (await bulk(engine, "purge", {"projectId": str(engine.project)}))["affected"]


async def test_what_somebody_holds_is_skipped(engine: Engine, other: psycopg.AsyncConnection[Any]) -> None:
    await engine.route()
    worker = await engine.worker()
    unkeyed = await dead(engine, 2)
    keyed = [await engine.publish("k"), await engine.publish("l")]
    for _ in keyed:
        await engine.fail(worker, await engine.claim_one(worker))
    await other.execute(
        "select from outbox.dead_letters where job_id = any(%s) for update", [[unkeyed[0], keyed[0]]]
    )
    done = await bulk(engine, "redrive", {"status": ["failed"]}, p_rate=0)
    assert (4, 2, 2) == (done["matched"], done["affected"], done["skipped"])
    await other.rollback()
    assert ["failed", "queued", "failed", "queued"] == await engine.states(*unkeyed, *keyed)
    assert await engine.lane(keyed[0]) is None


async def test_a_lane_that_somebody_holds_is_skipped(
    engine: Engine, other: psycopg.AsyncConnection[Any]
) -> None:
    await engine.route()
    held, free = await engine.publish("k"), await engine.publish("l")
    await other.execute("select from outbox.lanes where key = 'k' for update")
    done = await bulk(engine, "cancel_many", {"queue": "work"})
    assert (1, 1) == (done["affected"], done["skipped"])
    await other.rollback()
    assert ["queued", "cancelled"] == await engine.states(held, free)


async def test_a_running_job_whose_lease_is_held_is_skipped(
    engine: Engine, other: psycopg.AsyncConnection[Any]
) -> None:
    worker = await engine.worker()
    job = await engine.in_state("processing", worker)
    await other.execute("select from outbox.leases for update")
    done = await bulk(engine, "cancel_many", {"status": ["processing"]})
    assert (0, 1) == (done["affected"], done["skipped"])
    await other.rollback()
    assert ["processing"] == await engine.states(job)


async def test_a_job_whose_unique_key_is_taken_is_skipped(engine: Engine) -> None:
    worker = await engine.worker()
    job = await engine.dead(worker, uniqueKey="k")
    await engine.enqueue(uniqueKey="k")
    done = await bulk(engine, "redrive", {"queue": "work"})
    assert (0, 1) == (done["affected"], done["skipped"])
    assert ["failed"] == await engine.states(job)


@pytest.mark.parametrize("verb", ["cancel_many", "purge", "redrive"])
@proves("C16")
async def test_a_blocked_lane_goes_on(engine: Engine, verb: str) -> None:
    await engine.route()
    await engine.call("configure_queue", "work", {"onDead": "block"})
    first, second = await engine.publish("k"), await engine.publish("k")
    worker = await engine.worker()
    await engine.fail(worker, await engine.claim_one(worker))
    await bulk(engine, verb, {"status": ["failed"]})
    claimed = await engine.claim_one(worker)
    assert (first if verb == "redrive" else second) == claimed["job_id"]


async def test_jobs_without_a_place_yet_are_cancelled_too(engine: Engine) -> None:
    await engine.route()
    jobs = [await engine.publish("k", place=False)]
    await engine.rows("select outbox.sequence(array[%s::uuid])", engine.project)
    jobs.append(await engine.publish("k", place=False))
    assert 2 == (await bulk(engine, "cancel_many", {"queue": "work"}))["affected"]
    await engine.place()
    assert [] == await engine.claim(await engine.worker())
    assert ["cancelled"] * 2 == await engine.states(*jobs)


@pytest.mark.parametrize(
    ("verb", "action"),
    [("redrive", "jobs.bulk_retried"), ("cancel_many", "jobs.bulk_cancelled"), ("purge", "jobs.bulk_purged")],
)
async def test_one_audit_row_says_what_was_done(engine: Engine, verb: str, action: str) -> None:
    await dead(engine)
    given = {"queue": "work", "status": ["failed"]}
    await bulk(engine, verb, given, p_reason="spring cleaning")
    row = await engine.row("select * from outbox.audit_log")
    assert (action, "job") == (row["action"], row["resource_type"])
    counts = {
        name: row["details"][name]
        for name in ("matched", "affected", "skipped", "remaining", "dryRun", "reason")
    }
    assert {
        "matched": 3,
        "affected": 3,
        "skipped": 0,
        "remaining": 0,
        "dryRun": False,
        "reason": "spring cleaning",
    } == counts
    assert given == row["details"]["filter"]


async def test_ids_reach_every_state_the_verb_takes(engine: Engine) -> None:
    worker = await engine.worker()
    jobs = [await engine.in_state(state, worker) for state in ("failed", "cancelled", "completed")]
    done = await bulk(engine, "redrive", {"ids": [str(job) for job in jobs]})
    assert (2, jobs[:2]) == (done["affected"], done["sample"])
