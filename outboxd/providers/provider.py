"""What a model is asked, and what it answers."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Stop = Literal["end", "length", "filtered"]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An event, as the user part of the prompt tells it."""

    type: str
    payload: object
    """Decoded JSON, with everything taken out already that no model may see."""


class Lived(msgspec.Struct, frozen=True, kw_only=True):
    """A session, as the user part of the prompt tells it."""

    first_prompt: str | None = None
    titles: Sequence[str] = ()
    """Of its observations, oldest first."""
    facts: Sequence[str] = ()


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    system: str
    user: str
    max_output_tokens: int = 8192
    temperature: float = 0.3
    model: str | None = None
    """None: the one that is configured for the provider."""
    facts: Sequence[Seen] | Lived = ()
    """The same request as values, for the provider that is no model and reads no prompt."""
    traceparent: str | None = None
    recorded: str | None = None
    """The traceparent of the call's own span, where traces are on."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    stop: Stop
    model: str
    """The one that was asked, by the name that prices know."""
    tokens_in: int
    tokens_out: int
    estimated: bool = False
    """The provider did not say how many tokens there were."""
    cost_micros: int | None = None
    """None: nobody told us the price."""


class Provider(Protocol):
    """Neither retries nor touches the database."""

    async def generate(self, prompt: Prompt, deadline: float) -> Reply:
        """`deadline` in seconds of the event loop's clock. Raises ProviderFailed."""


def estimate(*texts: str) -> int:
    """Tokens that `texts` are about: a quarter of their bytes."""
    size = sum(len(text.encode(errors="replace")) for text in texts)
    return -(-size // 4)
