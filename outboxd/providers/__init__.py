"""What can be said to a model: the providers that are configured, and calls of them.

A call either gives a Reply or raises ProviderFailed, whose `kind` says what the job does about it.
Whether a provider is to be left alone is a row that all processes see; nothing here remembers it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import structlog

from outboxd import telemetry
from outboxd.config import Config
from outboxd.egress.calling import Calls, Transport
from outboxd.errors import NotConfigured, Overloaded
from outboxd.providers import prices
from outboxd.providers.choosing import Choice, choice, configured, wire
from outboxd.providers.failures import Kind, ProviderFailed
from outboxd.providers.offline import Offline
from outboxd.providers.over_http import OverHttp
from outboxd.providers.prices import Prices
from outboxd.providers.provider import Lived, Prompt, Provider, Reply, Seen, Stop, estimate
from outboxd.telemetry import spans

__all__ = [
    "Ask",
    "Kind",
    "Lived",
    "Prompt",
    "Provider",
    "ProviderFailed",
    "Providers",
    "Reply",
    "Seen",
    "Stop",
    "choose",
    "configured",
    "estimate",
    "opened",
]

log = structlog.get_logger()

Ask = Callable[[str, Prompt], Awaitable[Reply]]
"""(a provider's name, what it is asked) → its reply."""


@asynccontextmanager
async def opened(config: Config, transport: Transport | None = None) -> AsyncIterator["Providers"]:
    """For the life of a process. Raises ConfigError; `transport` may answer in the network's place."""
    async with Calls.open(config, transport) as calls:
        yield choose(config, calls)


def choose(config: Config, calls: Calls) -> "Providers":
    """The providers that the settings mean. Raises ConfigError, with one sentence."""
    found = choice(config)
    made = {name: _made(name, model, config, calls) for name, model in found.models.items()}
    return Providers(config, found, made, prices.read(config.prices))


class Providers:
    def __init__(self, config: Config, chosen: Choice, made: Mapping[str, Provider], prices: Prices) -> None:
        self.default = chosen.default
        self.fallback = chosen.fallback
        """Used while the default is on hold."""
        self.names = tuple(made)
        self._models = chosen.models
        self._made = made
        self._prices = prices
        self._timeout = config.provider_timeout.total_seconds()
        self._turns = asyncio.Semaphore(config.provider_concurrency)

    def model(self, name: str) -> str | None:
        """The model that is asked where the prompt names none."""
        return self._models.get(name)

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> int | None:
        """Micro-dollars; None: unknown."""
        return self._prices.cost(model, tokens_in, tokens_out)

    @asynccontextmanager
    async def turn(self, deadline: float | None = None) -> AsyncIterator[Ask]:
        """One of the calls that this process may make at once: what it gives asks a provider.

        Budgets and holds are asked inside of it, since they may have closed while it was waited for.
        `deadline` is in seconds of the event loop's clock. Raises Overloaded if it came first.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded("too many calls of providers at once") from None
        try:
            yield partial(self._ask, deadline)
        finally:
            self._turns.release()

    async def generate(self, name: str, prompt: Prompt, deadline: float | None = None) -> Reply:
        """One call of the provider `name` in a turn of its own; cancelling the task aborts it.

        The call gets the configured time at most, and ends by the deadline. Raises ProviderFailed;
        Overloaded if nothing was sent by then; NotConfigured for a name that is not in `names`.
        """
        async with self.turn(deadline) as ask:
            return await ask(name, prompt)

    async def _ask(self, deadline: float | None, name: str, prompt: Prompt) -> Reply:
        provider = self._made.get(name)
        if provider is None:
            raise NotConfigured(f"the provider {name[:40]!r} is not configured here")
        ends = asyncio.get_running_loop().time() + self._timeout
        return await self._counted(name, provider, prompt, min(ends, deadline or ends))

    async def _counted(self, name: str, provider: Provider, prompt: Prompt, ends: float) -> Reply:
        begun, came = time.monotonic(), "cancelled"
        try:
            with spans.span("provider call", prompt.traceparent) as span:
                span.rename(f"call {name}")
                if span.traceparent is not None:
                    prompt = msgspec.structs.replace(prompt, recorded=span.traceparent)
                reply = await _guarded(name, provider, prompt, ends)
                came = "filtered" if reply.stop == "filtered" else "ok"
                span.ended(came)
        except ProviderFailed as failed:
            came = failed.kind
            raise
        finally:
            telemetry.PROVIDER_CALLS_TOTAL.labels(name, came).inc()
            telemetry.PROVIDER_SECONDS.labels(name).observe(time.monotonic() - begun)
        free = isinstance(provider, Offline)
        cost = 0 if free else self.cost(reply.model, reply.tokens_in, reply.tokens_out)
        telemetry.PROVIDER_TOKENS_TOTAL.labels(name, "in").inc(reply.tokens_in)
        telemetry.PROVIDER_TOKENS_TOTAL.labels(name, "out").inc(reply.tokens_out)
        telemetry.PROVIDER_COST_MICROS_TOTAL.labels(name).inc(cost or 0)
        return msgspec.structs.replace(reply, cost_micros=cost)


def _made(name: str, model: str | None, config: Config, calls: Calls) -> Provider:
    spoken = wire(name, config)
    return Offline() if spoken is None else OverHttp(name, model, spoken, calls)


async def _guarded(name: str, provider: Provider, prompt: Prompt, ends: float) -> Reply:
    try:
        return await provider.generate(prompt, ends)
    except ProviderFailed:
        raise
    except Exception:
        # A defect of ours; its words may quote the prompt, and a log tells its class and its place only.
        log.exception("provider call broke", provider=name)
        raise ProviderFailed("unknown", provider=name, model=prompt.model) from None
