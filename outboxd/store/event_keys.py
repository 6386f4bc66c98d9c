"""Event keys: by which an event that is sent again is known.

C is the canonical JSON of the server whose clients we keep, JavaScript's to the letter: object keys
that are array indexes first in numeric order, then the rest by UTF-16 code units; numbers as
JavaScript prints them; nothing escaped that need not be. H is lower-case hex SHA-256 of C.
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

_PREFIX = "agent_event:v1:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LAST_INDEX = 4_294_967_294
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def of_caller(key: str) -> str:
    """Of an `idempotencyKey` somebody gave."""
    return f"key:v1:{key}"


def of_source(team: UUID, project: UUID, adapter: str, platform: str | None, source_event_id: str) -> str:
    """Of the id that the event has where it comes from."""
    return _hashed(_parts(team, project, adapter, platform), source_event_id)


def of_cloudevent(team: UUID, project: UUID, source: str, id_: str) -> str:
    """Of a CloudEvent: its source and its id together are unique."""
    return _hashed(_parts(team, project, "cloudevents", source), id_)


def of_content(
    team: UUID,
    project: UUID,
    adapter: str,
    platform: str | None,
    session: str | None,
    event_type: str,
    occurred_at_epoch: int,
    payload: Any,
) -> str:
    """Of what it says, when its source gave it no id but a time. `payload` decoded; its C is hashed."""
    return _hashed(
        _parts(team, project, adapter, platform),
        session,
        event_type,
        _iso(occurred_at_epoch),
        canonical(payload),
    )


def canonical(value: Any) -> str:
    """C of decoded JSON. Raises RecursionError for what is nested beyond reason."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return _number(float(value))
        case list() | tuple():
            return "[" + ",".join(map(canonical, value)) + "]"
        case _:
            members = (f"{_text(key)}:{canonical(value[key])}" for key in sorted(value, key=_order))
            return "{" + ",".join(members) + "}"


def _hashed(origin: list[str], *rest: str | None) -> str:
    return _PREFIX + hashlib.sha256(canonical([*origin, *rest]).encode()).hexdigest()


def _parts(team: UUID, project: UUID, adapter: str, platform: str | None) -> list[str]:
    return [str(team), str(project), adapter, *([platform] if platform is not None else [])]


def _iso(epoch: int) -> str:
    """`Date.toISOString`."""
    at = _EPOCH + timedelta(milliseconds=epoch)
    return at.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{epoch % 1000:03}Z"


def _order(key: str) -> tuple[int, int, bytes]:
    if _INDEX.fullmatch(key) and int(key) <= _LAST_INDEX:
        return (0, int(key), b"")
    # Big-endian UTF-16 compares as its code units do.
    return (1, 0, key.encode("utf-16-be"))


def _text(text: str) -> str:
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def _number(number: float) -> str:
    """ECMAScript's Number::toString, from the shortest digits that Python finds as well."""
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    digits = mantissa.replace(".", "").strip("0")
    return sign + _placed(digits, _point(mantissa) + int(exponent or 0))


def _point(mantissa: str) -> int:
    """Where the decimal point stands, counted from the first digit that is not zero."""
    whole, _, fraction = mantissa.partition(".")
    if whole.strip("0"):
        return len(whole)
    return -(len(fraction) - len(fraction.lstrip("0")))


def _placed(digits: str, point: int) -> str:
    """`digits` with the decimal point after `point` of them, as JavaScript writes it."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = f"e{point - 1:+d}"
    return f"{digits}{power}" if count == 1 else f"{digits[0]}.{digits[1:]}{power}"
