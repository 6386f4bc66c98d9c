"""How a job ends, by what its handler did: every row of the table, seen in the database."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outboxd.errors import NotFound, Refused, Unavailable
from outboxd.model import Done, Job, Snooze
from outboxd.model.contract import Ended
from tests.loops.crew import Crew
from tests.waiting import until

proves = pytest.mark.proves


async def test_a_handler_that_returns_completes_its_job(crew: Crew) -> None:
    seen: list[Job] = []

    async def work(job: Job, run: Any) -> None:
        seen.append(job)

    job = await crew.enqueue(payload={"order": 7}, priority=3)
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ("completed", None) == (attempt["outcome"], attempt["class"])
    assert (job, {"order": 7}, 3, 1, "work") == (
        seen[0].id,
        seen[0].payload,
        seen[0].priority,
        seen[0].attempt,
        seen[0].queue,
    )
    assert [] == await crew.where(job)


async def test_a_plain_function_runs_in_a_thread_and_its_output_is_kept(crew: Crew) -> None:
    def work(job: Job, run: Any) -> Done:
        return Done(output={"thread": threading.current_thread() is not threading.main_thread()})

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ("completed", {"thread": True}) == (attempt["outcome"], attempt["output"])


async def test_unavailable_comes_back_after_the_time_it_names(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> None:
        raise Unavailable("the printer is out of paper", retry_in=timedelta(minutes=7))

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ("failed", "the printer is out of paper", 503) == (
        attempt["outcome"],
        attempt["error"],
        attempt["status"],
    )
    assert timedelta(minutes=7) == attempt["retry_at"] - attempt["at"]
    assert ["later"] == await crew.where(job)


@proves("L12")
async def test_refused_is_final_at_once(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> None:
        raise NotFound("no order 7")

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ("failed", "NotFound", 404, "no order 7", 1) == (
        attempt["outcome"],
        attempt["class"],
        attempt["status"],
        attempt["error"],
        attempt["attempt"],
    )
    assert ["dead_letters"] == await crew.where(job)


@proves("L9")
@pytest.mark.parametrize("most", [1, 3, 5])
async def test_a_job_that_always_fails_is_called_as_often_as_it_may_be(crew: Crew, most: int) -> None:
    calls = 0

    async def work(job: Job, run: Any) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("no")

    job = await crew.enqueue(maxAttempts=most)
    await crew.conn.execute("update outbox.queues set backoff = '{\"scheduleMs\": [1]}'")
    async with crew.at_work({"work": work}):
        await until(lambda: in_dead_letters(crew, job))

    assert most == calls
    assert ["failed"] * most == await crew.outcomes(job)


@proves("L7", "L9")
async def test_a_coroutine_over_its_time_is_cancelled_and_the_job_times_out(crew: Crew) -> None:
    reasons: list[str | None] = []

    async def work(job: Job, run: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            reasons.append(run.cancelled.reason)

    job = await crew.enqueue(timeoutMs=1000)
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert (["timeout"], "timed_out", "timeout") == (reasons, attempt["outcome"], attempt["class"])
    assert attempt["ms"] < 1500
    assert ["later"] == await crew.where(job)


@proves("L7")
async def test_a_thread_over_its_time_sees_the_token_and_its_result_is_dropped(crew: Crew) -> None:
    reasons: list[str | None] = []

    def work(job: Job, run: Any) -> Done:
        assert run.cancelled.wait(30)
        reasons.append(run.cancelled.reason)
        return Done(output="late")

    job = await crew.enqueue(timeoutMs=1000)
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert (["timeout"], "timed_out", None) == (reasons, attempt["outcome"], attempt["output"])


async def test_a_coroutine_that_ignores_its_cancellation_is_given_two_seconds(crew: Crew) -> None:
    over = asyncio.Event()

    async def work(job: Job, run: Any) -> Done:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue
        return Done(output="late")

    job = await crew.enqueue(timeoutMs=1000)
    async with crew.at_work({"work": work}) as shop:
        attempt = await crew.attempt(job, "timed_out")
        kept = shop.worker.running
        over.set()
        await until(lambda: shop.worker.running == 0)

    assert 1 == kept, "what still runs keeps its slot"
    assert 2900 < attempt["ms"] < 4000
    assert ["timed_out"] == await crew.outcomes(job)


async def test_extend_moves_the_time_and_does_not_shorten_a_neighbours_lease(crew: Crew) -> None:
    extended = asyncio.Event()

    async def work(job: Job, run: Any) -> None:
        if job.payload:
            await run.extend(timedelta(seconds=3))
            extended.set()
            await asyncio.sleep(1.5)
        else:
            await extended.wait()
            await asyncio.sleep(1.5)

    short = await crew.enqueue(payload={"extends": True}, timeoutMs=1000)
    long = await crew.enqueue(timeoutMs=600_000)
    async with crew.at_work({"work": work}):
        await extended.wait()
        left = await crew.value("select deadline_at - outbox.clock() from outbox.leases")
        ends = [(await crew.attempt(job))["outcome"] for job in (short, long)]

    assert ["completed", "completed"] == ends
    assert left > timedelta(seconds=600)


@proves("L10")
async def test_a_snoozed_job_spends_no_attempt_and_says_what_it_waits_for(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> Snooze | None:
        return Snooze(timedelta(hours=2), "budget") if job.attempt == 1 and job.checkpoint is None else None

    job = await crew.enqueue(maxAttempts=1)
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    held = await crew.rows("select held, attempt, run_at from outbox.later where job_id = %s", job)
    assert "snoozed" == attempt["outcome"]
    assert [("budget", 0, attempt["at"] + timedelta(hours=2))] == [
        (row["held"], row["attempt"], row["run_at"]) for row in held
    ]


@proves("L10")
async def test_a_snooze_past_the_deadline_fails_with_what_it_waited_for(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> Snooze:
        return Snooze(timedelta(hours=2), "budget")

    job = await crew.enqueue(deadline=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ("snoozed", "budget") == (attempt["outcome"], attempt["class"])
    assert ["dead_letters"] == await crew.where(job)


@proves("L7", "L16")
async def test_a_cancelled_job_is_told_within_a_beat_and_its_result_is_dropped(crew: Crew) -> None:
    begun = asyncio.Event()
    told: list[str | None] = []

    async def work(job: Job, run: Any) -> Done:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            told.append(run.cancelled.reason)
        return Done(output="late")

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        await begun.wait()
        loop = asyncio.get_running_loop()
        at = loop.time()
        await crew.conn.execute("select outbox.cancel(outbox.me(), %s)", [job])
        await until(lambda: bool(told))
        heard = loop.time() - at

    assert (["cancelled"], ["cancelled"]) == (told, await crew.outcomes(job))
    assert heard < 0.5


async def test_a_built_in_may_say_all_that_the_ledger_holds(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> Ended:
        return Ended(
            outcome="failed",
            class_="throttled",
            status=429,
            error="the target asked for less",
            detail={"remote": "192.0.2.1"},
            retry_in=timedelta(minutes=1),
        )

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ("throttled", 429, {"remote": "192.0.2.1"}) == (
        attempt["class"],
        attempt["status"],
        attempt["detail"],
    )


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_what_is_no_exception_ends_the_attempt_and_not_the_worker(
    crew: Crew, raised: BaseException
) -> None:
    async def work(job: Job, run: Any) -> None:
        if job.attempt == 1:
            raise raised

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)
        await crew.hurry_up()
        await crew.attempt(job, "completed")

    assert ("failed", type(raised).__name__) == (attempt["outcome"], attempt["class"])


async def test_a_thread_that_exits_ends_the_attempt_and_not_the_thread(crew: Crew) -> None:
    def work(job: Job, run: Any) -> None:
        if job.attempt == 1:
            raise SystemExit

    job = await crew.enqueue()
    async with crew.at_work({"work": work}, threads=1):
        attempt = await crew.attempt(job)
        await crew.hurry_up()
        await crew.attempt(job, "completed")

    assert "SystemExit" == attempt["class"]


async def test_a_large_payload_reaches_the_handler(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> Done:
        return Done(output=len(job.payload["text"]))

    job = await crew.enqueue(payload={"text": "x" * 200_000})
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert 200_000 == attempt["output"]


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_checkpoint_is_handed_to_the_next_attempt(crew: Crew, blocking: bool) -> None:
    async def coroutine(job: Job, run: Any) -> Done:
        if job.checkpoint is None:
            await run.progress(40, "half of it")
            await run.checkpoint({"page": 5})
            raise Unavailable("later", timedelta(milliseconds=1))
        return Done(output=job.checkpoint)

    def plain(job: Job, run: Any) -> Done:
        if job.checkpoint is None:
            run.progress(40, "half of it")
            run.checkpoint({"page": 5})
            raise Unavailable("later", timedelta(milliseconds=1))
        return Done(output=job.checkpoint)

    job = await crew.enqueue()
    async with crew.at_work({"work": plain if blocking else coroutine}):
        attempt = await crew.attempt(job, "completed")

    assert {"page": 5} == attempt["output"]
    assert [] == await crew.rows("select * from outbox.checkpoints")


async def test_progress_is_written_once_a_second_and_the_last_word_wins(crew: Crew) -> None:
    said = asyncio.Event()
    over = asyncio.Event()

    async def work(job: Job, run: Any) -> None:
        for percent in range(0, 101, 10):
            await run.progress(percent, f"{percent} of 100")
        said.set()
        await over.wait()

    await crew.enqueue()
    async with crew.at_work({"work": work}):
        await said.wait()
        first = await crew.value("select progress from outbox.checkpoints")
        await until(lambda: progress_is(crew, 100))
        over.set()

    assert {"percent": 0, "note": "0 of 100"} == first


@proves("L12")
async def test_an_output_that_cannot_be_kept_spoils_nothing(crew: Crew) -> None:
    outputs = {"large": "x" * 20_000, "nul": "a\0b", "object": object(), "fine": "ok"}

    async def work(job: Job, run: Any) -> Done:
        return Done(output=outputs[job.payload["kind"]])

    ids = {kind: await crew.enqueue(payload={"kind": kind}) for kind in outputs}
    async with crew.at_work({"work": work}):
        found = {kind: await crew.attempt(job) for kind, job in ids.items()}

    assert {
        "large": ("completed", None, "output_too_large"),
        "nul": ("completed", None, "output_not_text"),
        "object": ("completed", None, "output_not_json"),
        "fine": ("completed", "ok", None),
    } == {kind: (row["outcome"], row["output"], row["class"]) for kind, row in found.items()}


@proves("L12")
async def test_no_word_of_somebody_elses_exception_is_kept(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> None:
        raise RuntimeError(f"token {job.payload['token']} was refused")

    job = await crew.enqueue(payload={"token": "s3cr3t-canary"})
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert "s3cr3t" not in str(attempt)
    assert attempt["error"].startswith("RuntimeError at test_outcomes.py:")


async def test_an_exception_group_of_one_means_what_its_exception_means(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(refuse())

    async def refuse() -> None:
        raise Refused("never")

    job = await crew.enqueue()
    async with crew.at_work({"work": work}):
        attempt = await crew.attempt(job)

    assert ("failed", "never") == (attempt["outcome"], attempt["error"])
    assert ["dead_letters"] == await crew.where(job)


async def in_dead_letters(crew: Crew, job: Any) -> bool:
    return await crew.where(job) == ["dead_letters"]


async def progress_is(crew: Crew, percent: int) -> bool:
    found = await crew.rows("select progress ->> 'percent' as percent from outbox.checkpoints")
    return [row["percent"] for row in found] == [str(percent)]
