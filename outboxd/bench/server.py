"""An HTTP server to be measured, in a process of its own: `python -m outboxd.bench.server`.

    database   the API as it is, its ingest, and the sequencer beside it
    nothing    the same app and server, with an ingest that answers at once and asks no database
    bare       the same server with an app that answers 201 and looks at nothing

Reads its order from the first line of standard input, prints its port, and stops at the end of it.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

import msgspec
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from outboxd import config as settings
from outboxd.api import app as api
from outboxd.api.server import Server, serving
from outboxd.daemon.pace import run
from outboxd.db.pool import Database
from outboxd.egress import Egress
from outboxd.loops.ingest import Ingest
from outboxd.loops.sequencer import Sequencer
from outboxd.loops.wakes import Wakes
from outboxd.store.idempotency import Claim
from outboxd.store.ingest import Incoming, Outcome


class Order(msgspec.Struct, frozen=True, kw_only=True):
    dsn: str
    answers: Literal["database", "nothing", "bare"]


class Instant(Ingest):
    """Answers as if everything were stored: what is left is the price of HTTP, JSON, keys and checks."""

    async def publish(self, events: list[Incoming], claim: Claim | None = None) -> list[Outcome]:
        now = datetime.now(UTC)
        return [Outcome(201, event.id, False, False, None, None, now, ()) for event in events]


class Ready:
    draining = False

    async def checks(self) -> dict[str, str]:
        return {}


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """What uvicorn alone costs: the body is read, and a reply of about our length goes back."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_REPLY))]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": _REPLY})


_REPLY = b'{"event":"' + b"x" * 700 + b'"}'


def main() -> None:
    # Ctrl-C is answered by who started us.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    run(_serve(msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)))


async def _serve(order: Order) -> None:
    config = settings.read({"OUTBOXD_DATABASE_URL": order.dsn}, command="serve")
    async with _app(order, config) as app:
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        server = Server(serving(app, config))
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        serves = asyncio.create_task(server.serve(sockets=[listening]))
        await asyncio.to_thread(sys.stdin.buffer.read)
        server.should_exit = server.force_exit = True
        await serves


@asynccontextmanager
async def _app(order: Order, config: settings.Config) -> AsyncIterator[ASGIApp]:
    if order.answers == "bare":
        yield bare
        return
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(Database.open(order.dsn))
        egress = await stack.enter_async_context(Egress.open(config))
        wakes, stop = Wakes(), asyncio.Event()
        ingest = (Ingest if order.answers == "database" else Instant)(db, wakes)
        loops = [asyncio.create_task(ingest.run(stop)), asyncio.create_task(Sequencer(db, wakes).run())]
        yield api.build(config=config, db=db, egress=egress, ingest=ingest, wakes=wakes, readiness=Ready())
        stop.set()
        loops[1].cancel()
        await asyncio.wait(loops)


if __name__ == "__main__":
    main()
