"""The one connection that hears what others hint at, and that says by its life that we live.

        ┌──────────────────────────── run() ◀── backoff, jitter ◀──┐
        ▼                                                          │ lost
    connect ─▶ listen ─▶ tell everybody to look ─▶ ┌ hear hints    │
                                                   │ prove, 15 s   ├─┘
                                                   └ lock, if held │

NOTIFY is a hint, and hints get lost: whoever sleeps on one also polls. `proven` says whether hints
arrive at all, because a pooler or a dead network swallows them without an error: every period we
notify ourselves, on a channel of our own, and hints count as proven for two periods from the last
answer. Through a transaction pooler that may happen to arrive on the very session that listens, while those
of others do not, and a lock stays with a session that is not ours: so a connection whose backend is not
the one that was introduced at its start is never proven, and holds no lock. A statement whose answer does
not come within the network timeout cuts the connection.

The session holds the worker's advisory lock: when the process dies, the server drops it, and others
know. A restart or failover of the server drops every lock, so the lock is worth something only with
the incarnation of the server it was taken on, read in the same statement. After a reconnect the
server may still believe in our old session; we end it ourselves.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import psycopg
import structlog
from psycopg import Notify
from psycopg.rows import dict_row

from outboxd import telemetry
from outboxd.db import locks, rows
from outboxd.db.hints import Hint, read
from outboxd.db.link import Link, reachable

log = structlog.get_logger()

WAKE = "outbox_wake"
PENDING = "outbox_pending"

_FIRST_RETRY = 0.1
_LONGEST_RETRY = 3.0  # recovery of the server is to be seen within 5 s

_TAKE = """
select outbox.incarnation() as incarnation
where pg_try_advisory_lock({}, {})
"""
_END_OURSELVES = """
select pg_terminate_backend(pid)
from pg_locks
where locktype = 'advisory' and classid = {} and objid = {} and pid = %s
"""


_DEAF = "hints do not arrive, polling: LISTEN needs a direct connection"


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    lock_no: int
    incarnation: str
    """Of the server, at the moment the lock was taken."""


OnHint = Callable[[Hint], None]
OnLock = Callable[[Lock | None], None]


class Listener:
    """`run()` it in a task of its own. `subscribe` and `hold` may be called before and while it runs."""

    def __init__(
        self,
        dsn: str,
        *,
        period: timedelta = timedelta(seconds=15),
        net_timeout: timedelta = timedelta(seconds=10),
        application: str = "outboxd listen",
    ) -> None:
        self._dsn = reachable(dsn, net_timeout, application)
        self._period = period.total_seconds()
        self._net_timeout = net_timeout
        self._tick = min(1.0, self._period / 15, net_timeout.total_seconds() / 2)
        self._handlers: list[OnHint] = []
        self._proof = f"outbox_proof_{secrets.token_hex(8)}"
        self._asked_at = self._proved_at = float("-inf")
        self._wanted: tuple[int, OnLock] | None = None
        self._lock: Lock | None = None
        self._pid: int | None = None
        self._direct = True
        self._failures = 0
        self._first = asyncio.Event()

    @property
    def proven(self) -> bool:
        """Whether hints arrive; while they do not, poll as if there were none."""
        return time.monotonic() - self._proved_at <= 2 * self._period

    @property
    def lock(self) -> Lock | None:
        """What we hold now."""
        return self._lock

    def subscribe(self, handler: OnHint) -> Callable[[], None]:
        """`handler` gets every hint from now on, on the event loop, and must not block.

        After each connect it gets `everything`: hints may have been lost. Returns what unsubscribes.
        """
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    def hold(self, lock_no: int, on_lock: OnLock) -> None:
        """Takes the worker's lock within a tick, and again after every reconnect.

        `on_lock` gets the Lock when it is taken and None when it is lost. Asked again with another
        number, the old lock is let go.
        """
        self._wanted = (lock_no, on_lock)

    async def until_proven(self, limit: timedelta) -> bool:
        """Waits for the first round trip, for the boot to say whether hints arrive."""
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self._first.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Never returns: what is lost is set up again, at the latest 3 s after it can be."""
        while True:
            try:
                await self.once()
            except psycopg.Error as failed:
                log.warning("listen lost", sqlstate=failed.sqlstate, failures=self._failures)
            longest = min(_LONGEST_RETRY, _FIRST_RETRY * 2**self._failures)
            self._failures = min(self._failures + 1, 10)
            telemetry.LISTEN_RECONNECTS_TOTAL.inc()
            await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311  jitter, no secret

    async def once(self) -> None:
        """One connection, from its setting up until it is lost. Raises psycopg.Error then."""
        async with self._connected() as conn:
            self._announce(Hint(kind="everything"))
            while True:
                await self._tend(conn)
                async for heard in conn.notifies(timeout=self._tick):
                    self._hear(heard)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Link]:
        conn = await Link.connect(self._dsn, autocommit=True, prepare_threshold=None, row_factory=dict_row)
        conn.silence = self._net_timeout
        try:
            for channel in (WAKE, PENDING, self._proof):
                await conn.execute(f"listen {channel}".encode())
            self._direct = await _is_direct(conn)
            if not self._direct:
                log.warning(_DEAF)
            yield conn
        finally:
            self._lose()
            await conn.close()

    async def _tend(self, conn: Link) -> None:
        if self._wanted is not None and self._direct:
            if self._lock is not None and self._lock.lock_no != self._wanted[0]:
                await self._let_go(conn, self._lock)
            if self._lock is None:
                await self._take_lock(conn, *self._wanted)
        now = time.monotonic()
        if now - self._asked_at >= self._period:
            if now - self._asked_at < float("inf") and not self.proven:
                log.warning(_DEAF)
            self._asked_at = now
            await conn.execute(f"notify {self._proof}".encode())
        telemetry.LISTEN_UP.set(self.proven)

    async def _take_lock(self, conn: Link, lock_no: int, on_lock: OnLock) -> None:
        cur = await conn.execute(_TAKE.format(locks.WORKER, lock_no).encode())
        incarnation = await rows.values(cur, str)
        if not incarnation:
            ours = _END_OURSELVES.format(locks.WORKER, lock_no).encode()
            await conn.execute(ours, [self._pid])
            return
        self._pid = conn.info.backend_pid
        self._lock = Lock(lock_no=lock_no, incarnation=incarnation[0])
        log.info("worker lock taken", lock_no=lock_no)
        on_lock(self._lock)

    async def _let_go(self, conn: Link, lock: Lock) -> None:
        """The worker has enlisted anew, with another number; of the old one nobody asks any more."""
        await conn.execute(f"select pg_advisory_unlock({locks.WORKER}, {lock.lock_no})".encode())
        self._lock = None

    def _hear(self, heard: Notify) -> None:
        if heard.channel == self._proof:
            if not self._direct:
                return
            if not self.proven:
                log.info("listen proven")
            self._proved_at = time.monotonic()
            self._first.set()
            self._failures = 0
        elif heard.channel == PENDING:
            self._announce(Hint(kind="pending"))
        else:
            for hint in read(heard.payload):
                self._announce(hint)

    def _announce(self, hint: Hint) -> None:
        for handler in tuple(self._handlers):
            handler(hint)

    def _lose(self) -> None:
        self._asked_at = self._proved_at = float("-inf")
        telemetry.LISTEN_UP.set(0)
        if self._lock is not None and self._wanted is not None:
            self._lock = None
            self._wanted[1](None)


async def _is_direct(conn: Link) -> bool:
    """Whether the server's process is the one that the connection's start named: a pooler names its own."""
    cur = await conn.execute(b"select pg_backend_pid()")
    return await rows.value(cur, int) == conn.info.backend_pid
