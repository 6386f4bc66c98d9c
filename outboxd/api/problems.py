"""Errors as problem documents (RFC 9457), with the members that older clients read."""

import random
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import msgspec

from outboxd.api.exchange import Header, Reply, seconds
from outboxd.errors import (
    Broken,
    DatabaseUnavailable,
    Error,
    Issue,
    MethodNotAllowed,
    ShuttingDown,
    Unauthorized,
    Unavailable,
)

_ENCODER = msgspec.json.Encoder()
_TYPE: Header = (b"content-type", b"application/problem+json")
_CHALLENGE: Header = (b"www-authenticate", b'Bearer realm="outboxd"')
_CONSTANT = "Internal server error"
_DRAINING = timedelta(seconds=5)
_SECOND = timedelta(seconds=1)
_NONE: Mapping[str, object] = {}


def reply(request_id: str, error: Error, legacy: Mapping[str, object] = _NONE) -> Reply:
    """`legacy`: what clients of an older server look for in the reply when the fault is ours."""
    wait = _retry_in(error)
    body = {
        "type": f"urn:outboxd:error:{error.code}",
        "title": _title(error.status),
        "status": error.status,
        "detail": _detail(error),
        "error": error.code,
        "message": _detail(error),
        "requestId": request_id,
        **_members(error),
    }
    if wait is not None:
        body["retryAfterMs"] = round(wait / timedelta(milliseconds=1))
    if error.status >= 500:
        body |= legacy
    return Reply(error.status, _ENCODER.encode(body), tuple(_headers(error, wait)))


def _headers(error: Error, wait: timedelta | None) -> list[Header]:
    headers = [_TYPE]
    if wait is not None:
        headers.append((b"retry-after", b"%d" % seconds(wait)))
    match error:
        case Unauthorized():
            headers.append(_CHALLENGE)
        case MethodNotAllowed():
            headers.append((b"allow", ", ".join(error.allow).encode()))
        case ShuttingDown():
            headers.append((b"connection", b"close"))
    return headers


def _retry_in(error: Error) -> timedelta | None:
    match error:
        case ShuttingDown():
            return _DRAINING
        case DatabaseUnavailable() if error.retry_in is None:
            # So that everybody who was refused does not come back at the same moment.
            return timedelta(seconds=random.uniform(1, 5))  # noqa: S311 - jitter, not a secret
        case Unavailable():
            return error.retry_in or _SECOND
        case _:
            return error.retry_in


def _detail(error: Error) -> str:
    return _CONSTANT if isinstance(error, Broken) or error.status == 500 else error.detail


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _members(error: Error) -> dict[str, Any]:
    if isinstance(error, Broken):
        return {}
    shown = {_camel(name): value for name, value in error.members.items() if name != "issues"}
    issues = error.members.get("issues")
    if isinstance(issues, tuple):
        shown["issues"] = [{"path": i.path, "code": i.code, "message": i.message} for i in issues]
        shown["errors"] = [_pointed(issue) for issue in issues]
    return shown


def _pointed(issue: Issue) -> dict[str, str]:
    if issue.place != "body":
        return {"parameter": "/".join(issue.path), "detail": issue.message}
    steps = (step.replace("~", "~0").replace("/", "~1") for step in issue.path)
    return {"pointer": "".join(f"/{step}" for step in steps), "detail": issue.message}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
