"""Every setting: one struct, whose annotations are the table that the documentation is made of."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from outboxd.config import kinds
from outboxd.config.kinds import Address, Kind, Network, SealKey, Secret
from outboxd.config.memory_settings import MemorySettings
from outboxd.config.says import Says, hidden, in_days
from outboxd.config.supervisor import Supervisor

Role = Literal["api", "work"]

MIB = 1024 * 1024
_NAME = r"[A-Za-z0-9:._-]+"


class Config(MemorySettings, frozen=True, kw_only=True):
    """All settings, as values. Made by `config.read` alone, which fills what depends on the command."""

    # Where the data are.
    database_url: Annotated[
        Secret | None,
        hidden(
            kinds.dsn(),
            "libpq URL or keywords, several hosts allowed",
            "DATABASE_URL, else embedded",
            elsewhere="DATABASE_URL",
        ),
    ] = None
    """None: the embedded server is meant."""
    listen_url: Annotated[
        Secret | None,
        hidden(kinds.dsn(), "direct connection for LISTEN and locks, past a pooler", "DATABASE_URL"),
    ] = None
    roles: Annotated[
        tuple[Role, ...], Says(kinds.choices("api", "work"), "what this process runs", "by command")
    ] = ()
    data: Annotated[
        Path,
        Says(kinds.path(), "data directory of `up`", "/var/lib/outboxd as root, else $XDG_DATA_HOME/outboxd"),
    ] = Path("/var/lib/outboxd")
    embedded: Annotated[
        Literal["auto", "on", "off"],
        Says(
            kinds.choice("auto", "on", "off"),
            "embedded Postgres when no DSN is set; auto: not in a container",
        ),
    ] = "auto"
    pg_bin: Annotated[Path | None, Says(kinds.path(), "folder of the server's programs", "searched")] = None
    pg_user: Annotated[
        str | None, Says(kinds.text("an account's name", r"\S+"), "account to drop to as root", "searched")
    ] = None

    # Connections.
    pool_min: Annotated[int, Says(kinds.number(1, 1000), "connections kept open")] = 2
    pool_max: Annotated[
        int, Says(kinds.number(1, 1000), "most connections, besides LISTEN, beat and notifier")
    ] = 10
    pool_timeout: Annotated[
        timedelta, Says(kinds.seconds(0.1, 60), "wait for a connection, then 503", unit="_S")
    ] = timedelta(seconds=2)
    net_timeout: Annotated[
        timedelta,
        Says(kinds.seconds(1, 300), "connecting, and a silent network before it is cut", unit="_S"),
    ] = timedelta(seconds=10)
    statement_timeout: Annotated[
        timedelta, Says(kinds.seconds(1, 300), "hot statements; chores get three times that", unit="_S")
    ] = timedelta(seconds=10)
    prepare: Annotated[
        Literal["on", "off", "auto"],
        Says(kinds.choice("on", "off", "auto"), "prepared statements; off behind poolers without them"),
    ] = "auto"

    # HTTP.
    host: Annotated[
        str, Says(kinds.text("a host or address to listen on", r"[\w.:-]+"), "where the API listens")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Says(
            kinds.number(0, 65535),
            "port of the API; 0 takes a free one; where this is not set the variable PORT counts",
            elsewhere="PORT",
        ),
    ] = 8377
    public_url: Annotated[
        str | None,
        Says(kinds.origin(), "base of links in replies, webhooks and cookies", "the request's"),
    ] = None
    trusted_proxies: Annotated[
        tuple[Network, ...], Says(kinds.networks(), "proxies whose X-Forwarded-For and -Proto count")
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], Says(kinds.origins(), "origins that browsers may call from; empty: none")
    ] = ("http://localhost:*", "http://127.0.0.1:*")
    max_body_bytes: Annotated[int, Says(kinds.number(64 * 1024, 64 * MIB), "largest request")] = 5 * MIB
    max_event_bytes: Annotated[
        int,
        Says(kinds.number(64 * 1024, 64 * MIB), "largest event, at most MAX_BODY_BYTES", "MAX_BODY_BYTES"),
    ] = 5 * MIB
    max_requests: Annotated[
        int, Says(kinds.number(1, 100_000), "requests in flight in this process, then 503")
    ] = 1000
    streams: Annotated[
        int, Says(kinds.number(1, 100_000), "open streams of this process, besides its requests, then 503")
    ] = 2000
    streams_per_key: Annotated[
        int, Says(kinds.number(1, 100_000), "open streams of a key in this process, then 429")
    ] = 50
    console: Annotated[bool, Says(kinds.flag(), "the operators' console under /console; off: 404")] = True
    metrics_listen: Annotated[
        Address | None,
        Says(kinds.address(), "second door for /metrics /livez /readyz, without a key"),
    ] = None
    metrics_open: Annotated[bool, Says(kinds.flag(), "/metrics on the main port needs no key")] = False

    # Taking events in, and numbering them.
    ingest_queue_events: Annotated[
        int, Says(kinds.number(1, 1_000_000), "events waiting for their commit, then 503")
    ] = 10_000
    ingest_queue_bytes: Annotated[
        int, Says(kinds.number(64 * 1024, 4096 * MIB), "bytes waiting for their commit, then 503")
    ] = 64 * MIB
    max_live_jobs: Annotated[
        int, Says(kinds.number(0, 1_000_000_000), "living jobs of a project, then 503 over HTTP; 0: no limit")
    ] = 0
    debezium_table: Annotated[
        bool, Says(kinds.flag(), "rows written to outbox.outboxevent become events")
    ] = False
    event_key_days: Annotated[timedelta, in_days("how long an event's key is remembered", 1, 365)] = (
        timedelta(30)
    )
    sequencer_poll: Annotated[
        timedelta, Says(kinds.millis(20, 5000), "polling while LISTEN is not proven", unit="_MS")
    ] = timedelta(milliseconds=200)

    # Working.
    worker_queues: Annotated[
        tuple[str, ...],
        Says(
            kinds.texts("a list of queue names, or prefixes ending in *", rf"{_NAME}\*?|\*"),
            "queues worked here",
            "all",
        ),
    ] = ()
    """Empty: all."""
    app: Annotated[
        str | None,
        Says(kinds.text("module:app", r"[\w.]+:[\w.]+"), "Python handlers offered by this worker"),
    ] = None
    worker_slots: Annotated[int, Says(kinds.number(1, 10_000), "jobs at once in this process")] = 100
    worker_threads: Annotated[int, Says(kinds.number(1, 1000), "threads for handlers that block")] = 10
    beat: Annotated[
        timedelta,
        Says(kinds.seconds(0.05, 10, "1..10"), "a worker's sign of life; dead after five missed", unit="_S"),
    ] = timedelta(seconds=3)
    hold_days: Annotated[timedelta, in_days("how long a held job waits", 1, 365)] = timedelta(30)

    # How long things are kept.
    job_days: Annotated[timedelta, in_days("finished jobs and attempts")] = timedelta(30)
    dead_days: Annotated[timedelta, in_days("dead letters")] = timedelta(30)
    feed_days: Annotated[timedelta, in_days("how far back streams can resume", 1, 365)] = timedelta(30)
    event_days: Annotated[
        timedelta | None,
        Says(kinds.days_or_keep(1, 36500), "events, at least a day longer than the feed; 0: for ever"),
    ] = timedelta(90)
    """None: for ever."""
    interaction_days: Annotated[timedelta, in_days("questions that are over", 1, 90)] = timedelta(7)
    partition_days: Annotated[
        timedelta, Says(kinds.days(1, 31), "width of a partition of jobs", "1; `up`: 7")
    ] = timedelta(1)

    # Sealing, and calling out.
    secret_keys: Annotated[
        tuple[SealKey, ...],
        hidden(
            kinds.seal_keys(),
            "kid:base64(32 bytes), comma-separated; first seals, all open",
            "none; `up`: made in DATA",
        ),
    ] = ()
    egress_allow: Annotated[
        tuple[Network, ...],
        Says(kinds.networks(), "private networks that projects with egress on may call"),
    ] = ()
    egress_ports: Annotated[
        tuple[int, ...] | None, Says(kinds.ports(), "ports that may be called, or any")
    ] = (80, 443)
    """None: any."""
    egress_http: Annotated[bool, Says(kinds.flag(), "http:// targets are allowed")] = False
    egress_proxy: Annotated[
        Secret | None,
        hidden(kinds.proxy(), "CONNECT proxy for outgoing calls"),
    ] = None
    egress_ca_file: Annotated[
        Path | None, Says(kinds.readable_file(), "certificates trusted besides the system's")
    ] = None
    delivery_bodies: Annotated[bool, Says(kinds.flag(), "keep the bodies of answers to deliveries")] = True

    # Telling, and stopping.
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Says(kinds.choice("debug", "info", "warning", "error"), "least level that is logged"),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "text", "json"],
        Says(kinds.choice("auto", "text", "json"), "auto: text on a terminal, else JSON"),
    ] = "auto"
    log_access: Annotated[
        Literal["slow", "all", "off"],
        Says(
            kinds.choice("slow", "all", "off"), "requests logged; slow: status 500 and up, or over a second"
        ),
    ] = "slow"
    otel: Annotated[
        bool,
        Says(kinds.flag(), "traces over OTLP, set up by the standard OTEL_*; needs the extra otel"),
    ] = False
    drain_delay: Annotated[
        timedelta, Says(kinds.seconds(0, 300), "still serving after readiness is off", unit="_S")
    ] = timedelta(seconds=2)
    drain: Annotated[
        timedelta, Says(kinds.seconds(0, 3600), "what running requests and handlers get", unit="_S")
    ] = timedelta(seconds=30)

    # Commands that are clients of a running server.
    url: Annotated[
        str | None,
        Says(
            kinds.origin(),
            "server of client commands",
            "HOST and PORT",
            elsewhere="CLAUDE_MEM_SERVER_URL",
            only_for="mcp",
        ),
    ] = None
    api_key: Annotated[
        Secret | None,
        hidden(
            kinds.secret("a key", r"\S{1,512}"),
            "key of client commands",
            elsewhere="CLAUDE_MEM_SERVER_API_KEY",
            only_for="mcp",
        ),
    ] = None
    project_id: Annotated[
        str | None,
        Says(
            kinds.text("a project's id", r"\S+"),
            "project of client commands",
            "the key's",
            elsewhere="CLAUDE_MEM_SERVER_PROJECT_ID",
            only_for="mcp",
        ),
    ] = None

    # Not settings.
    sources: dict[str, str] = {}  # noqa: RUF012 - a struct makes a new one each time
    """Setting → where its value came from, where it is not the default."""
    warnings: tuple[str, ...] = ()
    """Said at boot and by `check`."""
    supervisor: Supervisor | None = None


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """As it stands in the environment, `OUTBOXD_` included."""
    field: str
    kind: Kind
    default: str
    """As told to people."""
    plain: str
    """As it would be set; empty where there is none or it depends on something."""
    secret: bool
    text: str
    elsewhere: str
    only_for: str
    """Looked at when `name` is not set; empty for nowhere."""


def _setting(field: str, says: Says, default: Any) -> Setting:
    plain = "" if says.default or default in (None, ()) else says.kind.show(default)
    return Setting(
        name=f"OUTBOXD_{field.upper()}{says.unit}",
        field=field,
        kind=says.kind,
        default=says.default or plain or "none",
        plain=plain,
        secret=says.secret,
        text=says.text,
        elsewhere=says.elsewhere,
        only_for=says.only_for,
    )


def _table() -> tuple[Setting, ...]:
    hints = get_type_hints(Config, include_extras=True)
    defaults = {field.name: field.default for field in msgspec.structs.fields(Config)}
    # The engine's first: of two classes the hints come the other way round.
    names = [*Config.__annotations__, *MemorySettings.__annotations__]
    return tuple(
        _setting(name, says, defaults[name])
        for name in names
        for says in getattr(hints[name], "__metadata__", ())
        if isinstance(says, Says)
    )


SETTINGS = _table()
