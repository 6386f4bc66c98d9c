"""The daemon as a process, as its users start it."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from outboxd.bench import tenants
from outboxd.bench.ground import NotMeasuredError
from outboxd.config import program

_WITHIN = 20.0
_TICK = 0.05
_ALIVE = "select exists (select from outbox.workers where fenced_at is null and handlers @> '{bench}')"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HERTZ = os.sysconf("SC_CLK_TCK")
APP = "outboxd.bench.handlers:app"


@asynccontextmanager
async def work(dsn: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """`outboxd work` with our handler, enlisted."""
    async with _running(dsn, "work", "--app", APP, environ=environ) as process:
        await _until_alive(dsn, process)
        yield process


@asynccontextmanager
async def whole(dsn: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Process, int]]:
    """API and worker in one process, and the port of the API."""
    port = free_port()
    given = {"OUTBOXD_ROLES": "api,work", "OUTBOXD_PORT": str(port), "OUTBOXD_APP": APP}
    async with _running(dsn, "serve", environ=given | dict(environ or {})) as process:
        await _until_alive(dsn, process)
        yield process, port


@asynccontextmanager
async def api(dsn: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Process, int]]:
    """`outboxd serve`, and the port that it listens on."""
    port = free_port()
    async with _running(dsn, "serve", environ={"OUTBOXD_PORT": str(port), **(environ or {})}) as process:
        await _until_ready(port, process)
        yield process, port


def rss(process: Process) -> int:
    """Bytes of memory that it has now."""
    return int(_stat(process, "statm").split()[1]) * _PAGE


def cpu(process: Process) -> float:
    """Seconds of processor time that it has used."""
    fields = _stat(process, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _HERTZ


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@asynccontextmanager
async def _running(dsn: str, *said: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    given = {"OUTBOXD_DATABASE_URL": dsn, "OUTBOXD_LOG_LEVEL": "error", "OUTBOXD_GENERATION": "off"}
    given |= {"OUTBOXD_WORKER_QUEUES": tenants.QUEUE, **(environ or {})}
    kept = {name: text for name, text in program.environment().items() if not name.startswith("OUTBOXD_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "outboxd", *said, env=kept | given, stdout=DEVNULL, stdin=DEVNULL
    )
    try:
        yield process
    finally:
        await _stopped(process)


async def _stopped(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _until_alive(dsn: str, process: Process) -> None:
    deadline = asyncio.get_running_loop().time() + _WITHIN
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        while asyncio.get_running_loop().time() < deadline:
            row = await (await conn.execute(_ALIVE)).fetchone()
            if row is not None and row[0]:
                return
            if process.returncode is not None:
                raise NotMeasuredError(f"the daemon ended with status {process.returncode}")
            await asyncio.sleep(_TICK)
    raise NotMeasuredError(f"the daemon had no worker within {_WITHIN:.0f} s")


async def _until_ready(port: int, process: Process) -> None:
    deadline = asyncio.get_running_loop().time() + _WITHIN
    while asyncio.get_running_loop().time() < deadline:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            said = await reader.read()
            writer.close()
            if said.startswith(b"HTTP/1.1 200"):
                return
        except OSError:
            pass
        if process.returncode is not None:
            raise NotMeasuredError(f"the daemon ended with status {process.returncode}")
        await asyncio.sleep(_TICK)
    raise NotMeasuredError(f"the daemon was not ready within {_WITHIN:.0f} s")


def _stat(process: Process, name: str) -> str:
    try:
        return Path(f"/proc/{process.pid}/{name}").read_text()
    except OSError as missing:
        raise NotMeasuredError("processes are measured through /proc, which is not here") from missing
