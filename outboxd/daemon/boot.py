"""What must be true before the process is ready. Waited for, in whatever order a rollout comes."""

import asyncio

import structlog

from outboxd.config import Config
from outboxd.daemon.shared import shared
from outboxd.db import migrate
from outboxd.db.pool import Database
from outboxd.errors import Error, Unavailable
from outboxd.store import partitions, settings

log = structlog.get_logger()

_PAUSE = 0.5
_SAY_EVERY = 60
"""Rounds of waiting: one line each 30 s."""


async def boot(config: Config, db: Database, dsn: str) -> None:
    """Waits for the database and its schema, writes the settings that SQL reads, makes partitions.

    Raises SchemaError when the schema is newer than this program in a breaking way.
    """
    waited = 0
    while True:
        try:
            state = await migrate.check(dsn)
            if not state.pending:
                async with db.transaction() as conn:
                    await settings.write(conn, shared(config))
                    await partitions.make_partitions(conn)
                return
            missing = "schema"
        except Unavailable:
            missing = "database"
        if waited % _SAY_EVERY == 0:
            log.warning("waiting", missing=missing)
        waited += 1
        await asyncio.sleep(_PAUSE)


def blame(failed: BaseException) -> Error | None:
    """The first error of ours in what a group of tasks raised."""
    if isinstance(failed, Error):
        return failed
    if isinstance(failed, BaseExceptionGroup):
        return next((found for each in failed.exceptions if (found := blame(each))), None)
    return None
