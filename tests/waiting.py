"""Waiting for what the server or the network does, where there is no event and no fake clock."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]], limit: float = 10) -> None:
    """Returns when `holds()` does; TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        while True:
            seen = holds()
            if seen if isinstance(seen, bool) else await seen:
                return
            await asyncio.sleep(0.01)
