"""Handlers that are functions of the database: `sql:schema.function`.

The function gets the job as `outbox.claimed` and runs in the transaction that settles it, so what it
writes and the job's end are one. What it returns is the job's output. What it raises means what it
means in a handler (`OX4nn` final, `OX503` with detail `retry_in=30s` later, anything else again), and
rolls its writes back.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg import AsyncConnection, sql

from outboxd.errors import Invalid
from outboxd.model import Claimed
from outboxd.model.contract import Handler
from outboxd.store import workers

PREFIX = "sql:"
_NAME = re.compile(r"sql:([A-Za-z_][A-Za-z0-9_$]{0,62})\.([A-Za-z_][A-Za-z0-9_$]{0,62})\Z")
_OURS = re.compile(r"outbox\Z|pg_|information_schema\Z", re.IGNORECASE)
_CALL = "select {}(jsonb_populate_record(null::outbox.claimed, %s::jsonb)) as output"

_encode = msgspec.json.Encoder().encode


async def declared(conn: AsyncConnection[dict[str, Any]]) -> list[Handler]:
    """Those that an operator has declared until now."""
    return handlers(await workers.sql_handlers(conn))


def handlers(names: Iterable[str]) -> list[Handler]:
    """Handlers of these names. Raises Invalid for a name that must not be one."""
    return [handler(name) for name in names]


def handler(name: str) -> Handler:
    schema, function = split(name)
    call = sql.SQL(_CALL).format(sql.Identifier(schema, function))

    async def inside(conn: AsyncConnection[dict[str, Any]], claimed: Claimed) -> Any:
        cur = await conn.execute(call, [_encode(claimed).decode()])
        row = await cur.fetchone()
        return None if row is None else row["output"]

    return Handler(name=name, inside=inside, writes=True)


def split(name: str) -> tuple[str, str]:
    """Schema and function. Raises Invalid when it is no name, or one of a schema that is not the user's."""
    found = _NAME.match(name)
    if found is None:
        raise Invalid("a SQL handler is called sql:schema.function")
    schema, function = found.groups()
    if _OURS.match(schema):
        raise Invalid(f"functions in {schema} cannot be handlers")
    return schema, function
