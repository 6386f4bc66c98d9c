"""A worker that stops gives back what it cannot end, and only what is its own."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from outboxd.model import Claimed, Done, Job
from tests.loops.crew import Crew
from tests.waiting import until

proves = pytest.mark.proves


@proves("L14")
async def test_running_jobs_may_end_while_nothing_more_is_claimed(crew: Crew) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(job: Job, run: Any) -> Done:
        begun.set()
        await go_on.wait()
        return Done(output="ended")

    first = await crew.enqueue()
    async with crew.at_work({"work": work}) as shop:
        await begun.wait()
        shop.stop.set()
        await until(lambda: drains(crew))
        second = await crew.enqueue()
        shop.wakes.queues.wake(("work",))
        go_on.set()
        await shop.close()

    assert "ended" == (await crew.attempt(first))["output"]
    assert (["ready"], []) == (await crew.where(second), await crew.attempts(second))
    assert [] == await crew.rows("select * from outbox.workers")


@proves("L7", "L14")
@pytest.mark.parametrize("blocking", [False, True])
async def test_what_does_not_end_in_time_is_told_and_goes_back_unspent(crew: Crew, blocking: bool) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    told: list[str | None] = []

    async def coroutine(job: Job, run: Any) -> None:
        begun.set()
        await run.cancelled.wait(30)
        told.append(run.cancelled.reason)
        await asyncio.sleep(30)

    over = threading.Event()

    def plain(job: Job, run: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        run.cancelled.wait(30)
        told.append(run.cancelled.reason)
        over.wait(30)

    job = await crew.enqueue()
    handler = plain if blocking else coroutine
    async with crew.at_work({"work": handler}, drain=timedelta(milliseconds=100), upkeep=False) as shop:
        await begun.wait()
        asyncio.get_running_loop().call_later(0.5, shop.hurry.set)
        await shop.close()
    over.set()

    (attempt,) = await crew.attempts(job)
    assert (["shutdown"], "released", ["ready"]) == (told, attempt["outcome"], await crew.where(job))
    assert [(0, 1)] == [
        (row["attempt"], row["no"]) for row in await crew.rows("select attempt, no from outbox.ready")
    ]


@proves("L14")
async def test_a_job_that_ends_after_being_told_is_settled_as_it_ended(crew: Crew) -> None:
    begun = asyncio.Event()

    async def work(job: Job, run: Any) -> Done:
        begun.set()
        await run.cancelled.wait()
        return Done(output="tidied up")

    job = await crew.enqueue()
    async with crew.at_work({"work": work}, drain=timedelta(milliseconds=100)) as shop:
        await begun.wait()
        await shop.close()

    assert "tidied up" == (await crew.attempt(job))["output"]


@proves("L14")
async def test_a_begun_job_with_one_attempt_is_interrupted_and_not_repeated(crew: Crew) -> None:
    begun = asyncio.Event()

    async def work(job: Job, run: Any) -> None:
        begun.set()
        await asyncio.sleep(30)

    job = await crew.enqueue(maxAttempts=1)
    async with crew.at_work({"work": work}) as shop:
        await begun.wait()
        shop.hurry.set()
        await shop.close(limit=2)

    attempt = await crew.attempt(job)
    assert ("failed", "interrupted", ["dead_letters"]) == (
        attempt["outcome"],
        attempt["class"],
        await crew.where(job),
    )


@proves("L14")
async def test_a_second_signal_ends_it_within_two_seconds(crew: Crew) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def work(job: Job, run: Any) -> None:
        begun.set()
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()

    job = await crew.enqueue()
    async with crew.at_work({"work": work}, drain=timedelta(seconds=60), upkeep=False) as shop:
        await begun.wait()
        shop.stop.set()
        await until(lambda: drains(crew))
        shop.hurry.set()
        await shop.close(limit=2.5)
    over.set()

    assert ["ready"] == await crew.where(job)


@proves("L14")
async def test_a_claim_under_way_is_awaited_and_given_back(crew: Crew) -> None:
    calls: list[Job] = []

    async def work(job: Job, run: Any) -> None:
        calls.append(job)

    async with crew.at_work({"work": work}, upkeep=False) as shop:
        shift = shop.worker._shift
        assert shift is not None
        claim = shift.claimer._claim

        async def stop_meanwhile(*given: Any) -> list[Claimed]:
            shop.stop.set()
            await until(lambda: shift.draining)
            return await claim(*given)

        async def stop_inside(*given: Any) -> list[Claimed]:
            shift.claimer.claiming = True
            return await stop_meanwhile(*given)

        shift.claimer._claim = stop_inside  # type: ignore[method-assign, assignment]
        job = await crew.enqueue()
        shop.wakes.queues.wake(("work",))
        await until(lambda: shift.draining)
        await shop.close()

    assert ([], ["released"], ["ready"]) == (calls, await crew.outcomes(job), await crew.where(job))


@proves("L14")
async def test_only_its_own_jobs_go_back(crew: Crew) -> None:
    both = asyncio.Barrier(3)

    async def work(job: Job, run: Any) -> None:
        await both.wait()
        await asyncio.sleep(0.5)

    ids = await crew.enqueue_many(2)
    async with crew.at_work({"work": work}, slots=1) as one, crew.at_work({"work": work}, slots=1):
        await both.wait()
        one.stop.set()
        one.hurry.set()
        await one.close()
        found = sorted([(await crew.outcomes(job))[:1] for job in ids])

    assert [[], ["released"]] == found


@proves("L14")
async def test_a_database_that_is_away_does_not_hold_up_the_end(crew: Crew) -> None:
    begun = asyncio.Event()

    async def work(job: Job, run: Any) -> None:
        begun.set()
        await asyncio.sleep(30)

    await crew.enqueue()
    async with crew.at_work({"work": work}, upkeep=False) as shop:
        await begun.wait()
        async with crew.conn.transaction():
            await crew.conn.execute("lock table outbox.leases in access exclusive mode")
            shop.hurry.set()
            await shop.close(limit=5)


async def drains(crew: Crew) -> bool:
    return bool(await crew.rows("select from outbox.workers where draining"))
