"""Handlers for workers that are started as processes: `--app tests.daemon.crew_app:app`."""

import asyncio
import time
from typing import Any

from outboxd import App, Done


async def quick(job: Any, run: Any) -> Done:
    return Done(output={"attempt": job.attempt})


async def slow(job: Any, run: Any) -> Done:
    """As long as the payload says on the first attempt, at once on the next."""
    await asyncio.sleep(job.payload["seconds"] if job.attempt == 1 else 0)
    return Done(output={"attempt": job.attempt})


async def blocks(job: Any, run: Any) -> None:
    """What a coroutine must not do: nothing else of the process gets its turn meanwhile."""
    time.sleep(job.payload["seconds"])  # noqa: ASYNC251 - that is the fault


app = App(handlers={"quick": quick, "slow": slow, "blocks": blocks}, open=["quick", "slow"])
