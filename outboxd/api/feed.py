"""A project's feed as JSON: pages that follow one another exactly, and where it stands."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from msgspec import UNSET, Raw

from outboxd import telemetry
from outboxd.api import exchange as x
from outboxd.api import following, queries
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.following import Wanted
from outboxd.errors import NotFound
from outboxd.loops.hub.frames import Frames
from outboxd.loops.hub.reading import Feed, GapError
from outboxd.loops.hub.rings import Entry
from outboxd.loops.hub.subscribers import EndedError, Reset, reset
from outboxd.model import positions
from outboxd.model.streams import FeedPage, PositionReply, ResetTold
from outboxd.store import feed
from outboxd.store.feed import Start

QUERY = following.FILTERS | {"after", "limit", "wait"}
MOST = 500
LONGEST = 30
_MOST_BYTES = 4 * 1024 * 1024
_MOST_WINDOWS = 20
"""Of 1,000 rows: a page that finds little says how far it looked, rather than look for ever."""


class Page:
    """What has been gathered, and how far that went."""

    def __init__(self, want: Wanted, start: Start, limit: int, frames: Frames) -> None:
        self.epoch, self.seq, self.head = start.epoch, start.seq, start.head
        self.reset: Reset | None = None
        self._feed = Feed(project=want.project, team=start.team_id, epoch=start.epoch)
        self._where = want.where
        self._limit = limit
        self._frames = frames
        self._since = feed.EVER
        self._room = _MOST_BYTES
        self.events: list[Raw] = []

    @property
    def full(self) -> bool:
        return len(self.events) >= self._limit or self._room <= 0

    @property
    def left(self) -> int:
        return self._limit - len(self.events)

    async def gather(self, exchange: Exchange) -> None:
        """From the table, until it is full, at the head, or has looked at enough. Raises GapError."""
        for _ in range(_MOST_WINDOWS):
            if self.full or self.seq >= self.head:
                return
            found = await exchange.api.hub.reader.window(
                self._feed, self.seq, self.head, self._since, self._where, self.left
            )
            self._since = found.since
            self.take(found.entries, found.seq)

    def take(self, entries: Sequence[Entry], seq: int) -> None:
        for entry in entries:
            if self._room <= 0:
                return
            self.events.append(Raw(self._frames.data(entry)))
            self._room -= len(self.events[-1])
            self.seq = entry.seq
        self.seq = seq
        telemetry.STREAM_FRAMES_TOTAL.inc(len(entries))

    def reply(self) -> Reply:
        told = UNSET if self.reset is None else ResetTold(**msgspec.structs.asdict(self.reset))
        return x.json(
            FeedPage(
                events=self.events,
                position=positions.said(self.epoch, self.seq),
                head=self.head,
                more=self.seq < self.head,
                reset=told,
            )
        )


async def page(exchange: Exchange) -> Reply:
    """GET /v1/projects/{id}/feed: events behind a position; with `wait`, as soon as there are any"""
    limit = queries.number(exchange, "limit", 1, MOST, 100)
    wait = queries.number(exchange, "wait", 0, LONGEST, 0)
    after = following.position(exchange, "after") or "earliest"
    want = await following.wanted(exchange)
    frames = Frames(want.form, exchange.api.config.public_url)
    start = await following.start(exchange, want, after)
    told = reset(start, after)
    made = Page(want, start, limit, frames)
    try:
        await made.gather(exchange)
    except GapError:
        # Retention took what was about to be read: what is there now is known, and said.
        asked = positions.said(made.epoch, made.seq)
        start = await following.start(exchange, want, asked)
        told = told or reset(start, asked)
        made = Page(want, start, limit, frames)
        await made.gather(exchange)
    made.reset = told
    if wait and not made.events and told is None and made.seq >= made.head:
        await _wait(exchange, want, start, made, wait)
    return made.reply()


async def standing(exchange: Exchange) -> Reply:
    """GET /v1/projects/{id}/position: where the feed stands"""
    project = await following.project(exchange)
    async with exchange.api.db.connection() as conn:
        found = await feed.resolve(conn, project, None, "latest")
        pending = await feed.pending(conn, project)
    if found is None:
        raise NotFound("Project not found")
    return x.json(
        PositionReply(
            position=positions.said(found.epoch, found.head),
            earliest=positions.said(found.epoch, found.floor),
            head=found.head,
            floor=found.floor,
            pending=pending,
        )
    )


async def _wait(exchange: Exchange, want: Wanted, start: Start, made: Page, seconds: int) -> None:
    """For the first match, among the open streams meanwhile."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    here = msgspec.structs.replace(start, seq=made.seq)
    api = exchange.api
    with (
        api.hub.join(want.project, here, want.where, want.on_gap) as reader,
        api.flows.place(exchange, lambda: reader.end("draining")),
        suppress(EndedError),
    ):
        while not made.events and made.reset is None and clock() < until:
            found = await reader.next(until - clock(), made.left)
            made.epoch, made.head = reader.epoch, reader.head
            if isinstance(found, Reset):
                made.reset, made.seq = found, reader.seq
            else:
                made.take(found, reader.seq)
