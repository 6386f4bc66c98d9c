"""One delivery as it is sent: its body in the endpoint's format, and the headers that go with it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd import __version__
from outboxd.egress import tracing
from outboxd.handlers import bindings, signing
from outboxd.handlers.bindings import Message
from outboxd.handlers.signing import SigningKey
from outboxd.store.deliveries import Target


class _Standard(msgspec.Struct, frozen=True, omit_defaults=True):
    """The format `standard`."""

    type: str
    timestamp: str
    data: Raw | None
    dataref: str | None = None


_encode = msgspec.json.Encoder().encode


def message(target: Target, event: UUID, public_url: str | None) -> Message:
    """The bytes that are signed and sent; over the endpoint's limit they say where the data is instead."""
    whole = _message(target, event, public_url, None)
    if len(whole.body) <= target.max_body_bytes:
        return whole
    return _message(target, event, public_url, f"{(public_url or '').rstrip('/')}/v1/events/{event}")


def headers(
    target: Target,
    event: UUID,
    attempt: int,
    sent: Message,
    keys: Sequence[SigningKey],
    own: Mapping[str, str],
    recorded: str | None = None,
) -> dict[str, str]:
    """Of one attempt. Names in lower case, so that none is there twice.

    `own` are the endpoint's; `recorded` is the traceparent of the attempt's span, where traces are on.
    """
    return {
        "user-agent": f"outboxd/{__version__}",
        **sent.headers,
        **signing.headers(str(event), int(target.now.timestamp()), sent.body, keys),
        "outboxd-attempt": str(attempt),
        **({"outboxd-position": target.position} if target.position else {}),
        # One more than led to the event: what a receiver of ours stores with what it makes of it.
        "outboxd-hops": str((target.hops or 0) + 1),
        **tracing.span(target.traceparent, target.tracestate, recorded=recorded),
        **{name.lower(): value for name, value in own.items()},
    }


def _message(target: Target, event: UUID, public_url: str | None, dataref: str | None) -> Message:
    match target.format:
        case "standard":
            return _standard(target, dataref)
        case "ce-structured":
            return bindings.structured(target, event, public_url, dataref)
        case "ce-binary":
            return bindings.binary(target, event, public_url, dataref)


def _standard(target: Target, dataref: str | None) -> Message:
    whole = _Standard(
        str(target.type),
        _iso(target.occurred_at or target.now),
        target.payload if dataref is None else None,
        dataref,
    )
    return Message(body=_encode(whole), headers={"content-type": "application/json"})


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
