"""`up`: everything in one process, on a Postgres of its own unless one is configured.

data directory ─▶ Postgres (our child) ─▶ migrate ─▶ first keys, once ─▶ api and work
"""

import json
import os
import shlex
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TextIO

import msgspec
import structlog
from psycopg import conninfo

from outboxd.config import Config
from outboxd.config.kinds import SealKey, Secret
from outboxd.daemon import pace, parts
from outboxd.daemon.process import Process
from outboxd.db import migrate
from outboxd.db.embedded import Embedded
from outboxd.errors import ConfigError
from outboxd.model import Caller
from outboxd.store import first_keys, secrets
from outboxd.store.first_keys import FirstKeys
from outboxd.telemetry import configure_logging

log = structlog.get_logger()

_KID = "up"


def up(config: Config, *, told: TextIO = sys.stdout) -> int:
    """Until a signal; the exit status. The server is started from the main thread, before any other."""
    configure_logging(config)
    server = None
    if config.database_url is None:
        server = Embedded(config.data, programs=config.pg_bin, user=config.pg_user)
        config = _own(config, server.start())
    try:
        return pace.run(_run(config, server, told))
    finally:
        if server is not None:
            server.stop()


async def _run(config: Config, server: Embedded | None, told: TextIO) -> int:
    if config.database_url is None:
        raise ConfigError(["OUTBOXD_DATABASE_URL: not set"])
    dsn = config.database_url.reveal()
    await migrate.migrate(dsn if config.listen_url is None else config.listen_url.reveal())
    await _first_keys(config, dsn, told)
    if server is not None:
        print(_psql(server, dsn), file=told, flush=True)
    return await Process(config, gone=None if server is None else server.until_gone).run()


def _own(config: Config, dsn: str) -> Config:
    """The configuration for the server that we have started."""
    sealed = config.secret_keys or (_seal_key(config.data / "secret.key"),)
    return msgspec.structs.replace(
        config, database_url=Secret(dsn), listen_url=Secret(dsn), secret_keys=sealed
    )


def _seal_key(file: Path) -> SealKey:
    """The key in the data directory, made at the first start. Without it endpoint secrets are lost."""
    if not file.exists():
        made = secrets.make_key(_KID)
        _write_private(file, f"{made.kid}:{b64encode(made.key).decode()}\n")
    kid, _, key = file.read_text().strip().partition(":")
    return SealKey(kid=kid, key=b64decode(key))


async def _first_keys(config: Config, dsn: str, told: TextIO) -> None:
    """Makes and shows them if the database has none; says where the server is in any case."""
    async with parts.pool(config, dsn) as db, db.transaction() as conn:
        made = await first_keys.make(conn, Caller(everywhere=True, actor="cli:up"))
    url = f"http://{config.host}:{config.port}"
    if made is None:
        print(f"outboxd {url}, keys as before", file=told, flush=True)
        return
    _remember(config.data, url, made)
    print(_welcome(url, made), file=told, flush=True)


def _remember(data: Path, url: str, made: FirstKeys) -> None:
    """client.json: what commands on this machine need to reach the server."""
    document = {"url": url, "apiKey": made.project_secret, "projectId": str(made.project_id)}
    if data.is_dir():
        _write_private(data / "client.json", json.dumps(document) + "\n")


def _welcome(url: str, made: FirstKeys) -> str:
    return f"""outboxd {url}

  project key   {made.project_secret}
  operator key  {made.operator_secret}

Both are shown once. Try:

  curl -s {url}/v1/events -H 'Authorization: Bearer {made.project_secret}' \\
    -H 'Content-Type: application/json' -d '{{"eventType": "hello", "payload": {{"to": "world"}}}}'
"""


def _psql(server: Embedded, dsn: str) -> str:
    """The line that opens psql on our server; the password stays in its file."""
    sockets, password = str(conninfo.conninfo_to_dict(dsn)["host"]), str(server.data / "password")
    call = shlex.join([server.psql, "-h", sockets, "-U", "outboxd", "outboxd"])
    return f"psql: PGPASSWORD=$(cat {shlex.quote(password)}) {call}\n"


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
