"""Jobs that one call did end in one transaction, each under its own lease."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from outboxd.handlers import python
from outboxd.model import Job
from outboxd.model.contract import Company, Ended
from tests.loops.crew import Crew
from tests.waiting import until

proves = pytest.mark.proves


@pytest.fixture(autouse=True)
async def effects(crew: Crew) -> None:
    await crew.conn.execute("create table effects (job uuid, company int)")


async def written(crew: Crew) -> list[UUID]:
    return [row["job"] for row in await crew.rows("select job from effects")]


class Call:
    """A handler whose jobs wait for each other, and then end as one company."""

    def __init__(self, size: int, *, fault: Exception | None = None) -> None:
        self.size = size
        self.fault = fault
        self.here: list[UUID] = []
        self.writes: list[frozenset[UUID]] = []
        self.go = asyncio.Event()
        self.company = Company(write=self.write)

    async def write(self, conn: Any, ids: frozenset[UUID]) -> dict[UUID, Any]:
        self.writes.append(ids)
        for job in ids:
            await conn.execute("insert into effects values (%s, %s)", [job, len(self.writes)])
        if self.fault is not None:
            raise self.fault
        return {job: {"with": len(ids)} for job in ids}

    async def work(self, job: Job, run: Any) -> Ended:
        self.here.append(job.id)
        await self.go.wait()
        return Ended(outcome="completed", output={"with": 0}, company=self.company)

    async def full(self) -> bool:
        return len(self.here) == self.size

    @property
    def app(self) -> python.App:
        return python.App(handlers={"work": self.work}, writes=["work"])


@proves("L2")
async def test_jobs_of_one_call_are_written_and_completed_in_one_transaction(crew: Crew) -> None:
    call = Call(5)
    jobs = [await crew.enqueue() for _ in range(5)]
    async with crew.at_work(call.app):
        await until(call.full)
        call.go.set()
        ends = [await crew.attempt(job) for job in jobs]

    assert [frozenset(jobs)] == call.writes
    assert sorted(jobs) == sorted(await written(crew))
    assert {("completed", 5)} == {(end["outcome"], end["output"]["with"]) for end in ends}
    assert 1 == len({row["xmin"] for row in await crew.rows("select xmin::text from outbox.attempts")})
    assert 5 == len({end["lease_id"] for end in ends})


@proves("L1", "L16")
async def test_a_cancelled_member_is_left_out_and_the_others_are_written(crew: Crew) -> None:
    call = Call(3)
    jobs = [await crew.enqueue() for _ in range(3)]
    async with crew.at_work(call.app):
        await until(call.full)
        await crew.conn.execute("select * from outbox.cancel(outbox.me(), %s)", [jobs[1]])
        call.go.set()
        ends = [await crew.attempt(job) for job in jobs]

    assert ["completed", "cancelled", "completed"] == [end["outcome"] for end in ends]
    assert sorted([jobs[0], jobs[2]]) == sorted(await written(crew))


@proves("L2")
async def test_a_write_that_raises_fails_every_member_and_leaves_nothing(crew: Crew) -> None:
    call = Call(3, fault=ValueError("no"))
    jobs = [await crew.enqueue() for _ in range(3)]
    async with crew.at_work(call.app):
        await until(call.full)
        call.go.set()
        ends = [await crew.attempt(job) for job in jobs]

    assert {("failed", "ValueError")} == {(end["outcome"], end["class"]) for end in ends}
    assert [] == await written(crew)


async def test_one_that_comes_late_has_a_transaction_of_its_own(crew: Crew) -> None:
    call = Call(2)
    late = asyncio.Event()

    async def work(job: Job, run: Any) -> Ended:
        ended = await call.work(job, run)
        if job.id == call.here[-1]:
            await late.wait()
        return ended

    jobs = [await crew.enqueue() for _ in range(2)]
    async with crew.at_work(python.App(handlers={"work": work}, writes=["work"])):
        await until(call.full)
        call.go.set()
        first = await crew.attempt(call.here[0])
        late.set()
        second = await crew.attempt(call.here[1])

    assert [frozenset([call.here[0]]), frozenset([call.here[1]])] == call.writes
    assert ["completed", "completed"] == [first["outcome"], second["outcome"]]
    assert sorted(jobs) == sorted(await written(crew))


async def test_a_snoozed_company_comes_again(crew: Crew) -> None:
    calls = 0

    async def nothing(conn: Any, ids: frozenset[UUID]) -> None:
        pass

    company = Company(write=nothing)

    async def work(job: Job, run: Any) -> Ended:
        nonlocal calls
        calls += 1
        if calls <= 2:
            delay = timedelta(milliseconds=50)
            return Ended(outcome="snoozed", delay=delay, reason="budget", company=company)
        return Ended(outcome="completed", company=company)

    jobs = [await crew.enqueue() for _ in range(2)]
    async with crew.at_work(python.App(handlers={"work": work}, writes=["work"])):

        async def over() -> bool:
            found = await crew.rows("select from outbox.attempts where outcome = 'completed'")
            return len(found) == len(jobs)

        await until(over)

    assert 4 == calls
