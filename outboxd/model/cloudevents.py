"""An event as a CloudEvent (1.0, JSON format): https://github.com/cloudevents/spec"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from outboxd.model.events import Event
from outboxd.model.times import Epoch

MEDIA = "application/cloudevents+json"
BASE64 = "base64"
"""`Event.encoding` of data that is no text."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


def source(public_url: str | None, project: object) -> str:
    """Of events that did not come as CloudEvents."""
    if public_url is None:
        return f"urn:outboxd:project:{project}"
    return f"{public_url.rstrip('/')}/v1/projects/{project}"


def attributes(
    event: Event, public_url: str | None, sequence: int | None = None, tracestate: str | None = None
) -> dict[str, Any]:
    """Everything but the data: what came as a CloudEvent has its own id and source again."""
    theirs = isinstance(event.source, str)
    given: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.source_event_id if theirs and event.source_event_id else str(event.id),
        "source": event.source if theirs else source(public_url, event.project_id),
        "type": event.event_type,
        "subject": event.subject,
        "time": _iso(event.occurred_at_epoch),
        "datacontenttype": _known(event.content_type),
        "partitionkey": event.ordering_key,
        "sequence": None if sequence is None else f"{sequence:020}",
        "traceparent": event.traceparent,
        "tracestate": tracestate,
        "expirytime": None if event.expires_at_epoch is None else _iso(event.expires_at_epoch),
        "dataref": _known(event.dataref),
    }
    extensions = msgspec.json.decode(event.attributes) if isinstance(event.attributes, Raw) else {}
    return extensions | {name: value for name, value in given.items() if value is not None}


def structured(
    event: Event, public_url: str | None, sequence: int | None = None, tracestate: str | None = None
) -> bytes:
    """The whole of it as one line of JSON; its data are as they were kept."""
    told = attributes(event, public_url, sequence, tracestate)
    name = "data_base64" if event.encoding == BASE64 and "dataref" not in told else "data"
    payload = event.payload if isinstance(event.payload, Raw) else Raw(b"null")
    return _encode(told | {name: payload})


def _known(value: str | UnsetType) -> str | None:
    return value if isinstance(value, str) else None


def _iso(at: Epoch) -> str:
    moment = _EPOCH + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
