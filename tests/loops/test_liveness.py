"""A worker lives as long as it beats, knows when it does not, and is never robbed while it does."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from outboxd.db.listen import Listener
from outboxd.db.pool import Database
from outboxd.loops.liveness import Liveness, now
from outboxd.model import Done, Job
from outboxd.store import jobs, workers
from outboxd.store.workers import Enlisted, Offer
from tests.loops.crew import BEAT, Crew
from tests.proxy import Proxy
from tests.waiting import until

proves = pytest.mark.proves

FAST = timedelta(milliseconds=100)


@asynccontextmanager
async def listening(dsn: str) -> AsyncIterator[Listener]:
    listener = Listener(dsn, period=timedelta(seconds=1), net_timeout=timedelta(seconds=2))
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@proves("L5")
async def test_a_handler_may_run_ten_times_as_long_as_a_dead_worker_lasts(crew: Crew) -> None:
    starts: list[int] = []

    async def work(job: Job, run: Any) -> None:
        starts.append(job.attempt)
        await asyncio.sleep(10 * 5 * 0.05)

    job = await crew.enqueue()
    async with crew.at_work({"work": work}, beat=timedelta(milliseconds=50)):
        attempt = await crew.attempt(job)

    assert ([1], "completed") == (starts, attempt["outcome"])


@proves("L5")
async def test_an_event_loop_that_stands_still_costs_no_lease(crew: Crew) -> None:
    reaped: list[int] = []
    over = threading.Event()

    def reap_on() -> None:
        with psycopg.connect(crew.dsn, autocommit=True) as conn:
            while not over.wait(0.02):
                reaped.append(len(conn.execute("select * from outbox.reap()").fetchall()))

    starts: list[int] = []

    async def work(job: Job, run: Any) -> None:
        starts.append(job.attempt)
        time.sleep(2)  # noqa: ASYNC251  that is what a stuck loop is

    job = await crew.enqueue()
    rescuer = threading.Thread(target=reap_on)
    rescuer.start()
    try:
        async with crew.at_work({"work": work}, beat=FAST):
            attempt = await crew.attempt(job)
    finally:
        over.set()
        rescuer.join()

    assert ([1], "completed", 0) == (starts, attempt["outcome"], sum(reaped))
    assert len(reaped) > 20


@proves("L7", "L8")
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_worker_in_a_black_hole_fences_itself_before_others_may_rescue(
    crew: Crew, blocking: bool
) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    stopped: list[tuple[float, str | None]] = []
    hole_at = [0.0]

    async def coroutine(job: Job, run: Any) -> None:
        if job.attempt == 1:
            begun.set()
            try:
                await asyncio.sleep(30)
            finally:
                stopped.append((time.monotonic(), run.cancelled.reason))

    def plain(job: Job, run: Any) -> None:
        if job.attempt == 1:
            loop.call_soon_threadsafe(begun.set)
            run.cancelled.wait(30)
            stopped.append((time.monotonic(), run.cancelled.reason))

    job = await crew.enqueue()
    async with Proxy.before(crew.dsn) as (proxy, through):
        cut_off = Database.open(
            through, net_timeout=timedelta(seconds=1), statement_timeout=timedelta(seconds=1)
        )
        async with (
            cut_off as db,
            crew.at_work({"work": plain if blocking else coroutine}, db=db, dsn=through, beat=BEAT) as shop,
        ):
            await begun.wait()
            first = shop.worker_id
            last_beat = await crew.value("select beat_at from outbox.workers where id = %s", first)
            proxy.black_hole()
            hole_at[0] = time.monotonic()
            await until(lambda: bool(stopped))
            ended_at = await crew.value("select clock_timestamp()")
            rescued = await crew.attempt(job, "lost")
            proxy.heal()
            await crew.attempt(job, "completed")
            second = shop.worker_id

    assert "lease_lost" == stopped[0][1]
    assert ended_at < rescued["at"], "it stopped before anybody could take the job"
    assert stopped[0][0] - hole_at[0] < 5 * BEAT.total_seconds()
    assert rescued["at"] - last_beat >= 5 * BEAT
    assert first != second, "it enlisted anew"


@proves("L1", "L3")
async def test_what_a_fenced_worker_still_says_changes_nothing(crew: Crew) -> None:
    begun = asyncio.Event()
    go_on = threading.Event()
    loop = asyncio.get_running_loop()

    def work(job: Job, run: Any) -> Done:
        if job.attempt == 1:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(30)
            return Done(output="late")
        return Done(output="again")

    job = await crew.enqueue()
    async with crew.at_work({"work": work}, beat=BEAT) as shop:
        await begun.wait()
        await crew.conn.execute("update outbox.workers set fenced_at = outbox.clock()")
        await crew.attempt(job, "completed")
        kept = shop.worker.running
        go_on.set()
        await until(lambda: shop.worker.running == 0)

    assert ["lost", "completed"] == await crew.outcomes(job)
    assert "again" == (await crew.attempts(job))[1]["output"]
    assert 1 == kept, "a thread that still runs keeps its slot"


@proves("L7")
async def test_a_job_stopped_before_its_first_step_never_begins_and_gives_its_slot_back(crew: Crew) -> None:
    calls: list[Job] = []

    async def work(job: Job, run: Any) -> None:
        calls.append(job)

    async with crew.at_work({"work": work}, upkeep=False) as shop:
        shift = shop.worker._shift
        assert shift is not None
        # In one transaction, or the worker's own claim may come first.
        async with crew.db.transaction() as conn:
            await conn.execute(
                "select outbox.enqueue(outbox.me(), 'work', '{}', %s, '{\"handler\": \"work\"}')"
                " from generate_series(1, 3)",
                [crew.project],
            )
            spots = await jobs.look(conn, shift.worker)
            wants = [jobs.Want(s.queue_id, s.lane, s.priority, s.run_at, 3) for s in spots]
            claimed = await jobs.claim(conn, shift.worker, 3, wants)
        shift.begin(claimed)
        shift.cancelled([claimed[0].job_id])
        shift.fence("a test")
        shift.fence_now()
        taken = shop.worker.running
        await until(lambda: shop.worker.running == 0)

    assert (3, []) == (taken, calls)


@proves("L6")
async def test_a_cut_listen_connection_is_not_death(crew: Crew) -> None:
    starts: list[int] = []

    async def work(job: Job, run: Any) -> None:
        starts.append(job.attempt)
        await asyncio.sleep(3)

    job = await crew.enqueue()
    async with (
        listening(crew.dsn) as listener,
        crew.at_work({"work": work}, listener=listener, beat=BEAT),
    ):
        for _ in range(12):
            await asyncio.sleep(0.2)
            await crew.conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'outboxd listen' and datname = current_database()"
            )
        attempt = await crew.attempt(job)

    assert ([1], ["completed"]) == (starts, await crew.outcomes(job))
    assert "completed" == attempt["outcome"]


async def test_each_enlistment_holds_a_lock_of_its_own(crew: Crew) -> None:
    async def work(job: Job, run: Any) -> None: ...

    held = """
        select w.id from outbox.workers w join pg_locks k on k.locktype = 'advisory' and k.classid = 28514
          and k.objid = w.lock_no and k.granted
        where w.incarnation is not null and w.fenced_at is null
    """
    async with (
        listening(crew.dsn) as listener,
        crew.at_work({"work": work}, listener=listener, beat=BEAT) as shop,
    ):
        first = shop.worker_id
        await until(lambda: finds(crew, held, first))
        await crew.conn.execute("update outbox.workers set fenced_at = outbox.clock()")
        await until(lambda: shop.worker.worker_id not in {None, first})
        await until(lambda: finds(crew, held, shop.worker_id))


@proves("R1")
async def test_a_worker_that_lost_its_lock_and_its_beat_is_rescued_after_a_beat_and_a_third(
    crew: Crew,
) -> None:
    async with crew.db.connection() as conn:
        enlisted = await workers.enlist(conn, Offer(name="x", handlers=("work",), beat=timedelta(seconds=3)))
    await crew.conn.execute(
        "update outbox.workers set incarnation = outbox.incarnation(), beat_at = beat_at - interval '4.1 s'"
    )
    await crew.conn.execute("select outbox.reap()")

    fenced = await crew.value("select fenced_at from outbox.workers where id = %s", enlisted.worker_id)
    assert fenced is not None


class Beating:
    """A beat without a worker around it."""

    def __init__(self, dsn: str, enlisted: Enlisted, *, enlisted_at: float | None = None) -> None:
        self.fenced = threading.Event()
        self.why: list[str] = []
        self.liveness = Liveness(
            dsn,
            enlisted,
            enlisted_at=now() if enlisted_at is None else enlisted_at,
            net_timeout=timedelta(seconds=2),
            running=lambda: 3,
            on_cancelled=lambda _: None,
            on_fenced=self._on_fenced,
        )

    def _on_fenced(self, why: str) -> None:
        self.why.append(why)
        self.fenced.set()


async def enlisted(crew: Crew, beat: timedelta = FAST) -> Enlisted:
    async with crew.db.connection() as conn:
        return await workers.enlist(conn, Offer(name="beats", handlers=("work",), beat=beat))


async def test_a_beat_tells_how_much_runs(crew: Crew) -> None:
    beating = Beating(crew.dsn, await enlisted(crew))
    beating.liveness.start()
    try:
        await until(lambda: finds(crew, "select running from outbox.workers", 3))
    finally:
        beating.liveness.stop()

    assert [] == beating.why


async def test_who_wakes_from_a_long_sleep_fences_himself_before_he_beats(crew: Crew) -> None:
    beating = Beating(crew.dsn, await enlisted(crew), enlisted_at=now() - 4.1 * FAST.total_seconds())
    beating.liveness.start()
    await asyncio.to_thread(beating.fenced.wait, 2)

    assert ["silent"] == beating.why


async def test_without_its_lock_a_worker_fences_itself_sooner(crew: Crew) -> None:
    beat = timedelta(milliseconds=400)
    beating = Beating(crew.dsn.replace("dbname=", "dbname=no_"), await enlisted(crew, beat))
    begun = time.monotonic()
    beating.liveness.lock_lost()
    beating.liveness.start()
    await asyncio.to_thread(beating.fenced.wait, 5)

    assert 1.2 * 0.4 <= time.monotonic() - begun < 4 / 3 * 0.4


async def test_a_worker_that_others_declared_dead_hears_it_with_its_next_beat(crew: Crew) -> None:
    who = await enlisted(crew)
    beating = Beating(crew.dsn, who)
    beating.liveness.start()
    await crew.conn.execute("update outbox.workers set fenced_at = outbox.clock()")
    await asyncio.to_thread(beating.fenced.wait, 2)

    assert ["declared dead"] == beating.why


@proves("L15")
async def test_beating_is_not_progress(crew: Crew) -> None:
    over = threading.Event()

    def work(job: Job, run: Any) -> None:
        over.wait(30)

    job = await crew.enqueue(timeoutMs=600_000, maxAttempts=1)
    async with crew.at_work({"work": work}) as shop:
        await until(lambda: shop.worker.running == 1)
        await crew.conn.execute("update outbox.leases set deadline_at = outbox.clock()")
        attempt = await crew.attempt(job)
        alive = shop.worker.worker_id
        over.set()

    assert ("timed_out", "hung") == (attempt["outcome"], attempt["class"])
    assert alive is not None


async def finds(crew: Crew, statement: str, wanted: Any) -> bool:
    return any(
        wanted in row.values() for row in await crew.rows(statement.replace("select 3 ", "select 3 as n "))
    )
