"""What a process is made of, built once from the configuration."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import msgspec

from outboxd import __version__, providers
from outboxd.config import Config, checks
from outboxd.db.listen import Listener
from outboxd.db.pool import Database
from outboxd.egress import Egress
from outboxd.errors import ConfigError
from outboxd.handlers import deliver, python, recover, sql
from outboxd.handlers.handler import registry
from outboxd.handlers.memory import generating
from outboxd.handlers.python import App
from outboxd.loops.chores import chores
from outboxd.loops.ingest import Ingest
from outboxd.loops.notifier import Notifier
from outboxd.loops.poll import Poll
from outboxd.loops.requests import Requests
from outboxd.loops.sequencer import Sequencer
from outboxd.loops.sweeper import Sweeper
from outboxd.loops.wakes import Wakes
from outboxd.loops.worker import Worker
from outboxd.providers import Providers
from outboxd.store.workers import Offer


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that runs beside the HTTP server and the worker."""

    config: Config
    dsn: str
    direct: str
    """Past any pooler: LISTEN, locks, partitions."""
    db: Database
    egress: Egress
    providers: Providers
    listener: Listener
    notifier: Notifier
    wakes: Wakes
    ingest: Ingest
    requests: Requests
    sequencer: Sequencer
    sweeper: Sweeper


@asynccontextmanager
async def built(config: Config) -> AsyncIterator[Parts]:
    """Nothing in it has been started; the pool connects by itself."""
    if config.database_url is None:
        raise ConfigError(["OUTBOXD_DATABASE_URL: not set, and this command brings no Postgres of its own"])
    dsn = config.database_url.reveal()
    direct = dsn if config.listen_url is None else config.listen_url.reveal()
    listener = Listener(direct, net_timeout=config.net_timeout)
    notifier = Notifier(dsn, net_timeout=config.net_timeout)
    wakes = Wakes(notifier.tell)
    listener.subscribe(wakes.heard)
    async with pool(config, dsn) as db, Egress.open(config) as egress, providers.opened(config) as models:
        requests = Requests(db)
        yield Parts(
            config=config,
            dsn=dsn,
            direct=direct,
            db=db,
            egress=egress,
            providers=models,
            listener=listener,
            notifier=notifier,
            wakes=wakes,
            ingest=Ingest(
                db,
                wakes,
                queue_events=config.ingest_queue_events,
                queue_bytes=config.ingest_queue_bytes,
                drain=config.drain,
            ),
            requests=requests,
            sequencer=Sequencer(db, wakes),
            sweeper=Sweeper(db, chores(db, wakes, config, direct, requests)),
        )


def pool(config: Config, dsn: str) -> AbstractAsyncContextManager[Database]:
    return Database.open(
        dsn,
        pool_min=config.pool_min,
        pool_max=config.pool_max,
        pool_timeout=config.pool_timeout,
        net_timeout=config.net_timeout,
        statement_timeout=config.statement_timeout,
        prepare=config.prepare,
    )


def poll(parts: Parts, worker: Worker | None) -> Poll:
    """The process's one look at the database."""

    def worker_id() -> UUID | None:
        return None if worker is None else worker.worker_id

    return Poll(
        parts.db,
        parts.wakes,
        ask=parts.sweeper.ask,
        idle=parts.sweeper.idle,
        proven=lambda: parts.listener.proven,
        worker=worker_id,
        learn=lambda: None if worker is None else worker.learn(),
        on_time=parts.ingest.on_time,
        unproven=parts.config.sequencer_poll,
    )


def app(config: Config) -> App | None:
    """The user's handlers. Raises ConfigError with everything that is wrong with them."""
    return None if config.app is None else python.load(config.app)


def worker(parts: Parts, given: App | None) -> Worker:
    """Knows our handlers, the user's, and the SQL functions that an operator declared."""
    config = parts.config
    known = registry(
        [deliver.handler(parts.db, parts.egress, config)] if checks.delivers(config) else [],
        [recover.handler(parts.db)],
        generating.handlers(parts.db, parts.providers, config, parts.wakes.committed),
        [] if given is None else python.handlers(given),
    )
    return Worker(
        parts.db,
        parts.wakes,
        known,
        _offer(config),
        dsn=parts.dsn,
        listener=parts.listener,
        threads=config.worker_threads,
        writers=max(1, config.pool_max - 4),
        queues=None if given is None else python.queues(given),
        declared=sql.declared,
        drain=config.drain,
        net_timeout=config.net_timeout,
    )


def _offer(config: Config) -> Offer:
    host = socket.gethostname()
    return Offer(
        name=f"{host}:{os.getpid()}"[:120],
        queues=config.worker_queues or None,
        host=host,
        pid=os.getpid(),
        version=__version__,
        slots=config.worker_slots,
        beat=config.beat,
    )
