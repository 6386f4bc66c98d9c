"""One process, from boot to exit status.

build ─▶ listen ─▶ boot (waits for the schema) ─▶ ready ─▶ loops ⋯ signal ─▶ drain ─▶ exit 0
                                                          └─ a loop crashed ─────────▶ exit 1
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import structlog

from outboxd import __version__, telemetry
from outboxd.api import app as http
from outboxd.api.server import Server, serving
from outboxd.config import Config
from outboxd.daemon import boot, figures, parts, telling, turning, web
from outboxd.daemon.parts import Parts
from outboxd.daemon.readiness import Readiness
from outboxd.daemon.signals import Ending, handled
from outboxd.daemon.supervised import Supervised
from outboxd.errors import Error
from outboxd.handlers import python
from outboxd.loops.worker import Worker
from outboxd.store import queues
from outboxd.telemetry import spans

log = structlog.get_logger()

_OVERTIME = timedelta(seconds=5)
_EMPTY_LOOK = 0.3


class Process:
    """`run()` gives the exit status. `gone` ends when what the process lives on has ended (`up`)."""

    def __init__(
        self,
        config: Config,
        *,
        until_empty: bool = False,
        gone: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._config = config
        self._until_empty = until_empty
        self._gone = gone
        self._ending = Ending()
        self._serves = "api" in config.roles
        self._works = "work" in config.roles
        self._app = parts.app(config) if self._works else None
        self._worker: Worker | None = None
        self._servers: list[Server] = []
        self._states: dict[str, Callable[[], telling.State]] = {}
        self._supervised = Supervised(config.supervisor, config.roles, self._beating)

    async def run(self) -> int:
        """0: drained as asked; 1: a loop crashed, or work was abandoned. Raises InUse, SchemaError."""
        ports = self._bound()
        try:
            async with AsyncExitStack() as stack:
                stack.enter_context(handled(self._ending, lambda: telling.tell(self._states)))
                if self._config.otel:
                    spans.start()
                    stack.push_async_callback(asyncio.to_thread, spans.stop)
                made = await stack.enter_async_context(parts.built(self._config))
                self._states = telling.states(made, lambda: self._worker)
                boot.tell_settings(self._config)
                boot.tell_generation(self._config, works=self._works)
                if self._app is not None:
                    await stack.enter_async_context(python.running(self._app))
                await self._live(made, ports)
        except BaseExceptionGroup as crashed:
            known = boot.blame(crashed)
            if isinstance(known, Error) and known.exit > 1:
                raise known from crashed
            log.exception("crashed", code=known.code if known else type(crashed).__name__)
            return 1
        finally:
            telemetry.flush_logs()
        return 1 if self._ending.hurry.is_set() else 0

    def _bound(self) -> list[tuple[str, socket.socket]]:
        """Addresses are taken first: one that is in use is told at once."""
        config, ports = self._config, []
        if self._serves:
            ports.append(("api", web.bind(config.host, config.port)))
        if config.metrics_listen is not None:
            ports.append(("metrics", web.bind(config.metrics_listen.host, config.metrics_listen.port)))
        return ports

    async def _live(self, made: Parts, ports: list[tuple[str, socket.socket]]) -> None:
        ready = self._readiness(made)
        async with asyncio.TaskGroup() as group:
            shared = figures.Figures(made.db)
            fronts = [self._front(group, made, ready, shared, kind, port) for kind, port in ports]
            background = [
                self._started(group, "turning", turning.watch()),
                self._started(group, "listener", made.listener.run()),
                self._started(group, "supervised", self._supervised.run(ready)),
            ]
            if self._gone is not None:
                background.append(self._started(group, "postgres", self._watch(self._gone)))
            booting = group.create_task(boot.boot(self._config, made.db, made.dsn), name="boot")
            await self._until(booting)
            if booting.done() and not self._ending.stop.is_set():
                await self._work(group, made, ready, background)
            else:
                booting.cancel()
            for server in self._servers:
                server.should_exit = True
            await asyncio.gather(*fronts)
            await made.requests.flush()
            for task in background:
                task.cancel()

    async def _work(
        self, group: asyncio.TaskGroup, made: Parts, ready: Readiness, background: list[asyncio.Task[None]]
    ) -> None:
        """Booted: everything runs until the process should end, and is put away in order."""
        working, putting_away = None, asyncio.Event()
        if self._works:
            self._worker = parts.worker(made, self._app)
            working = self._started(group, "worker", self._worker.run(self._ending.stop, self._ending.hurry))
        ingesting = self._started(group, "ingest", made.ingest.run(putting_away))
        poll = parts.poll(made, self._worker)
        for name, loop in (
            ("notifier", made.notifier.run()),
            ("sequencer", made.sequencer.run()),
            ("poll", poll.run()),
            ("sweeper", made.sweeper.run()),
        ):
            background.append(self._started(group, name, loop))
        if self._until_empty:
            background.append(self._started(group, "until empty", self._stop_when_empty(made)))
        ready.booted = True
        log.info("ready", version=__version__, roles=self._config.roles)
        await self._ending.stop.wait()
        await self._drain(ready, ingesting, working, putting_away)

    async def _drain(
        self,
        ready: Readiness,
        ingesting: asyncio.Task[None],
        working: asyncio.Task[None] | None,
        putting_away: asyncio.Event,
    ) -> None:
        """Readiness off, still serving for a while; then no new requests; what was accepted is committed."""
        ready.stopping = True
        self._supervised.stopping()
        if self._serves:
            await self._pause(self._config.drain_delay)
        ready.draining = True
        for server in self._servers:
            server.should_exit = True
        putting_away.set()
        limit = self._config.drain + 2 * _OVERTIME
        tasks = {ingesting} if working is None else {ingesting, working}
        _, left = await asyncio.wait(tasks, timeout=limit.total_seconds())
        if left:
            log.error("abandoned", tasks=[task.get_name() for task in left])
            self._ending.hurry.set()
            for task in left:
                task.cancel()

    def _front(
        self,
        group: asyncio.TaskGroup,
        made: Parts,
        ready: Readiness,
        shared: figures.Figures,
        kind: str,
        port: socket.socket,
    ) -> asyncio.Task[None]:
        if kind == "metrics":
            app: Any = web.operations(ready, shared.refresh)
        else:
            app = http.build(
                config=self._config,
                db=made.db,
                egress=made.egress,
                ingest=made.ingest,
                wakes=made.wakes,
                requests=made.requests,
                readiness=ready,
                refresh=shared.refresh,
            )
            hub = app.state.api.hub
            made.sweeper.done_elsewhere("heal", lambda: hub.heal_age)
        server = Server(serving(app, self._config))
        self._servers.append(server)
        return self._started(group, kind, server.serve([port]))

    def _readiness(self, made: Parts) -> Readiness:
        checks = {"listen": lambda: "ok" if made.listener.proven else "degraded"}
        if self._serves:
            checks["ingest"] = lambda: "failed" if made.ingest.full else "ok"
        if self._works:
            checks["worker"] = self._worker_check
        return Readiness(made.db, checks, provider=made.providers.default)

    def _beating(self) -> bool:
        return self._worker is None or self._worker.beating

    def _worker_check(self) -> str:
        worker = self._worker
        age = None if worker is None or not worker.handlers else worker.beat_age
        return "failed" if age is None or age > 5 * self._config.beat.total_seconds() else "ok"

    async def _until(self, booting: asyncio.Task[None]) -> None:
        stopped = asyncio.ensure_future(self._ending.stop.wait())
        await asyncio.wait({booting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    async def _pause(self, span: timedelta) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.hurry.wait(), span.total_seconds())

    async def _watch(self, gone: Callable[[], Awaitable[None]]) -> None:
        await gone()
        raise RuntimeError("the embedded Postgres has ended")

    async def _stop_when_empty(self, made: Parts) -> None:
        """Ends the process once nothing is due, nothing is numbered and nobody works."""
        while not self._ending.stop.is_set():
            await asyncio.sleep(_EMPTY_LOOK)
            worker = self._worker
            if worker is None or worker.worker_id is None or worker.running:
                continue
            async with made.db.connection() as conn:
                look = await queues.poll(conn, worker.worker_id, worker.worker_id, asleep=False)
            if not (look.due_queues or look.pending or look.unplaced or look.to_stage or worker.running):
                self._ending.asked("empty")

    @staticmethod
    def _started(group: asyncio.TaskGroup, name: str, loop: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        return group.create_task(loop, name=name)


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
