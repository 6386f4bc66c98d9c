"""/v1/mcp: the Model Context Protocol over HTTP (streamable, stateless; no session is kept)."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import msgspec

from outboxd.api import json_checks, mcp_tools
from outboxd.api.accepting import accepts
from outboxd.api.exchange import Exchange, Header, Reply, Stream
from outboxd.errors import BadJson, Invalid
from outboxd.mcp import messages
from outboxd.mcp.messages import Malformed, Message, Request
from outboxd.mcp.tools import Conversation

KEEPALIVE = timedelta(seconds=15)
AGE = timedelta(minutes=30)
"""Of a GET stream; clients open another."""

_TALK: Conversation[Exchange] = Conversation(mcp_tools.TOOLS)
BODY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
SHAPE = dict[str, Any] | list[dict[str, Any]]
_ENCODER = msgspec.json.Encoder()
_FIRST_VERSION_WITH_HEADER = b"2025-03-26"
_SUPPORTED = frozenset(version.encode() for version in messages.VERSIONS)
_JSON: tuple[Header, ...] = ((b"content-type", b"application/json; charset=utf-8"),)
_EVENTS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream"),
    # Proxies that gather what they pass on would keep a stream to themselves.
    (b"x-accel-buffering", b"no"),
)


async def post(exchange: Exchange) -> Reply:
    """One message or a batch of up to 20; an SSE event for each answer.

    202 when nothing wants one. What is wrong with the message is told in its protocol's words.
    """
    refusal = _refused(exchange, b"application/json", b"text/event-stream")
    if refusal is not None:
        return refusal
    try:
        requests = messages.read(json_checks.decode(BODY, exchange.body))
    except BadJson as wrong:
        return _error(400, messages.PARSE_ERROR, wrong.detail)
    except Invalid as wrong:
        return _error(400, messages.INVALID_REQUEST, wrong.issues[0].message)
    except Malformed as wrong:
        return _error(400, wrong.code, wrong.message)
    if not requests:
        return Reply(202, headers=())
    return Reply(200, await _answered(exchange, requests), _EVENTS)


async def get(exchange: Exchange) -> Reply | Stream:
    """A stream on which nothing is ever said but that it is alive: we send nothing unasked."""
    refusal = _refused(exchange, b"text/event-stream")
    if refusal is not None:
        return refusal
    return Stream(chunks=alive(KEEPALIVE, AGE), headers=_EVENTS)


async def alive(every: timedelta, age: timedelta) -> AsyncGenerator[bytes, None]:
    """A comment each `every`, until `age`."""
    for _ in range(age // every):
        # No blank line behind it: some parsers make an empty message of that.
        yield b":\n"
        await asyncio.sleep(every.total_seconds())


async def _answered(exchange: Exchange, requests: list[Request]) -> bytes:
    answers = [await _TALK.answer(request, exchange) for request in requests]
    return b"".join(b"event: message\ndata: %b\n\n" % _ENCODER.encode(answer) for answer in answers)


def _refused(exchange: Exchange, *media: bytes) -> Reply | None:
    accept = exchange.headers.get(b"accept", b"")
    if not all(accepts(accept, each) for each in media):
        wanted = " and ".join(each.decode() for each in media)
        return _error(406, messages.INVALID_REQUEST, f"Not Acceptable: Client must accept {wanted}")
    version = exchange.headers.get(b"mcp-protocol-version", _FIRST_VERSION_WITH_HEADER)
    if version not in _SUPPORTED:
        data = {"supported": messages.VERSIONS, "requested": version[:40].decode("latin-1")}
        return _error(400, messages.UNSUPPORTED_VERSION, "Unsupported protocol version", data)
    return None


def _error(status: int, code: int, sentence: str, data: Any = None) -> Reply:
    said: Message = messages.error(None, code, sentence, data)
    return Reply(status, _ENCODER.encode(said), _JSON)
