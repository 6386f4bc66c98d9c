"""What the texts of agent memory cost before a model is called: processor time, without a database."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from outboxd.bench.ground import Ground
from outboxd.bench.measure import Measure
from outboxd.handlers.memory.grammar import TYPES, observations
from outboxd.handlers.memory.privacy import PRIVATE, strip_raw
from outboxd.handlers.memory.redaction import Redactor

_MIB = 1 << 20
_TIMES = 5
_SMALL_TIMES = 2_000
_SECRETS = "\nPASSWORD=hunter2 postgres://me:secret@db/x AKIAIOSFODNN7EXAMPLE\n"


async def _texts(ground: Ground, system: str) -> Mapping[str, float]:
    page = _page()
    text = (page * (_MIB // len(page) + 1))[:_MIB]
    large = msgspec.json.encode({"tool_name": "Read", "tool_response": text})
    marked = msgspec.json.encode({"tool_response": text, "prompt": "<private>x</private>"})
    small = msgspec.json.encode({"tool_name": "Read", "tool_response": page[:900]})
    block = "<observation><title>a &lt; b</title><facts><fact>one</fact></facts></observation>\n"
    reply = block * (_MIB // len(block))
    redactor = Redactor()
    return {
        "redact 1 MiB": _millis(lambda: redactor.text(text), _TIMES),
        "strip 1 MiB, nothing marked": _millis(lambda: strip_raw(large, PRIVATE), _TIMES),
        "strip 1 MiB, something marked": _millis(lambda: strip_raw(marked, PRIVATE), _TIMES),
        "strip 1 KiB, nothing marked": 1000 * _millis(lambda: strip_raw(small, PRIVATE), _SMALL_TIMES),
        "parse 1 MiB": _millis(lambda: observations(reply, "end", TYPES, 1), _TIMES),
    }


def _page() -> str:
    """Code, as agents read and write it, with a secret on every page."""
    return Path(__file__).with_name("report.py").read_text() + _SECRETS


def _millis(work: Callable[[], object], times: int) -> float:
    """The best of three, since only what disturbs makes it slower."""
    took = []
    for _ in range(3):
        begun = time.process_time()
        for _ in range(times):
            work()
        took.append(time.process_time() - begun)
    return min(took) * 1000 / times


MEASURES = (
    Measure(
        name="texts",
        gives={
            "redact 1 MiB": "ms",
            "strip 1 MiB, nothing marked": "ms",
            "strip 1 MiB, something marked": "ms",
            "strip 1 KiB, nothing marked": "µs",
            "parse 1 MiB": "ms",
        },
        take=_texts,
        rounds=3,
    ),
)
