"""`KEY=VALUE` words as the document that a `set` verb takes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from outboxd.errors import ConfigError

Kind = type[int] | type[float] | type[str] | type[bool] | type[dict] | type[list]  # type: ignore[type-arg]


def document(given: Iterable[tuple[str, str]], known: Mapping[str, Kind]) -> dict[str, Any]:
    """`rate.burst=5` nests; an empty value is null, the default again. Raises ConfigError for each fault."""
    made: dict[str, Any] = {}
    wrong: list[str] = []
    for name, text in given:
        kind = known.get(name)
        if kind is None:
            wrong.append(f"{name}: no such setting; there are {', '.join(known)}")
            continue
        try:
            _put(made, name.split("."), None if text == "" else _value(kind, text))
        except ValueError:
            wrong.append(f"{name}: got {text!r}; wants {_WANTS[kind]}")
    if wrong:
        raise ConfigError(wrong)
    return made


_WANTS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "a JSON object",
    list: "words, separated by commas",
}


def _value(kind: Any, text: str) -> Any:
    if kind is bool:
        return _flag(text)
    if kind is dict:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError
        return found
    if kind is list:
        return [word.strip() for word in text.split(",") if word.strip()]
    return kind(text)


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "on", "false", "off"}:
        raise ValueError
    return text.lower() in {"true", "on"}


def _put(made: dict[str, Any], path: list[str], value: Any) -> None:
    *above, last = path
    for name in above:
        made = made.setdefault(name, {})
    made[last] = value
