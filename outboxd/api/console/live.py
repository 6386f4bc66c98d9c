"""`/console/live`: every two seconds what changed, as the HTML that the page was made of.

One task reads for all viewers, one set of figures for each tenancy among them, and asks in the same round
whose session goes on. A viewer that is slow gets the newest when it is ready, and never a backlog.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from outboxd.api.console.figures import FRESH, Figures, Picture, scope
from outboxd.api.exchange import Stream
from outboxd.db.pool import Database
from outboxd.errors import Error, Overloaded
from outboxd.model import Caller
from outboxd.store import consoles

log = structlog.get_logger()

MOST = 50
"""Viewers of a process."""
LONGEST = 30 * 60.0
_AGAIN = timedelta(seconds=30)
_HEADERS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"))

Regions = Callable[[Picture, bool], Mapping[str, str]]
"""(figures, for an operator?) → region of the page → its HTML."""


class _Viewer(msgspec.Struct, kw_only=True, eq=False):
    caller: Caller
    page: str
    session: bytes
    news: asyncio.Event
    told: bytes = b""
    over: str = ""
    """Why it ends; empty: it goes on."""

    def tell(self, told: bytes) -> None:
        self.told = told
        self.news.set()

    def end(self, why: str) -> None:
        self.over = why
        self.news.set()


class Live:
    """One a process; its task lives while somebody looks."""

    def __init__(self, db: Database, figures: Figures, pages: Mapping[str, Regions]) -> None:
        self._db = db
        self._figures = figures
        self._pages = pages
        self._viewers: set[_Viewer] = set()
        self._reading: asyncio.Task[None] | None = None

    def stream(self, caller: Caller, session: bytes, page: str) -> Stream:
        """Raises Overloaded when too many look."""
        if len(self._viewers) >= MOST:
            raise Overloaded("too many people look at this console live", _AGAIN)
        viewer = _Viewer(caller=caller, page=page, session=session, news=asyncio.Event())
        return Stream(chunks=self._chunks(viewer), headers=_HEADERS, farewell=lambda: viewer.end("draining"))

    def revoked(self, key: object) -> None:
        """A key was: whoever looks by it is asked for at once; None: hints were lost."""
        for viewer in self._viewers:
            if key is None or viewer.caller.key_id == key:
                viewer.end("session")

    async def _chunks(self, viewer: _Viewer) -> AsyncGenerator[bytes, None]:
        self._viewers.add(viewer)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(LONGEST):
                yield b": ok\n\n"
                while not viewer.over:
                    await viewer.news.wait()
                    viewer.news.clear()
                    if not viewer.over:
                        yield viewer.told
        except TimeoutError:
            viewer.over = "time"
        finally:
            self._viewers.discard(viewer)
        yield b"event: bye\ndata: %b\n\n" % viewer.over.encode()

    async def _read(self) -> None:
        while self._viewers:
            try:
                await self._round()
            except Error as failed:
                log.debug("console not told", code=failed.code)
            await asyncio.sleep(FRESH)

    async def _round(self) -> None:
        viewers = list(self._viewers)
        async with self._db.connection() as conn:
            open_ = await consoles.still_open(conn, {each.session for each in viewers})
        told: dict[Any, bytes] = {}
        for viewer in viewers:
            if viewer.session not in open_:
                viewer.end("session")
                continue
            key = (scope(viewer.caller), viewer.page)
            if key not in told:
                picture = await self._figures.of(viewer.caller)
                told[key] = _frame(self._pages[viewer.page](picture, viewer.caller.everywhere))
            viewer.tell(told[key])


def _frame(regions: Mapping[str, str]) -> bytes:
    return b"event: snapshot\ndata: %b\n\n" % msgspec.json.encode(regions)
