"""Few things at once, and those who wait for their turn go project by project."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class Turns:
    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: OrderedDict[UUID, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def of(self, project: UUID) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(project)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, project: UUID) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was given to us as we left.
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            project, line = self._waiting.popitem(last=False)
            turn = line.popleft()
            if line:
                self._waiting[project] = line
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
