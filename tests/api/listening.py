"""The app on a socket, for what only happens there: streams, and clients that dial for themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from outboxd.api import server
from outboxd.db.pool import Database
from tests.api.served import Served, serving
from tests.waiting import until


class Listening(msgspec.Struct, frozen=True):
    served: Served
    url: str
    """Without a path."""
    server: server.Server


@asynccontextmanager
async def listening(db: Database, **settings: str) -> AsyncIterator[Listening]:
    async with serving(db, **settings) as served:
        running = server.Server(server.serving(served.app, served.config, port=0))
        task = asyncio.create_task(running.serve())
        await until(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        try:
            yield Listening(served, f"http://127.0.0.1:{port}", running)
        finally:
            running.should_exit = True
            await task
