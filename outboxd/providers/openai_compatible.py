"""Chat completions, as OpenAI, OpenRouter and most servers of local models speak them."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from outboxd.config.kinds import Secret
from outboxd.providers.over_http import Asked, Dialect, Heard, Hints
from outboxd.providers.provider import Prompt, Stop

OPENAI = "https://api.openai.com/v1"
OPENROUTER = "https://openrouter.ai/api/v1"
_PATH = "/chat/completions"
_STOPS: dict[str | None, Stop] = {"length": "length", "content_filter": "filtered"}
_ATTRIBUTION = {"http-referer": "https://pypi.org/project/outboxd/", "x-title": "outboxd"}
_LOCAL = (".local", ".localhost", ".internal", ".lan")


class _Part(msgspec.Struct, frozen=True):
    text: str = ""


class _Message(msgspec.Struct, frozen=True):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    choices: list[_Choice]
    usage: _Usage | None = None


_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(_Answer)


class OpenAiCompatible:
    def __init__(self, base_url: str, key: Secret | None) -> None:
        self._url = base_url if base_url.endswith(_PATH) else base_url + _PATH
        self._key = key
        ours = urlsplit(base_url).hostname == "openrouter.ai"
        self._attribution = _ATTRIBUTION if ours else {}

    def ask(self, prompt: Prompt, model: str, dialect: Dialect) -> Asked:
        limit = "max_completion_tokens" if dialect.completion_tokens else "max_tokens"
        body = {
            "model": model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            **({"temperature": prompt.temperature} if dialect.temperature else {}),
            limit: prompt.max_output_tokens,
        }
        key = {"authorization": f"Bearer {self._key.reveal()}"} if self._key else {}
        return Asked(url=self._url, headers={**key, **self._attribution}, body=_encode(body))

    def hear(self, body: bytes) -> Heard:
        found = _answer.decode(body)
        if not found.choices:
            raise msgspec.ValidationError("no choice")
        first = found.choices[0]
        usage = found.usage or _Usage()
        return Heard(
            text=_text(first.message.content),
            stop="filtered" if first.message.refusal else _STOPS.get(first.finish_reason, "end"),
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
        )

    def hints(self, body: bytes) -> Hints:
        return Hints()


def is_local(base_url: str) -> bool:
    """Whether a server there may be one of the operator's own, which wants no key."""
    host = urlsplit(base_url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_LOCAL)


def _text(content: str | list[_Part] | None) -> str:
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""
