"""What `outboxd check --restored` finds: what to know before anything works on a restored database."""

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from outboxd.cli import database
from outboxd.cli.finding import Finding
from outboxd.config import Config
from outboxd.store import restored

if TYPE_CHECKING:
    from outboxd.db.pool import Database

_ALIVE = timedelta(minutes=1)


async def all_of(config: Config) -> list[Finding]:
    async with database.opened(config) as db:
        return [await ask(db) for ask in (_gap, _deliveries, _jobs, _streams, _leases)]


async def _gap(db: "Database") -> Finding:
    async with db.connection() as conn:
        found = await restored.gap(conn)
    if found.last is None:
        return Finding(level="ok", subject="gap", finding="nothing ever happened in it")
    age = found.now - found.last
    if age < _ALIVE:
        said = "somebody works on it already, so its last moment before is not to be seen"
        return Finding(level="warn", subject="gap", finding=said, cure="ask before any daemon is started")
    at = found.last.astimezone(UTC).isoformat(timespec="seconds")
    said = (
        f"it ends at {at}, {timedelta(seconds=round(age.total_seconds()))} ago: what came later is not here"
    )
    cure = "publish again what producers still have: their event keys keep it from being doubled"
    return Finding(level="warn", subject="gap", finding=said, cure=cure)


async def _deliveries(db: "Database") -> Finding:
    async with db.connection() as conn:
        found = await restored.again(conn)
    if not found.deliveries:
        return Finding(level="ok", subject="deliveries", finding="none was due")
    said = (
        f"{found.deliveries:,} deliveries to {found.endpoints:,} endpoints were due,"
        " may have been made since, and are made again"
    )
    cure = "nothing: a repeat has the same webhook-id. Else cancel them, or disable their endpoints first"
    return Finding(level="warn", subject="deliveries", finding=said, cure=cure)


async def _jobs(db: "Database") -> Finding:
    async with db.connection() as conn:
        found = await restored.again(conn)
    if not found.jobs:
        return Finding(level="ok", subject="jobs", finding="none was due")
    said = f"{found.jobs:,} other jobs were due, may have run since, and run again"
    cure = "nothing where a handler tells repeats by the event's id; what models recorded has the same key"
    return Finding(level="warn", subject="jobs", finding=said, cure=cure)


async def _streams(db: "Database") -> Finding:
    async with db.connection() as conn:
        unaware = await restored.unaware_streams(conn)
    if not unaware:
        said = "the next number of each opens a new epoch: subscribers ahead of it are told"
        return Finding(level="ok", subject="streams", finding=said)
    said = f"{unaware:,} cannot see that this is another history"
    return Finding(level="warn", subject="streams", finding=said, cure="outboxd streams reset --all")


async def _leases(db: "Database") -> Finding:
    async with db.connection() as conn:
        count = await restored.leases(conn)
    if not count:
        return Finding(level="ok", subject="leases", finding="no worker of before holds anything")
    said = f"{count:,} of workers of before: their jobs come back once a worker runs"
    return Finding(level="ok", subject="leases", finding=said)
