"""Who asks, as the first argument of a verb."""

from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from outboxd.model import Caller

CALLER = "jsonb_populate_record(null::outbox.caller, %s)"
"""SQL for the caller that `row` gives: somebody whose authority was judged elsewhere (CLI, console)."""
KEY = "outbox.authorize(%s, %s, %s)"
"""SQL for the caller behind (key, scope, request id), judged in the statement that acts."""


def row(caller: Caller) -> Jsonb:
    return Jsonb(caller, dumps=_dumped)


def _dumped(caller: Any) -> bytes:
    return msgspec.json.encode(caller)
