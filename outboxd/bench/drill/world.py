"""The drill's own cluster and what is in it before the load begins."""

import secrets
from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from outboxd.db import migrate
from outboxd.db.embedded import Embedded
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
_QUEUES = (
    ("effects", "effect"),
    ("sql", "sql:drill.apply"),
    ("turns", "turn"),
    ("narrow", "narrow"),
    ("poison", "poison"),
)
_ROUTES = (
    ("drill.order", "effects"),
    ("drill.order", "sql"),
    ("drill.keyed", "turns"),
    ("drill.narrow", "narrow"),
    ("drill.poison", "poison"),
)


class World(msgspec.Struct, kw_only=True):
    """Where everything is. `server` may be crashed and resumed; the DSN stays."""

    server: Embedded
    dsn: str
    token: str
    team: UUID
    project: UUID
    key: str
    secret_key: str
    ledger: Path

    def connect(self) -> psycopg.Connection[Any]:
        """A new autocommit connection. Its token is looked at first: no fault reaches another."""
        conn = psycopg.connect(self.dsn, autocommit=True, connect_timeout=5)
        if conn.execute("select token from drill.marker").fetchone() != (self.token,):
            conn.close()
            raise RuntimeError("this is not the drill's own database")
        return conn


async def build(folder: Path) -> World:
    """A durable cluster in `folder`, migrated, with one project, its key, queues, routes and tables."""
    server = Embedded(folder / "data", settings={"max_connections": "200"})
    dsn = server.start()
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
            [keys.digest(secret.encode()), "drill", team, project, ["admin"]],
        )
        _work(conn)
    ledger = folder / "ledger"
    ledger.mkdir()
    return World(
        server=server,
        dsn=dsn,
        token=token,
        team=team,
        project=project,
        key=secret,
        ledger=ledger,
        secret_key=f"drill:{b64encode(secrets.token_bytes(32)).decode()}",
    )


def _work(conn: psycopg.Connection[Any]) -> None:
    """Queues with short backoff, since a drill is short; one that runs three at a time, exactly."""
    for queue, handler in _QUEUES:
        conn.execute("select outbox.open_queue(%s, %s)", [queue, handler])
        conn.execute(
            "insert into outbox.handlers values (%s, true, 'drill', now()) on conflict do nothing", [handler]
        )
        conn.execute(
            "select outbox.configure_queue(outbox.me(), %s, %s::jsonb)",
            [queue, '{"attempts": 50, "backoff": {"baseMs": 100, "capMs": 1000}}'],
        )
    conn.execute("select outbox.configure_queue(outbox.me(), 'narrow', '{\"concurrency\": 3}')")
    for pattern, queue in _ROUTES:
        conn.execute("select outbox.add_route(outbox.me(), %s, %s)", [pattern, queue])


def first(conn: psycopg.Connection[Any], query: str, *values: object) -> Any:
    """The first column of the first row."""
    row = conn.execute(query.encode(), values).fetchone()
    if row is None:
        raise LookupError(query)
    return row[0]
