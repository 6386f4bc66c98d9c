"""One call of a provider for jobs of generation: asked for, put on record, made, and told.

    turn ─▶ budget, hold ─▶ on record as lost ─▶ call ─▶ metered: with the jobs' end, or alone
                └ closed: HeldError                ├ failed: the provider rests, or the attempt fails
                                                   └ nobody wants it any more: cancelled

The record stands before the call, so a worker that dies in it leaves a call that was counted.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog

from outboxd.db.pool import Database
from outboxd.errors import Error
from outboxd.providers import Ask, Prompt, ProviderFailed, Providers, Reply, estimate
from outboxd.store import generation, holds
from outboxd.store.generation import Begun, Call
from outboxd.store.ids import Mint

log = structlog.get_logger()

Woken = Callable[[Mapping[str, str]], None]
"""Queue → handler of the queues whose jobs are due again."""

_RESTS = frozenset({"quota_exhausted", "rate_limit", "auth_invalid"})
_TROUBLES = _RESTS | {"transient", "timeout"}
_SAY_EVERY = 3600.0
_BUSY = timedelta(seconds=30)


class HeldError(Exception):
    """No call may be made now: the job waits, and no attempt is spent."""

    def __init__(self, held: str, class_: str, wait: timedelta) -> None:
        super().__init__(held)
        self.held = held
        self.class_ = class_
        self.wait = wait


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Whose call it is, and whom the project wants it to go to."""

    job_id: UUID
    provider: str | None
    model: str | None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    reply: Reply
    provider: str
    call: Call
    """To be metered with the jobs' end."""


class Calling:
    def __init__(self, db: Database, providers: Providers, woken: Woken) -> None:
        self._db = db
        self._providers = providers
        self._woken = woken
        self._mint = Mint()
        self._said: dict[str, float] = {}

    @property
    def default(self) -> str:
        return self._providers.default

    async def ask(self, order: Order, prompt: Prompt) -> Answered:
        """Raises HeldError, ProviderFailed, and Unavailable when the database is away."""
        async with self._providers.turn() as ask:
            return await self._asked_in_turn(ask, order, prompt)

    async def _asked_in_turn(self, ask: Ask, order: Order, prompt: Prompt) -> Answered:
        size = estimate(prompt.system, prompt.user)
        call = self._mint()
        async with self._db.transaction() as conn:
            begun = await generation.begin_call(conn, call, order.job_id, self._wanted(order), size)
        if begun.provider is None:
            raise HeldError(begun.held or "provider", begun.held or "provider", begun.wait or _BUSY)
        record = _Record(call, order.job_id, begun, size)
        try:
            reply = await ask(begun.provider, msgspec.structs.replace(prompt, model=begun.model or None))
        except ProviderFailed as failed:
            await self.meter(record.of(failed.kind))
            raise await self._judged(failed, begun.provider, troubled=begun.troubled) from None
        except asyncio.CancelledError:
            await asyncio.shield(self.meter(record.of("cancelled")))
            raise
        if begun.troubled:
            await self._well(begun.provider)
        return Answered(reply=reply, provider=begun.provider, call=record.answered(reply))

    def _wanted(self, order: Order) -> list[tuple[str, str]]:
        """A project's own provider alone; the server's default, and what stands in for it."""
        own = self._providers
        name = order.provider if order.provider in own.names else own.default
        model = order.model if order.provider in {None, name} else None
        wanted = [(name, model or own.model(name) or "")]
        if name == own.default and own.fallback is not None:
            wanted.append((own.fallback, own.model(own.fallback) or ""))
        return wanted

    def _closes(self, provider: str) -> bool:
        """Whether nothing can be done while it is held, so that claims may stop."""
        return provider == self._providers.default and self._providers.fallback is None

    async def _judged(self, failed: ProviderFailed, provider: str, *, troubled: bool) -> Exception:
        if failed.kind not in _TROUBLES:
            # It answered, if not what we wanted.
            if troubled:
                await self._well(provider)
            return failed
        async with self._db.transaction() as conn:
            wait = await holds.failed(
                conn, provider, failed.kind, failed.retry_in, closes=self._closes(provider)
            )
        if wait is not None:
            self._tell(provider, failed.kind, wait)
        if failed.kind not in _RESTS:
            return failed
        return HeldError("provider", failed.kind, wait or failed.retry_in or _BUSY)

    async def _well(self, provider: str) -> None:
        try:
            async with self._db.transaction() as conn:
                opened = await holds.answered(conn, provider, closes=self._closes(provider))
        except Error as away:
            # The hold is asked again by the next call.
            log.warning("provider's recovery not told", provider=provider, code=away.code)
            return
        if opened:
            log.info("provider answers again", provider=provider)
            self._woken({each.queue: each.handler for each in opened})

    async def meter(self, call: Call) -> None:
        """Alone: its jobs do not end with it."""
        try:
            async with self._db.connection() as conn:
                await generation.meter(conn, call)
        except Error as away:
            log.warning("call stays on record as lost", code=away.code, provider=call.provider)

    def _tell(self, provider: str, kind: str, wait: timedelta) -> None:
        """Once an hour and class: the row says it all the time."""
        said = f"{provider} {kind}"
        now = time.monotonic()
        if now - self._said.get(said, -_SAY_EVERY) >= _SAY_EVERY:
            self._said[said] = now
            log.warning("provider on hold", provider=provider, kind=kind, seconds=round(wait.total_seconds()))


class _Record:
    """What is known of a call before its end."""

    def __init__(self, call: UUID, job: UUID, begun: Begun, size: int) -> None:
        self._started = time.monotonic()
        self._call = Call(
            id=call,
            job_id=job,
            provider=begun.provider or "",
            model=begun.model or "",
            class_="lost",
            tokens_in=size,
            tokens_out=0,
            estimated=True,
            cost_micros=None,
            ms=0,
        )

    def of(self, class_: str) -> Call:
        return msgspec.structs.replace(self._call, class_=class_, ms=self._ms())

    def answered(self, reply: Reply) -> Call:
        return msgspec.structs.replace(
            self._call,
            model=reply.model,
            class_="ok",
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            estimated=reply.estimated,
            cost_micros=reply.cost_micros,
            ms=self._ms(),
        )

    def _ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)
