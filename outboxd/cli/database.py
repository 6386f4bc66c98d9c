"""The database that a command works on."""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from outboxd.config import Config, kinds
from outboxd.config.kinds import SealKey
from outboxd.db import running
from outboxd.db.pool import Database
from outboxd.errors import Broken, ConfigError, DatabaseUnavailable, SchemaError


def configured(config: Config) -> str | None:
    """The DSN of the settings, else of the embedded server that runs in the data directory."""
    return config.database_url.reveal() if config.database_url else running.dsn(config.data)


def joined(settings: Mapping[str, str], command: str) -> dict[str, str]:
    """What `serve` and `work` lack to join an `outboxd up` of this machine: its database and its sealing key.

    Nothing when a database is configured, none runs in the data directory, or the settings are wrong anyway.
    """
    from outboxd.config import read

    if command not in {"serve", "work"}:
        return {}
    try:
        config = read(settings, command="config")
    except ConfigError:
        return {}
    dsn = running.dsn(config.data) if config.database_url is None else None
    if dsn is None:
        return {}
    found = {"OUTBOXD_DATABASE_URL": dsn}
    if not config.secret_keys:
        made = [f"{each.kid}:{b64encode(each.key).decode()}" for each in seal_keys(config)]
        found["OUTBOXD_SECRET_KEYS"] = ",".join(made)
    return found


def needed(config: Config) -> str:
    """Raises ConfigError with the ways out."""
    found = configured(config)
    if found is None:
        where = f"none runs in {config.data}; OUTBOXD_DATA names another place"
        raise ConfigError([f"no database: set OUTBOXD_DATABASE_URL, or start `outboxd up` ({where})"])
    return found


def direct(config: Config) -> str:
    """Past a pooler, for migrations and LISTEN."""
    return config.listen_url.reveal() if config.listen_url else needed(config)


def seal_keys(config: Config) -> tuple[SealKey, ...]:
    """Of the settings, else those that `outboxd up` made in the data directory; none where there are none."""
    if config.secret_keys:
        return config.secret_keys
    try:
        text = (config.data / "secret.key").read_text().strip()
        made: tuple[SealKey, ...] = kinds.seal_keys().parse(text)
    except (OSError, ValueError):
        return ()
    return made


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Database]:
    """Raises DatabaseUnavailable, in libpq's words, when nobody answers within OUTBOXD_NET_TIMEOUT_S."""
    dsn = needed(config)
    await reach(dsn, config)
    async with Database.open(
        dsn,
        pool_min=1,
        pool_max=2,
        pool_timeout=config.net_timeout,
        net_timeout=config.net_timeout,
        statement_timeout=config.statement_timeout,
        prepare="off",
        application="outboxd cli",
    ) as db:
        try:
            yield db
        except Broken as broken:
            await _judge_schema(config, broken)
            raise


async def _judge_schema(config: Config, broken: Broken) -> None:
    """Raises SchemaError when a statement was refused because the schema is another release's."""
    from outboxd.db import migrate

    state = await migrate.check(direct(config))
    if not state.current:
        raise SchemaError("the database's schema is not this release's: run `outboxd migrate`") from broken


async def reach(dsn: str, config: Config) -> None:
    """One connection, tried once: a pool would try until its timeout, and could not say why it failed."""
    import asyncio

    import psycopg

    from outboxd.db.link import Link, reachable, words

    try:
        async with asyncio.timeout(config.net_timeout.total_seconds()):
            conn = await Link.connect(reachable(dsn, config.net_timeout, "outboxd cli"))
            await conn.close()
    except TimeoutError:
        seconds = f"{config.net_timeout.total_seconds():g} s"
        raise DatabaseUnavailable(f"the database did not answer within {seconds}") from None
    except psycopg.OperationalError as failed:
        raise DatabaseUnavailable(f"the database cannot be reached: {words(failed)}") from failed
