"""PgBouncer in transaction mode before a real server."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outboxd.db import account
from tests.daemon.daemons import free_port

PROGRAM = shutil.which("pgbouncer") or next(
    (str(place) for place in (Path("/usr/sbin/pgbouncer"), Path("/sbin/pgbouncer")) if place.exists()), None
)

_SETTINGS = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listens}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
max_db_connections = {size}
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


@contextmanager
def before(dsn: str, *, size: int = 12) -> Iterator[str]:
    """The DSN through it: `size` connections to the server, shared by whoever has a transaction."""
    assert PROGRAM is not None
    # It refuses root; as the server's account it may reach the server's socket.
    who = account.choose(None)
    folder = Path(tempfile.mkdtemp(prefix="outboxd-pooler-"))
    at = conninfo_to_dict(dsn)
    listens = free_port()
    host, port = str(at["host"]).split(",")[0], at.get("port", 5432)
    settings = _SETTINGS.format(host=host, port=port, listens=listens, folder=folder, size=size)
    (folder / "ini").write_text(settings)
    (folder / "users").write_text(f'"{at["user"]}" "{at.get("password", "")}"\n')
    if not who.is_us:
        for place in (folder, *folder.iterdir()):
            shutil.chown(place, who.uid, who.gid)
    process = subprocess.Popen(
        [PROGRAM, str(folder / "ini")], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        **who.rights(),
    )  # fmt: skip
    through = make_conninfo(
        "", host="127.0.0.1", port=listens, user=at["user"], dbname=at["dbname"], connect_timeout=5
    )
    try:
        _until_ready(through, process, folder / "pgbouncer.log")
        yield through
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _until_ready(dsn: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError as failed:
            gone = process.poll() is not None or time.monotonic() > deadline
            said = log.read_text() if log.exists() else ""
            if gone:
                raise RuntimeError(f"pgbouncer does not answer\n{said}") from failed
            time.sleep(0.05)
        else:
            return
