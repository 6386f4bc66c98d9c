"""Sending what a spool kept: first in, first out, by one process at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import groupby
from typing import Any

import structlog

from outboxd.client.errors import ClientError
from outboxd.client.orders import Order, batch_of
from outboxd.client.spool import Line, Look, Spool

log = structlog.get_logger()

Send = Callable[[Order], Awaitable[Any]]

_GOES_ON = frozenset({401, 402, 403, 429})
"""4xx that say nothing about the order itself."""


async def replay(spool: Spool, key: str, send: Send) -> None:
    """Sends until the spool is empty, the server fails, or it refuses `key`, which then rests a while.

    Returns at once where another process replays. Raises nothing of the server's.
    """
    while await asyncio.to_thread(spool.has_some) and not await asyncio.to_thread(spool.holds, key):
        with spool.replaying() as ours:
            if not ours:
                return
            emptied = await _pass(spool, key, send)
        # Who found the lock taken left its order to us: once more, now that it is free.
        if not emptied:
            return


async def _pass(spool: Spool, key: str, send: Send) -> bool:
    """Whether it came to the end."""
    done = torn = 0
    try:
        while True:
            look = await asyncio.to_thread(spool.look, done)
            if look.end == done:
                return True
            async for end in _sent(spool, look, send):
                done = end
            done, torn = look.end, torn + look.torn
    except ClientError as failed:
        log.warning("spool not replayed", kind=failed.kind, status=failed.status)
        if failed.key_refused:
            await asyncio.to_thread(spool.hold, key)
        return False
    finally:
        await asyncio.to_thread(spool.drop, done, torn)


async def _sent(spool: Spool, look: Look, send: Send) -> AsyncIterator[int]:
    """Yields the end of each group of lines that is over."""
    for (batches, _, stale), group in groupby(look.lines, lambda line: _kind(spool, line)):
        lines = list(group)
        if stale:
            for line in lines:
                await asyncio.to_thread(spool.reject, line.kept.order, "older than 7 days")
        elif batches:
            await _batch(spool, [line.kept.order for line in lines], send)
        else:
            for line in lines:
                await _single(spool, line.kept.order, send)
                yield line.end
        yield lines[-1].end


def _kind(spool: Spool, line: Line) -> tuple[bool, tuple[tuple[str, str], ...], bool]:
    order = line.kept.order
    return order.batches, tuple(sorted(order.query.items())), spool.too_old(line.kept)


async def _batch(spool: Spool, orders: list[Order], send: Send) -> None:
    """A batch is taken whole or not at all: halved until what is wrong stands alone."""
    if len(orders) == 1:
        await _single(spool, orders[0], send)
        return
    try:
        await send(batch_of(orders))
    except ClientError as failed:
        if not _poisoned(failed):
            raise
        middle = len(orders) // 2
        await _batch(spool, orders[:middle], send)
        await _batch(spool, orders[middle:], send)


async def _single(spool: Spool, order: Order, send: Send) -> None:
    try:
        await send(order)
    except ClientError as failed:
        if not _poisoned(failed):
            raise
        await asyncio.to_thread(spool.reject, order, failed.detail, failed.status)


def _poisoned(failed: ClientError) -> bool:
    """Whether the server judged the order. All else ends the pass, a portal that answers 200 too."""
    return failed.status is not None and 400 <= failed.status < 500 and failed.status not in _GOES_ON
