"""Settings of the agents' memory: who generates, for how much, and how long it is kept."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from outboxd.config import kinds
from outboxd.config.kinds import Secret
from outboxd.config.says import Says, hidden, in_days

Policy = Literal["off", "per-event", "debounce", "end-of-session"]

_PROVIDER = kinds.text("a provider's name", r"[a-z][a-z0-9-]*")
_MODEL = r"[A-Za-z0-9][\w.:/@-]{0,199}"


def _key(name: str) -> Says:
    return hidden(kinds.secret("a key", r"[!-~]{1,1024}"), "key of the provider", name, elsewhere=name)


def _most(text: str) -> Says:
    return Says(kinds.number(0, 10**12), f"{text}; 0: no limit")


def _cap(text: str) -> Says:
    return Says(kinds.number(1, 10**15), text)


class MemorySettings(msgspec.Struct, frozen=True, kw_only=True):
    # When something is generated, and from what.
    generation: Annotated[
        Policy,
        Says(
            kinds.choice("off", "per-event", "debounce", "end-of-session"),
            "when events become observations, where a project says nothing",
        ),
    ] = "per-event"
    generation_attempts: Annotated[
        int, Says(kinds.number(1, 100), "attempts of a generation job; holds spend none")
    ] = 8
    observe_batch: Annotated[
        int, Says(kinds.number(1, 50), "observe jobs in one call of the provider; 1: each alone")
    ] = 8
    summary_input_bytes: Annotated[
        int, Says(kinds.number(4096, 4 * 1024 * 1024), "most of a session that a summary is made from")
    ] = 128 * 1024
    redact_file: Annotated[
        Path | None, Says(kinds.readable_file(), "more patterns of secrets, one a line")
    ] = None

    # Providers.
    provider: Annotated[
        str | None,
        Says(
            _PROVIDER, "claude, gemini, openai, openrouter or offline", "the first with a key, else offline"
        ),
    ] = None
    provider_fallback: Annotated[
        str | None,
        Says(
            kinds.text("a provider's name, or name:model", rf"[a-z][a-z0-9-]*(:{_MODEL})?"),
            "used while the provider is on hold: name or name:model",
        ),
    ] = None
    model: Annotated[
        str | None, Says(kinds.text("a model's name", _MODEL), "model of the provider", "the provider's")
    ] = None
    max_output_tokens: Annotated[int, Says(kinds.number(256, 32_768), "most tokens of an answer")] = 8192
    anthropic_api_key: Annotated[Secret | None, _key("ANTHROPIC_API_KEY")] = None
    gemini_api_key: Annotated[Secret | None, _key("GEMINI_API_KEY")] = None
    openai_api_key: Annotated[Secret | None, _key("OPENAI_API_KEY")] = None
    openrouter_api_key: Annotated[Secret | None, _key("OPENROUTER_API_KEY")] = None
    anthropic_base_url: Annotated[
        str | None, Says(kinds.base_url(), "a gateway to claude", "the provider's")
    ] = None
    gemini_base_url: Annotated[
        str | None, Says(kinds.base_url(), "a gateway to gemini", "the provider's")
    ] = None
    openai_base_url: Annotated[
        str | None, Says(kinds.base_url(), "an openai-compatible server, local ones too", "the provider's")
    ] = None
    provider_timeout: Annotated[
        timedelta,
        # The queue `observe` gives a job 300 s: a call must end before its job does.
        Says(kinds.seconds(0.05, 299, "1..299"), "one whole call of a provider", unit="_S"),
    ] = timedelta(seconds=120)
    provider_concurrency: Annotated[
        int, Says(kinds.number(1, 1000), "calls of providers at once in this process")
    ] = 8
    provider_proxy: Annotated[
        Secret | None, hidden(kinds.proxy(), "CONNECT proxy for calls of providers")
    ] = None
    prices: Annotated[
        Path | None,
        Says(kinds.readable_file(), "lines of model, micro-dollars per million tokens in, and out"),
    ] = None

    # Limits, for projects that set none.
    budget_tokens_per_month: Annotated[int | None, _cap("tokens a project may spend in a month")] = None
    budget_cost_micros_per_month: Annotated[
        int | None, _cap("micro-dollars a project may spend in a month")
    ] = None
    budget_calls_per_hour: Annotated[int | None, _cap("calls a project may make in an hour")] = None
    rate_limit_per_min: Annotated[int, _most("requests of a key in a minute")] = 0
    event_rate_per_min: Annotated[int, _most("events of a project in a minute")] = 0
    monthly_request_cap: Annotated[int, _most("requests of a team in a month")] = 0
    idempotency: Annotated[
        timedelta, Says(kinds.hours(1, 168), "how long an Idempotency-Key is remembered", unit="_HOURS")
    ] = timedelta(hours=24)

    # Finding, and keeping.
    search_language: Annotated[
        str, Says(kinds.text("a text search configuration", r"[a-z_][a-z0-9_.]{0,126}"), "stems of words")
    ] = "english"
    memory_days: Annotated[
        timedelta | None, Says(kinds.days_or_keep(1, 36500), "memories", "0: for ever")
    ] = None
    """None: for ever."""
    audit_days: Annotated[timedelta, in_days("the audit log", 1, 36500)] = timedelta(400)
    usage_days: Annotated[timedelta, in_days("records of usage", 1, 36500)] = timedelta(400)
