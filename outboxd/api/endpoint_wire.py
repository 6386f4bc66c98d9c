"""An endpoint as clients write it, checked, and as it is stored."""

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.api.json_checks import Path, refused
from outboxd.model import Endpoint
from outboxd.model.raw import ObjectOrNull

DEFAULT_SCHEDULE = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
_PATTERN = re.compile(r"\*|[^*\x00-\x1f\x7f-\x9f]{1,255}|[^*\x00-\x1f\x7f-\x9f]{1,253}\.\*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?")
_OURS = re.compile(
    r"host|content-.*|transfer-encoding|connection|te|trailer|upgrade|expect|proxy-.*|webhook-.*|ce-.*|"
    r"traceparent|tracestate|outboxd-.*",
    re.IGNORECASE,
)
_FILTER_BYTES = 4096
_METADATA_BYTES = 8192
_MOST_HEADERS = 20

Seconds = Annotated[int, Meta(ge=0, le=86_400)]


class EndpointIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is UNSET stays as it is (PATCH) or is the default; null is the default."""

    project_id: str | UnsetType | None = UNSET
    uid: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$(?!\n)")] | UnsetType | None = UNSET
    url: Annotated[str, Meta(min_length=1, max_length=2048)] | UnsetType = UNSET
    types: Annotated[list[str], Meta(min_length=1, max_length=50)] | UnsetType | None = UNSET
    contains: ObjectOrNull | UnsetType = UNSET
    excludes: ObjectOrNull | UnsetType = UNSET
    state: Literal["enabled", "paused", "disabled"] | UnsetType | None = UNSET
    ordering: Literal["none", "key", "endpoint"] | UnsetType | None = UNSET
    on_dead: Literal["advance", "block"] | UnsetType | None = UNSET
    concurrency: Annotated[int, Meta(ge=1, le=64)] | UnsetType | None = UNSET
    rate_per_second: Annotated[float, Meta(ge=0.1, le=1000)] | UnsetType | None = UNSET
    burst: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET
    timeout_ms: Annotated[int, Meta(ge=1000, le=60_000)] | UnsetType | None = UNSET
    retry_schedule: Annotated[list[Seconds], Meta(min_length=1, max_length=20)] | UnsetType | None = UNSET
    max_age_seconds: Annotated[int, Meta(ge=3600, le=2_592_000)] | UnsetType | None = UNSET
    terminal_4xx: bool | UnsetType | None = msgspec.field(name="terminal4xx", default=UNSET)
    disable_after_hours: Annotated[int, Meta(ge=0, le=720)] | UnsetType | None = UNSET
    format: Literal["standard", "ce-structured", "ce-binary"] | UnsetType | None = UNSET
    signing: Literal["v1", "v1+v1a", "v1a"] | UnsetType | None = UNSET
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1_048_576)] | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    description: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET
    metadata: ObjectOrNull | UnsetType = UNSET


BODY = msgspec.json.Decoder(EndpointIn)

_DEFAULTS: dict[str, Any] = {
    "uid": None,
    "types": ["*"],
    "contains": None,
    "excludes": None,
    "state": "enabled",
    "ordering": "none",
    "on_dead": "advance",
    "concurrency": 8,
    "rate_per_second": None,
    "burst": None,
    "timeout_ms": 15_000,
    "retry_schedule": list(DEFAULT_SCHEDULE),
    "max_age_seconds": 604_800,
    "terminal_4xx": False,
    "disable_after_hours": 120,
    "format": "standard",
    "signing": "v1",
    "max_body_bytes": 262_144,
    "description": None,
    "metadata": {},
}
_COLUMNS = (
    "uid", "url", "types", "contains", "excludes", "state", "ordering", "terminal_4xx", "max_body_bytes",
    "format", "signing", "description", "metadata",
)  # fmt: skip


def whole(given: EndpointIn, known: Endpoint | None = None) -> dict[str, Any]:
    """Every setting by its name here: as given, else as `known`, else the default. Raises Invalid."""
    found = _told(given)
    base = _DEFAULTS if known is None else {name: getattr(known, name) for name in (*_DEFAULTS, "url")}
    values = {**base, **{name: _DEFAULTS.get(name) if v is None else v for name, v in found.items()}}
    if values.get("url") is None:
        raise refused("Required", ("url",), "required")
    for path, message in _wrong(values):
        raise refused(message, path, "invalid_value")
    return {name: _plain(value) for name, value in values.items()}


def columns(values: dict[str, Any]) -> dict[str, Any]:
    """Of `endpoints`."""
    return {
        **{name: values[name] for name in _COLUMNS},
        "timeout": f"{values['timeout_ms']} milliseconds",
        "max_age": f"{values['max_age_seconds']} seconds",
        "disable_after": f"{values['disable_after_hours']} hours",
        "first_delay": f"{values['retry_schedule'][0]} seconds",
    }


def queue(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of its queue: the first entry of the schedule is the first attempt, the others are retries."""
    rate, schedule = values["rate_per_second"], values["retry_schedule"]
    waits = [seconds * 1000 for seconds in schedule[1:]]
    return {
        "concurrency": values["concurrency"],
        "rate": None if rate is None else {"perSecond": rate, "burst": values["burst"] or math.ceil(rate)},
        "attempts": len(schedule),
        "backoff": {"scheduleMs": waits or [0]},
        "onDead": values["on_dead"],
        "timeoutMs": values["timeout_ms"],
        "paused": values["state"] == "paused",
    }


def headers(given: EndpointIn) -> dict[str, str] | UnsetType | None:
    """What is sent besides ours; None takes them away. Raises Invalid."""
    if not isinstance(given.headers, dict):
        return given.headers
    for path, message in _wrong_headers(given.headers):
        raise refused(message, path, "invalid_value")
    return given.headers or None


def _told(given: EndpointIn) -> dict[str, Any]:
    left_out = {"project_id", "headers"}
    told = {
        name: value
        for name, value in msgspec.structs.asdict(given).items()
        if value is not UNSET and name not in left_out
    }
    return {name: _object(value, name) if isinstance(value, Raw) else value for name, value in told.items()}


def _object(raw: Raw, name: str) -> Any:
    most = _METADATA_BYTES if name == "metadata" else _FILTER_BYTES
    value = msgspec.json.decode(raw)
    if value is not None and not isinstance(value, dict):
        raise refused("Expected `object`", (name,))
    if len(raw) > most:
        raise refused(f"larger than {most} bytes", (name,), "too_big")
    return value


def _wrong(values: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    for n, pattern in enumerate(values["types"]):
        if not _PATTERN.fullmatch(pattern):
            yield ("types", str(n)), "a type, a prefix ending in .*, or *"
    if values["burst"] is not None and values["rate_per_second"] is None:
        yield ("burst",), "only with ratePerSecond"


def _wrong_headers(given: dict[str, str]) -> Iterator[tuple[Path, str]]:
    if len(given) > _MOST_HEADERS:
        yield ("headers",), f"at most {_MOST_HEADERS}"
    for name, value in given.items():
        if not _NAME.fullmatch(name) or _OURS.fullmatch(name):
            yield ("headers", name), "not a header that can be set"
        if not _VALUE.fullmatch(value):
            yield ("headers", name), "at most 1 KiB of visible ASCII"


def _plain(value: Any) -> Any:
    """JSON that was read raw from the database, decoded; tuples as lists."""
    if isinstance(value, Raw):
        return msgspec.json.decode(value)
    return list(value) if isinstance(value, tuple) else value
