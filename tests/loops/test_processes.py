"""Workers as processes: killed, stopped, told to go."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import pytest

from tests.loops.crew import Crew
from tests.waiting import until

proves = pytest.mark.proves

BEAT = 0.3


class Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.starts: list[tuple[UUID, int]] = []

    def kill(self, how: signal.Signals) -> None:
        self.process.send_signal(how)

    async def gone(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 10)

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b"start "):
                _, job, attempt = line.decode().split()
                self.starts.append((UUID(job), int(attempt)))


@asynccontextmanager
async def worker(crew: Crew) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.loops.process", crew.dsn, str(BEAT), stdout=asyncio.subprocess.PIPE
    )
    made = Process(process)
    reads = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reads


async def reaped(crew: Crew, job: UUID, limit: float) -> dict[str, Any]:
    """The last word of the ledger about it, once there is one; somebody reaps meanwhile."""

    async def there() -> bool:
        await crew.conn.execute("select outbox.reap()")
        await crew.conn.execute("select outbox.stage()")
        return bool(await crew.attempts(job))

    await until(there, limit)
    return (await crew.attempts(job))[-1]


@proves("R1", "G1")
@pytest.mark.parametrize(("how", "beats"), [(signal.SIGKILL, 5 / 3), (signal.SIGSTOP, 20 / 3)])
async def test_the_jobs_of_a_dead_worker_come_back(crew: Crew, how: signal.Signals, beats: float) -> None:
    """5 s and 20 s with a beat of 3 s."""
    job = await crew.enqueue("waits", payload={"seconds": 60})
    async with worker(crew) as first:
        await until(lambda: bool(first.starts))
        await until(lambda: locked(crew))
        at = time.monotonic()
        first.kill(how)
        attempt = await reaped(crew, job, limit=10)
        took = time.monotonic() - at

    assert ("lost", ["ready"]) == (attempt["outcome"], await crew.where(job))
    assert took <= beats * BEAT + 0.2


@proves("L1", "L3", "L8")
async def test_a_process_that_wakes_from_a_stop_settles_nothing_and_enlists_anew(crew: Crew) -> None:
    job = await crew.enqueue("waits", payload={"seconds": 2})
    async with worker(crew) as frozen:
        await until(lambda: bool(frozen.starts))
        frozen.kill(signal.SIGSTOP)
        await reaped(crew, job, limit=10)
        async with worker(crew) as other:
            await until(lambda: bool(other.starts))
            frozen.kill(signal.SIGCONT)
            attempt = await crew.attempt(job, "completed")
            names = await crew.value("select count(*) from outbox.workers where fenced_at is null")

    assert ["lost", "completed"] == await crew.outcomes(job)
    assert other.process.pid == attempt["output"]["pid"]
    assert (1, 1) == (len(frozen.starts), len(other.starts))
    assert 2 == names


@proves("R3", "L9")
@pytest.mark.parametrize("most", [1, 3])
async def test_a_job_that_kills_its_process_is_dead_after_its_attempts(crew: Crew, most: int) -> None:
    job = await crew.enqueue("exits", maxAttempts=most)
    await crew.conn.execute("update outbox.queues set backoff = '{\"scheduleMs\": [1]}'")
    starts: list[tuple[UUID, int]] = []
    for n in range(most):
        async with worker(crew) as process:
            await process.gone()

            async def settled(n: int = n) -> bool:
                await crew.conn.execute("select outbox.reap()")
                await crew.conn.execute("select outbox.stage()")
                return len(await crew.attempts(job)) > n

            await until(settled)
        starts += process.starts
    assert [(job, n + 1) for n in range(most)] == starts
    assert (["lost"] * most, ["dead_letters"]) == (await crew.outcomes(job), await crew.where(job))


@proves("L14")
@pytest.mark.parametrize(("signals", "status"), [(1, 0), (2, 1)])
async def test_a_worker_told_to_go_leaves_nothing_behind(crew: Crew, signals: int, status: int) -> None:
    job = await crew.enqueue("waits", payload={"seconds": 60 if signals == 2 else 0.5})
    async with worker(crew) as process:
        await until(lambda: bool(process.starts))
        for _ in range(signals):
            process.kill(signal.SIGTERM)
            await asyncio.sleep(0.1)
        left = await process.gone()

    assert status == left
    assert ["completed" if signals == 1 else "released"] == await crew.outcomes(job)
    assert [] == await crew.rows("select from outbox.workers")


async def locked(crew: Crew) -> bool:
    return bool(await crew.rows("select from outbox.workers where incarnation is not null"))
