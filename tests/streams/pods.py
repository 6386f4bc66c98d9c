"""Several api processes in one: each with its own pool, wakes and hub, serving on a port of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
from psycopg import AsyncConnection

from outboxd.api.exchange import Api
from outboxd.api.server import Server
from outboxd.api.server import serving as uvicorn_config
from outboxd.daemon import web
from outboxd.db.listen import Listener
from outboxd.db.pool import Database
from outboxd.egress import Egress
from outboxd.loops.notifier import Notifier
from outboxd.loops.poll import Poll
from outboxd.loops.sequencer import Sequencer
from tests import seed
from tests.api.served import Served, configured, public
from tests.streams import reading
from tests.streams.reading import Stream

Conn = AsyncConnection[dict[str, Any]]


class Pod:
    """`api` is what its handlers work with."""

    def __init__(self, served: Served, db: Database, listener: Listener, port: int) -> None:
        self.served, self.db, self.listener, self.port = served, db, listener, port
        self.api: Api = served.app.state.api
        self.hub = self.api.hub
        self.http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=40)

    def stream(self, tenant: seed.Tenant, query: str = "", key: str | None = None, **headers: str) -> Any:
        """An open stream of the tenant's project, as a context."""
        path = f"/v1/projects/{tenant.project}/stream" + (f"?{query}" if query else "")
        return reading.opened(self.port, path, tenant.key if key is None else key, **headers)

    async def get(self, path: str, key: str, **query: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key}"}
        return await self.http.get(path, params=query or None, headers=headers)

    async def post(self, path: str, key: str, body: Any) -> httpx2.Response:
        return await self.http.post(path, json=body, headers={"authorization": f"Bearer {key}"})

    async def feed(self, tenant: seed.Tenant, **query: Any) -> Any:
        found = await self.get(f"/v1/projects/{tenant.project}/feed", tenant.key, **query)
        assert found.status_code == 200, found.text
        return found.json()

    async def publish(self, tenant: seed.Tenant, kind: str = "t", **more: Any) -> str:
        made = await self.post("/v1/events", tenant.key, {"eventType": kind, **more})
        assert made.status_code == 201, made.text
        return str(made.json()["event"]["id"])


@asynccontextmanager
async def pod(
    dsn: str, *, sequences: bool = True, listens: bool = True, **settings: str
) -> AsyncIterator[Pod]:
    """`sequences`: numbers events, too. `listens`: hears what others hint at."""
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(Database.open(dsn))
        given = configured(**settings)
        egress = await stack.enter_async_context(Egress.open(given, look_up=public))
        served = Served(db, egress, given)
        notifier, listener = Notifier(dsn), Listener(dsn)
        served.wakes._tell = notifier.tell
        port = web.bind("127.0.0.1", 0)
        server = Server(uvicorn_config(served.app, given))
        stop = asyncio.Event()
        tasks = [asyncio.create_task(notifier.run())]
        if sequences:
            poll = Poll(db, served.wakes, ask=_nothing, idle=_nothing, proven=lambda: listener.proven)
            tasks += [asyncio.create_task(each.run()) for each in (Sequencer(db, served.wakes), poll)]
        if listens:
            listener.subscribe(served.wakes.heard)
            tasks.append(asyncio.create_task(listener.run()))
        committing = asyncio.create_task(served.ingest.run(stop))
        serving = asyncio.create_task(server.serve([port]))
        try:
            if listens:
                await listener.until_proven(timedelta(seconds=5))
            made = Pod(served, db, listener, port.getsockname()[1])
            async with made.http:
                yield made
        finally:
            server.should_exit = server.force_exit = True
            stop.set()
            await asyncio.gather(committing, serving)
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)


def _nothing(chore: str) -> None:
    """There are none here."""


async def publish(conn: Conn, project: UUID, n: int = 1, kind: str = "t", first: int = 0) -> None:
    """By SQL, in one transaction; payloads `{"n": first…}`."""
    await conn.execute(
        "select outbox.publish(%s, jsonb_build_object('n', g), %s) from generate_series(%s::int, %s::int) g",
        (kind, project, first, first + n - 1),
    )


async def sequence(conn: Conn, project: UUID) -> None:
    await conn.execute("select outbox.sequence(array[%s]::uuid[], 10000)", (project,))


def seq(position: str | None) -> int:
    assert position
    return int(position.split("-")[1])


async def taken(stream: Stream, count: int) -> list[int]:
    """Numbers of the next events."""
    return [seq(each.id) for each in await stream.events(count)]
