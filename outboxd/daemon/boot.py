"""What must be true before the process is ready. Waited for, in whatever order a rollout comes."""

import asyncio

import structlog

from outboxd.config import Config
from outboxd.daemon.shared import shared
from outboxd.db import migrate
from outboxd.db.pool import Database
from outboxd.errors import Error, Unavailable
from outboxd.providers import choosing
from outboxd.store import holds, partitions, settings

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
                    lifted = await holds.keys(conn, choosing.prints(config), choosing.closing(config))
                for provider in lifted:
                    log.info("provider's key is another one: its hold ended", provider=provider)
                return
            missing = "schema"
        except Unavailable:
            missing = "database"
        if waited % _SAY_EVERY == 0:
            log.warning("waiting", missing=missing)
        waited += 1
        await asyncio.sleep(_PAUSE)


def tell_settings(config: Config) -> None:
    """What is allowed, and worth a word."""
    for said in config.warnings:
        name = said.partition(" ")[0].partition("=")[0]
        log.warning("setting", code=name, says=said)


def tell_generation(config: Config, *, works: bool) -> None:
    """Which policy and which provider run, said at each boot: that nothing is generated is never silent.

    A process that asks no model says the policy alone, since other processes have the keys. Raises
    ConfigError for a provider that is unknown, or named without its key.
    """
    chosen = choosing.choice(config)
    about: dict[str, str] = {"policy": config.generation}
    if works:
        model = chosen.models[chosen.default] or ""
        about |= {"provider": chosen.default, "model": model, "fallback": chosen.fallback or ""}
    if config.generation == "off":
        log.warning("generation is off where a project does not say otherwise", **about)
    elif works and chosen.default == choosing.OFFLINE:
        log.info("generation runs without a model: no provider has a key", **about)
    else:
        log.info("generation", **about)


def blame(failed: BaseException) -> Error | None:
    """The first error of ours in what a group of tasks raised."""
    if isinstance(failed, Error):
        return failed
    if isinstance(failed, BaseExceptionGroup):
        return next((found for each in failed.exceptions if (found := blame(each))), None)
    return None
