"""Outcomes reach the ledger once, whatever happens on the way."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from outboxd.db.pool import Database
from outboxd.loops import settling
from outboxd.loops.meters import Meters
from outboxd.loops.settling import Item, Settler
from outboxd.model import Claimed, Job
from outboxd.model.contract import Ended
from outboxd.store import jobs, workers
from outboxd.store.workers import Offer
from tests.loops.crew import Crew
from tests.loops.running import running
from tests.proxy import Proxy
from tests.waiting import until

proves = pytest.mark.proves

DONE = Ended(outcome="completed")


async def claimed_by_hand(crew: Crew, n: int) -> tuple[UUID, list[Claimed]]:
    """A worker's row, and jobs that it holds in one lease."""
    await crew.enqueue_many(n)
    async with crew.db.connection() as conn:
        enlisted = await workers.enlist(conn, Offer(name="hand", handlers=("work",), slots=n))
        spots = await jobs.look(conn, enlisted.worker_id)
        wants = [jobs.Want(s.queue_id, s.lane, s.priority, s.run_at, n) for s in spots]
        return enlisted.worker_id, await jobs.claim(conn, enlisted.worker_id, n, wants)


@proves("L13")
async def test_a_database_error_while_settling_calls_no_handler_again(crew: Crew) -> None:
    calls: list[UUID] = []

    async with Proxy.before(crew.dsn) as (proxy, through), Database.open(through) as cut_off:

        async def work(job: Job, run: Any) -> None:
            calls.append(job.id)
            proxy.refuse()
            proxy.reset()
            asyncio.get_running_loop().call_later(0.5, proxy.heal)

        job = await crew.enqueue()
        async with crew.at_work({"work": work}, db=cut_off):
            attempt = await crew.attempt(job)

    assert ([job], "completed", 1) == (calls, attempt["outcome"], attempt["attempt"])
    assert 1 == len(await crew.attempts(job))


@proves("L4")
async def test_a_settle_whose_answer_was_lost_is_said_again_and_counts_once(crew: Crew) -> None:
    worker, held = await claimed_by_hand(crew, 3)
    accepted: list[Item] = []
    async with Proxy.before(crew.dsn) as (proxy, through), Database.open(through) as cut_off:
        settler = Settler(cut_off, worker, Meters(), accepted.extend)
        async with cut_off.connection() as conn:
            await conn.execute("select 1")
        for job in held:
            settler.put(job, DONE, 5)
        proxy.cut_answers()
        async with running(settler.run()):
            await settler.flushed()

    assert [["completed"]] * 3 == [await crew.outcomes(job.job_id) for job in held]


@proves("L4")
async def test_one_stale_result_spoils_no_other_of_its_batch(crew: Crew) -> None:
    worker, held = await claimed_by_hand(crew, 3)
    async with crew.db.connection() as conn:
        await jobs.release(conn, worker, held[1].lease_id, [held[1].job_id])
    accepted: list[Item] = []
    settler = Settler(crew.db, worker, Meters(), accepted.extend)
    for job in held:
        settler.put(job, DONE, 5)
    async with running(settler.run()):
        await settler.flushed()

    assert [["completed"], ["released"], ["completed"]] == [await crew.outcomes(job.job_id) for job in held]
    assert [held[0].job_id, held[2].job_id] == [item.claimed.job_id for item in accepted]


async def test_a_result_that_the_database_will_not_have_is_settled_bare_and_alone(crew: Crew) -> None:
    worker, held = await claimed_by_hand(crew, 5)
    settler = Settler(crew.db, worker, Meters(), lambda _: None)
    for at, job in enumerate(held):
        settler.put(job, DONE, 5)
        if at == 3:
            bad = settler._waiting.pop()
            broken = bad.json.replace(b'"ms":5', b'"ms":5,"output":"\\u0000"')
            settler._waiting.append(Item(bad.claimed, bad.outcome, bad.ms, broken))
    async with running(settler.run()):
        await settler.flushed()

    classes = [(await crew.attempt(job.job_id))["class"] for job in held]
    assert [None, None, None, "not_storable", None] == classes


async def test_a_full_buffer_says_so_until_it_has_room(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MOST_ITEMS", 3)
    worker, held = await claimed_by_hand(crew, 3)
    settler = Settler(crew.db, worker, Meters(), lambda _: None)
    seen = []
    for job in held:
        seen.append(settler.full)
        settler.put(job, DONE, 5)
    seen.append(settler.full)
    async with running(settler.run()):
        await settler.room()
        seen.append(settler.full)

    assert [False, False, False, True, False] == seen


async def test_large_results_go_out_in_several_statements(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_STATEMENT_BYTES", 20_000)
    worker, held = await claimed_by_hand(crew, 5)
    statements: list[int] = []
    settler = Settler(crew.db, worker, Meters(), lambda items: statements.append(len(items)))
    for job in held:
        settler.put(job, Ended(outcome="completed", output="x" * 9_000), 5)
    async with running(settler.run()):
        await settler.flushed()

    assert [2, 2, 1] == statements


async def test_a_claim_whose_answer_was_lost_is_given_back(crew: Crew) -> None:
    async with Proxy.before(crew.dsn) as (proxy, through), Database.open(through) as cut_off:

        async def work(job: Job, run: Any) -> None: ...

        async with crew.at_work({"work": work}, db=cut_off) as shop:
            await until(lambda: asleep(crew))
            claim = shop.worker._shift.claimer._claim  # type: ignore[union-attr]

            async def cut(*given: Any) -> list[Claimed]:
                proxy.cut_answers()
                shop.worker._shift.claimer._claim = claim  # type: ignore[union-attr,method-assign]
                return await claim(*given)

            shop.worker._shift.claimer._claim = cut  # type: ignore[union-attr,method-assign]
            job = await crew.enqueue()
            attempt = await crew.attempt(job, "completed")

    assert 1 == attempt["attempt"], "an attempt that never began is not spent"


async def asleep(crew: Crew) -> bool:
    return bool(await crew.rows("select from outbox.idle where handler = 'work'"))


async def test_the_bounds_are_what_the_database_takes() -> None:
    assert (1000, 8 * 1024 * 1024, 500) == (settling.MOST_ITEMS, settling.MOST_BYTES, jobs.SETTLE_MOST)
    assert timedelta(0) < timedelta(seconds=settling._FIRST_PAUSE)
