"""The app over a real database, called in process or served on a socket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from outboxd import config
from outboxd.api import app
from outboxd.config import Config
from outboxd.db.pool import Database
from outboxd.egress import Egress
from outboxd.loops.ingest import Ingest
from outboxd.loops.wakes import Wakes


class Ready:
    """A process whose checks are what the test says."""

    def __init__(self) -> None:
        self.draining = False
        self.found = {"database": "ok", "ingest": "ok"}
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = asyncio.Semaphore(0)

    async def checks(self) -> dict[str, str]:
        self.asked.release()
        await self.answers.wait()
        return self.found


class Served:
    """`http` calls it; the rest is what a test may want to turn."""

    def __init__(self, db: Database, egress: Egress, given: Config) -> None:
        self.config = given
        self.egress = egress
        self.wakes = Wakes()
        self.ingest = Ingest(
            db,
            self.wakes,
            queue_events=self.config.ingest_queue_events,
            queue_bytes=self.config.ingest_queue_bytes,
        )
        self.ready = Ready()
        self.app = app.build(
            config=given,
            db=db,
            egress=egress,
            ingest=self.ingest,
            wakes=self.wakes,
            readiness=self.ready,
        )
        self.http: httpx.AsyncClient

    def client(self, key: str | None = None, **headers: str) -> httpx.AsyncClient:
        given = {"authorization": f"Bearer {key}", **headers} if key else headers
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://outboxd.test", headers=given)


@asynccontextmanager
async def serving(db: Database, key: str | None = None, **settings: str) -> AsyncIterator[Served]:
    """In process, with its ingest running; `http` shows `key`."""
    given, stop = configured(**settings), asyncio.Event()
    async with Egress.open(given, look_up=public) as egress:
        served = Served(db, egress, given)
        committing = asyncio.create_task(served.ingest.run(stop))
        try:
            async with served.client(key) as served.http:
                yield served
        finally:
            stop.set()
            await committing


def configured(**settings: str) -> Config:
    environ = {f"OUTBOXD_{name}": value for name, value in settings.items()}
    return config.read({"OUTBOXD_DATABASE_URL": "postgresql://localhost/x", **environ}, command="serve")


async def public(name: str, port: int) -> Sequence[str]:
    """Every name is that of one public address, but those that are addresses themselves."""
    return [name if name.replace(".", "").isdigit() else "93.184.216.34"]


def problem(reply: httpx.Response) -> dict[str, Any]:
    assert reply.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = reply.json()
    assert found["status"] == reply.status_code
    assert found["requestId"] == reply.headers["x-request-id"]
    return found
