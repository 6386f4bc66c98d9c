"""The Python handlers that a measured daemon offers: `outboxd work --app outboxd.bench.handlers:app`."""

import os
import time

from outboxd.model import Job
from outboxd.model.contract import Run

_TELL = "tell"


async def bench(job: Job, run: Run) -> None:
    """Does nothing, unless its payload names a pipe: then it says there when it began."""
    payload = job.payload
    if isinstance(payload, dict) and _TELL in payload:
        pipe = os.open(payload[_TELL], os.O_WRONLY)
        os.write(pipe, f"{time.time()}\n".encode())
        os.close(pipe)


app = {"bench": bench}
