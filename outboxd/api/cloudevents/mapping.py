"""From what was sent to what is stored."""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd.api import wire
from outboxd.api.cloudevents import reading
from outboxd.api.cloudevents.attributes import Attributes, Place
from outboxd.api.cloudevents.modes import Binary, Structured
from outboxd.api.cloudevents.reading import CloudEvent
from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import Path
from outboxd.api.queries import refused
from outboxd.store import event_keys
from outboxd.store.ingest import Incoming

ADAPTER = "cloudevents"
_EMPTY = Raw(b"{}")


def single(exchange: Exchange, sent: Binary | Structured, *, watched: bool, generate: bool) -> Incoming:
    """Raises Invalid, BadJson, TooLarge or Forbidden."""
    limit = exchange.api.config.max_event_bytes
    if isinstance(sent, Binary):
        event = reading.binary(exchange.scope["headers"], sent.data, limit)
        return _incoming(exchange, event, Place(None), watched=watched, generate=generate)
    event = reading.structured(sent.members, limit)
    return _incoming(exchange, event, Place(()), watched=watched, generate=generate)


def item(exchange: Exchange, sent: Raw, at: Path, *, watched: bool, generate: bool) -> Incoming:
    """One of a batch; raises as `single`, with pointers that begin with `at`."""
    event = reading.item(sent, exchange.api.config.max_event_bytes, at)
    return _incoming(exchange, event, Place(at), watched=watched, generate=generate)


def _incoming(
    exchange: Exchange, event: CloudEvent, place: Place, *, watched: bool, generate: bool
) -> Incoming:
    """Stored as it was sent: private spans are taken out by who shows it to a model."""
    found, project = event.attributes, _project(exchange)
    traced = wire.of_request(exchange) | _trace(exchange, found)
    return Incoming(
        **traced,
        project_id=project,
        adapter=ADAPTER,
        type=found.type,
        source=found.source,
        source_event_id=found.id,
        subject=found.subject,
        occurred_at=found.time,
        content_type=found.content_type,
        encoding=event.data.encoding,
        payload=event.data.payload,
        attributes=Raw(msgspec.json.encode(found.others)) if found.others else _EMPTY,
        ordering_key=found.ordering_key,
        expires_at=_expiry(exchange, found.expires_at, place),
        event_key=event_keys.of_cloudevent(exchange.team, project, found.source, found.id),
        watched=watched,
        generate=generate,
    )


def _project(exchange: Exchange) -> UUID:
    """A CloudEvent has no place for it, so the query names it."""
    missing = refused("projectId", "Required", "required")
    return wire.project_of(exchange, exchange.query.get("projectId"), missing)


def _trace(exchange: Exchange, found: Attributes) -> dict[str, str | None]:
    """The event's own context wins. The state belongs to its parent: of another one it would be a lie."""
    if found.traceparent is not None:
        return {"traceparent": found.traceparent, "tracestate": found.tracestate}
    return {"tracestate": found.tracestate or exchange.tracestate} if exchange.traceparent else {}


def _expiry(exchange: Exchange, at: datetime | None, place: Place) -> datetime | None:
    now = wire.now(exchange)
    if at is not None and at > now + wire.AHEAD:
        raise place.wrong("expirytime", "at most 366 days ahead", "too_big")
    if at is not None and at <= now:
        raise place.wrong("expirytime", "later than now", "too_small")
    return at
