"""The provider that is no model: what can be said about events without understanding them.

It reads the prompt's `facts`, not its text, answers in the grammar that a model is asked for, and
needs no network. Same input, same bytes.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice

from outboxd.providers.provider import Lived, Prompt, Reply, Seen

MODEL = "offline-1"

_EDITS = re.compile(r"edit|write|patch|replace|create|insert|update|delete|remove|rename|move", re.IGNORECASE)
_PATH_KEY = re.compile(r"(?:.*_)?(?:path|paths|file|files|filename|notebook)(?:_path)?", re.IGNORECASE)
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SHORT = 200
_MOST_FACTS = 10
_MOST_FILES = 20
_MOST_LEARNED = 10
_MOST_TEXT = 3_000
_DEEPEST = 8
_MOST_LEAVES = 500


class Offline:
    async def generate(self, prompt: Prompt, deadline: float) -> Reply:
        facts = prompt.facts
        text = _summary(facts) if isinstance(facts, Lived) else _observations(facts)
        return Reply(text=text, stop="end", model=MODEL, tokens_in=0, tokens_out=0)


def _observations(events: Sequence[Seen]) -> str:
    if not events:
        return '<skip_summary reason="nothing happened"/>'
    return "\n".join(_observation(number, event) for number, event in enumerate(events, 1))


def _observation(number: int, event: Seen) -> str:
    tool = _tool(event.payload)
    leaves = list(islice(_leaves(event.payload), _MOST_LEAVES))
    files = _first(_MOST_FILES, (text for key, text in leaves if _is_path(key, text)))
    changes = bool(_EDITS.search(tool or event.type))
    title = " ".join([tool or event.type.replace("_", " "), *files[:1]])
    facts = (f"{key}: {text}" for key, text in leaves if _is_fact(key, text))
    return _block(
        "observation",
        _line("type", "change" if changes else "discovery"),
        _line("title", title),
        _lines("facts", "fact", _first(_MOST_FACTS, facts)),
        _lines("files_modified" if changes else "files_read", "file", files),
        _line("sources", str(number)),
    )


def _summary(lived: Lived) -> str:
    if not (lived.first_prompt or lived.titles or lived.facts):
        return '<skip_summary reason="nothing happened"/>'
    return _block(
        "summary",
        _line("request", (lived.first_prompt or "")[:_MOST_TEXT]),
        _line("completed", "; ".join(lived.titles)[:_MOST_TEXT]),
        _line("learned", "; ".join(_first(_MOST_LEARNED, iter(lived.facts)))[:_MOST_TEXT]),
    )


def _tool(payload: object) -> str | None:
    name = payload.get("tool_name") if isinstance(payload, dict) else None
    return name[:100] if isinstance(name, str) and name.strip() else None


def _leaves(value: object, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(nearest key, text) of every string, in the order in which they stand."""
    if isinstance(value, str):
        yield key, value.strip()
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, each in value.items():
            yield from _leaves(each, str(name), depth + 1)
    elif isinstance(value, list) and depth < _DEEPEST:
        for each in value:
            yield from _leaves(each, key, depth + 1)


def _is_path(key: str, text: str) -> bool:
    plain = bool(text) and len(text) <= 512 and "\n" not in text
    return plain and _PATH_KEY.fullmatch(_SNAKE.sub("_", key)) is not None


def _is_fact(key: str, text: str) -> bool:
    plain = bool(text) and len(text) <= _SHORT and "\n" not in text
    return plain and key != "tool_name" and not _is_path(key, text)


def _first(count: int, texts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(texts))[:count]


def _block(name: str, *parts: str) -> str:
    return f"<{name}>{''.join(parts)}</{name}>"


def _line(name: str, text: str) -> str:
    return f"<{name}>{escape(text, quote=False)}</{name}>" if text else ""


def _lines(name: str, each: str, texts: list[str]) -> str:
    return _block(name, *(_line(each, text) for text in texts)) if texts else ""
