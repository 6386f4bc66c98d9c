"""From bytes to an event: its attributes, and its data as jsonb can hold them."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from msgspec import Raw

from outboxd.api import json_checks
from outboxd.api.cloudevents import attributes
from outboxd.api.cloudevents.attributes import Attributes, Place, Value
from outboxd.api.cloudevents.modes import MEMBERS, Members
from outboxd.api.exchange import Header
from outboxd.api.json_checks import Path, invalid, refused
from outboxd.errors import BadJson, Invalid, Issue, TooLarge

Encoding = Literal["json", "text", "base64"]

_JSON = re.compile(r"[^/;]+/(?:[^;]*\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_PREFIX = b"ce-"
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ANY = msgspec.json.Decoder(Raw)
_VALUE = msgspec.json.Decoder(Value | None)
_NOTHING = Raw(b"{}")
_NULL = b"null"
_HEADERS = Place(None)


class Data(msgspec.Struct, frozen=True):
    payload: Raw
    encoding: Encoding


class CloudEvent(msgspec.Struct, frozen=True):
    attributes: Attributes
    data: Data


def binary(headers: Iterable[Header], body: bytes, limit: int) -> CloudEvent:
    """Attributes from `ce-` headers, data from the body. Raises Invalid, BadJson, TooLarge."""
    given: dict[str, Value] = {}
    media: str | None = None
    for name, raw in headers:
        if name == b"content-type":
            media = raw.decode("latin-1").strip()
        elif name.startswith(_PREFIX):
            attribute = name.removeprefix(_PREFIX).decode("latin-1")
            if attribute in given:
                raise _HEADERS.wrong(attribute, "sent twice")
            given[attribute] = _unescaped(raw, attribute)
    if "datacontenttype" in given:
        raise _HEADERS.wrong("datacontenttype", "says it, not ce-datacontenttype", "unrecognized_keys")
    found = attributes.checked(given if media is None else {**given, "datacontenttype": media}, _HEADERS)
    _check_size(len(body), limit, ())
    return CloudEvent(found, _of_bytes(body, is_json(media)))


def structured(sent: Members, limit: int, at: Path = ()) -> CloudEvent:
    """Attributes and data from the members of an object. Raises Invalid, TooLarge."""
    # Null is as if it were not there.
    members = {name: value for name, value in sent.items() if bytes(value) != _NULL}
    data, packed = members.pop("data", None), members.pop("data_base64", None)
    place = Place(at)
    found = attributes.checked(_values(members, place), place)
    if data is not None and packed is not None:
        raise place.wrong("data_base64", "data and data_base64 are one too many", "unrecognized_keys")
    if packed is not None:
        return CloudEvent(found, _unpacked(packed, found.content_type, limit, at))
    return CloudEvent(found, _of_json(data, found.content_type, limit, at))


def item(sent: Raw, limit: int, at: Path) -> CloudEvent:
    """One of a batch."""
    try:
        members = MEMBERS.decode(sent)
    except msgspec.ValidationError as wrong:
        raise invalid(wrong, at) from None
    return structured(members, limit, at)


def is_json(media: str | None) -> bool:
    return media is not None and _JSON.fullmatch(media) is not None


def _unescaped(raw: bytes, name: str) -> str:
    """Quotes go first, then one round of percent signs (HTTP protocol binding 1.0.2, §3.1.3.2)."""
    value = raw.strip(b" \t")
    if value.startswith(b'"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise _HEADERS.wrong(name, "a quote that is not closed", "invalid_string")
        value = re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL)
    try:
        # A percent sign that escapes nothing is itself: the npm SDK escapes none.
        return _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), value).decode()
    except UnicodeDecodeError:
        raise _HEADERS.wrong(name, "not UTF-8", "invalid_string") from None


def _values(members: Mapping[str, Raw], place: Place) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, raw in members.items():
        try:
            value = _VALUE.decode(raw)
        except msgspec.ValidationError:
            raise place.wrong(name[:100], "a string, a boolean or an integer", "invalid_type") from None
        assert value is not None  # noqa: S101 - nulls were left out
        values[name] = value
    return values


def _of_json(data: Raw | None, media: str | None, limit: int, at: Path) -> Data:
    """A string under a media type that is not JSON is text; any other value is what it is."""
    if data is None:
        return Data(_NOTHING, "json")
    _check_size(len(data), limit, (*at, "data"))
    text = media is not None and not is_json(media) and bytes(memoryview(data)[:1]) == b'"'
    return Data(data, "text" if text else "json")


def _unpacked(packed: Raw, media: str | None, limit: int, at: Path) -> Data:
    path = (*at, "data_base64")
    try:
        body = base64.b64decode(msgspec.json.decode(packed, type=str), validate=True)
    except (msgspec.ValidationError, binascii.Error, ValueError):
        raise refused("base64", path, "invalid_string") from None
    _check_size(len(body), limit, path)
    try:
        # Without a media type it is meant to be JSON, but nobody has said so.
        return _of_bytes(body, media is None or is_json(media))
    except (BadJson, Invalid):
        if media is not None:
            raise refused("not the JSON that datacontenttype says", path) from None
        return _of_bytes(body, declared=False)


def _of_bytes(body: bytes, declared: bool) -> Data:
    """Declared JSON is parsed; other bytes are text where they are UTF-8 that jsonb holds."""
    if not body:
        return Data(_NOTHING, "json")
    if declared:
        found = json_checks.decode(_ANY, body)
        return Data(_NOTHING if bytes(found) == _NULL else found, "json")
    try:
        text = body.decode() if b"\x00" not in body else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        return Data(Raw(b'"' + base64.b64encode(body) + b'"'), "base64")
    return Data(Raw(msgspec.json.encode(text)), "text")


def _check_size(size: int, limit: int, path: Path) -> None:
    if size > limit:
        issue = Issue(path=path, code="too_big", message=f"larger than {limit} bytes")
        raise TooLarge(f"the data are larger than {limit} bytes", issues=(issue,))
