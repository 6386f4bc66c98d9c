"""Anthropic's Messages API."""

import msgspec

from outboxd.config.kinds import Secret
from outboxd.providers.over_http import Asked, Dialect, Heard, Hints
from outboxd.providers.provider import Prompt, Stop

MODEL = "claude-sonnet-5"
BASE_URL = "https://api.anthropic.com"
_VERSION = "2023-06-01"
_STOPS: dict[str | None, Stop] = {"max_tokens": "length", "refusal": "filtered"}


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    content: list[_Block]
    stop_reason: str | None = None
    usage: _Usage = _Usage()


_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(_Answer)


class Claude:
    def __init__(self, base_url: str, key: Secret) -> None:
        self._url = f"{base_url}/v1/messages"
        self._key = key

    def ask(self, prompt: Prompt, model: str, dialect: Dialect) -> Asked:
        body = {
            "model": model,
            "max_tokens": prompt.max_output_tokens,
            **({"temperature": prompt.temperature} if dialect.temperature else {}),
            "system": prompt.system,
            "messages": [{"role": "user", "content": prompt.user}],
        }
        headers = {"x-api-key": self._key.reveal(), "anthropic-version": _VERSION}
        return Asked(url=self._url, headers=headers, body=_encode(body))

    def hear(self, body: bytes) -> Heard:
        found = _answer.decode(body)
        usage = found.usage
        cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
        return Heard(
            text="\n".join(block.text for block in found.content if block.type == "text"),
            stop=_STOPS.get(found.stop_reason, "end"),
            tokens_in=None if usage.input_tokens is None else usage.input_tokens + cached,
            tokens_out=usage.output_tokens,
        )

    def hints(self, body: bytes) -> Hints:
        return Hints()
