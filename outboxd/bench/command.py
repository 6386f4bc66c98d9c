"""One run, as it was asked for: where, how much, which measures; and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from outboxd.bench import budgets, measures, place, report, rounds
from outboxd.bench.ground import QUICK, Ground, Size
from outboxd.bench.measure import Measure
from outboxd.bench.rounds import Say
from outboxd.errors import ConfigError

_DOORS = {"http": ("ingest single", "ingest batch"), "sql": ("ingest SQL",)}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `outboxd bench`."""

    server: str | None = None
    """DSN of the server, where one is configured."""
    on_server: bool = False
    own: bool = False
    quick: bool = False
    rounds: int | None = None
    seconds: float | None = None
    clients: int | None = None
    batch: int | None = None
    door: Literal["http", "sql", "all"] = "all"
    only: tuple[str, ...] = ()
    peers: bool = True
    keep: bool = False
    size: Size | None = None
    """Instead of what `quick` says."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    document: bytes
    missed: tuple[str, ...]
    """Budgets that do not hold, and figures of ours that could not be taken."""


async def run(asked: Asked, say: Say) -> Done:
    """Raises ConfigError for what is not measured: a foreign server, volatile settings, an unknown name."""
    chosen = _chosen(asked)
    size = _size(asked)
    async with _server(asked) as dsn:
        place.check_durable(dsn)
        end = "kept" if asked.keep else "dropped"
        say(f"{len(chosen)} measures on {place.where(dsn)}, in databases outboxd_bench_* that are {end}")
        count = asked.rounds or (3 if asked.quick else 5)
        found = await rounds.run(Ground(dsn, size, keep=asked.keep), chosen, count, say)
    return Done(
        table=report.table(found),
        document=report.document(found),
        missed=(*budgets.missed(found.budgets), *budgets.unmeasured(found.results)),
    )


def _chosen(asked: Asked) -> list[Measure]:
    found = measures.chosen(asked.only, peers=asked.peers)
    left_out = {name for door, names in _DOORS.items() if asked.door not in {"all", door} for name in names}
    return [measure for measure in found if measure.name not in left_out]


def _size(asked: Asked) -> Size:
    size = asked.size or (QUICK if asked.quick else Size())
    given = {"seconds": asked.seconds, "clients": asked.clients, "batch": asked.batch}
    return msgspec.structs.replace(
        size, **{name: value for name, value in given.items() if value is not None}
    )


@asynccontextmanager
async def _server(asked: Asked) -> AsyncIterator[str]:
    if not asked.on_server:
        with place.private_server() as dsn:
            yield dsn
        return
    if asked.server is None:
        raise ConfigError(["--server needs OUTBOXD_DATABASE_URL"])
    place.check_server(asked.server, own=asked.own)
    await asyncio.to_thread(place.reachable, asked.server)
    yield asked.server
