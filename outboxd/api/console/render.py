"""Pages as bytes: templates with autoescape and strict names, and how times, numbers and JSON are shown.

Everything from a tenant is text: it goes through autoescape, never into a class name, an id or a link's
scheme. What a template needs as a class is of a closed set, chosen here.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from msgspec import Raw

from outboxd import __version__
from outboxd.api.console.charts import bars
from outboxd.api.exchange import Header, Reply

_HTML: tuple[Header, ...] = ((b"content-type", b"text/html; charset=utf-8"),)
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_TONES = {
    **dict.fromkeys(("completed", "enabled", "alive", "answered", "observed", "summarized", "ok"), "good"),
    **dict.fromkeys(("failed", "timed_out", "lost", "disabled", "silent", "blocked", "late"), "bad"),
    **dict.fromkeys(
        ("paused", "held", "closed", "half_open", "draining", "retried", "snoozed", "expired", "behind"),
        "warn",
    ),
    **dict.fromkeys(("processing", "running", "pending", "active"), "busy"),
}
_SPANS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_LARGEST_JSON = 256 * 1024
_LONGEST_LINE = 400
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00)")


class Asset(msgspec.Struct, frozen=True):
    """A file of ours, under a name that changes with what is in it."""

    path: str
    body: bytes
    kind: str


@cache
def assets() -> Mapping[str, Asset]:
    """By the last part of their path."""
    found = {}
    for file in resources.files("outboxd.api.console").joinpath("static").iterdir():
        body = file.read_bytes()
        stem, _, ending = file.name.rpartition(".")
        name = f"{stem}.{hashlib.sha256(body).hexdigest()[:16]}.{ending}"
        found[name] = Asset(f"/console/static/{name}", body, _TYPES[ending])
    return found


def asset(name: str) -> str:
    """The path of the file that is called so in the package."""
    stem, _, ending = name.rpartition(".")
    [found] = [
        each.path for key, each in assets().items() if key.partition(".")[0] == stem and key.endswith(ending)
    ]
    return found


def page(template: str, status: int = 200, headers: tuple[Header, ...] = (), **given: Any) -> Reply:
    """A whole page. Raises UndefinedError for a name that the template has and we forgot."""
    return Reply(status, fragment(template, **given).encode(), _HTML + headers)


def fragment(template: str, **given: Any) -> str:
    return environment().get_template(template).render(**given)


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("outboxd.api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "ago": ago, "inline": inline, "money": money, "ms": milliseconds, "number": number, "object": members,
        "pretty": pretty, "prose": prose, "said": said, "seg": segment, "short": short, "snippet": snippet,
        "span": span, "tone": tone,
    }  # fmt: skip
    made.globals |= {"asset": asset, "version": __version__, "bars": bars, "link": link, "now": _now}
    return made


def ago(at: datetime | int | None) -> Markup:
    """A relative time, the exact one in its title; the script keeps it current."""
    when = _time(at)
    if when is None:
        return Markup('<span class="none">–</span>')
    exact = when.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="milliseconds"),
        exact.strftime("%Y-%m-%d %H:%M:%S UTC"),
        _relative((_now() - exact).total_seconds()),
    )


def span(seconds: float | None) -> str:
    """`3 m 20 s`: two units at most; None is a dash."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms" if seconds > 0.0005 else "0 s"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _SPANS:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts)


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms" if value < 1000 else span(value / 1000)


def number(value: float | None, *, capped: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:,}" + ("+" if capped and value >= 10_000 else "")


def money(micros: int | None) -> str:
    return "–" if micros is None else f"$ {micros / 1_000_000:,.2f}"


def tone(state: str | None) -> str:
    """A class name for a state: of a closed set, whatever the state is."""
    return _TONES.get(state or "", "calm")


def pretty(value: Any) -> str:
    """JSON for people to read; cut where it is too long to be read."""
    raw = bytes(value) if isinstance(value, Raw) else msgspec.json.encode(value)
    text = msgspec.json.format(raw, indent=2).decode(errors="replace")
    return text if len(text) <= _LARGEST_JSON else text[:_LARGEST_JSON] + "\n… cut here"


def said(value: Any) -> str:
    """A JSON value as a person would say it: strings without their quotes."""
    plain = msgspec.json.decode(value) if isinstance(value, Raw) else value
    return plain if isinstance(plain, str) else pretty(plain)


def short(id_: UUID | str | None) -> Markup:
    """An id that one can tell from others at a glance; all of it in the title."""
    if id_ is None:
        return Markup('<span class="none">–</span>')
    whole = str(id_)
    cut = f"{whole[:8]}…{whole[-4:]}" if re.fullmatch(r"[0-9a-f-]{36}", whole) else whole
    return Markup('<span class="id" title="{}">{}</span>').format(whole, cut)


class Open(dict[str, Any]):
    """A JSON object whose missing members are None: strictness is for our own names."""

    def __missing__(self, name: str) -> None:
        return None


def members(value: Any) -> Open:
    """A JSON object, encoded or not; anything else has no members."""
    plain = msgspec.json.decode(value) if isinstance(value, Raw) else value
    return Open(plain) if isinstance(plain, dict) else Open()


def inline(value: Any) -> str:
    """A small JSON object in one line."""
    told = [f"{name}: {_flat(each)}" for name, each in members(value).items()]
    text = ", ".join(told)
    return text if len(text) <= _LONGEST_LINE else text[:_LONGEST_LINE] + "…"


def snippet(found: Any) -> str | None:
    text = getattr(found, "snippet", None)
    return text if isinstance(text, str) else None


def prose(text: str) -> Markup:
    """A sentence of ours from the database; moments in it are shown as moments."""
    parts = _MOMENT.split(text)
    return Markup("").join(
        ago(datetime.fromisoformat(part)) if n % 2 else escape(part) for n, part in enumerate(parts)
    )


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def link(path: str, **query: Any) -> Markup:
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return escape(f"{path}?{urlencode(given)}" if given else path)


def _relative(seconds: float) -> str:
    if abs(seconds) < 1:
        return "now"
    said = " ".join(span(abs(seconds)).split(" ")[:2])
    return f"{said} ago" if seconds > 0 else f"in {said}"


def _time(at: datetime | int | None) -> datetime | None:
    return datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) else at


def _now() -> datetime:
    return datetime.now(UTC)
