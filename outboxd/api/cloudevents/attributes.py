"""What an attribute of a CloudEvent may be (specification 1.0.2, §2 and §3), and where it goes."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from outboxd.api.edge import LONGEST_STATE, TRACEPARENT
from outboxd.api.json_checks import Path
from outboxd.errors import Invalid, Issue

Value = str | bool | int

_MOST_EXTENSIONS = 64
_LONGEST_EXTENSION = 4096
_LONGEST_URI = 2048
_LONGEST_ID = 512
_LONGEST_NAME = 255
_INT32 = range(-(2**31), 2**31)
_NAME = re.compile(r"[a-z0-9]{1,20}")
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
_MEDIA = re.compile(r"[\w!#$&^.+*'`|~%-]+/[\w!#$&^.+*'`|~%-]+\s*(?:;.*)?", re.ASCII | re.DOTALL)
# RFC 3986, appendix A, as far as it can be said in one breath.
_CHARS = r"(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_AUTHORITY = rf"//(?:{_CHARS}*@)?(?:\[[0-9A-Fa-f:.]+\]|\[v[\w.~!$&'()*+,;=:-]+\]|{_CHARS}*)(?::\d*)?"
_REST = rf"(?:\?(?:{_CHARS}|[/?])*)?(?:#(?:{_CHARS}|[/?])*)?"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:"
_PATH = rf"(?:{_CHARS}|/)*"
_URI = re.compile(rf"{_SCHEME}(?:{_AUTHORITY}(?:/{_PATH})?|(?!//){_PATH}){_REST}", re.ASCII)
_RELATIVE = re.compile(rf"(?:{_AUTHORITY}(?:/{_PATH})?|(?!//)(?![^/?#]*:){_PATH}){_REST}", re.ASCII)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_SECOND = timedelta(seconds=1)


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    content_type: str | None
    ordering_key: str | None
    expires_at: datetime | None
    traceparent: str | None
    """Well formed, else None."""
    tracestate: str | None
    others: dict[str, Value]
    """Extensions that nobody here knows, and `dataschema`: given back as they came."""


class Place(msgspec.Struct, frozen=True):
    """Where attributes stand in the request."""

    at: Path | None
    """None: in headers."""

    def wrong(self, name: str, message: str, code: str = "invalid_value") -> Invalid:
        if self.at is None:
            header = "content-type" if name == "datacontenttype" else f"ce-{name}"
            issue = Issue(path=(header,), code=code, message=message, place="header")
        else:
            issue = Issue(path=(*self.at, name), code=code, message=message)
        return Invalid("Invalid request", (issue,))


def checked(given: Mapping[str, Value], place: Place) -> Attributes:
    """Raises Invalid, naming the first attribute that must not be so."""
    for name, value in given.items():
        _check_any(name, value, place)
    for name in ("specversion", "id", "source", "type"):
        if name not in given:
            raise place.wrong(name, "Required", "required")
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    for name, (fits, message) in _RULES.items():
        if name in given and not fits(texts.get(name, "")):
            raise place.wrong(name, message)
    others = {name: value for name, value in given.items() if name not in _OWN}
    extensions = [name for name in given if name not in _CORE]
    if len(extensions) > _MOST_EXTENSIONS:
        raise place.wrong(extensions[-1], f"at most {_MOST_EXTENSIONS} extensions", "too_big")
    return _sorted(texts, others)


def moment(text: str) -> datetime | None:
    """Of RFC 3339, years 1970 to 9999; None for anything else. A leap second is the one after it."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    leap = second == 60
    micros = int((found[7] or "0")[:6].ljust(6, "0"))
    ahead = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    try:
        zone = timezone(-ahead if found[8] == "-" else ahead)
        at = datetime(year, month, day, hour, minute, 59 if leap else second, micros, tzinfo=zone)
        at = at.astimezone(UTC) + (_SECOND if leap else timedelta())
    except (ValueError, OverflowError):
        return None
    return at if at.year >= 1970 else None


def _check_any(name: str, value: Value, place: Place) -> None:
    if not _NAME.fullmatch(name) or name == "data":
        raise place.wrong(name[:100], "names: 1 to 20 of a-z and 0-9, not data", "unrecognized_keys")
    if isinstance(value, str):
        if _FORBIDDEN.search(value):
            raise place.wrong(name, "control characters, noncharacters or surrogates", "invalid_string")
        if len(value.encode()) > _LONGEST_EXTENSION:
            raise place.wrong(name, "larger than 4 KiB", "too_big")
    elif not isinstance(value, bool) and value not in _INT32:
        raise place.wrong(name, "a 32-bit integer", "too_big")


def _sorted(texts: Mapping[str, str], others: dict[str, Value]) -> Attributes:
    parent = texts.get("traceparent", "")
    state = texts.get("tracestate", "")
    return Attributes(
        id=texts["id"],
        source=texts["source"],
        type=texts["type"],
        subject=texts.get("subject"),
        time=moment(texts["time"]) if "time" in texts else None,
        content_type=texts.get("datacontenttype"),
        ordering_key=texts.get("partitionkey"),
        expires_at=moment(texts["expirytime"]) if "expirytime" in texts else None,
        traceparent=parent[:55] if TRACEPARENT.fullmatch(parent.encode()) else None,
        tracestate=state if 0 < len(state) <= LONGEST_STATE and state.isascii() else None,
        others=others,
    )


def _named(text: str) -> bool:
    return 1 <= len(text) <= _LONGEST_NAME


_Rule = tuple[Callable[[str], object], str]
_MOMENT: _Rule = (moment, "a time of RFC 3339, from 1970 on")
_RULES: Mapping[str, _Rule] = {
    "specversion": (lambda text: text == "1.0", "1.0"),
    "id": (lambda text: 1 <= len(text) <= _LONGEST_ID, f"1 to {_LONGEST_ID} characters"),
    "source": (
        lambda text: 1 <= len(text) <= _LONGEST_URI and (_URI.fullmatch(text) or _RELATIVE.fullmatch(text)),
        f"a URI-reference of at most {_LONGEST_URI} characters",
    ),
    "type": (
        lambda text: _named(text) and not text.startswith("outboxd."),
        f"1 to {_LONGEST_NAME} characters; outboxd.* is reserved",
    ),
    "subject": (_named, f"1 to {_LONGEST_NAME} characters"),
    "time": _MOMENT,
    "dataschema": (_URI.fullmatch, "an absolute URI"),
    "datacontenttype": (_MEDIA.fullmatch, "a media type"),
    "partitionkey": (_named, f"1 to {_LONGEST_NAME} characters"),
    "expirytime": _MOMENT,
    "traceparent": (lambda _: True, ""),
    "tracestate": (lambda _: True, ""),
}
_CORE = frozenset({"specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype"})
_OWN = (_CORE - {"dataschema"}) | {"partitionkey", "expirytime", "traceparent", "tracestate"}
"""Those that are kept elsewhere than among the others."""
