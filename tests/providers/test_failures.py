"""The table of failures, row by row, and that none of them tells what the provider or the prompt said."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import structlog

from outboxd import providers
from outboxd.egress.asking import retry_after
from outboxd.providers import ProviderFailed
from outboxd.providers.failures import of_unreachable
from tests.fake_provider import KEY, Format
from tests.proofs import proves
from tests.providers.calling import PROMPT, Recorded, settings

MODEL = {"OUTBOXD_MODEL": "m-1"}
ENVIRON: dict[Format, dict[str, str]] = {
    "claude": {"OUTBOXD_ANTHROPIC_API_KEY": KEY},
    "gemini": {"OUTBOXD_GEMINI_API_KEY": KEY},
    "openai": {"OUTBOXD_OPENAI_API_KEY": KEY, **MODEL},
}
MINUTE = timedelta(minutes=1)


def gemini_429(quota: str, delay: str | None = None) -> dict[str, Any]:
    """As Google says it, whose message speaks of plan and billing whatever the quota is."""
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]},
        {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"url": "https://ai.google.dev"}]},
    ]
    if delay:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    message = "You exceeded your current quota, please check your plan and billing details."
    error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
    return {"error": error}


async def failed(
    format: Format,  # noqa: A002
    status: int,
    told: object = None,
    **headers: str,
) -> ProviderFailed:
    told = {"error": {"message": told}} if isinstance(told, str) else told
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    recorded = Recorded(httpx.Response(status, json=told, headers=names))
    async with providers.opened(settings(**ENVIRON[format]), recorded.transport) as found:
        with pytest.raises(ProviderFailed) as caught:
            await found.generate(found.default, PROMPT)
    return caught.value


PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel"

ROWS: list[tuple[str, Format, int, object]] = [
    ("quota_exhausted", "claude", 402, None),
    ("quota_exhausted", "claude", 400, "Your account has insufficient credits"),
    ("quota_exhausted", "openai", 429, {"error": {"code": "insufficient_quota"}}),
    ("quota_exhausted", "openai", 403, "Key limit exceeded (monthly)"),
    ("quota_exhausted", "openai", 500, "negative credit balance"),
    ("quota_exhausted", "openai", 403, "Quota exceeded for quota metric"),
    ("quota_exhausted", "openai", 400, "spend limit exceeded"),
    ("quota_exhausted", "gemini", 403, {"error": {"status": "RESOURCE_EXHAUSTED"}}),
    ("quota_exhausted", "gemini", 429, gemini_429(PER_DAY, "7s")),
    ("quota_exhausted", "gemini", 429, gemini_429("BillingHardLimit")),
    ("rate_limit", "gemini", 429, gemini_429(PER_MINUTE, "7s")),
    ("rate_limit", "gemini", 429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded"}}),
    ("rate_limit", "claude", 429, "This request would exceed your rate limit"),
    ("rate_limit", "openai", 429, "limit exceeded"),
    ("auth_invalid", "claude", 401, None),
    ("auth_invalid", "claude", 403, None),
    ("auth_invalid", "openai", 400, "Invalid API key provided"),
    ("auth_invalid", "gemini", 400, "API key not valid. Please pass a valid API key."),
    ("context_limit", "claude", 400, "prompt is too long: 210000 tokens > 200000 maximum"),
    ("context_limit", "openai", 400, "Your input exceeds the context window of this model"),
    ("context_limit", "openai", 400, {"error": {"code": "context_length_exceeded"}}),
    ("context_limit", "claude", 413, None),
    (
        "context_limit",
        "gemini",
        400,
        "The input token count (9) exceeds the maximum number of tokens allowed",
    ),
    ("transient", "claude", 408, None),
    ("transient", "claude", 425, None),
    ("transient", "claude", 500, None),
    ("transient", "openai", 503, None),
    ("transient", "claude", 529, {"type": "error", "error": {"type": "overloaded_error"}}),
    ("transient", "openai", 400, "The model is overloaded"),
    ("transient", "openai", 307, None),
    ("unrecoverable", "claude", 400, "messages: at least one message is required"),
    ("unrecoverable", "openai", 404, "no such model"),
    ("unrecoverable", "gemini", 422, None),
    # A 200 that holds an error.
    ("rate_limit", "openai", 200, {"error": {"code": 429, "message": "slow down"}}),
    ("transient", "openai", 200, {"error": {"code": 502, "message": "upstream"}}),
    ("transient", "claude", 200, {"type": "error", "error": {"type": "overloaded_error"}}),
    ("quota_exhausted", "openai", 200, {"error": "Insufficient credits"}),
    ("rate_limit", "claude", 200, {"type": "error", "error": {"type": "rate_limit_error"}}),
    ("transient", "openai", 200, {"error": {"message": "something else"}}),
    # A 200 whose whole text is a notice.
    (
        "quota_exhausted",
        "claude",
        200,
        {"content": [{"type": "text", "text": "Claude usage limit reached."}]},
    ),
    ("quota_exhausted", "openai", 200, {"choices": [{"message": {"content": "Quota exceeded for today"}}]}),
    ("rate_limit", "openai", 200, {"choices": [{"message": {"content": "Too many requests, wait."}}]}),
]


@pytest.mark.parametrize(("kind", "format", "status", "told"), ROWS)
@proves("M8")
async def test_a_failure_is_of_the_class_that_the_table_names(
    kind: str,
    format: Format,  # noqa: A002
    status: int,
    told: object,
) -> None:
    found = await failed(format, status, told)
    assert found.kind == found.code == kind
    assert found.detail.startswith(f"{kind}: ")


@pytest.mark.parametrize(
    "text",
    [
        "<observation><title>The API answered: quota exceeded</title></observation>",
        "All is well.",
        "quota exceeded " + "and so on " * 60,
    ],
)
async def test_an_answer_that_only_speaks_of_limits_is_an_answer(text: str) -> None:
    recorded = Recorded(httpx.Response(200, json={"content": [{"type": "text", "text": text}]}))
    async with providers.opened(settings(**ENVIRON["claude"]), recorded.transport) as found:
        assert (await found.generate("claude", PROMPT)).text == text


async def test_an_error_that_is_null_is_none() -> None:
    told = {"error": None, "content": [{"type": "text", "text": "fine"}]}
    recorded = Recorded(httpx.Response(200, json=told))
    async with providers.opened(settings(**ENVIRON["claude"]), recorded.transport) as found:
        assert (await found.generate("claude", PROMPT)).text == "fine"


# How long the provider is left alone ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "told", "headers", "wait"),
    [
        ("claude", None, {}, 30 * MINUTE / 60),
        ("claude", None, {"retry_after": "7"}, timedelta(seconds=7)),
        ("claude", None, {"retry_after": "0"}, 30 * MINUTE / 60),
        ("claude", None, {"retry_after": "0.5"}, 30 * MINUTE / 60),
        ("claude", None, {"retry_after": "86400"}, 60 * MINUTE),
        ("gemini", gemini_429(PER_MINUTE, "7s"), {}, timedelta(seconds=7)),
        ("gemini", gemini_429(PER_MINUTE, "36.25s"), {}, timedelta(seconds=36.25)),
        ("gemini", gemini_429(PER_MINUTE, "0.2s"), {}, timedelta(seconds=1)),
        ("gemini", gemini_429(PER_MINUTE, "soon"), {}, 30 * MINUTE / 60),
    ],
)
async def test_a_provider_that_limits_is_left_alone_as_long_as_it_asks(
    format: Format,  # noqa: A002
    told: object,
    headers: dict[str, str],
    wait: timedelta,
) -> None:
    assert (await failed(format, 429, told, **headers)).retry_in == wait


async def test_a_date_to_come_back_at_is_kept() -> None:
    at = datetime.now(UTC) + 10 * MINUTE
    found = await failed("claude", 429, None, retry_after=format_datetime(at, usegmt=True))
    assert found.retry_in is not None
    assert 9 * MINUTE < found.retry_in <= 10 * MINUTE
    assert retry_after(format_datetime(at - 60 * MINUTE, usegmt=True), at) is None


async def test_what_the_operator_has_to_mend_waits_for_its_own_time() -> None:
    quota = await failed("gemini", 429, gemini_429(PER_DAY, "7s"))
    key = await failed("claude", 401, None, retry_after="7")
    busy = await failed("claude", 529, None, retry_after="7")
    assert (quota.retry_in, key.retry_in, busy.retry_in) == (15 * MINUTE, 5 * MINUTE, None)


# What is told --------------------------------------------------------------------------------------------

SECRETS = (KEY, "hunter2")


def told_by(error: BaseException | None) -> Iterator[str]:
    """Every word of an error and of what led to it, as a log or a ledger could show it."""
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 402, 413, 429, 500, 529])
@pytest.mark.parametrize("format", ["claude", "gemini", "openai"])
@proves("M25")
async def test_nobody_is_told_what_the_provider_said(format: Format, status: int) -> None:  # noqa: A002
    said = f"hunter2-of-the-provider: you asked {PROMPT.user} with {KEY}"
    with structlog.testing.capture_logs() as logged:
        found = await failed(format, status, said, retry_after="hunter2", x_hint="hunter2")
    words = " ".join([*told_by(found), repr(logged)])
    assert [secret for secret in SECRETS if secret in words] == []
    assert str(status) in found.detail or status == 302


async def test_a_defect_of_ours_is_told_without_its_words() -> None:
    def breaks(_: httpx.Request) -> httpx.Response:
        raise ValueError("hunter2")

    recorded = Recorded(breaks)
    with structlog.testing.capture_logs() as logged:
        async with providers.opened(settings(**ENVIRON["claude"]), recorded.transport) as found:
            with pytest.raises(ProviderFailed) as caught:
                await found.generate("claude", PROMPT)
    assert caught.value.kind == "unknown"
    assert "hunter2" not in " ".join(told_by(caught.value))
    assert [line["event"] for line in logged] == ["provider call broke"]


def test_only_the_deadline_is_a_timeout() -> None:
    from outboxd.errors import Unreachable

    kinds = {kind: of_unreachable(Unreachable("", kind)) for kind in ("dns", "connect", "tls", "protocol")}
    assert set(kinds.values()) == {"transient"}
    assert of_unreachable(Unreachable("", "timeout")) == "timeout"
