"""How late the event loop comes back to what is due: everything else of the process waits as long."""

import asyncio

import structlog

from outboxd import telemetry

log = structlog.get_logger()

_EVERY = 0.5
_LONG = 1.0


async def watch() -> None:
    """Never returns. A loop that stood still is told once it turns again; meanwhile nobody hears us."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY
        await asyncio.sleep(_EVERY)
        late = max(0.0, loop.time() - due)
        telemetry.LOOP_DELAY_SECONDS.observe(late)
        if late > _LONG:
            log.warning("event loop stood still", ms=round(late * 1000))
