"""A worker's sign of life, and the knife it turns on itself when it cannot give it.

    thread "beat"    every beat: `outbox.beat` on a connection of its own ──▶ cancelled jobs
    thread "watch"   beats go unheard for 4 of the 5 after which others may rescue ──▶ fence ourselves

Both are threads because the event loop may be stuck in somebody's synchronous code, and that is no
reason to lose every lease. The watch is a second one because the first may be stuck in a network that
swallows packets; it cuts that connection too, so that the next beat gets a new one. Age is counted from
the sending of the last beat that was answered, by a clock that goes on while the machine sleeps: after
SIGSTOP or suspend we know at once that we were dead.

With the liveness lock lost, others may rescue after 1 1/3 beats: then we beat three times as often and
fence ourselves after 1 1/4. All times are multiples of the beat. Weaknesses: native code that keeps the
interpreter lock stops both threads; and beating is not progress, which is what deadlines are for.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog

from outboxd import telemetry
from outboxd.db.link import reachable
from outboxd.store import workers
from outboxd.store.workers import Enlisted

log = structlog.get_logger()

_LIMIT = 4.0
_LIMIT_WITHOUT_LOCK = 1.25
_FASTER = 3
_SILENCE = 1.5

OnCancelled = Callable[[tuple[UUID, ...]], None]
OnFenced = Callable[[str], None]


def now() -> float:
    """Seconds that also pass while the machine is suspended."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Liveness:
    """Of one enlistment. Callbacks come from its threads, `on_fenced` once at most."""

    def __init__(
        self,
        dsn: str,
        enlisted: Enlisted,
        *,
        enlisted_at: float,
        net_timeout: timedelta,
        running: Callable[[], int],
        on_cancelled: OnCancelled,
        on_fenced: OnFenced,
    ) -> None:
        """`enlisted_at`: `now()` before the call that enlisted."""
        longest = max(timedelta(seconds=2), enlisted.beat_every)
        self._dsn = reachable(dsn, min(net_timeout, longest), "outboxd beat")
        self._worker = enlisted.worker_id
        self._lock_no = enlisted.lock_no
        self._beat = enlisted.beat_every.total_seconds()
        self._running = running
        self._on_cancelled = on_cancelled
        self._on_fenced = on_fenced
        self._heard_at = enlisted_at
        self._asked_at: float | None = None
        self._conn: psycopg.Connection[Any] | None = None
        self._incarnation: str | None = None
        self._lock_lost = False
        self._soon = threading.Event()
        self._stop = threading.Event()
        self._fencing = threading.Lock()
        self._fenced = False
        self._threads = [
            threading.Thread(target=self._beat_on, name="beat", daemon=True),
            threading.Thread(target=self._watch, name="watch", daemon=True),
        ]

    @property
    def age(self) -> float:
        """Seconds since the last beat that was answered was sent."""
        return now() - self._heard_at

    @property
    def lives(self) -> bool:
        """Whether its threads do what they should; one that ended by a fault of ours never comes back."""
        return self._stop.is_set() or all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends beating; never waits for a network."""
        self._stop.set()
        self._soon.set()
        self._cut()

    def lock_taken(self, lock_no: int, incarnation: str) -> None:
        """Of an older enlistment: passed over."""
        if lock_no == self._lock_no:
            self._incarnation, self._lock_lost = incarnation, False
            self._soon.set()

    def lock_lost(self) -> None:
        self._lock_lost = True
        self._soon.set()

    def _limit(self) -> float:
        return self._beat * (_LIMIT_WITHOUT_LOCK if self._lock_lost else _LIMIT)

    def _beat_on(self) -> None:
        while not self._stop.is_set():
            answered = self._once()
            pause = self._beat / (1 if answered and not self._lock_lost else _FASTER)
            self._soon.wait(pause)
            self._soon.clear()
        self._close()

    def _once(self) -> bool:
        """One beat; whether it was answered."""
        sent = now()
        if sent - self._heard_at > self._limit():
            self._fence("silent")
            return False
        self._asked_at = sent
        try:
            conn = self._connected()
            said = workers.beat(conn, self._worker, self._running())
            self._tell_lock(conn)
        except psycopg.Error as failed:
            if not self._stop.is_set():
                log.warning("beat failed", sqlstate=failed.sqlstate, age=round(self.age, 3))
            self._close()
            return False
        finally:
            self._asked_at = None
        if not said.alive:
            self._fence("declared dead")
            return False
        self._heard_at = sent
        if said.cancelled:
            self._on_cancelled(said.cancelled)
        return True

    def _connected(self) -> psycopg.Connection[Any]:
        if self._conn is None:
            self._conn = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        return self._conn

    def _tell_lock(self, conn: psycopg.Connection[Any]) -> None:
        incarnation = self._incarnation
        if incarnation is not None:
            workers.locked(conn, self._worker, self._lock_no, incarnation)
            self._incarnation = None

    def _watch(self) -> None:
        tick = self._beat / 20
        while not self._stop.wait(tick):
            telemetry.BEAT_AGE_SECONDS.set(self.age)
            if self.age > self._limit():
                self._fence("silent")
                return
            asked_at = self._asked_at
            if asked_at is not None and now() - asked_at > self._beat * _SILENCE:
                self._cut()

    def _fence(self, why: str) -> None:
        with self._fencing:
            if self._fenced or self._stop.is_set():
                return
            self._fenced = True
        telemetry.SELF_FENCED_TOTAL.inc()
        log.error("worker fenced itself", worker=str(self._worker), why=why, age=round(self.age, 3))
        self._on_fenced(why)
        self.stop()

    def _cut(self) -> None:
        """Wakes the thread that waits for an answer: closing would wait for it."""
        conn = self._conn
        if conn is None or conn.closed:
            return
        try:
            with socket.socket(fileno=os.dup(conn.pgconn.socket)) as other:
                other.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            log.debug("connection was gone already")

    def _close(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()
