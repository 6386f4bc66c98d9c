"""The body of a request: its size counted as it comes, its media type, then JSON."""

import asyncio
import hashlib
import re
import zlib
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from outboxd.api import json_checks
from outboxd.api.exchange import Exchange, of
from outboxd.errors import (
    BadRequest,
    Invalid,
    NotAcceptable,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
)

ARRIVES_IN = 30.0
"""Seconds, for header and body together."""
_OURS = b"application/json"
_JSON = re.compile(rb"application/(?:json|[\w.!#$&^-]+\+json)", re.IGNORECASE)
_CHARSET = re.compile(rb"""charset\s*=\s*"?([^\s";]+)""", re.IGNORECASE)
_ACCEPTABLE = re.compile(rb"(?:\*|application)/\*|application/(?:json|problem\+json)", re.IGNORECASE)
_NOT_AT_ALL = re.compile(rb"q\s*=\s*0(?:\.0*)?\s*$", re.IGNORECASE)


class Bodies:
    """The layer before the handler: what an operation wants of the body is decoded when it runs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        accept = exchange.headers.get(b"accept")
        if accept is not None and accept != b"*/*" and not exchange.operation.raw:
            _check_accept(accept)
        if exchange.operation.body is not None:
            await _decode(exchange)
        await self._app(scope, receive, send)


async def _decode(exchange: Exchange) -> None:
    headers, operation = exchange.headers, exchange.operation
    assert operation.body is not None  # noqa: S101 - the caller asked
    limit = exchange.api.config.max_body_bytes
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    if operation.publishes:
        exchange.api.ingest.admit(int(declared) if declared.isdigit() else 0)
    other = None if operation.other_bodies is None else operation.other_bodies(headers)
    if other is None:
        _check_type(headers.get(b"content-type", _OURS))
    packed = _is_packed(headers)
    body = await read(exchange, limit)
    if packed:
        body = _unpacked(body, limit)
    if b"idempotency-key" in headers:
        exchange.digest = hashlib.sha256(body).digest()
    if operation.raw:
        exchange.body = body
    elif other is not None:
        exchange.body = other(body)
    elif body:
        exchange.body = json_checks.decode(operation.body, body)
    elif operation.needs_body:
        raise Invalid("a JSON body is required")


async def read(exchange: Exchange, limit: int) -> bytes:
    """As it was sent. Raises TooLarge, RequestTimeout, BadRequest when the client leaves."""
    try:
        async with asyncio.timeout(ARRIVES_IN):
            chunks, size, more = [], 0, True
            while more:
                message = await exchange.receive()
                if message["type"] != "http.request":
                    raise BadRequest("the client went away")
                chunks.append(message.get("body", b""))
                size, more = size + len(chunks[-1]), message.get("more_body", False)
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise RequestTimeout("the request did not arrive in time") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unpacked(packed: bytes, limit: int) -> bytes:
    """Never more than the limit is unpacked, whatever it is said to be."""
    parts, room = [], limit
    try:
        while packed:
            stream = zlib.decompressobj(wbits=31)
            parts.append(stream.decompress(packed, room + 1))
            room -= len(parts[-1])
            if room < 0:
                raise _too_large(limit)
            if not stream.eof:
                raise BadRequest("the gzip body is cut short")
            packed = stream.unused_data
    except zlib.error:
        raise BadRequest("the body is not gzip") from None
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")


def _is_packed(headers: Mapping[bytes, bytes]) -> bool:
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in {b"identity", b"gzip", b""}:
        raise UnsupportedMediaType("Content-Encoding: identity or gzip")
    return encoding == b"gzip"


def _check_type(media: bytes) -> None:
    if media == _OURS:
        return
    essence, _, parameters = media.partition(b";")
    charset = _CHARSET.search(parameters)
    if not _JSON.fullmatch(essence.strip()):
        raise UnsupportedMediaType("Content-Type: application/json")
    if charset and charset[1].lower() not in {b"utf-8", b"utf8"}:
        raise UnsupportedMediaType("charset: UTF-8")


def _check_accept(accept: bytes) -> None:
    if not accept.strip():
        return
    for offered in accept.split(b","):
        essence, _, parameters = offered.partition(b";")
        if _ACCEPTABLE.fullmatch(essence.strip()) and not _NOT_AT_ALL.search(parameters):
            return
    raise NotAcceptable("replies are application/json")
