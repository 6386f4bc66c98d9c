"""The Python client: what agents and their hooks call a server with.

    async with Client("http://127.0.0.1:8377", key) as client:
        await client.start_session(content_session_id="s1", platform_source="claude")
        await client.record_event(Event(event_type="tool_use", payload={…}, content_session_id="s1"))
        found = await client.search("how do we deploy")

What receives webhooks calls `verify(headers, body, secrets)` first.

It stands alone: nothing of the daemon is imported with it. Replies are the server's JSON objects as
they come. With a `spool`, a folder, a write that cannot be sent now is kept there and the call gives
None instead of raising; the next write, or `replay()`, sends what is kept first.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from outboxd.client.asking import Http
from outboxd.client.errors import ClientError
from outboxd.client.orders import Event, Order, batch_of, order, order_of
from outboxd.client.replay import replay
from outboxd.client.spool import Spool
from outboxd.client.verifying import VerificationError, verify

__all__ = ["Client", "ClientError", "Event", "VerificationError", "verify"]

log = structlog.get_logger()

HELD = timedelta(seconds=30)
"""The longest that the server holds a request which waits for a job."""
TIMEOUT = timedelta(seconds=30)

_OVER = frozenset({"completed", "failed", "cancelled"})
_PAUSE = 0.5
"""Between two looks at a job, of a server that does not hold them."""

Answer = dict[str, Any]


class Client:
    """`async with` opens it. Every method raises ClientError; those that write give None for "spooled"."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        project: str | None = None,
        timeout: timedelta = TIMEOUT,
        spool: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = Http(url, key, timeout)
        self._key = key or ""
        self._project = project
        self._timeout = timeout
        self._spool = None if spool is None else Spool(spool, clock)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def start_session(
        self,
        *,
        project_id: str | None = None,
        external_session_id: str | None = None,
        content_session_id: str | None = None,
        agent_id: str | None = None,
        agent_type: str | None = None,
        platform_source: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        reopen: bool | None = None,
    ) -> Answer | None:
        """`{session}`, new or found again by what identifies it."""
        said = {
            "projectId": project_id or self._project,
            "externalSessionId": external_session_id,
            "contentSessionId": content_session_id,
            "agentId": agent_id,
            "agentType": agent_type,
            "platformSource": platform_source,
            "metadata": metadata,
            "reopen": reopen,
        }
        return await self._write([order("/v1/sessions/start", said)])

    async def end_session(self, session: str) -> Answer | None:
        """`{session, generationJob?}`. Ending again is harmless."""
        return await self._write([order(f"/v1/sessions/{quote(session, safe='')}/end", {})])

    async def record_event(
        self, event: Event, *, generate: bool | None = None, wait: bool = False
    ) -> Answer | None:
        """`{event, generationJob?, jobs}`. `wait`: until its generation is over, at most 30 s."""
        one = order_of(event, self._project, _flags(generate, wait=wait))
        return await self._write([one], HELD if wait else timedelta())

    async def record_events(
        self, events: Sequence[Event], *, generate: bool | None = None, wait: bool = False
    ) -> Answer | None:
        """`{events: [{event, generationJob?}]}`, in their order: all of them (1 to 500) or none."""
        query = _flags(generate, wait=wait)
        orders = [order_of(event, self._project, query) for event in events]
        if not orders:
            return {"events": []}
        return await self._write(orders, HELD if wait else timedelta(), batch=True)

    async def add_memory(
        self,
        content: str,
        *,
        project_id: str | None = None,
        kind: str | None = None,
        title: str | None = None,
        session: str | None = None,
        content_session_id: str | None = None,
        platform_source: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer | None:
        """`{memory, duplicate?}`."""
        said = {
            "projectId": project_id or self._project,
            "content": content,
            "kind": kind,
            "title": title,
            "serverSessionId": session,
            "contentSessionId": content_session_id,
            "platformSource": platform_source,
            "metadata": metadata,
            "idempotencyKey": idempotency_key or str(uuid.uuid4()),
        }
        return await self._write([order("/v1/memories", said)])

    async def search(self, query: str, *, project_id: str | None = None, **more: Any) -> Answer:
        """`{observations, nextCursor}`, best first. `more`: limit, kind, since, …, named as in the API."""
        return await self._read("/v1/search", {"query": query, "projectId": project_id, **more})

    async def context(
        self, query: str | None = None, *, project_id: str | None = None, **more: Any
    ) -> Answer:
        """`{observations, context, …}`; without a query the newest."""
        return await self._read("/v1/context", {"query": query, "projectId": project_id, **more})

    async def get_memory(self, memory: str) -> Answer:
        """`{memory}` with its sources."""
        return await self.call("GET", f"/v1/memories/{quote(memory, safe='')}")

    async def get_job(self, job: str, *, wait: timedelta = timedelta()) -> Answer:
        """`{generationJob}`, held by the server up to `wait` (30 s at most) while it is not over."""
        seconds = min(int(wait.total_seconds()), int(HELD.total_seconds()))
        query = {"waitSeconds": str(seconds)} if seconds else None
        return await self.call("GET", f"/v1/jobs/{quote(job, safe='')}", query=query, patience=wait)

    async def wait_job(self, job: str, *, timeout: timedelta = timedelta(minutes=5)) -> Answer:
        """`{generationJob}` once it is over. Raises ClientError `timeout` if it is not by then."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout.total_seconds()
        while True:
            left = timedelta(seconds=max(0.0, end - loop.time()))
            answer = await self.get_job(job, wait=min(left, HELD))
            if answer.get("generationJob", {}).get("status") in _OVER:
                return answer
            if loop.time() + _PAUSE > end:
                raise ClientError("timeout", f"job {job} was not over within {timeout}")
            await asyncio.sleep(_PAUSE)

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        patience: timedelta = timedelta(),
    ) -> Answer:
        """Whatever else the API has. Never spooled."""
        sent = None if body is None else order(path, dict(body)).body
        return await self._http.ask(method, path, sent, query, patience=patience) or {}

    async def replay(self) -> None:
        """Sends what the spool keeps, as far as it goes; what is left waits on. Raises nothing."""
        if self._spool is not None and self._key:
            await replay(self._spool, self._key, self._send_again)

    @property
    def torn_lines(self) -> int:
        """Lines of the spool that a crash had cut short, skipped by this client."""
        return 0 if self._spool is None else self._spool.torn

    async def _read(self, path: str, said: dict[str, Any]) -> Answer:
        return await self.call("POST", path, {**said, "projectId": said["projectId"] or self._project})

    async def _write(
        self, orders: list[Order], patience: timedelta = timedelta(), *, batch: bool = False
    ) -> Answer | None:
        if self._spool is not None and await asyncio.to_thread(self._spool.has_some):
            # Behind what waits, so that a session is still started before its events.
            await asyncio.to_thread(self._spool.keep, orders)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout.total_seconds()):
                    await self.replay()
            return None
        one = batch_of(orders) if batch else orders[0]
        try:
            return await self._http.ask("POST", one.path, one.body, one.query, patience=patience) or {}
        except ClientError as failed:
            if self._spool is None or not failed.spooled:
                raise
            await asyncio.to_thread(self._keep, self._spool, orders, failed)
            return None

    def _keep(self, spool: Spool, orders: list[Order], failed: ClientError) -> None:
        spool.keep(orders)
        log.warning("spooled", orders=len(orders), kind=failed.kind, status=failed.status)
        if failed.key_refused:
            spool.hold(self._key)

    async def _send_again(self, one: Order) -> Any:
        query = {name: value for name, value in one.query.items() if name != "wait"}
        return await self._http.ask("POST", one.path, one.body, query, retries=False)


def _flags(generate: bool | None, *, wait: bool) -> dict[str, str]:
    said = {} if generate is None else {"generate": "true" if generate else "false"}
    return {**said, "wait": "true"} if wait else said
