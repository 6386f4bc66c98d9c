"""One database for the tests of a module, emptied before each: quicker than a clone and new connections.

A module that wants it says `conn, db, dsn, emptied = lasting.conn, lasting.db, lasting.dsn, lasting.emptied`
and `pytestmark = pytest.mark.asyncio(loop_scope="module")`; its asynchronous fixtures have that scope of
loop, too. For tests that leave no schema and no settings of sessions behind.
"""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import pytest_asyncio
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from pytest_postgresql.executors import NoopExecutor

from outboxd.db.pool import Database
from tests import cluster

# What a new database has comes back; no trigger or key is asked, so the order does not matter.
_SETUP = b"""
create table outbox_test.queues as table outbox.queues;
create table outbox_test.usage_closed as table outbox.usage_closed;

create function outbox_test.empty() returns void
language plpgsql set session_replication_role = replica
as $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid from pg_class c
    where c.relnamespace = 'outbox'::regnamespace and c.relkind = 'r' and pg_relation_size(c.oid) > 0
      and c.relname <> 'migrations'
  loop
    execute format('delete from %s', v_table);
  end loop;
  insert into outbox.queues overriding system value table outbox_test.queues;
  insert into outbox.usage_closed table outbox_test.usage_closed;
  delete from outbox_test.clock;
end
$$;
"""


@pytest.fixture(scope="module")
def dsn(migrated: NoopExecutor) -> Iterator[str]:
    with cluster.clone(migrated) as made:
        with psycopg.connect(made.dsn, autocommit=True) as conn:
            conn.execute(_SETUP)
        yield made.dsn


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(dsn: str) -> AsyncIterator[Database]:
    async with Database.open(dsn) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(dsn: str) -> AsyncIterator[AsyncConnection[DictRow]]:
    async with await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row) as opened:
        yield opened


@pytest.fixture(autouse=True)
def emptied(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("select outbox_test.empty()")
