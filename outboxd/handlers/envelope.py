"""One delivery as it is sent: its body, and the headers that go with it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd import __version__
from outboxd.egress import tracing
from outboxd.handlers import signing
from outboxd.handlers.signing import SigningKey
from outboxd.store.deliveries import Target


class _Standard(msgspec.Struct, frozen=True, omit_defaults=True):
    """The format `standard`."""

    type: str
    timestamp: str
    data: Raw | None
    dataref: str | None = None


_encode = msgspec.json.Encoder().encode


def body(target: Target, event: UUID, public_url: str | None) -> bytes:
    """The bytes that are signed and sent; over the endpoint's limit they say where the data is instead."""
    whole = _Standard(str(target.type), _iso(target.occurred_at or target.now), target.payload)
    encoded = _encode(whole)
    if len(encoded) <= target.max_body_bytes:
        return encoded
    ref = f"{public_url or ''}/v1/events/{event}"
    return _encode(msgspec.structs.replace(whole, data=None, dataref=ref))


def headers(
    target: Target,
    event: UUID,
    attempt: int,
    text: bytes,
    keys: Sequence[SigningKey],
    own: Mapping[str, str],
) -> dict[str, str]:
    """Of one attempt; `own` are the endpoint's. Names in lower case, so that none is there twice."""
    return {
        "content-type": "application/json",
        "user-agent": f"outboxd/{__version__}",
        **signing.headers(str(event), int(target.now.timestamp()), text, keys),
        "outboxd-attempt": str(attempt),
        **({"outboxd-position": target.position} if target.position else {}),
        # One more than led to the event: what a receiver of ours stores with what it makes of it.
        "outboxd-hops": str((target.hops or 0) + 1),
        **tracing.span(target.traceparent, target.tracestate),
        **{name.lower(): value for name, value in own.items()},
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
