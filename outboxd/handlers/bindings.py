"""CloudEvents over HTTP, as they are sent: structured, all in the body; binary, the data alone in the body.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw

from outboxd.model import Event, cloudevents
from outboxd.model.times import epoch
from outboxd.store.deliveries import Target

_DEFAULT_TYPES = {None: "application/json", "text": "text/plain; charset=utf-8"}
_FALLBACK_TYPE = "application/octet-stream"
_TYPE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
# What is sent as it is: U+0021 to U+007E without `"` and `%`.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


class Message(msgspec.Struct, frozen=True, kw_only=True):
    body: bytes
    headers: Mapping[str, str]
    """Those that tell what the body is; names in lower case."""


def structured(target: Target, event: UUID, public_url: str | None, dataref: str | None) -> Message:
    given = _event(target, event, dataref)
    body = cloudevents.structured(given, public_url, _sequence(target), target.tracestate)
    return Message(body=body, headers={"content-type": cloudevents.MEDIA})


def binary(target: Target, event: UUID, public_url: str | None, dataref: str | None) -> Message:
    given = _event(target, event, dataref)
    told = cloudevents.attributes(given, public_url, _sequence(target), target.tracestate)
    type_ = told.pop("datacontenttype", None) or _DEFAULT_TYPES.get(target.encoding, _FALLBACK_TYPE)
    return Message(
        body=b"" if dataref is not None else _data(target),
        headers={
            "content-type": type_ if _TYPE.fullmatch(type_) else _FALLBACK_TYPE,
            **{f"ce-{name}": quote(_text(value), safe=_PLAIN) for name, value in told.items()},
        },
    )


def _data(target: Target) -> bytes:
    payload = target.payload or Raw(b"null")
    match target.encoding:
        case "text":
            return msgspec.json.decode(payload, type=str).encode()
        case "base64":
            return base64.b64decode(msgspec.json.decode(payload, type=str))
        case _:
            return bytes(payload)


def _event(target: Target, event: UUID, dataref: str | None) -> Event:
    at = epoch(target.occurred_at or target.now)
    return Event(
        id=event,
        project_id=target.project_id,
        team_id=target.team_id,
        server_session_id=None,
        source_adapter="",
        source_event_id=target.source_event_id,
        event_type=str(target.type),
        platform_source=None,
        payload=target.payload if dataref is None and target.payload is not None else Raw(b"null"),
        occurred_at_epoch=at,
        received_at_epoch=at,
        created_at_epoch=at,
        subject=target.subject,
        ordering_key=target.ordering_key,
        request_id=None,
        traceparent=target.traceparent,
        position=target.position,
        expires_at_epoch=None if target.expires_at is None else epoch(target.expires_at),
        private_removed=0,
        expunged_at_epoch=None,
        source=UNSET if target.source is None else target.source,
        content_type=UNSET if target.content_type is None else target.content_type,
        encoding=UNSET if target.encoding is None else target.encoding,
        attributes=UNSET if target.attributes is None else target.attributes,
        dataref=UNSET if dataref is None else dataref,
    )


def _sequence(target: Target) -> int | None:
    return None if target.position is None else int(target.position.rpartition("-")[2])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
