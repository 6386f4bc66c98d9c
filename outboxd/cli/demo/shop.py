"""The business whose events they are: its tables, its SQL handler, its own database login."""

import secrets
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, conninfo
from psycopg.types.json import Jsonb

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

ACTIVITY = "sql:shop.count_activity"
LOGIN = "shop_app"

_SCHEMA = b"""
create schema shop;
create table shop.orders (id int primary key, item text not null);
-- No unique constraint anywhere: what would be done twice would stand here twice.
create table shop.activity (event_id uuid not null, type text not null);
create table shop.notes (event_id uuid not null, worker_pid int not null);
create table shop.builds (event_id uuid not null, worker_pid int not null);

create function shop.count_activity(p_job outbox.claimed) returns jsonb
language plpgsql
as $$
begin
  insert into shop.activity (event_id, type) values ((p_job).event_id, (p_job).type);
  return jsonb_build_object('counted', (p_job).type);
end
$$;
"""
_ROLE = b"""
grant outbox_producer to shop_app;
grant usage on schema shop to shop_app;
grant insert on shop.orders to shop_app;
"""
_BIND = b"insert into outbox.producers (role_name, project_id) values ('shop_app', %s)"
_ORDER = b"insert into shop.orders (id, item) values (%s, %s)"
_PUBLISH = b"select outbox.publish('order.paid', %s, p_key => %s) as id"


async def open_shop(conn: Conn, project: UUID, dsn: str) -> str:
    """Makes it, with a login that may publish to that project and do nothing else; the login's DSN."""
    password = secrets.token_urlsafe(24)
    await conn.execute(_SCHEMA, prepare=False)
    await conn.execute(f"create role {LOGIN} login password '{password}'".encode())
    await conn.execute(_ROLE, prepare=False)
    await conn.execute(_BIND, (project,))
    return conninfo.make_conninfo(dsn, user=LOGIN, password=password)


async def order(conn: Conn, number: int, item: str) -> UUID:
    """The row and its event, in the caller's transaction; the event's id."""
    await conn.execute(_ORDER, (number, item))
    cur = await conn.execute(_PUBLISH, (Jsonb({"order": number, "item": item}), f"order-{number}"))
    return await rows.value(cur, UUID)
