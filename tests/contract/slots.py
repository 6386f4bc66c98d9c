"""Where ids stand in requests: in paths, in queries, and in bodies at any depth. Read from /openapi.json."""

import copy
import re
from collections.abc import Iterator
from typing import Any

Pointer = tuple[str | int, ...]

_ID = re.compile(r"(?:^|[a-z_])[iI]ds?$")
_NAMED = re.compile(r"\{(\w+)(?::\w+)?\}")


def named(template: str) -> list[str]:
    """The parts of a path that are filled in."""
    return _NAMED.findall(template)


def filled(template: str, values: dict[str, str]) -> str:
    return _NAMED.sub(lambda found: values[found[1]], template)


def is_id(name: str) -> bool:
    """projectId, ids, server_session_id, …"""
    return _ID.search(name) is not None


def of_query(operation: dict[str, Any]) -> list[str]:
    return [
        each["name"]
        for each in operation.get("parameters", ())
        if each["in"] == "query" and is_id(each["name"])
    ]


def of_body(document: dict[str, Any], operation: dict[str, Any], example: Any) -> list[Pointer]:
    """Every place that its schema, or the example, has for an id."""
    content = operation["requestBody"]["content"]["application/json"]
    found = dict.fromkeys(_of_schema(document, content["schema"], ()))
    return [*dict.fromkeys([*found, *_of_value(example, ())])]


def with_id(example: Any, at: Pointer, value: str) -> Any:
    """The example with the id put there; lists of ids get a list."""
    whole = copy.deepcopy(example)
    place, last = whole, at[-1]
    for step in at[:-1]:
        place = place[0] if isinstance(place, list) else place.setdefault(step, {})
    if isinstance(last, str) and isinstance(place, dict):
        place[last] = [value] if last.lower().endswith("ids") else value
    return whole


def _of_schema(document: dict[str, Any], schema: dict[str, Any], at: Pointer) -> Iterator[Pointer]:
    if len(at) > 4:
        return
    if "$ref" in schema:
        yield from _of_schema(
            document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], at
        )
    for each in schema.get("anyOf", ()):
        yield from _of_schema(document, each, at)
    if isinstance(schema.get("items"), dict):
        yield from _of_schema(document, schema["items"], (*at, 0))
    for name, member in schema.get("properties", {}).items():
        if is_id(name):
            yield (*at, name)
        yield from _of_schema(document, member, (*at, name))


def _of_value(value: Any, at: Pointer) -> Iterator[Pointer]:
    if isinstance(value, list) and value:
        yield from _of_value(value[0], (*at, 0))
    if isinstance(value, dict):
        for name, member in value.items():
            if is_id(name):
                yield (*at, name)
            yield from _of_value(member, (*at, name))
