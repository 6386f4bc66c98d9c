"""What a setting may say: for each kind, the sentence of what it wants, and how it is read and shown."""

import base64
import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import msgspec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Secret:
    """A text that neither prints nor logs itself; `reveal()` gives it to whoever must use it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class SealKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that seals what must not be readable in the database."""

    kid: str
    """Stands in front of what the key sealed, so that keys can be changed."""
    key: bytes

    def __repr__(self) -> str:
        return f"{self.kid}:***"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    wants: str
    """Ends the sentence "… wants"."""
    parse: Callable[[str], Any]
    """Raises ValueError for everything that is not wanted."""
    show: Callable[[Any], str] = str
    """The text that `parse` would read as this value."""
    empty: bool = False
    """Whether an empty text says something (an empty list)."""
    nothing: bool = False
    """Whether None is one of its values, rather than none at all."""


def number(low: int, high: int) -> Kind:
    return Kind(wants=f"a whole number {low:,}..{high:,}", parse=lambda text: _within(int(text), low, high))


def seconds(low: float, high: float, promised: str | None = None) -> Kind:
    """`promised` is the range that is told, where tests may go below it."""
    return Kind(
        wants=f"seconds, {promised or f'{low:g}..{high:g}'}",
        parse=lambda text: timedelta(seconds=_within(float(text), low, high)),
        show=lambda value: f"{value.total_seconds():g}",
    )


def millis(low: int, high: int) -> Kind:
    return Kind(
        wants=f"milliseconds, {low:,}..{high:,}",
        parse=lambda text: timedelta(milliseconds=_within(int(text), low, high)),
        show=lambda value: str(value // timedelta(milliseconds=1)),
    )


def hours(low: int, high: int) -> Kind:
    return Kind(
        wants=f"hours, {low:,}..{high:,}",
        parse=lambda text: timedelta(hours=_within(int(text), low, high)),
        show=lambda value: str(value // timedelta(hours=1)),
    )


def days(low: int, high: int) -> Kind:
    return Kind(
        wants=f"days, {low:,}..{high:,}",
        parse=lambda text: timedelta(days=_within(int(text), low, high)),
        show=lambda value: str(value.days),
    )


def days_or_keep(low: int, high: int) -> Kind:
    """Days, where 0 says that nothing is ever deleted; the value is then None."""
    kept = days(low, high)
    return Kind(
        wants=f"{kept.wants}, or 0 to keep",
        parse=lambda text: None if int(text) == 0 else kept.parse(text),
        show=lambda value: "0" if value is None else kept.show(value),
        nothing=True,
    )


def choice(*options: str) -> Kind:
    return Kind(wants=" or ".join(options), parse=lambda text: _member(text, options))


def choices(*options: str) -> Kind:
    one = choice(*options)
    return listed(f"a list out of {', '.join(options)}", one.parse)


def text(wants: str, pattern: str) -> Kind:
    return Kind(wants=wants, parse=lambda value: _match(value, pattern))


def texts(wants: str, pattern: str) -> Kind:
    return listed(wants, lambda value: _match(value, pattern))


def listed(wants: str, parse: Callable[[str], Any], show: Callable[[Any], str] = str) -> Kind:
    """A comma-separated list; the value is a tuple, empty for an empty text."""
    return Kind(
        wants=wants,
        parse=lambda value: tuple(parse(item.strip()) for item in value.split(",") if item.strip()),
        show=lambda value: ",".join(map(show, value)),
        empty=True,
    )


def flag() -> Kind:
    return Kind(wants="on or off", parse=_flag, show=lambda value: "on" if value else "off")


def path() -> Kind:
    return Kind(wants="a path", parse=Path)


def readable_file() -> Kind:
    return Kind(wants="a file that can be read", parse=_readable)


def networks() -> Kind:
    return listed("a list of networks such as 10.1.0.0/16", ipaddress.ip_network)


def address() -> Kind:
    return Kind(
        wants="host:port",
        parse=_address,
        show=lambda value: (
            f"[{value.host}]:{value.port}" if ":" in value.host else f"{value.host}:{value.port}"
        ),
    )


def origin() -> Kind:
    return Kind(wants="http(s)://host[:port] without a path", parse=_origin)


def base_url() -> Kind:
    """Where an API's paths are appended; the value ends without a slash."""
    return Kind(wants="http(s)://host[:port][/path]", parse=_base_url)


def origins() -> Kind:
    """What CORS may name: exact origins; any port is `:*`."""
    return listed(
        "a list of origins, as https://app.example.com or http://localhost:*, never *",
        lambda item: _origin(item.removesuffix(":*")) + (":*" if item.endswith(":*") else ""),
    )


def ports() -> Kind:
    """Port numbers, or None for any."""
    some = listed("", lambda item: _within(int(item), 1, 65535))
    return Kind(
        wants="a list of ports 1..65535, or any",
        parse=lambda value: None if value == "any" else some.parse(value) or _refuse(),
        show=lambda value: "any" if value is None else some.show(value),
        nothing=True,
    )


def secret(wants: str, pattern: str = r".+") -> Kind:
    return Kind(wants=wants, parse=lambda value: Secret(_match(value, pattern)), show=lambda _: "***")


def proxy() -> Kind:
    return secret("http(s)://[user:password@]host[:port]", r"https?://[^/?#\s]+/?")


def dsn() -> Kind:
    return Kind(wants="a libpq URL or keywords", parse=_dsn, show=lambda _: "***")


def seal_keys() -> Kind:
    return Kind(
        wants="a list of kid:base64(32 bytes), each kid once",
        parse=_seal_keys,
        show=lambda _: "***",
    )


_Value = TypeVar("_Value", int, float)


def _within(value: _Value, low: float, high: float) -> _Value:
    # Written so that NaN, which compares false with everything, is refused.
    return value if low <= value <= high else _refuse()


def _refuse() -> NoReturn:
    raise ValueError


def _member(value: str, options: tuple[str, ...]) -> str:
    return value if value in options else _refuse()


def _match(value: str, pattern: str) -> str:
    return value if re.fullmatch(pattern, value) else _refuse()


def _flag(value: str) -> bool:
    if value.lower() in {"1", "true", "on", "yes"}:
        return True
    return False if value.lower() in {"0", "false", "off", "no"} else _refuse()


def _readable(value: str) -> Path:
    try:
        with Path(value).open("rb"):
            return Path(value)
    except OSError as error:
        raise ValueError from error


def _address(value: str) -> Address:
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return Address(host=host, port=_within(int(port), 0, 65535)) if host and colon else _refuse()


def _origin(value: str) -> str:
    parts = urlsplit(value)
    clean = f"{parts.scheme}://{parts.netloc}"
    known = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    _ = parts.port  # raises for a port that is none
    return clean if known and value.removesuffix("/") == clean and "*" not in clean else _refuse()


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    plain = not (parts.query or parts.fragment) and value.isprintable() and " " not in value
    return _origin(f"{parts.scheme}://{parts.netloc}") + parts.path.rstrip("/") if plain else _refuse()


def _dsn(value: str) -> Secret:
    from psycopg import ProgrammingError, conninfo

    try:
        conninfo.conninfo_to_dict(value)
    except ProgrammingError:
        # libpq's message quotes the DSN, password included.
        raise ValueError from None
    return Secret(value)


def _seal_keys(value: str) -> tuple[SealKey, ...]:
    keys = tuple(_seal_key(item.strip()) for item in value.split(","))
    return keys if len({key.kid for key in keys}) == len(keys) else _refuse()


def _seal_key(item: str) -> SealKey:
    kid, _, encoded = item.partition(":")
    key = base64.b64decode(encoded, validate=True)
    return SealKey(kid=_match(kid, r"[A-Za-z0-9._-]{1,32}"), key=key) if len(key) == 32 else _refuse()
