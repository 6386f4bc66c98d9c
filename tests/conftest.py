"""A real Postgres for every test: a fresh clone of a migrated template, 30 ms each.

The server is `OUTBOXD_TEST_DSN`, else a private one that the session starts. Tests that crash a
server get one of their own (`crash_server`), with everything on that makes it durable.
"""

import os
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import structlog
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from pytest_postgresql.executors import NoopExecutor

from outboxd.db.embedded import Embedded
from outboxd.db.pool import Database
from tests import cluster
from tests.clock import Clock


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """What a test does to the logs is over with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def server() -> Iterator[NoopExecutor]:
    """Where a server is; nothing is in it yet."""
    given = os.environ.get("OUTBOXD_TEST_DSN")
    if given:
        yield cluster.executor(given)
        return
    with cluster.private(cluster.FAST) as embedded:
        yield cluster.executor(embedded.dsn("postgres"))


@pytest.fixture(scope="session")
def migrated(server: NoopExecutor) -> Iterator[NoopExecutor]:
    """The server, with the template database that `dsn` clones."""
    template = cluster.template(server)
    yield server
    template.drop()


@pytest.fixture
def empty_dsn(server: NoopExecutor) -> Iterator[str]:
    """A database with nothing in it."""
    with cluster.Janitor(server, cluster.unique()) as made:
        yield made.dsn


@pytest.fixture(scope="session")
def clones(migrated: NoopExecutor) -> Iterator[cluster.Clones]:
    made = cluster.Clones(migrated)
    yield made
    made.close()


@pytest.fixture
def dsn(clones: cluster.Clones) -> Iterator[str]:
    """A database of its own for the test, with the schema of this tree and no rows."""
    with clones.one() as dsn:
        yield dsn


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    async with Database.open(dsn) as opened:
        yield opened


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[AsyncConnection[DictRow]]:
    """A plain connection beside the pool, autocommit, rows as dicts."""
    async with await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row) as opened:
        yield opened


@pytest.fixture
def clock(dsn: str) -> Iterator[Clock]:
    """Time stands still from here on, for the whole database, until the test moves it."""
    made = Clock(dsn)
    yield made
    made.close()


@pytest.fixture(scope="session")
def _durable_server() -> Iterator[Embedded]:
    with cluster.private({}, on_disk=True) as embedded:
        yield embedded


@pytest.fixture
def crash_server(_durable_server: Embedded) -> Iterator["CrashServer"]:
    """A database on a durable server that the test may crash, keep down, and bring back."""
    name = cluster.unique()
    with psycopg.connect(_durable_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
    made = CrashServer(_durable_server, name)
    cluster.prepare(made.dsn)
    yield made
    if not _durable_server.alive():
        _durable_server.resume()
    with psycopg.connect(_durable_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)".encode())


class CrashServer:
    """Call it from the test itself, never from a thread: a server dies with the thread that made it."""

    def __init__(self, embedded: Embedded, name: str) -> None:
        self._embedded = embedded
        self.dsn = embedded.dsn(name)

    def crash(self) -> None:
        self._embedded.crash()

    def resume(self) -> None:
        self._embedded.resume()

    def restart(self) -> None:
        """Crash and recovery at once, about 0.2 s."""
        self._embedded.restart_immediate()
