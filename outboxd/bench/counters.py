"""What the server counted around a window: WAL, transactions, dead rows; and notifications heard in it."""

import time
from types import TracebackType
from typing import Self

import psycopg

_COUNT = """
  select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal,
    (select wal_fpi from pg_stat_wal) as full_pages,
    (select xact_commit from pg_stat_database where datname = current_database()) as transactions,
    (select coalesce(sum(n_tup_del + n_tup_upd), 0) from pg_stat_user_tables) as dead
"""
_THERE = """
  select exists (select from pg_stat_activity where datname = current_database()
    and backend_type = 'client backend' and backend_start > %s)
"""
_LEAVING = 2.0
_PAGE = 8192
_CHANNELS = ("outbox_wake", "outbox_pending")


class Window:
    """`with Window(dsn) as seen: …`; afterwards `seen.wal`, `.transactions`, `.dead` hold the differences.

    Full-page images depend on when a checkpoint came, not on what was written, so they are told apart:
    at most a page each, which is what is taken off. Statistics arrive when the backends that made
    them say so, at the latest at their end: measure with connections that are closed inside the window.
    """

    def __init__(self, dsn: str) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        self.wal = self.full_page_bytes = self.transactions = self.dead = 0

    def __enter__(self) -> Self:
        self._opened = self._conn.execute("select clock_timestamp()").fetchone()
        self._before = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        with self._conn:
            self._let_leave()
            after = self._read()
        wal, pages, self.transactions, self.dead = (b - a for a, b in zip(self._before, after, strict=True))
        self.wal, self.full_page_bytes = wal, pages * _PAGE

    def _let_leave(self) -> None:
        """A backend ends, and tells what it counted, some time after its client has closed."""
        until = time.monotonic() + _LEAVING
        while time.monotonic() < until and self._conn.execute(_THERE, self._opened).fetchone() == (True,):
            time.sleep(0.02)

    def _read(self) -> tuple[int, ...]:
        self._conn.execute("select pg_stat_clear_snapshot()")
        row = self._conn.execute(_COUNT).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        return tuple(int(value) for value in row)


class Heard:
    """How many notifications of ours were sent meanwhile: it listens, like everybody else."""

    def __init__(self, dsn: str) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        self.count = 0

    def __enter__(self) -> Self:
        self._conn.add_notify_handler(self._one)
        for channel in _CHANNELS:
            self._conn.execute(f"listen {channel}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        with self._conn:
            # What was sent before this statement comes with its answer.
            self._conn.execute("select")

    def _one(self, told: psycopg.Notify) -> None:
        self.count += 1
