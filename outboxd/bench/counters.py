"""What the server counted around a window: WAL, transactions, dead rows, notifications."""

from types import TracebackType
from typing import Self

import psycopg

_COUNT = """
  select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal,
    (select wal_fpi from pg_stat_wal) as full_pages,
    (select xact_commit from pg_stat_database where datname = current_database()) as transactions,
    (select coalesce(sum(n_tup_del + n_tup_upd), 0) from pg_stat_user_tables) as dead,
    (select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables) as inserted
"""


class Window:
    """`with Window(dsn) as seen: …`; afterwards `seen.wal`, `.transactions`, `.dead` hold the differences.

    A checkpoint is made first, and the full-page images of the window are counted apart: they depend
    on when the checkpoint came, not on what was written. Statistics arrive when the backends that made
    them say so, at the latest at their end: measure with connections that are closed inside the window.
    """

    def __init__(self, dsn: str) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        self.wal = self.transactions = self.dead = self.inserted = 0

    def __enter__(self) -> Self:
        self._conn.execute("checkpoint")
        self._before = self._read()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        with self._conn:
            after = self._read()
        wal, pages, transactions, dead, inserted = (b - a for a, b in zip(self._before, after, strict=True))
        # An image holds a page less its hole; 8 kB is its upper bound, so what is left is a lower one.
        self.wal, self.full_pages = int(wal), int(pages)
        self.transactions, self.dead, self.inserted = int(transactions), int(dead), int(inserted)

    def _read(self) -> tuple[int, ...]:
        self._conn.execute("select pg_stat_clear_snapshot()")
        row = self._conn.execute(_COUNT).fetchone()
        assert row is not None
        return tuple(int(value) for value in row)
