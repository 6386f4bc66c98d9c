"""What every measure stands on: the server, how much of everything, and databases of its own."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import psycopg

from outboxd.bench import place
from outboxd.bench.drain import Did, Order
from outboxd.config import program

PAYLOAD = '{"text":"' + "x" * 90 + '"}'
"""About 100 bytes, whatever the door."""


class NotMeasuredError(Exception):
    """Why a figure is n/a: what was needed is not installed, or failed."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything; the ratios stay, the noise grows as it shrinks."""

    jobs: int = 50_000
    slow_jobs: int = 2_000
    """For peers that take a statement a job: their rate does not depend on it."""
    cost_jobs: int = 10_000
    seconds: float = 20
    held: float = 60
    backlog: int = 1_000_000
    lanes: int = 1_000
    shares: int = 1_000
    pick_ups: int = 200
    idle: float = 60
    observed: int = 10_000
    """Events of agents."""
    memories: int = 100_000
    delivered: int = 10_000
    """Events to a webhook."""
    asked: int = 1_000
    """Questions of each kind."""
    clients: int = 64
    batch: int = 100


QUICK = Size(
    jobs=20_000,
    slow_jobs=1_000,
    cost_jobs=5_000,
    seconds=5,
    held=15,
    pick_ups=100,
    idle=30,
    observed=2_000,
    asked=200,
    delivered=2_000,
)


class Ground:
    """Made once a run. Every database it hands out is dropped when it is given back, unless `keep`."""

    def __init__(self, dsn: str, size: Size, *, keep: bool = False) -> None:
        self.dsn = dsn
        self.size = size
        self.keep = keep
        self.versions: dict[str, str] = {}
        """Of the systems that have told theirs."""

    @asynccontextmanager
    async def database(self, *, schema: bool = True) -> AsyncIterator[str]:
        async with place.database(self.dsn, keep=self.keep, schema=schema) as dsn:
            yield dsn

    def checkpoint(self) -> None:
        """So that no measure pays for what the one before has left dirty."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("checkpoint")

    async def fill(self, order: Order) -> Did:
        async with child("outboxd.bench.drain", order) as process:
            did = await _answer(process)
        self.versions[order.system] = did.version
        return did

    async def drain(self, order: Order, processes: int = 1) -> list[Did]:
        """Every process imports first; then all of them start."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._started(order)) for _ in range(processes)]
        children = [task.result() for task in running]
        try:
            for child in children:
                _write(child, b"go\n")
            return list(await asyncio.gather(*(_answer(child) for child in children)))
        finally:
            for child in children:
                await _ended(child)

    async def _started(self, order: Order) -> Process:
        process = await _spawn("outboxd.bench.drain", order)
        said = await line(process)
        if said != b"ready\n":
            await _ended(process)
            raise NotMeasuredError(_why(said))
        return process


@asynccontextmanager
async def child(module: str, order: msgspec.Struct) -> AsyncIterator[Process]:
    """`python -m module`, given its order as a line of JSON; gone when the block ends."""
    process = await _spawn(module, order)
    try:
        yield process
    finally:
        await _ended(process)


async def _spawn(module: str, order: msgspec.Struct) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=program.environment(), stdin=PIPE, stdout=PIPE, limit=2**22
    )
    _write(process, msgspec.json.encode(order) + b"\n")
    return process


def _write(process: Process, line: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it was made with a pipe
    process.stdin.write(line)


async def line(process: Process) -> bytes:
    """What it says next; empty when it has ended."""
    assert process.stdout is not None  # noqa: S101 - it was made with a pipe
    return await process.stdout.readline()


async def _answer(process: Process) -> Did:
    said = await line(process)
    did = msgspec.json.decode(said, type=Did) if said else Did(why="its process ended without a word")
    if did.why is not None:
        raise NotMeasuredError(did.why)
    return did


def _why(said: bytes) -> str:
    try:
        return msgspec.json.decode(said, type=Did).why or "it said nothing"
    except msgspec.DecodeError:
        return "its process ended without a word"


async def _ended(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
