"""Providers as a test opens them, and what a failed call tells."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from outboxd import config, providers
from outboxd.config import Config, Machine
from outboxd.providers import Prompt, ProviderFailed, Providers
from tests.fake_provider import FakeProvider, Format

HOST = Machine(root=False, home=Path("/home/ann"), container=False)
PROMPT = Prompt(system="Be brief.", user="What of hunter2-of-the-prompt?", max_output_tokens=512)


def settings(**environ: str) -> Config:
    return config.read(environ, command="up", machine=HOST)


@asynccontextmanager
async def calling(fake: FakeProvider, format: Format = "claude", **more: str) -> AsyncIterator[Providers]:  # noqa: A002
    async with providers.opened(settings(**{**fake.environ(format), **more})) as found:
        yield found


async def failure(found: Providers, prompt: Prompt = PROMPT) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as caught:
        await found.generate(found.default, prompt)
    return caught.value


class Recorded:
    """Answers in the network's place and keeps what was asked."""

    def __init__(self, *replies: httpx.Response | Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._replies = list(replies)
        self.transport = httpx.MockTransport(self._answer)

    def body(self, number: int = 0) -> dict[str, object]:
        return msgspec.json.decode(self.requests[number].content, type=dict[str, object])

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._replies.pop(0)
        return reply if isinstance(reply, httpx.Response) else reply(request)
