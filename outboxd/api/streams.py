"""Live streams (Server-Sent Events), and tokens for clients that cannot send a header."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from outboxd import telemetry
from outboxd.api import clients, following, idempotency, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.accepting import accepts
from outboxd.api.exchange import Exchange, Header, Reply, Stream
from outboxd.api.following import Wanted
from outboxd.api.json_checks import refused
from outboxd.api.wire import uuid_of
from outboxd.db.link import Link
from outboxd.errors import Error, NotAcceptable
from outboxd.loops.hub import frames
from outboxd.loops.hub.frames import Frames
from outboxd.loops.hub.rings import Entry
from outboxd.loops.hub.subscribers import Close, EndedError, Reset, Subscriber, reset
from outboxd.model import epoch, positions
from outboxd.model.streams import StreamToken
from outboxd.store import stream_tokens
from outboxd.store.feed import Start

log = structlog.get_logger()

QUERY = following.FILTERS | {"last_event_id", "named", "token"}
KEEPALIVE = 15.0
CHECKPOINT = 30.0
SKIPPED = 1000
"""Rows that the filters left out, after which a position is told."""
AGE = 1800.0
"""Seconds, more or less: to come again is routine, and so it works when it has to."""
_AGE_SPREAD = 0.2
_RETRY = (2000, 5000)
_GOODBYE_RETRY = (0, 5000)
_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream"),
    # Proxies that gather what they pass on would keep a stream to themselves.
    (b"x-accel-buffering", b"no"),
)


class TokenIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    project_id: str | None = None
    types: Annotated[list[str], Meta(min_length=1, max_length=following.MOST_TYPES)] | None = None
    session_id: str | None = None
    subject: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    ttl_seconds: Annotated[int, Meta(ge=30, le=3600)] = 600


TOKEN = msgspec.json.Decoder(TokenIn)


async def live(exchange: Exchange) -> Stream:
    """GET /v1/projects/{id}/stream: events as they are numbered, from any position on (Server-Sent Events)"""
    accept = exchange.headers.get(b"accept")
    if accept is not None and accept.strip() and not accepts(accept, b"text/event-stream"):
        raise NotAcceptable("replies are text/event-stream")
    named = queries.flag(exchange, "named", default=False)
    asked = following.position(exchange, "last_event_id")
    header = exchange.headers.get(b"last-event-id", b"").decode("latin-1").strip()
    want = await following.wanted(exchange)
    began = await following.start(exchange, want, header or asked)
    following_it = Following(exchange, want, began, header or asked or "", named=named)
    return Stream(chunks=following_it.chunks(), headers=_HEADERS, farewell=following_it.drain)


async def mint(exchange: Exchange) -> Reply:
    """POST /v1/streams/token: 201 with a token that opens streams of one project, for pages in a browser."""
    given: TokenIn = exchange.body
    project = await tenancy.read_project(exchange, given.project_id)
    types = given.types and following.checked(given.types, "types")
    session = None if given.session_id is None else uuid_of(given.session_id)
    if given.session_id is not None and session is None:
        raise refused("the id of a session", ("sessionId",), "invalid_value")

    async def write(conn: Link) -> Reply:
        secret, until = await stream_tokens.mint(
            conn,
            tenancy.by_key(exchange, stream_tokens.SCOPE),
            project,
            types=types,
            session=session,
            subject=given.subject,
            ttl=timedelta(seconds=given.ttl_seconds),
        )
        url = f"{clients.origin(exchange)}/v1/projects/{project}/stream?token={secret}"
        return x.json(StreamToken(token=secret, expires_at_epoch=epoch(until), url=url), 201)

    return await idempotency.once(exchange, write, scope=project, hide={"token", "url"})


class Following:
    """One open stream."""

    def __init__(self, exchange: Exchange, want: Wanted, start: Start, asked: str, *, named: bool) -> None:
        self._api = exchange.api
        self._key = exchange.key_id
        self._want = want
        self._start = start
        self._asked = asked
        self._frames = Frames(want.form, exchange.api.config.public_url, named=named)
        self._reader: Subscriber | None = None
        self._told = start.seq
        self._told_at = self._sent_at = 0.0

    def drain(self) -> None:
        if self._reader is not None:
            self._reader.end("draining")

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What is sent, from the first line to the reason of the end."""
        want, hub = self._want, self._api.hub
        with hub.join(want.project, self._start, want.where, want.on_gap) as reader:
            self._reader = reader
            with self._api.standing.of(self._key, lambda: reader.end("unauthorized")):
                yield self._opening()
                try:
                    async for chunk in self._follow(reader):
                        yield chunk
                except EndedError as ended:
                    telemetry.STREAM_CLOSED_TOTAL.labels(ended.reason).inc()
                    if ended.reason != "trouble":
                        yield _goodbye(ended.reason)
                except Error as failed:
                    # Whoever gets a status other than 200 now would never come again: the end is enough.
                    telemetry.STREAM_CLOSED_TOTAL.labels("trouble").inc()
                    log.warning("stream ended", code=failed.code)

    async def _follow(self, reader: Subscriber) -> AsyncGenerator[bytes, None]:
        clock = asyncio.get_running_loop().time
        self._told_at = self._sent_at = clock()
        over = clock() + AGE * random.uniform(1 - _AGE_SPREAD, 1 + _AGE_SPREAD)  # noqa: S311 - no secret
        while True:
            now = clock()
            if now >= over:
                raise EndedError("age")
            due = min(self._sent_at + KEEPALIVE, over)
            if reader.seq != self._told:
                due = min(due, self._told_at + CHECKPOINT)
            found = await reader.next(max(due - now, 0))
            chunk = self._said(reader, found, clock())
            if chunk:
                self._sent_at = clock()
                yield chunk

    def _said(self, reader: Subscriber, found: Sequence[Entry] | Reset, now: float) -> bytes:
        """Nothing, when there is nothing to say yet."""
        if isinstance(found, Reset):
            return frames.reset(found) + self._checkpoint(reader, now)
        if found:
            telemetry.STREAM_FRAMES_TOTAL.inc(len(found))
            self._told, self._told_at = found[-1].seq, now
            return self._frames.events(found)
        skipped = reader.seq - self._told
        if skipped >= SKIPPED or (skipped and now - self._told_at >= CHECKPOINT):
            return self._checkpoint(reader, now)
        return frames.KEEPALIVE if now - self._sent_at >= KEEPALIVE else b""

    def _checkpoint(self, reader: Subscriber, now: float) -> bytes:
        self._told, self._told_at = reader.seq, now
        return frames.checkpoint(reader.position, positions.said(reader.epoch, reader.head))

    def _opening(self) -> bytes:
        start = self._start
        told = reset(start, self._asked)
        return (
            frames.retry(random.randint(*_RETRY))  # noqa: S311 - spread, no secret
            + (frames.reset(told) if told is not None else b"")
            + frames.checkpoint(
                positions.said(start.epoch, start.seq), positions.said(start.epoch, start.head)
            )
        )


def _goodbye(reason: Close) -> bytes:
    pause = frames.retry(random.randint(*_GOODBYE_RETRY)) if reason == "draining" else b""  # noqa: S311 - spread
    return pause + frames.close(reason)
