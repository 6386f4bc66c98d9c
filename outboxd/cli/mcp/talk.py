"""Messages over stdin and stdout, one a line. stdout holds nothing else: all else goes to stderr."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from outboxd.cli import server
from outboxd.cli.mcp.tools import TOOLS, Desk
from outboxd.client import Client
from outboxd.mcp import messages
from outboxd.mcp.messages import Malformed, Request
from outboxd.mcp.tools import Conversation

if TYPE_CHECKING:
    from outboxd.config import Config

LONGEST_LINE = 8 * 1024 * 1024
_AT_ONCE = 16
_CHUNK = 64 * 1024
_TOO_LONG = b"{"
"""In place of a line that is longer than that: it is answered as what is not JSON."""


async def talk(config: "Config") -> int:
    url, key = server.known(config)
    async with Client(url, key, project=config.project_id) as client:
        try:
            await Talk(Desk(client=client, project=config.project_id), _say).run(_lines(sys.stdin.fileno()))
        except* BrokenPipeError:
            # Who listened is gone. Python would complain once more while it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class Talk:
    """Requests are answered as they are done, up to 16 at once; one that was taken back is not answered."""

    def __init__(self, desk: Desk, say: Callable[[Any], None]) -> None:
        self._desk = desk
        self._say = say
        self._conversation = Conversation(TOOLS)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[messages.Id, asyncio.Task[None]] = {}
        """By the ids of their requests; at most as many as there is room for."""

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Until there are no more lines and each was answered."""
        async with asyncio.TaskGroup() as group:
            async for line in lines:
                try:
                    value = msgspec.json.decode(line)
                    requests = messages.read(value)
                except (msgspec.DecodeError, RecursionError):
                    self._say(messages.error(None, messages.PARSE_ERROR, "this line is not JSON"))
                except Malformed as wrong:
                    self._say(messages.error(None, wrong.code, wrong.message))
                else:
                    self._take_back(messages.cancelled(value))
                    if requests:
                        await self._room.acquire()
                        self._begin(group, requests, batch=isinstance(value, list))

    def _take_back(self, id_: messages.Id | None) -> None:
        # Needs no room: when all of it is taken, this is what makes some.
        if id_ is not None and id_ in self._running:
            self._running[id_].cancel()

    def _begin(self, group: asyncio.TaskGroup, requests: list[Request], *, batch: bool) -> None:
        task = group.create_task(self._answer(requests, batch=batch))
        if not batch:
            self._running[requests[0].id] = task
        # A task that is cancelled before it begins runs no `finally`.
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._room.release()
        self._running = {id_: running for id_, running in self._running.items() if running is not task}

    async def _answer(self, requests: list[Request], *, batch: bool) -> None:
        answers = [await self._conversation.answer(request, self._desk) for request in requests]
        self._say(answers if batch else answers[0])


def _say(said: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


async def _lines(file: int) -> AsyncIterator[bytes]:
    """What comes in on `file`, whatever kind of file that is.

    A thread reads, since a loop can wait for pipes but not for files; it reads past Python's own
    buffers, whose locks it would still hold when the process ends.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(1)

    def put(line: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    threading.Thread(target=_read, args=(file, put), name="stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        if line.strip():
            yield line


def _read(file: int, put: Callable[[bytes | None], None]) -> None:
    rest, skipping = b"", False
    while chunk := os.read(file, _CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            put(_TOO_LONG if skipping else line)
            skipping = False
        if len(rest) > LONGEST_LINE:
            rest, skipping = b"", True
    if rest and not skipping:
        put(rest)
    put(None)
