"""A server on loopback that answers as a test says, one saying a request, and keeps what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec

from tests.egress import scripted
from tests.egress.scripted import reset


class Says(msgspec.Struct, frozen=True):
    status: int = 200
    body: Any = {}
    """Bytes go out as they are."""
    headers: tuple[str, ...] = ()


class Asked(msgspec.Struct, frozen=True):
    line: str
    """`POST /v1/events?wait=true`"""
    headers: dict[str, str]
    body: Any


Saying = Says | Literal["hang", "reset"]
Judge = Callable[[Asked], Saying]


class Remote:
    """`says` are used up in their order; then `judge` decides, whose default is 200 with an empty object."""

    def __init__(self, *says: Saying) -> None:
        self.says = list(says)
        self.judge: Judge = lambda _: Says()
        self.asked: list[Asked] = []
        self.url = ""

    @property
    def lines(self) -> list[str]:
        return [each.line for each in self.asked]

    @property
    def events(self) -> list[str]:
        """Types of all events that came, alone or in a batch."""
        told = [each.body for each in self.asked if "/v1/events" in each.line]
        return [one["eventType"] for body in told for one in (body if isinstance(body, list) else [body])]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = await self._request(reader)
            self.asked.append(asked)
            says = self.says.pop(0) if self.says else self.judge(asked)
            if says == "hang":
                await asyncio.sleep(3600)
            if says == "reset":
                reset(writer)
                return
            assert isinstance(says, Says)
            body = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
            head = [f"HTTP/1.1 {says.status} Said", f"Content-Length: {len(body)}", *says.headers]
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            await writer.drain()

    async def _request(self, reader: asyncio.StreamReader) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Asked(head[0].removesuffix(" HTTP/1.1"), headers, json.loads(body) if body else None)


@asynccontextmanager
async def remote(*says: Saying) -> AsyncIterator[Remote]:
    made = Remote(*says)
    async with scripted.serving(made.answer) as server:
        made.url = f"http://127.0.0.1:{server.port}/"
        yield made
