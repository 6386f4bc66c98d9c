"""Tells other processes what was committed here: few messages, small, and none that nobody needs.

A transaction that notifies takes a lock of the whole server until its commit is flushed, so
producers never do it for us: one connection does, outside every transaction of work, and does not
wait for the flush. What gathers while a message is on its way goes out with the next one, at most
one every 5 ms. A queue is only named if some worker that knows its handler says that it sleeps,
which is asked in the statement that notifies; a busy system sends nothing.

Weakness: what cannot be sent is dropped, and counted. The others poll.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import psycopg
import structlog

from outboxd import telemetry
from outboxd.db.hints import Hint, write
from outboxd.db.link import Link, reachable

log = structlog.get_logger()

_APART = 0.005
_AFTER_FAILURE = 1.0
_MOST = 10_000
"""Hints that may wait; with more of them than that, polling is as good."""

# synchronous_commit is set for this one statement's transaction and read at its end.
_SEND = b"""
select set_config('synchronous_commit', 'off', true), pg_notify('outbox_wake', string_agg(s.word, ' '))
from unnest(%s::text[], %s::text[]) s (word, handler)
where s.handler is null or exists (
  select from outbox.idle i where i.handler = s.handler and i.worker_id is distinct from %s::uuid)
having count(*) > 0
"""


class Notifier:
    """`tell()` from anywhere on the loop; `run()` in a task of its own."""

    def __init__(
        self, dsn: str, *, net_timeout: timedelta = timedelta(seconds=10), application: str = "outboxd notify"
    ) -> None:
        self._dsn = reachable(dsn, net_timeout, application)
        self._net_timeout = net_timeout
        self._waiting: dict[tuple[str, str], tuple[Hint, str | None]] = {}
        self._something = asyncio.Event()
        self.worker: UUID | None = None
        """Our own worker, which was woken in memory and need not be told."""

    @property
    def waiting(self) -> int:
        """Hints that were not sent yet."""
        return len(self._waiting)

    def tell(self, queues: Mapping[str, str], hints: Iterable[Hint] = ()) -> None:
        """`queues` is queue → its handler. Never blocks, never fails."""
        for queue, handler in queues.items():
            self._add(Hint(kind="queue", name=queue), handler)
        for hint in hints:
            self._add(hint, None)
        if self._waiting:
            self._something.set()

    async def run(self) -> None:
        """Never returns; without a connection hints are dropped."""
        while True:
            await self._something.wait()
            try:
                async with self._connected() as conn:
                    await self._send_on(conn)
            except psycopg.Error as failed:
                telemetry.NOTIFY_FAILURES_TOTAL.inc()
                log.warning("hints not sent", sqlstate=failed.sqlstate)
                await asyncio.sleep(_AFTER_FAILURE)

    async def once(self, conn: Link) -> int:
        """Sends what waits now; how many messages that took."""
        waiting, self._waiting = self._waiting, {}
        self._something.clear()
        sent = 0
        for words, handlers in _messages(waiting.values()):
            cur = await conn.execute(_SEND, [words, handlers, self.worker])
            sent += cur.rowcount
            telemetry.NOTIFY_SENT_TOTAL.inc(cur.rowcount)
            await asyncio.sleep(_APART)
        return sent

    async def _send_on(self, conn: Link) -> None:
        while True:
            await self._something.wait()
            await self.once(conn)

    def _add(self, hint: Hint, handler: str | None) -> None:
        if len(self._waiting) >= _MOST:
            telemetry.NOTIFY_FAILURES_TOTAL.inc()
            return
        # Of one stream the last head only: the older ones say nothing any more.
        self._waiting[hint.kind, hint.name] = (hint, handler)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Link]:
        conn = await Link.connect(self._dsn, autocommit=True, prepare_threshold=None)
        conn.silence = self._net_timeout
        try:
            yield conn
        finally:
            await conn.close()


def _messages(waiting: Collection[tuple[Hint, str | None]]) -> Iterator[tuple[list[str], list[str | None]]]:
    """Words and their handlers, message by message."""
    handlers = {word: handler for hint, handler in waiting for word in write([hint])}
    for message in write(hint for hint, _ in waiting):
        words = message.split()
        yield words, [handlers[word] for word in words]
