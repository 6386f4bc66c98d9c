"""One operation as OpenAPI tells of it, and the parts that all of them share."""

import inspect
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.api.exchange import Operation
from outboxd.api.parameters import PARAMETERS

JSON, PROBLEM = "application/json", "application/problem+json"
_REF = "#/components/schemas/{name}"
_NAMED = re.compile(r"\{(\w+)(?::\w+)?\}")
_ASKED = re.compile(r"^(?:GET|POST|PUT|PATCH|DELETE) [^\s:]+:\s*")
_OF_EVERY_REQUEST = (400, 406, 414, 431, 500, 503)
_OF_KEYS = (401, 402, 403, 429)
_OF_BODIES = (408, 413, 415)
_WITH_WAIT = frozenset({429, 503})


class ProblemIssue(msgspec.Struct, frozen=True, kw_only=True):
    path: list[str]
    code: str
    message: str


class ProblemError(msgspec.Struct, frozen=True, kw_only=True):
    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A problem document (RFC 9457). There may be more members, as `requiredScopes` of a 403."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    """The code, for programs."""
    message: str
    """The same as `detail`."""
    request_id: str
    issues: list[ProblemIssue] | UnsetType = UNSET
    errors: list[ProblemError] | UnsetType = UNSET
    """The same as `issues`, as JSON pointers."""
    retry_after_ms: int | UnsetType = UNSET


class Shapes:
    """The schema of every type that the routes name."""

    def __init__(self, routes: Mapping[str, Mapping[str, Operation]]) -> None:
        types = [Problem, *(each for path in routes.values() for op in path.values() for each in _types(op))]
        # By identity: an annotated type with a schema of its own cannot be hashed.
        found, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        self._by_type = {id(each): schema for each, schema in zip(types, found, strict=True)}
        self._kept = types

    def of(self, kind: Any) -> dict[str, Any]:
        return self._by_type[id(kind)]


HEADERS: dict[str, Any] = {
    "X-Request-Id": {"description": "names this request in every log line", "schema": {"type": "string"}},
    "Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"schema": {"type": "string"}},
}
SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "none": [],
    "optional": [{}, {"bearer": []}, {"key": []}],
    "key": [{"bearer": []}, {"key": []}],
}


def operation(template: str, method: str, given: Operation, shapes: Shapes) -> dict[str, Any]:
    handler = given.handler
    module = handler.__module__.rpartition(".")[2]
    told: dict[str, Any] = {
        "operationId": f"{module}.{handler.__name__}.{method.lower()}",
        "summary": summary(given),
        "tags": [_tag(template)],
        "security": _SECURITY[given.auth],
        "responses": dict(_responses(template, method, given, shapes)),
    }
    if given.scopes:
        told["description"] = "Scope: " + " or ".join(f"`{scope}`" for scope in given.scopes)
    parameters = [*_parameters(template, method, given, shapes)]
    if parameters:
        told["parameters"] = parameters
    if given.body is not None:
        told["requestBody"] = {
            "required": given.needs_body,
            "content": {
                media: {"schema": shapes.of(kind)}
                for media, kind in ({JSON: _body(given)} | dict(given.other_shapes)).items()
            },
        }
    return told


def summary(given: Operation) -> str:
    """What is said of it, else the first line of the handler's docstring without method and path."""
    first = (inspect.getdoc(given.handler) or "").partition("\n")[0]
    return given.summary or _ASKED.sub("", first).rstrip(".")


def problems(routes: Mapping[str, Mapping[str, Operation]], shapes: Shapes) -> dict[str, Any]:
    """The replies that refuse, by their status."""
    every = (
        _refusals(path, method, each)
        for path, operations in routes.items()
        for method, each in operations.items()
    )
    return {
        f"Problem{status}": _problem(HTTPStatus(status), shapes) for status in sorted(set().union(*every))
    }


def _problem(status: HTTPStatus, shapes: Shapes) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if status in _WITH_WAIT:
        names.append("Retry-After")
    if status == 401:
        names.append("WWW-Authenticate")
    return {
        "description": status.phrase,
        "headers": _headers(names),
        "content": {PROBLEM: {"schema": shapes.of(Problem)}},
    }


def _headers(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _tag(template: str) -> str:
    parts = template.strip("/").split("/")
    return parts[1] if parts[0] == "v1" else "server"


def _types(given: Operation) -> Iterator[Any]:
    yield from (_parameter(given, name) for name in sorted(given.query))
    if given.body is not None:
        yield _body(given)
    yield from given.other_shapes.values()
    for kind in given.answers.values():
        yield from (each for each in _each(kind) if each is not None and not isinstance(each, str))


def _each(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _parameter(given: Operation, name: str) -> Any:
    return given.parameters[name] if name in given.parameters else PARAMETERS[name]


def _body(given: Operation) -> Any:
    assert given.body is not None  # noqa: S101 - whoever calls has looked
    return given.body.type if given.shape is None else given.shape


def _creates(template: str, method: str, given: Operation) -> bool:
    """Such a request may carry `Idempotency-Key`."""
    return method == "POST" and 201 in given.answers and template.startswith("/v1/")


def _parameters(template: str, method: str, given: Operation, shapes: Shapes) -> Iterator[dict[str, Any]]:
    for name in _NAMED.findall(template):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    for name in sorted(given.query):
        yield {"name": name, "in": "query", "schema": shapes.of(_parameter(given, name))}
    if 412 in given.refuses:
        revision = {"type": "string", "description": '`"<revision>"`, or `*`'}
        yield {"name": "If-Match", "in": "header", "schema": revision}
    if _creates(template, method, given):
        once = {
            "type": "string",
            "pattern": "^[!#-~]{1,255}$",
            "description": "the same again: the same reply",
        }
        yield {"name": "Idempotency-Key", "in": "header", "schema": once}


def _responses(
    template: str, method: str, given: Operation, shapes: Shapes
) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, kind in sorted(given.answers.items()):
        yield str(status), _answer(status, kind, shapes)
    for status in sorted(_refusals(template, method, given) - given.answers.keys()):
        if given.legacy and status >= 500:
            yield str(status), _legacy(status, given)
        else:
            yield str(status), {"$ref": f"#/components/responses/Problem{status}"}


def _legacy(status: int, given: Operation) -> dict[str, Any]:
    """A problem document some of whose members older clients have their own idea of."""
    schema = {"type": "object", "required": ["type", "error", "requestId", *given.legacy]}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers(["X-Request-Id"]),
        "content": {PROBLEM: {"schema": schema}},
    }


def _answer(status: int, kind: Any, shapes: Shapes) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "headers": _headers(["X-Request-Id"]),
    }
    if isinstance(kind, str):
        told["content"] = {kind: {"schema": {"type": "string"}}}
    elif kind is not None:
        found = [shapes.of(each) for each in _each(kind)]
        told["content"] = {JSON: {"schema": found[0] if len(found) == 1 else {"anyOf": found}}}
    if status >= 400:
        # Other layers answer with the same status, and in their own words.
        told.setdefault("content", {})[PROBLEM] = {"schema": shapes.of(Problem)}
    return told


def _refusals(template: str, method: str, given: Operation) -> set[int]:
    """What the layers before the handler can answer, a path that names nothing, and what it says itself."""
    found = {*_OF_EVERY_REQUEST, *given.refuses}
    if given.auth != "none":
        found |= {*_OF_KEYS}
    if given.body is not None:
        found |= {*_OF_BODIES}
    if "{" in template or "projectId" in given.query:
        found.add(404)
    if _creates(template, method, given):
        found |= {409, 422}
    return found
