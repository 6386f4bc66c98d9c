"""What settings must say together, and what is allowed but worth a word at boot."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import msgspec

from outboxd.config.kinds import Secret
from outboxd.config.settings import Config

DAEMONS = frozenset({"up", "dev", "demo", "serve", "work"})
SELF_SUFFICIENT = frozenset({"up", "dev", "demo"})
"""They start a database of their own and make the keys that are missing."""

_TRACES = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_WEAK = frozenset({"postgres", "password", "outboxd", "changeme", "secret"})


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings depend on besides themselves."""

    root: bool
    home: Path
    container: bool


class Relation(msgspec.Struct, frozen=True):
    fields: tuple[str, ...]
    """Not looked at while one of them is faulty by itself."""
    broken: Callable[[Config, str, Machine], str | None]
    """(settings, command, machine) → what is wrong, else None."""


def problems(config: Config, command: str, machine: Machine, faulty: set[str]) -> Iterator[str]:
    for relation in _RELATIONS:
        if faulty.isdisjoint(relation.fields):
            sentence = relation.broken(config, command, machine)
            if sentence:
                yield sentence


def warnings(config: Config, command: str) -> Iterator[str]:
    serves = command in DAEMONS and "api" in config.roles
    if serves and not _is_loopback(config.host) and config.public_url is None:
        yield f"OUTBOXD_HOST={config.host} is open to others: set OUTBOXD_PUBLIC_URL to what they call it"
    for name, url in (("DATABASE_URL", config.database_url), ("LISTEN_URL", config.listen_url)):
        if url is not None and (name == "DATABASE_URL" or url != config.database_url) and _is_weak(url):
            yield f"OUTBOXD_{name} has a password that is guessed first: change it"


def _pool_too_small(config: Config, *_: object) -> str | None:
    if config.pool_max >= 5:
        return None
    return f"OUTBOXD_POOL_MAX: got {config.pool_max}; wants at least 5, or loops wait for each other"


def _pool_upside_down(config: Config, *_: object) -> str | None:
    if config.pool_min <= config.pool_max:
        return None
    return f"OUTBOXD_POOL_MIN: got {config.pool_min}; wants at most OUTBOXD_POOL_MAX ({config.pool_max})"


def _event_over_body(config: Config, *_: object) -> str | None:
    if config.max_event_bytes <= config.max_body_bytes:
        return None
    return (
        f"OUTBOXD_MAX_EVENT_BYTES: got {config.max_event_bytes}; "
        f"wants at most OUTBOXD_MAX_BODY_BYTES ({config.max_body_bytes})"
    )


def _events_gone_before_their_feed(config: Config, *_: object) -> str | None:
    if config.event_days is None or config.event_days >= config.feed_days + timedelta(days=1):
        return None
    return (
        f"OUTBOXD_EVENT_DAYS: got {config.event_days.days}; wants OUTBOXD_FEED_DAYS "
        f"({config.feed_days.days}) and a day more, or 0 to keep: streams need the events they name"
    )


def _no_database(config: Config, command: str, machine: Machine) -> str | None:
    if config.database_url is not None or command not in DAEMONS:
        return None
    if command not in SELF_SUFFICIENT or config.embedded == "off":
        return (
            "OUTBOXD_DATABASE_URL: not set; wants a libpq URL of a PostgreSQL 14 or newer. "
            "`outboxd up` starts an embedded one"
        )
    # What `dev` and `demo` make is removed at their end anyway.
    if machine.container and config.embedded == "auto" and command == "up":
        return (
            "embedded Postgres in a container loses your data with it: set OUTBOXD_DATABASE_URL, "
            f"or OUTBOXD_EMBEDDED=on and mount a volume at {config.data}"
        )
    return None


def _nothing_to_seal_with(config: Config, command: str, machine: Machine) -> str | None:
    if config.secret_keys or command not in DAEMONS - SELF_SUFFICIENT or not delivers(config):
        return None
    return (
        "OUTBOXD_SECRET_KEYS: not set; wants kid:base64(32 bytes), since webhooks are delivered here. "
        "Without webhooks name the OUTBOXD_WORKER_QUEUES"
    )


def _traces_without_their_library(config: Config, command: str, machine: Machine) -> str | None:
    if not config.otel or command not in DAEMONS or _installed(_TRACES):
        return None
    return "OUTBOXD_OTEL: on, but the library is not installed: pip install 'outboxd[otel]'"


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # Of one of the packages above it.
        return False


def delivers(config: Config) -> bool:
    """Whether this process works the queues of webhook endpoints."""
    patterns = config.worker_queues or ("*",)
    return "work" in config.roles and any(_may_mean_endpoints(pattern) for pattern in patterns)


def _may_mean_endpoints(pattern: str) -> bool:
    prefix = pattern.removesuffix("*")
    return pattern.startswith("endpoint:") or (prefix != pattern and "endpoint:".startswith(prefix))


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1", "[::1]"} or host.startswith("127.")


def _is_weak(url: Secret) -> bool:
    from psycopg import conninfo

    parts = conninfo.conninfo_to_dict(url.reveal())
    hosts = str(parts.get("host") or "").split(",")
    away = any(host and not host.startswith(("/", "@")) and not _is_loopback(host) for host in hosts)
    return away and str(parts.get("password") or "").lower() in _WEAK


_RELATIONS = (
    Relation(("database_url", "embedded"), _no_database),
    Relation(("pool_max",), _pool_too_small),
    Relation(("pool_min", "pool_max"), _pool_upside_down),
    Relation(("max_event_bytes", "max_body_bytes"), _event_over_body),
    Relation(("event_days", "feed_days"), _events_gone_before_their_feed),
    Relation(("otel",), _traces_without_their_library),
    Relation(("secret_keys", "worker_queues", "roles"), _nothing_to_seal_with),
)
