"""Which mode a request is in, by its headers; what its body is, before anybody looks into it."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from outboxd.api import json_checks
from outboxd.errors import UnsupportedMediaType
from outboxd.model.raw import AnyJson, no_members

Members = dict[str, Raw]


class Binary(msgspec.Struct, frozen=True):
    """Attributes are headers; the body is the data."""

    data: bytes


class Structured(msgspec.Struct, frozen=True):
    members: Members


class Batch(msgspec.Struct, frozen=True):
    items: list[Raw]


class CloudEventIn(msgspec.Struct, frozen=True, kw_only=True):
    """A structured CloudEvent 1.0; any other member is an extension."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=512)]
    source: Annotated[str, Meta(min_length=1, max_length=2048, description="a URI-reference")]
    type: Annotated[str, Meta(min_length=1, max_length=255)]
    subject: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    time: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None = None
    dataschema: Annotated[str, Meta(description="an absolute URI")] | None = None
    datacontenttype: str | None = None
    data: AnyJson = msgspec.field(default_factory=no_members)
    data_base64: Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})] | None = None


Sent = Binary | Structured | Batch
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
SHAPES: Mapping[str, Any] = {
    STRUCTURED: CloudEventIn,
    BATCH: Annotated[list[CloudEventIn], Meta(max_length=500)],
}
"""For `/openapi.json`; the binary mode has no media type of its own."""
MEMBERS = msgspec.json.Decoder(Members)

_ITEMS = msgspec.json.Decoder(Annotated[list[Raw], Meta(max_length=500)])
_CHARSET = re.compile(rb"""charset\s*=\s*"?([^\s";]+)""", re.IGNORECASE)
_OURS = b"application/cloudevents"


def reader(headers: Mapping[bytes, bytes]) -> Callable[[bytes], Sent] | None:
    """What turns the body into what was sent; None: it is our own JSON. The first that fits decides.

    Raises UnsupportedMediaType for a format of CloudEvents that is not read here.
    """
    essence, _, parameters = headers.get(b"content-type", b"").partition(b";")
    media = essence.strip().lower()
    if not media.startswith(_OURS):
        return Binary if b"ce-specversion" in headers else None
    charset = _CHARSET.search(parameters)
    if charset and charset[1].lower() not in {b"utf-8", b"utf8"}:
        raise UnsupportedMediaType("charset: UTF-8")
    if media == BATCH.encode():
        return _batch
    if media in {_OURS, STRUCTURED.encode()}:
        return _structured
    raise UnsupportedMediaType(f"CloudEvents as {STRUCTURED}, {BATCH}, or in headers")


def _structured(body: bytes) -> Structured:
    return Structured(json_checks.decode(MEMBERS, body))


def _batch(body: bytes) -> Batch:
    return Batch(json_checks.decode(_ITEMS, body))
