"""Google's generateContent API."""

import re
from datetime import timedelta
from urllib.parse import quote

import msgspec

from outboxd.config.kinds import Secret
from outboxd.providers.over_http import Asked, Dialect, Heard, Hints
from outboxd.providers.provider import Prompt, Stop

MODEL = "gemini-flash-latest"
BASE_URL = "https://generativelanguage.googleapis.com"
_BLOCKED = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "MODEL_ARMOR",
)  # fmt: skip
_STOPS: dict[str | None, Stop] = {"MAX_TOKENS": "length", **dict.fromkeys(_BLOCKED, "filtered")}
# "GenerateRequestsPerDayPerProjectPerModel-FreeTier": no waiting of minutes fills it again. The
# message speaks of plan and billing even where the quota is one of the minute.
_OF_A_DAY = re.compile(r"per_?day|billing", re.IGNORECASE)
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")


class _Part(msgspec.Struct, frozen=True):
    text: str = ""
    thought: bool = False


class _Content(msgspec.Struct, frozen=True):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct, frozen=True, rename="camel"):
    content: _Content = _Content()
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    candidates: list[_Candidate] = []
    prompt_feedback: _Feedback = _Feedback()
    usage_metadata: _Usage = _Usage()


class _Violation(msgspec.Struct, frozen=True, rename="camel"):
    quota_id: str = ""
    quota_metric: str = ""


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    """Of any of the types that stand in a google.rpc.Status."""

    violations: list[_Violation] = []
    retry_delay: str = ""


class _Failure(msgspec.Struct, frozen=True):
    details: list[_Detail] = []


class _Failed(msgspec.Struct, frozen=True):
    error: _Failure


_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(_Answer)
_failed = msgspec.json.Decoder(_Failed)


class Gemini:
    def __init__(self, base_url: str, key: Secret) -> None:
        self._base = f"{base_url}/v1beta/models"
        self._key = key

    def ask(self, prompt: Prompt, model: str, dialect: Dialect) -> Asked:
        warmth = {"temperature": prompt.temperature} if dialect.temperature else {}
        body = {
            "systemInstruction": {"parts": [{"text": prompt.system}]},
            "contents": [{"role": "user", "parts": [{"text": prompt.user}]}],
            "generationConfig": {**warmth, "maxOutputTokens": prompt.max_output_tokens},
        }
        # A project names the model: it must not be able to name another path.
        named = quote(model.removeprefix("models/"), safe="")
        url = f"{self._base}/{named}:generateContent"
        return Asked(url=url, headers={"x-goog-api-key": self._key.reveal()}, body=_encode(body))

    def hear(self, body: bytes) -> Heard:
        found = _answer.decode(body)
        blocked = found.prompt_feedback.block_reason is not None
        if not found.candidates and not blocked:
            raise msgspec.ValidationError("neither a candidate nor a reason why there is none")
        first = found.candidates[0] if found.candidates else _Candidate()
        usage = found.usage_metadata
        return Heard(
            text="".join(part.text for part in first.content.parts if not part.thought),
            stop="filtered" if blocked else _STOPS.get(first.finish_reason, "end"),
            tokens_in=usage.prompt_token_count,
            tokens_out=_sum(usage.candidates_token_count, usage.thoughts_token_count),
        )

    def hints(self, body: bytes) -> Hints:
        try:
            details = _failed.decode(body).error.details
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return Hints()
        quotas = [f"{found.quota_id} {found.quota_metric}" for each in details for found in each.violations]
        delays = [_DELAY.fullmatch(each.retry_delay) for each in details]
        asked = next((timedelta(seconds=float(found[1])) for found in delays if found), None)
        return Hints(exhausted=any(map(_OF_A_DAY.search, quotas)), asked=asked)


def _sum(answer: int | None, thoughts: int | None) -> int | None:
    return None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
