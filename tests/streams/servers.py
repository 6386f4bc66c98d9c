"""Real servers with a history: a primary, standbys that follow it, and what survives a promotion."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from outboxd.db.binaries import children_environment
from outboxd.db.embedded import Embedded
from tests import cluster
from tests.waiting import until

SETTINGS = {
    "fsync": "off",
    "autovacuum": "off",
    "wal_level": "replica",
    "hot_standby": "on",
    "max_wal_senders": "8",
    "shared_buffers": "16MB",
    "wal_receiver_status_interval": "1",
    "log_min_messages": "warning",
}


@contextmanager
def primary() -> Iterator[Embedded]:
    """With the schema of this tree."""
    with cluster.private(SETTINGS) as server:
        cluster.prepare(server.dsn())
        yield server


@contextmanager
def standby_of(server: Embedded) -> Iterator[Embedded]:
    """A copy that follows `server` by asynchronous streaming."""

    def copy(data: Path) -> None:
        data.mkdir(mode=0o711)
        (data / "password").write_bytes((server.data / "password").read_bytes())
        server._who.own(data / "pgdata")
        more = ["-D", str(data / "pgdata"), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        run(server, "pg_basebackup", "-d", server.dsn("postgres"), *more)

    with cluster.private(SETTINGS, fill=copy) as made:
        yield made


async def caught_up(standby: Embedded, server: Embedded) -> None:
    """Returns when the standby shows everything that is committed on `server`."""
    upto = ask(server, "select pg_current_wal_insert_lsn()")

    async def shown() -> bool:
        return bool(ask(standby, "select pg_last_wal_replay_lsn() >= %s::pg_lsn", upto))

    await until(shown)


async def cut(standby: Embedded) -> None:
    """From here on the standby gets nothing."""
    ask(standby, "alter system set primary_conninfo = ''", answers=False)
    ask(standby, "select pg_reload_conf()")

    async def deaf() -> bool:
        return not ask(standby, "select count(*) from pg_stat_wal_receiver")

    await until(deaf)


def promote(standby: Embedded) -> None:
    assert ask(standby, "select pg_promote(true, 20)")


def ask(server: Embedded, statement: str, *values: Any, answers: bool = True) -> Any:
    """The one value of a statement."""
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        cur = conn.execute(statement.encode(), values or None)
        return (cur.fetchone() or [None])[0] if answers else None


def run(server: Embedded, program: str, *arguments: str, stdin: bytes = b"") -> bytes:
    """What a program that stands beside the server's says, run as its account."""
    command = [str(server._programs.folder / program), *arguments]
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command,
        cwd="/",
        env=children_environment(),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
        **server._who.rights(),
    )
    assert 0 == done.returncode, done.stderr.decode()
    return done.stdout
