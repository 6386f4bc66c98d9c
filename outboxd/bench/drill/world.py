"""The drill's own database and what is in it before the load begins."""

import secrets
from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from outboxd.bench.drill.pair import Pair
from outboxd.db import migrate
from outboxd.store import keys

BEAT = 1.0
"""Seconds between two beats of a worker here; dead after five."""

_SCHEMA = """
  create schema drill;
  create table drill.marker (token text primary key);
  create table drill.orders (key text primary key);
  create table drill.effects (job_id uuid not null, event_id uuid, n int not null);
  create table drill.sql_effects (job_id uuid not null);
  create table drill.turns (
    id bigint generated always as identity, job_id uuid not null, lane text not null, n int not null);
  create function drill.apply(p_job outbox.claimed) returns jsonb language plpgsql as $$
    begin insert into drill.sql_effects values (p_job.job_id); return jsonb_build_object('ok', true); end $$;
"""
QUICK = '{"attempts": 50, "backoff": {"baseMs": 100, "capMs": 1000}}'
_TWICE = '{"attempts": 2, "timeoutMs": 2000, "backoff": {"baseMs": 100, "capMs": 1000}}'
_QUEUES = {
    "effects": ("effect", QUICK),
    "sql": ("sql:drill.apply", QUICK),
    "turns": ("turn", QUICK),
    "narrow": ("narrow", '{"attempts": 50, "backoff": {"baseMs": 100, "capMs": 1000}, "concurrency": 3}'),
    "steady": ("steady", QUICK),
    "pulled": ("pull:drill", QUICK),
    "poison": ("poison", QUICK),
    "raise": ("raise", _TWICE),
    "hang": ("hang", _TWICE),
    "exit": ("exit", _TWICE),
    "block": ("block", _TWICE),
    "big": ("big", _TWICE),
}
"""Queue → handler, settings. Backoff is short, since a drill is."""
_ROUTES = (
    ("drill.order", "effects"),
    ("drill.order", "sql"),
    ("drill.keyed", "turns"),
    ("drill.narrow", "narrow"),
    ("drill.pulled", "pulled"),
    ("drill.steady", "steady"),
    *((f"drill.{name}", name) for name in ("poison", "raise", "hang", "exit", "block", "big")),
)
DEADLY = frozenset({"poison", "raise", "hang", "exit"})
"""Queues whose jobs all end in the dead letters."""
SICK = DEADLY | {"block", "big"}
"""Queues whose jobs may end there."""


class World(msgspec.Struct, kw_only=True):
    """Where everything is. The server may be crashed and promoted; the DSN stays."""

    pair: Pair | None
    """None on a server that is not the drill's own."""
    dsn: str
    database: str
    token: str
    team: UUID
    project: UUID
    key: str
    secret_key: str
    ledger: Path

    def connect(self) -> psycopg.Connection[Any]:
        """A new autocommit connection. Its token is looked at first: no fault reaches another."""
        conn = psycopg.connect(self.dsn, autocommit=True, connect_timeout=5)
        try:
            found = conn.execute("select token from drill.marker").fetchone()
        except BaseException:
            conn.close()
            raise
        if found != (self.token,):
            conn.close()
            raise RuntimeError("this is not the drill's own database")
        return conn


async def build(dsn: str, ledger: Path, pair: Pair | None = None, *, migrated: bool = False) -> World:
    """An empty database, migrated, with one project, its key, queues, routes, tables, and the marker."""
    if not migrated:
        await migrate.migrate(dsn)
    token = secrets.token_hex(16)
    secret = keys.PREFIX + secrets.token_urlsafe(32)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(_SCHEMA)
        conn.execute("insert into drill.marker values (%s)", [token])
        team = first(conn, "select outbox.make_team(outbox.me(), 'drill')")
        project = first(conn, "select outbox.make_project(outbox.me(), %s, 'drill')", team)
        conn.execute("update outbox.projects set egress = true")
        conn.execute(
            "select id from outbox.mint_key(outbox.me(), %s, %s, %s, %s, %s, null, null)",
            [keys.digest(secret.encode()), "drill", team, project, ["admin", "queues:work"]],
        )
        _work(conn)
        database = first(conn, "select current_database()")
    ledger.mkdir()  # noqa: ASYNC240 - nothing else runs yet
    return World(
        pair=pair,
        dsn=dsn,
        database=database,
        token=token,
        team=team,
        project=project,
        key=secret,
        ledger=ledger,
        secret_key=f"drill:{b64encode(secrets.token_bytes(32)).decode()}",
    )


def _work(conn: psycopg.Connection[Any]) -> None:
    for queue, (handler, settings) in _QUEUES.items():
        conn.execute("select outbox.open_queue(%s, %s)", [queue, handler])
        if not handler.startswith("pull:"):
            conn.execute(
                "insert into outbox.handlers values (%s, true, 'drill', now()) on conflict do nothing",
                [handler],
            )
        conn.execute("select outbox.configure_queue(outbox.me(), %s, %s::jsonb)", [queue, settings])
    for pattern, queue in _ROUTES:
        conn.execute("select outbox.add_route(outbox.me(), %s, %s)", [pattern, queue])


def first(conn: psycopg.Connection[Any], query: str, *values: object) -> Any:
    """The first column of the first row."""
    row = conn.execute(query.encode(), values).fetchone()
    if row is None:
        raise LookupError(query)
    return row[0]
