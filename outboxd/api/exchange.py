"""One request on its way through the layers, and the reply that goes back."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import UUID

import msgspec
from starlette.types import Receive, Scope, Send

from outboxd.api.backlogs import Backlogs
from outboxd.api.keyring import KeyRing
from outboxd.api.privacy import Privacy
from outboxd.api.waits import Waits
from outboxd.config import Config
from outboxd.db.pool import Database
from outboxd.egress import Egress
from outboxd.loops.hub.hub import Hub
from outboxd.loops.ingest import Ingest
from outboxd.loops.requests import Requests
from outboxd.loops.wakes import Wakes
from outboxd.model import Caller
from outboxd.store.keys import Found
from outboxd.store.stream_tokens import Token

if TYPE_CHECKING:
    from outboxd.api.answers import Answers
    from outboxd.api.auth import Refusals
    from outboxd.api.claims import Claims
    from outboxd.api.flows import Flows
    from outboxd.api.info import Lanes
    from outboxd.api.limits import Quota
    from outboxd.api.queues import Depths
    from outboxd.api.standing import Standing

Header = tuple[bytes, bytes]

ABORT = "outboxd.abort"
"""In the scope: what ends the connection at once, unsent bytes and all."""
_ENCODER = msgspec.json.Encoder()
_JSON: tuple[Header, ...] = ((b"content-type", b"application/json; charset=utf-8"),)
_NO_KEY = Caller(actor="nobody")
_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


class Readiness(Protocol):
    """What the process knows of itself."""

    draining: bool
    """New requests are refused; readiness went before, so that nobody sends any."""

    async def checks(self) -> dict[str, str]:
        """Name → ok, degraded or failed; one that failed makes the process unready."""
        ...


Refresh = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Of a process that has no such figures."""


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """What handlers work with; made once by `build`."""

    config: Config
    db: Database
    egress: Egress
    ingest: Ingest
    wakes: Wakes
    readiness: Readiness
    keys: KeyRing
    waits: Waits
    answers: "Answers"
    claims: "Claims"
    privacy: Privacy
    backlogs: Backlogs
    requests: Requests
    quotas: "Quota"
    lanes: "Lanes"
    depths: "Depths"
    flows: "Flows"
    hub: Hub
    standing: "Standing"
    refusals: "Refusals"
    started: float
    """`time.monotonic()` at the start."""
    refresh: Refresh
    """Reads the figures about the shared database, before a scrape."""


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = _JSON


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that goes on until `chunks` end; `flows` sends it."""

    chunks: AsyncGenerator[bytes, None]
    headers: tuple[Header, ...]
    status: int = 200
    farewell: Callable[[], object] | None = None
    """Called when the process drains: `chunks` then end by themselves. None: they are cut."""


Handler = Callable[["Exchange"], Awaitable[Reply | Stream]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What one method of one path asks of the layers before its handler runs."""

    handler: Handler
    scopes: tuple[str, ...] = ()
    """One suffices. None named: any valid key."""
    auth: str = "key"
    """`key`, `optional`, or `none`: then the header is not looked at."""
    teamless: bool = False
    """Also for keys that are bound to no team."""
    operators: bool = False
    """A key that is bound to no team opens it, whatever its scopes."""
    holder: Literal["any", "team", "operator"] = "any"
    """`team`: not for a key of one project; `operator`: only for one that is bound to no team."""
    body: msgspec.json.Decoder[Any] | None = None
    needs_body: bool = True
    tolerant: bool = False
    """Unknown query parameters are ignored, since clients of older servers send them."""
    query: frozenset[str] = frozenset()
    publishes: bool = False
    """Refused before its body is read while the ingest queue is full."""
    takes_token: bool = False
    """Also opened by a stream token in the query."""
    other_bodies: Callable[[Mapping[bytes, bytes]], Callable[[bytes], Any] | None] | None = None
    """By the headers, what reads a body that is none of `body`; it may be empty."""
    raw: bool = False
    """Its handler judges `Accept` and gets the body's bytes: a protocol with words of its own for both."""
    open_when_draining: bool = False
    legacy: Mapping[str, object] = {}
    """Members that its clients look for in a reply whose status is 500 or more; they win over the usual."""
    summary: str = ""
    """For `/openapi.json`, as are those that follow: one line, else the first of the handler's docstring."""
    shape: Any = None
    """What the body is, where `body` looks at less."""
    other_shapes: Mapping[str, Any] = {}
    """What `other_bodies` reads, by media type."""
    answers: Mapping[int, Any] = {}
    """What a reply that is no error holds, by its status: a type, or a tuple of those it may be; None, no
    body; `"text/html"`, that text."""
    refuses: tuple[int, ...] = ()
    """Statuses of errors of its own; those of the layers before it are known."""
    parameters: Mapping[str, Any] = {}
    """Types of `query` where they differ from those in `parameters.PARAMETERS`."""


class Exchange:
    """Made by the outermost layer; those inside fill it in."""

    __slots__ = (
        "api", "body", "caller", "digest", "extra", "headers", "key", "leave", "method", "operation", "path",
        "query", "receive", "request_id", "scope", "started", "status", "template", "token", "took",
        "traceparent", "tracestate",
    )  # fmt: skip

    def __init__(self, api: Api, scope: Scope, receive: Receive, request_id: str) -> None:
        self.api = api
        self.scope = scope
        self.receive = receive
        self.request_id = request_id
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """By lower-case name; of a repeated one the last."""
        self.started = time.monotonic()
        self.extra: list[Header] = []
        """Headers of the reply, whatever it will be."""
        self.leave: Callable[[], object] = lambda: None
        """Gives back the place among the requests in flight, early."""
        self.took: float | None = None
        """Seconds until a reply began that goes on; None: it is over when the request is."""
        self.template = ""
        self.status = 0
        self.operation: Operation
        self.query: Mapping[str, str] = {}
        self.body: Any = None
        self.digest = b""
        """SHA-256 of the body as it was sent, unpacked; only of a request with an Idempotency-Key."""
        self.key: Found | None = None
        self.token: Token | None = None
        """It was shown in place of the key that is behind it."""
        self.caller = _NO_KEY
        self.traceparent: str | None = None
        self.tracestate: str | None = None

    def parameter(self, name: str) -> str:
        """A part of the path."""
        return str(self.scope["path_params"][name])

    @property
    def key_id(self) -> UUID:
        """Of the key that was shown; only where one is required."""
        assert self.key is not None  # noqa: S101 - the auth layer let nobody else in
        return self.key.id

    @property
    def team(self) -> UUID:
        """Of the key; only on routes of a team's data."""
        assert self.key is not None  # noqa: S101 - as above
        assert self.key.team_id is not None  # noqa: S101 - the scope layer asked
        return self.key.team_id


def json(value: Any, status: int = 200) -> Reply:
    return Reply(status, _ENCODER.encode(value))


async def send_reply(reply: Reply, method: str, send: Send) -> None:
    length = b"%d" % len(reply.body)
    headers = [*reply.headers] if reply.status in _BODILESS else [*reply.headers, (b"content-length", length)]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})


def of(scope: Scope) -> Exchange:
    """The exchange that the outermost layer put there."""
    exchange: Exchange = scope["exchange"]
    return exchange


def seconds(wait: timedelta) -> int:
    """For Retry-After: whole, and 1 at least."""
    return max(1, -(-wait // timedelta(seconds=1)))
