"""One keep-alive connection to the API that costs next to nothing itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Post = Callable[[str, str], Awaitable[int]]
"""(path, body) → the status of the answer, once all of it is there."""


@asynccontextmanager
async def posting(port: int, key: str) -> AsyncIterator[Post]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def post(path: str, body: str) -> int:
        sent = body.encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        writer.write(head.encode() + sent)
        said = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(said.split(b"content-length:")[1].split(b"\r")[0]))
        return int(said[9:12])

    try:
        yield post
    finally:
        writer.close()
