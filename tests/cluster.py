"""The servers that tests run on, and the databases they get there."""

import asyncio
import hashlib
import hmac
import os
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg import conninfo, sql
from pytest_postgresql.executors import NoopExecutor
from pytest_postgresql.janitor import DatabaseJanitor

from outboxd.db import migrate
from outboxd.db.embedded import Embedded
from tests import clock

_ROOM = 2**30
_SHM = Path("/dev/shm")
_NUMBERS = count(1)

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "log_min_messages": "warning",
}

# Tests move the clock to where production would not have made partitions yet.
_ONE_PARTITION = b"""
do $$
declare
  v_table record;
  v_made regclass;
begin
  for v_made in
    select i.inhrelid from pg_inherits i join pg_class c on c.oid = i.inhparent
    where c.relnamespace = 'outbox'::regnamespace and c.relkind = 'p'
  loop
    execute format('drop table %s', v_made);
  end loop;
  for v_table in
    select c.oid::regclass as parent, format('outbox.%I', c.relname || '_all') as name,
      array_to_string(array_fill('minvalue'::text, array[p.partnatts::int]), ', ') as low,
      array_to_string(array_fill('maxvalue'::text, array[p.partnatts::int]), ', ') as high
    from pg_partitioned_table p
    join pg_class c on c.oid = p.partrelid
    where c.relnamespace = 'outbox'::regnamespace
  loop
    execute format(
      'create table %s partition of %s for values from (%s) to (%s)',
      v_table.name, v_table.parent, v_table.low, v_table.high
    );
  end loop;
end
$$;
"""


@contextmanager
def private(
    settings: dict[str, str],
    *,
    on_disk: bool = False,
    programs: Path | None = None,
    fill: Callable[[Path], None] | None = None,
) -> Iterator[Embedded]:
    """A cluster of our own that is gone afterwards; one that a killed run left is removed.

    `fill` gets the data directory before the server starts, and may put a cluster there.
    """
    folder = folder_for_clusters(on_disk=on_disk)
    for stale in folder.glob("outboxd-test-*"):
        if not Path(f"/proc/{stale.name.split('-')[2]}").exists():
            shutil.rmtree(stale, ignore_errors=True)
    data = folder / f"outboxd-test-{os.getpid()}-{next(_NUMBERS)}"
    server = Embedded(data, settings=settings, programs=programs)
    try:
        if fill is not None:
            fill(data)
        server.start()
        if settings is FAST:
            _quick_to_know(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(data, ignore_errors=True)


def _quick_to_know(server: Embedded) -> None:
    """Its password is hashed once and not 4,096 times, which is most of what a connection costs."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as conn:
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", conn.info.password.encode(), salt, 1)
        stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        served = hmac.digest(salted, b"Server Key", "sha256")
        texts = [b64encode(part).decode() for part in (salt, stored, served)]
        verifier = f"SCRAM-SHA-256$1:{texts[0]}${texts[1]}:{texts[2]}"
        role = sql.Identifier(conn.info.user)
        conn.execute(sql.SQL("alter role {} password {}").format(role, sql.Literal(verifier)))


def executor(dsn: str) -> NoopExecutor:
    """What the janitor of pytest-postgresql wants to know about a server."""
    with psycopg.connect(dsn) as conn:
        at = conn.info
        return NoopExecutor(
            host=at.host, port=at.port, user=at.user, options="", dbname=unique(), password=at.password
        )


def template(server: NoopExecutor) -> "Janitor":
    """A database with the schema, to be cloned. The caller drops it."""
    janitor = Janitor(server, server.template_dbname, as_template=True)
    janitor.drop()
    janitor.init()
    prepare(janitor.dsn)
    return janitor


def clone(server: NoopExecutor) -> "Janitor":
    return Janitor(server, unique(), template_dbname=server.template_dbname)


class Clones:
    """Databases for tests, made and dropped over one connection that stays: a connection costs as much as
    either of the two."""

    def __init__(self, server: NoopExecutor) -> None:
        self._one = clone(server)
        self._admin = psycopg.connect(
            conninfo.make_conninfo(self._one.dsn, dbname="postgres"), autocommit=True
        )

    def close(self) -> None:
        self._admin.close()

    @contextmanager
    def one(self) -> Iterator[str]:
        """Its DSN. Whoever is still connected at the end is cut off."""
        name = unique()
        self._admin.execute(self._one.made(name))
        try:
            yield conninfo.make_conninfo(self._one.dsn, dbname=name)
        finally:
            self._admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def prepare(dsn: str) -> None:
    """The schema of this tree, one partition a table, and the clock that tests move."""
    asyncio.run(migrate.migrate(dsn))
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(_ONE_PARTITION)
        conn.execute(clock.INSTALL)


class Janitor(DatabaseJanitor):
    """Makes and drops one database. Copying files is the quickest way there is."""

    def __init__(
        self,
        server: NoopExecutor,
        dbname: str,
        *,
        template_dbname: str | None = None,
        as_template: bool = False,
    ) -> None:
        super().__init__(
            user=server.user,
            host=server.host,
            port=server.port,
            password=server.password,
            dbname=dbname,
            template_dbname=template_dbname,
            as_template=as_template,
        )
        self._copies = template_dbname is not None and server.version.major >= 15

    @property
    def dsn(self) -> str:
        return conninfo.make_conninfo(
            host=self.host, port=self.port, user=self.user, password=self.password, dbname=self.dbname
        )

    def made(self, name: str) -> sql.Composed:
        """The statement that makes another such database."""
        self.dbname = name
        return self._build_create_database_sql()

    def _build_create_database_sql(self) -> sql.Composed:
        made = super()._build_create_database_sql()
        return made + sql.SQL(" strategy file_copy") if self._copies else made


def folder_for_clusters(*, on_disk: bool = False) -> Path:
    """Memory, if it has room and may be used; the full disk of a small one shows as odd failures."""
    if not on_disk and os.access(_SHM, os.W_OK) and shutil.disk_usage(_SHM).free >= _ROOM:
        return _SHM
    return Path(tempfile.gettempdir())


def unique() -> str:
    return f"outboxd_test_{os.getpid()}_{next(_NUMBERS)}"
