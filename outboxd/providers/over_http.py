"""A provider that is asked over HTTP; what differs between them is the wire."""

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from outboxd import __version__
from outboxd.egress import Request, tracing
from outboxd.egress.asking import retry_after
from outboxd.egress.calling import Calls, Whole
from outboxd.errors import Unreachable
from outboxd.providers import failures
from outboxd.providers.failures import Kind, ProviderFailed
from outboxd.providers.provider import Prompt, Reply, Stop, estimate

_UNSUPPORTED = re.compile(
    r"unsupported|not supported|does(?:n.t| not) support|deprecated|not permitted|not allowed"
    r"|unrecognized|unknown|only the default"
)
_MOST_MODELS = 1000


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was found not to understand."""

    temperature: bool = True
    completion_tokens: bool = False
    """The limit is called `max_completion_tokens`."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    headers: dict[str, str]
    body: bytes


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    stop: Stop
    tokens_in: int | None = None
    tokens_out: int | None = None


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What an error says in the provider's own way."""

    exhausted: bool = False
    asked: timedelta | None = None


class Wire(Protocol):
    def ask(self, prompt: Prompt, model: str, dialect: Dialect) -> Asked:
        """The request, with the key in a header and never in the URL."""

    def hear(self, body: bytes) -> Heard:
        """Raises MsgspecError or RecursionError for what is no answer of this provider."""

    def hints(self, body: bytes) -> Hints: ...


class OverHttp:
    def __init__(self, name: str, model: str | None, wire: Wire, calls: Calls) -> None:
        self._name = name
        self._model = model
        self._wire = wire
        self._calls = calls
        self._dialects: dict[str, Dialect] = {}

    async def generate(self, prompt: Prompt, deadline: float) -> Reply:
        model = prompt.model or self._model
        if model is None:
            raise ProviderFailed("unrecoverable", provider=self._name)
        whole = await self._understood(prompt, model, deadline)
        heard = self._heard(model, whole)
        if heard.stop != "filtered" and failures.is_notice(heard.text):
            raise self._failure(model, whole, heard.text.encode())
        known = heard.tokens_in is not None and heard.tokens_out is not None
        return Reply(
            text=heard.text,
            stop=heard.stop,
            model=model,
            tokens_in=estimate(prompt.system, prompt.user) if heard.tokens_in is None else heard.tokens_in,
            tokens_out=estimate(heard.text) if heard.tokens_out is None else heard.tokens_out,
            estimated=not known,
        )

    async def _understood(self, prompt: Prompt, model: str, deadline: float) -> Whole:
        """Asked again, once for each, in the words that the model asks for; later calls begin with them."""
        dialect = self._dialects.get(model, Dialect())
        while True:
            whole = await self._send(prompt, model, dialect, deadline)
            other = _other(dialect, whole)
            if other is None:
                return whole
            dialect = other
            self._remember(model, dialect)

    async def _send(self, prompt: Prompt, model: str, dialect: Dialect, deadline: float) -> Whole:
        asked = self._wire.ask(prompt, model, dialect)
        headers = {
            "content-type": "application/json",
            "user-agent": f"outboxd/{__version__}",
            **tracing.span(prompt.traceparent, recorded=prompt.recorded),
            **asked.headers,
        }
        try:
            return await self._calls.send(
                Request(url=asked.url, headers=headers, body=asked.body), deadline=deadline
            )
        except Unreachable as error:
            raise self._failed(failures.of_unreachable(error), model) from None

    def _heard(self, model: str, whole: Whole) -> Heard:
        if whole.status != 200 or _has_error(whole.body):
            raise self._failure(model, whole, whole.body)
        try:
            return self._wire.hear(whole.body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise self._failed("parse_error", model, 200) from None

    def _failure(self, model: str, whole: Whole, body: bytes) -> ProviderFailed:
        status = _told_status(whole.status, body)
        hints = self._wire.hints(body)
        kind = failures.kind_of(failures.said(status, body, exhausted=hints.exhausted))
        asked = retry_after(whole.headers.get("retry-after"), datetime.now(UTC)) or hints.asked
        return self._failed(kind, model, status, failures.wait_of(kind, asked))

    def _failed(
        self, kind: Kind, model: str, answered: int | None = None, retry_in: timedelta | None = None
    ) -> ProviderFailed:
        return ProviderFailed(kind, provider=self._name, model=model, answered=answered, retry_in=retry_in)

    def _remember(self, model: str, dialect: Dialect) -> None:
        # Projects name models, so there is no end of names.
        if len(self._dialects) >= _MOST_MODELS:
            self._dialects.pop(next(iter(self._dialects)))
        self._dialects[model] = dialect


def _other(dialect: Dialect, whole: Whole) -> Dialect | None:
    """How to say it instead, after a 400 that names what is not supported."""
    if whole.status != 400:
        return None
    text = whole.body[: failures.MOST_MATCHED].decode("utf-8", "replace").lower()
    if not _UNSUPPORTED.search(text):
        return None
    if "max_tokens" in text and not dialect.completion_tokens:
        return msgspec.structs.replace(dialect, completion_tokens=True)
    if "temperature" in text and dialect.temperature:
        return msgspec.structs.replace(dialect, temperature=False)
    return None


class _Error(msgspec.Struct, frozen=True):
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Coded(msgspec.Struct, frozen=True):
    code: int


class _Told(msgspec.Struct, frozen=True):
    error: _Coded


_error = msgspec.json.Decoder(_Error)
_told = msgspec.json.Decoder(_Told)


def _has_error(body: bytes) -> bool:
    try:
        found = _error.decode(body).error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return bytes(found) not in {b"null", b"{}", b'""', b"false"}


def _told_status(status: int, body: bytes) -> int:
    """A gateway may answer 200 and have the status of whom it asked in the error."""
    if status != 200:
        return status
    try:
        code = _told.decode(body).error.code
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return status
    return code if 400 <= code <= 599 else status
