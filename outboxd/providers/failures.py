"""Why a call got no answer: the table of the memory page, line by line, checked top down.

quota_exhausted  402; words of an empty account at any status, of a limit off 429; a quota that says so at 429
rate_limit       any other 429
auth_invalid     401, 403, words of a bad key
context_limit    413, words of a prompt that is too long
transient        no answer, 408, 425, 5xx, `overloaded`; also what no line knows: 3xx, an error at 200
timeout          the deadline
parse_error      the answer is not the JSON that was promised
unrecoverable    other 4xx
unknown          an exception of ours

What the handler finds in an answer that came (`filtered`, `truncated`, `parse_error`) it tells with
the same exception. Nothing of what the provider said stands in it, nor in its cause.
"""

from datetime import timedelta
from typing import Literal

import msgspec

from outboxd.errors import Unavailable, Unreachable

Kind = Literal[
    "quota_exhausted", "rate_limit", "auth_invalid", "context_limit", "transient", "timeout", "filtered",
    "truncated", "parse_error", "unrecoverable", "unknown",
]  # fmt: skip

MOST_MATCHED = 64 * 1024
_REST = timedelta(seconds=30)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)

_SENTENCES: dict[Kind, str] = {
    "quota_exhausted": "the provider's quota is exhausted",
    "rate_limit": "the provider asks for fewer calls",
    "auth_invalid": "the provider refused the key",
    "context_limit": "the prompt is too long for the model",
    "transient": "the provider could not answer now",
    "timeout": "the provider did not answer in time",
    "filtered": "the provider's filter kept the answer back",
    "truncated": "the answer was cut before anything in it was complete",
    "parse_error": "the provider's answer has no valid form",
    "unrecoverable": "the provider refused the request",
    "unknown": "the call failed in outboxd",
}
_WAITS: dict[Kind, timedelta] = {
    "quota_exhausted": timedelta(minutes=15),
    "rate_limit": _REST,
    "auth_invalid": timedelta(minutes=5),
}


class ProviderFailed(Unavailable):
    """A call of a provider led to nothing; `kind` decides what the job does."""

    def __init__(
        self,
        kind: Kind,
        *,
        provider: str,
        model: str | None = None,
        answered: int | None = None,
        retry_in: timedelta | None = None,
    ) -> None:
        told = f" (status {answered})" if answered is not None else ""
        super().__init__(
            f"{kind}: {_SENTENCES[kind]}{told}", retry_in=retry_in or _WAITS.get(kind), code=kind
        )
        self.kind = kind
        self.provider = provider
        self.model = model
        self.answered = answered
        """The status that the provider answered with, if it did."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What of a provider's error the table looks at."""

    status: int
    text: str
    """Lower case, 64 KiB at most."""
    exhausted: bool = False
    """It named a quota that no waiting of minutes fills again."""
    asked: timedelta | None = None
    """How long it wants to be left alone."""


def said(status: int, body: bytes, *, exhausted: bool = False, asked: timedelta | None = None) -> Said:
    text = body[:MOST_MATCHED].decode("utf-8", "replace").lower()
    return Said(status=status, text=text, exhausted=exhausted, asked=asked)


def kind_of(found: Said) -> Kind:
    return _of_account(found) or _of_request(found) or _of_status(found.status)


def wait_of(kind: Kind, asked: timedelta | None) -> timedelta | None:
    """How long the provider is left alone; None where the class does not say."""
    if kind != "rate_limit" or asked is None:
        return _WAITS.get(kind)
    return min(max(asked, _SHORTEST), _LONGEST)


def of_unreachable(error: Unreachable) -> Kind:
    return "timeout" if error.kind == "timeout" else "transient"


def is_notice(text: str) -> bool:
    """Whether an answer is, as a whole, not one but a word about a limit.

    An answer of ours has tags, and a notice is short. What an event says may still talk a model into
    such an answer: then its provider rests for a while, and nothing is lost.
    """
    short = text.strip().lower()
    return len(short) <= _MOST_NOTICE and "<" not in short and _any(short, (*_BROKE, *_LIMITED, *_BUSY))


_MOST_NOTICE = 500
_BROKE = ("insufficient credits", "insufficient_quota", "key limit exceeded", "negative credit")
_LIMITED = ("quota exceeded", "limit exceeded", "resource_exhausted", "usage limit reached")
_BUSY = ("rate limit", "rate_limit", "too many requests")
_BAD_KEY = ("invalid api key", "api key not valid", "api_key_invalid", "invalid_api_key", "invalid x-api-key")
_TOO_LONG = (
    "prompt is too long", "context window", "context_length_exceeded", "maximum context length",
    "exceeds the maximum number of tokens",
)  # fmt: skip


def _of_account(found: Said) -> Kind | None:
    status, text = found.status, found.text
    if status == 402 or _any(text, _BROKE) or (status == 429 and found.exhausted):
        return "quota_exhausted"
    if status == 429:
        return "rate_limit"
    # Where the status says nothing, the text alone tells the one limit from the other.
    if status == 200 and _any(text, _BUSY):
        return "rate_limit"
    if _any(text, _LIMITED):
        return "quota_exhausted"
    return "auth_invalid" if status in {401, 403} or _any(text, _BAD_KEY) else None


def _of_request(found: Said) -> Kind | None:
    if found.status == 413 or _any(found.text, _TOO_LONG):
        return "context_limit"
    return "transient" if "overloaded" in found.text else None


def _of_status(status: int) -> Kind:
    if 400 <= status < 500 and status not in {408, 425}:
        return "unrecoverable"
    return "transient"


def _any(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)
