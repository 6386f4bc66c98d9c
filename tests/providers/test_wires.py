"""What each provider is sent, and what of its answer is read."""

import itertools
from typing import Any

import httpx
import msgspec
import pytest

from outboxd import providers
from outboxd.errors import ConfigError
from outboxd.providers import ProviderFailed, Reply
from tests.fake_provider import KEY, SHAPES, Format
from tests.proofs import proves
from tests.providers.calling import PROMPT, Recorded, settings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SYSTEM, USER = PROMPT.system, PROMPT.user


async def asked(environ: dict[str, str], told: object, **changed: Any) -> tuple[httpx.Request, Reply]:
    recorded = Recorded(httpx.Response(200, content=msgspec.json.encode(told)))
    async with providers.opened(settings(**environ), recorded.transport) as found:
        reply = await found.generate(found.default, msgspec.structs.replace(PROMPT, **changed))
    (request,) = recorded.requests
    return request, reply


def shape(format: Format) -> object:  # noqa: A002
    return SHAPES[format]("an answer", "end", (100, 20))


@proves("M25")
async def test_claude_is_asked_for_a_message() -> None:
    request, reply = await asked({"OUTBOXD_ANTHROPIC_API_KEY": KEY}, shape("claude"))
    assert str(request.url) == "https://api.anthropic.com/v1/messages"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert msgspec.json.decode(request.content) == {
        "model": "claude-sonnet-5",
        "max_tokens": 512,
        "temperature": 0.3,
        "system": SYSTEM,
        "messages": [{"role": "user", "content": USER}],
    }
    assert reply == Reply(text="an answer", stop="end", model="claude-sonnet-5", tokens_in=100, tokens_out=20)


@proves("M25")
async def test_gemini_is_asked_for_content_and_its_key_is_not_in_the_url() -> None:
    request, reply = await asked({"OUTBOXD_GEMINI_API_KEY": KEY}, shape("gemini"))
    assert str(request.url) == (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-flash-latest:generateContent"
    )
    assert request.headers["x-goog-api-key"] == KEY
    assert msgspec.json.decode(request.content) == {
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "contents": [{"role": "user", "parts": [{"text": USER}]}],
        "generationConfig": {"temperature": 0.3, "maxOutputTokens": 512},
    }
    assert (reply.text, reply.tokens_in, reply.tokens_out) == ("an answer", 100, 20)


@proves("M25")
async def test_openai_is_asked_for_a_completion() -> None:
    request, reply = await asked({"OUTBOXD_OPENAI_API_KEY": KEY, "OUTBOXD_MODEL": "m-1"}, shape("openai"))
    assert str(request.url) == "https://api.openai.com/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert msgspec.json.decode(request.content) == {
        "model": "m-1",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}],
        "temperature": 0.3,
        "max_tokens": 512,
    }
    assert (reply.text, reply.model, reply.estimated) == ("an answer", "m-1", False)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://127.0.0.1:1/v1/", "http://127.0.0.1:1/v1/chat/completions"),
        ("https://gw.example/chat/completions", "https://gw.example/chat/completions"),
        ("https://gw.example/chat/completions/", "https://gw.example/chat/completions"),
    ],
)
async def test_the_path_is_appended_to_the_base_url_unless_it_is_there(base: str, url: str) -> None:
    environ = {"OUTBOXD_OPENAI_API_KEY": KEY, "OUTBOXD_MODEL": "m-1", "OUTBOXD_OPENAI_BASE_URL": base}
    request, _ = await asked(environ, shape("openai"))
    assert str(request.url) == url


async def test_a_local_server_is_asked_without_a_key() -> None:
    environ = {"OUTBOXD_MODEL": "m-1", "OUTBOXD_OPENAI_BASE_URL": "http://localhost:11434/v1"}
    request, _ = await asked(environ, shape("openai"))
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"OUTBOXD_OPENROUTER_API_KEY": KEY}, True),
        ({"OUTBOXD_OPENAI_API_KEY": KEY, "OUTBOXD_OPENAI_BASE_URL": "https://openrouter.ai/api/v1"}, True),
        ({"OUTBOXD_OPENAI_API_KEY": KEY}, False),
        (
            {"OUTBOXD_OPENAI_API_KEY": KEY, "OUTBOXD_OPENAI_BASE_URL": "https://openrouter.ai.evil.example"},
            False,
        ),
    ],
)
@proves("M25")
async def test_only_openrouter_is_told_who_asks(environ: dict[str, str], told: bool) -> None:
    request, _ = await asked({"OUTBOXD_MODEL": "m-1", **environ}, shape("openai"))
    assert ("x-title" in request.headers, "http-referer" in request.headers) == (told, told)


@proves("M25")
async def test_no_key_goes_to_a_server_that_it_is_not_for() -> None:
    keys = {"OUTBOXD_OPENAI_API_KEY": "sk-openai", "OUTBOXD_OPENROUTER_API_KEY": "sk-router"}
    named = {"OUTBOXD_MODEL": "m-1", "OUTBOXD_OPENAI_BASE_URL": "https://openrouter.ai/api/v1"}
    request, _ = await asked({**keys, **named}, shape("openai"))
    assert request.headers["authorization"] == "Bearer sk-router"
    request, _ = await asked({**keys, "OUTBOXD_MODEL": "m-1"}, shape("openai"))
    assert (request.url.host, request.headers["authorization"]) == ("api.openai.com", "Bearer sk-openai")
    with pytest.raises(ConfigError):
        await asked({"OUTBOXD_OPENAI_API_KEY": "k", "OUTBOXD_PROVIDER": "openrouter"}, shape("openai"))


@pytest.mark.parametrize("format", ["claude", "gemini", "openai"])
async def test_a_call_is_a_span_of_the_event_s_trace(format: Format) -> None:  # noqa: A002
    name = {"claude": "ANTHROPIC", "gemini": "GEMINI", "openai": "OPENAI"}[format]
    environ = {f"OUTBOXD_{name}_API_KEY": KEY, "OUTBOXD_MODEL": "m-1"}
    request, _ = await asked(environ, shape(format), traceparent=PARENT)
    _, trace, span, flags = request.headers["traceparent"].split("-")
    assert (trace, flags) == ("0af7651916cd43dd8448eb211c80319c", "01")
    assert span != "b7ad6b7169203331"
    assert KEY not in str(request.url)


async def test_a_model_that_a_project_names_cannot_name_another_path() -> None:
    request, _ = await asked({"OUTBOXD_GEMINI_API_KEY": KEY}, shape("gemini"), model="../files?x=")
    assert request.url.raw_path == b"/v1beta/models/..%2Ffiles%3Fx%3D:generateContent"


CLAUDE = {"OUTBOXD_ANTHROPIC_API_KEY": KEY}
GEMINI = {"OUTBOXD_GEMINI_API_KEY": KEY}
OPENAI = {"OUTBOXD_OPENAI_API_KEY": KEY, "OUTBOXD_MODEL": "m-1"}


async def test_all_text_blocks_of_claude_are_read_and_cached_tokens_counted() -> None:
    told = {
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "one"},
            {"type": "text", "text": "two"},
        ],
        "stop_reason": "max_tokens",
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 80,
            "output_tokens": 7,
        },
    }
    _, reply = await asked(CLAUDE, told)
    assert (reply.text, reply.stop, reply.tokens_in, reply.tokens_out) == ("one\ntwo", "length", 95, 7)


async def test_thoughts_of_gemini_are_not_text_but_tokens() -> None:
    told = {
        "candidates": [
            {
                "content": {"parts": [{"text": "hm", "thought": True}, {"text": "on"}, {"text": "e"}]},
                "finishReason": "MAX_TOKENS",
            },
            {"content": {"parts": [{"text": "another"}]}},
        ],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 30},
    }
    _, reply = await asked(GEMINI, told)
    assert (reply.text, reply.stop, reply.tokens_in, reply.tokens_out) == ("one", "length", 10, 32)


async def test_an_answer_in_parts_is_read_whole() -> None:
    message = {"content": [{"type": "text", "text": "on"}, {"type": "text", "text": "e"}]}
    _, reply = await asked(OPENAI, {"choices": [{"message": message, "finish_reason": "length"}]})
    assert (reply.text, reply.stop) == ("one", "length")


async def test_tokens_that_are_not_told_are_a_quarter_of_the_bytes() -> None:
    _, reply = await asked(OPENAI, SHAPES["openai"]("x" * 41, "end", None))
    assert reply.estimated
    assert (reply.tokens_in, reply.tokens_out) == (-(-len(SYSTEM + USER) // 4), 11)


FILTERED: list[tuple[dict[str, str], object]] = [
    (CLAUDE, {"content": [], "stop_reason": "refusal"}),
    *((GEMINI, {"candidates": [{"finishReason": reason}]}) for reason in ("SAFETY", "RECITATION", "SPII")),
    (GEMINI, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
    (OPENAI, {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}),
    (OPENAI, {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}),
]


@pytest.mark.parametrize(("environ", "told"), FILTERED)
async def test_what_a_filter_kept_back_is_told_as_that(environ: dict[str, str], told: object) -> None:
    _, reply = await asked(environ, told)
    assert (reply.text, reply.stop) == ("", "filtered")


NOTHING: tuple[object, ...] = ({}, [], "text", None, {"choices": []})
ODD: list[tuple[dict[str, str], object]] = [
    *itertools.product((CLAUDE, OPENAI, GEMINI), NOTHING),
    (CLAUDE, {"content": "text"}),
    (OPENAI, {"choices": [{}]}),
    (GEMINI, {"candidates": [{"content": {"parts": "text"}}]}),
]


@pytest.mark.parametrize(("environ", "told"), ODD)
async def test_what_is_no_answer_of_that_provider_is_a_parse_error(
    environ: dict[str, str], told: object
) -> None:
    with pytest.raises(ProviderFailed) as caught:
        await asked(environ, told)
    assert (caught.value.kind, caught.value.answered) == ("parse_error", 200)


async def test_nesting_without_end_is_a_parse_error() -> None:
    recorded = Recorded(httpx.Response(200, content=b'{"content":' + b"[" * 100_000))
    async with providers.opened(settings(**CLAUDE), recorded.transport) as found:
        with pytest.raises(ProviderFailed) as caught:
            await found.generate("claude", PROMPT)
    assert caught.value.kind == "parse_error"


# Models that do not understand a parameter ---------------------------------------------------------------


def refused(sentence: str) -> httpx.Response:
    return httpx.Response(400, json={"error": {"message": sentence, "type": "invalid_request_error"}})


NO_TEMPERATURE = "Unsupported value: 'temperature' does not support 0.3 with this model."
NO_MAX_TOKENS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
)


async def test_what_a_model_does_not_understand_is_said_otherwise_and_remembered() -> None:
    good = httpx.Response(200, json=shape("openai"))
    recorded = Recorded(refused(NO_MAX_TOKENS), refused(NO_TEMPERATURE), good, good, good)
    async with providers.opened(settings(**OPENAI), recorded.transport) as found:
        await found.generate("openai", PROMPT)
        await found.generate("openai", PROMPT)
        await found.generate("openai", msgspec.structs.replace(PROMPT, model="other"))
    limits = [
        {"max_tokens", "max_completion_tokens", "temperature"} & set(recorded.body(n)) for n in range(5)
    ]
    assert limits == [
        {"max_tokens", "temperature"},
        {"max_completion_tokens", "temperature"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
        {"max_tokens", "temperature"},
    ]
    assert recorded.body(3)["max_completion_tokens"] == 512


async def test_a_model_that_goes_on_refusing_is_asked_once_more_only() -> None:
    recorded = Recorded(*[refused(NO_TEMPERATURE)] * 3)
    async with providers.opened(settings(**CLAUDE), recorded.transport) as found:
        with pytest.raises(ProviderFailed) as caught:
            await found.generate("claude", PROMPT)
    assert (caught.value.kind, len(recorded.requests)) == ("unrecoverable", 2)


async def test_a_400_that_names_a_parameter_for_another_reason_is_final() -> None:
    recorded = Recorded(refused("temperature: must be a number between 0 and 2"))
    async with providers.opened(settings(**CLAUDE), recorded.transport) as found:
        with pytest.raises(ProviderFailed):
            await found.generate("claude", PROMPT)
    assert len(recorded.requests) == 1
