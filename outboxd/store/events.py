"""Events as they are read back. Every read is within the caller's tenancy."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.model import Caller, Event
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

_COLUMNS = """
  e.id, e.project_id, e.team_id, e.session_id as server_session_id, e.adapter as source_adapter,
  e.source_event_id, e.type as event_type, e.platform_source, outbox.ms(e.occurred_at) as occurred_at_epoch,
  outbox.ms(e.received_at) as received_at_epoch, outbox.ms(e.received_at) as created_at_epoch, e.subject,
  e.ordering_key, e.request_id, e.traceparent, outbox.ms(e.expires_at) as expires_at_epoch, e.private_removed,
  outbox.ms(e.expunged_at) as expunged_at_epoch, e.source, e.content_type, e.encoding, e.attributes,
  f.seq::text as position
"""
_BODY = ", e.payload, e.metadata"
_POSITION = "left join lateral (select f.seq from outbox.feed f where f.event_id = e.id limit 1) f on true"
_OF_IDS = f"""
select {_COLUMNS}{_BODY} from unnest(%s::uuid[]) u(id)
cross join lateral (select e.* from outbox.events e where e.id = u.id) e {_POSITION}
where outbox.sees({CALLER}, e.team_id, e.project_id)
""".encode()


_CAMEL = {field.name: field.encode_name for field in msgspec.structs.fields(Event)}
_LEFT_OUT = frozenset({"source", "content_type", "encoding", "attributes"})
"""Only events that came as CloudEvents have them."""


async def of_ids(conn: Conn, caller: Caller, events: Collection[UUID]) -> list[Event]:
    """Those of them that the caller may see."""
    cur = await conn.execute(_OF_IDS, (list(events), row(caller)))
    return [_event(found) for found in await cur.fetchall()]


def _event(found: dict[str, Any]) -> Event:
    given = {
        _CAMEL[name]: value for name, value in found.items() if value is not None or name not in _LEFT_OUT
    }
    return msgspec.convert(given, Event, builtin_types=(UUID,))
