"""JSON-RPC 2.0 as the protocol uses it."""

from typing import Any, Literal

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
UNSUPPORTED_VERSION = -32022

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Of the protocol; the last is spoken with whoever asks for one that we do not know."""
MOST_BATCH = 20

Id = str | int
Message = dict[str, Any]
"""What goes out, ready to be encoded."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Wants an answer."""

    id: Id
    method: str
    params: dict[str, Any]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    code: int
    message: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of an answer to what is no request, as `error` makes it."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: Id | None
    error: Failure


class Malformed(Exception):  # noqa: N818  said as the others of ours are
    """What came is no message; `code` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def read(value: Any) -> list[Request]:
    """The requests in a decoded body: one message, or an array of 1 to 20. Raises Malformed.

    Notifications, and answers to what we never ask, want nothing from us and are left out.
    """
    if not isinstance(value, list):
        found = _read(value)
        return [] if found is None else [found]
    if not 1 <= len(value) <= MOST_BATCH:
        raise Malformed(INVALID_REQUEST, f"a batch has 1 to {MOST_BATCH} messages")
    requests = [found for found in map(_read, value) if found is not None]
    if len(value) > 1 and any(each.method == "initialize" for each in requests):
        raise Malformed(INVALID_REQUEST, "initialize stands alone")
    return requests


def cancelled(value: Any) -> Id | None:
    """The request that this message takes back; None for every other message."""
    match value:
        case {
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": str() | int() as id_},
        }:
            return id_
        case _:
            return None


def result(request: Request, said: Any) -> Message:
    return {"jsonrpc": "2.0", "id": request.id, "result": said}


def error(id_: Id | None, code: int, message: str, data: Any = None) -> Message:
    said = {"code": code, "message": message}
    return {"jsonrpc": "2.0", "id": id_, "error": said if data is None else {**said, "data": data}}


def _read(value: Any) -> Request | None:
    match value:
        case {"jsonrpc": "2.0", "method": str(method), "id": id_}:
            if isinstance(id_, bool) or not isinstance(id_, str | int):
                raise Malformed(INVALID_REQUEST, "an id is a string or an integer")
            return Request(id=id_, method=method, params=_params(value))
        case {"jsonrpc": "2.0", "method": str()}:
            _params(value)
            return None
        case {"jsonrpc": "2.0", "id": _, "result": _} | {"jsonrpc": "2.0", "id": _, "error": _}:
            return None
        case _:
            raise Malformed(INVALID_REQUEST, "this is not a JSON-RPC 2.0 message")


def _params(value: dict[str, Any]) -> dict[str, Any]:
    params = value.get("params", {})
    if not isinstance(params, dict):
        raise Malformed(INVALID_REQUEST, "params is an object")
    return params
