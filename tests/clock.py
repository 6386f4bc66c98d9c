"""The clock that tests move: it stands where it was put, for every connection of the database.

A row and not a setting, because a setting does not reach the connections that are open already.
Stable, as production's is, or the plans of the tests would not be production's.
"""

from datetime import UTC, datetime, timedelta

import psycopg

INSTALL = b"""
create schema outbox_test;
grant usage on schema outbox_test to public;
create table outbox_test.clock (at timestamptz not null);
grant select on outbox_test.clock to public;

create or replace function outbox.clock() returns timestamptz
language sql stable parallel safe
as $$ select coalesce((select at from outbox_test.clock), clock_timestamp()) $$;
"""


class Clock:
    """Stands still from its making; a test without one has the real time."""

    def __init__(self, dsn: str) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        self.set(datetime.now(UTC).replace(microsecond=0))

    def set(self, at: datetime) -> None:
        self.now = at
        with self._conn.transaction():
            self._conn.execute("delete from outbox_test.clock")
            self._conn.execute("insert into outbox_test.clock values (%s)", [at])

    def forward(self, by: timedelta) -> None:
        self.set(self.now + by)

    def close(self) -> None:
        self._conn.close()
