"""Where a benchmark runs: a database that it creates, marks as its own, and drops."""

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outboxd.db import account, migrate
from outboxd.db.embedded import Embedded
from outboxd.errors import ConfigError, DatabaseUnavailable

_LOOPBACK = {"", "localhost", "127.0.0.1", "::1"}
VOLATILE = ("fsync", "full_page_writes", "synchronous_commit")


@contextmanager
def private_server(settings: dict[str, str] | None = None) -> Iterator[str]:
    """DSN of a cluster made for this run and removed after it. Durable, no tuning but memory."""
    folder = Path(tempfile.mkdtemp(prefix="outboxd-bench-"))
    folder.chmod(0o711)
    server = Embedded(
        folder / "data", settings={"shared_buffers": "256MB", "max_wal_size": "4GB"} | (settings or {})
    )
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def check_server(dsn: str, *, own: bool) -> None:
    """Refuses a host that is not loopback unless the user says that the server is theirs."""
    host = str(conninfo_to_dict(dsn).get("host") or "")
    if not (own or host.startswith("/") or host in _LOOPBACK):
        raise ConfigError(["a server that is not on loopback needs --i-own-this-server"])


def reachable(dsn: str) -> None:
    """Raises DatabaseUnavailable when it is not, in words of ours."""
    try:
        psycopg.connect(dsn, autocommit=True, connect_timeout=10).close()
    except psycopg.OperationalError as away:
        raise DatabaseUnavailable("the server cannot be reached") from away


def where(dsn: str) -> str:
    """The server's address and version, for people; nothing secret."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        version, port = conn.info.server_version, conn.info.port
        return f"PostgreSQL {version // 10000}.{version % 10000} at {conn.info.host}:{port}"


def check_durable(dsn: str) -> dict[str, str]:
    """The settings that make a commit durable. Any of them off: ConfigError, since no figure would count."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        found = {name: str(conn.execute(f"show {name}").fetchone()[0]) for name in VOLATILE}  # type: ignore[index]
    off = [name for name, value in found.items() if value == "off"]
    if off:
        raise ConfigError(
            [f"{name} is off on this server: a benchmark without durability says nothing" for name in off]
        )
    return found


@asynccontextmanager
async def database(
    dsn: str, *, kind: str = "bench", keep: bool = False, schema: bool = True
) -> AsyncIterator[str]:
    """DSN of `outboxd_<kind>_<8 hex>`, created here, migrated, and dropped at the end unless `keep`."""
    with made(dsn, kind=kind, keep=keep) as found:
        if schema:
            await migrate.migrate(found)
        yield found


@contextmanager
def made(dsn: str, *, kind: str, keep: bool = False) -> Iterator[str]:
    """As `database`, and empty."""
    name = f"outboxd_{kind}_{secrets.token_hex(4)}"
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield make_conninfo(dsn, dbname=name)
    finally:
        if not keep:
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def runs_as_root() -> bool:
    """Whether the cluster's programs run under another account than ours."""
    return account.choose(None).uid != 0
