"""Bytes that no client should send, to every route: a 4xx that gives nothing away, never a 500."""

import gzip
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import serving
from tests.contract import slots, table, world
from tests.contract.conftest import Share
from tests.contract.test_tenants import DOCUMENT, TOLD_BY_MISTAKE, operations
from tests.contract.world import SEALING, Side
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
_HUGE = 6 * 1024 * 1024

BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \n",
    "half": b'{"a":',
    "two": b"{}{}",
    "null": b"null",
    "number": b"-0",
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and whole": b"[" * 5000 + b"]" * 5000,
    "not a number": b'{"a":NaN}',
    "infinite": b'{"limit":1e999,"projectId":1e999}',
    "long integer": b'{"limit":' + b"9" * 5000 + b"}",
    "no utf-8": b'{"\xff":"\xc3\x28"}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "mark of byte order": b"\xef\xbb\xbf{}",
    "nul": b'{"a":"\x00"}',
    "bytes": bytes(range(256)),
    "form": b"projectId=1&content=2",
}
TEXTS = (
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "a\x1b[31m\r\n",
    "\u202e",
    "x" * 70_000,
    "'; drop table outbox.events; --",
)
IN_URLS = ("%00", "%ff", "%ed%a0%80", "", "9" * 400, "-1", "1e9", "%F0%9F%90%98", "a,b,,", "[]")
NUMBERS = (-1, 1e308, 2**63, 10**400, -(2**63) - 1, 253402300800000, 1.5, 0)
OTHERS: tuple[Any, ...] = (None, True, [], {}, [[]], {"": {}}, [None], {"a": "\x00"})
HEADERS: tuple[dict[bytes, bytes], ...] = (
    {b"content-type": b"application/json; charset=latin-1"},
    {b"content-type": b"\xff\xfe"},
    {b"content-encoding": b"gzip"},
    {b"content-encoding": b"br"},
    {b"content-length": b"-1"},
    {b"content-length": b"9" * 40},
    {b"authorization": b"Bearer \x00\xff"},
    {b"authorization": b"Bearer"},
    {b"authorization": b"Basic Og=="},
    {b"x-api-key": b"k" * 5000},
    {b"x-request-id": b"\r\nset-cookie: a=b"},
    {b"traceparent": b"00-" + b"f" * 500},
    {b"tracestate": b"\xff" * 600},
    {b"if-match": b"\xff\xff"},
    {b"if-none-match": b'"' * 3000},
    {b"accept": b"text/plain;q=0, \xff/\xff"},
    {b"prefer": b"handling=\xff"},
    {b"idempotency-key": b"\xff" * 300},
    {b"idempotency-key": b""},
    {b"last-event-id": b"\x00-1"},
    {b"mcp-protocol-version": b"1999-99-99"},
    {b"outboxd-hops": b"9" * 30},
    {b"x-forwarded-for": b"\xff, ::::, 1.2.3.4.5"},
    {b"host": b"\xff"},
    {b"range": b"bytes=0-0,-1"},
    {b"x-long": b"a" * 40_000},
)


_ALONE = {"cursor", "offset", "projectId", "wait", "waitSeconds"}
"""Parameters that end a list before its filters are read, or hold it up."""


class Asked:
    """Sends as one side, and looks at what comes back."""

    def __init__(self, narrow: httpx.AsyncClient, wide: httpx.AsyncClient, side: Side) -> None:
        self._narrow = narrow
        self._wide = wide
        self._side = side

    async def __call__(
        self, method: str, template: str, *, named: str | None = None, query: str = "", **given: Any
    ) -> httpx.Response:
        """`named`: what the path names, else something of the asking side's."""
        known = self._side.ids.get(table.NAMES.get(template, ""), world.NOWHERE)
        path = slots.filled(template, dict.fromkeys(slots.named(template), named or known)) + query
        http = self._wide if (method, template) in table.OF_TEAMS else self._narrow
        headers = {
            **{name.encode(): said.encode() for name, said in JSON.items()},
            **given.pop("headers", {}),
        }
        reply = await http.request(method, path, headers=list(headers.items()), **given)
        assert reply.status_code < 500, f"{method} {path} {str(given)[:300]}: {reply.text}"
        if reply.status_code >= 400:
            assert not TOLD_BY_MISTAKE.search(reply.text), f"{method} {path}: {reply.text}"
        return reply


@pytest.fixture
async def asked(db: Database, conn: Conn) -> Any:
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, **SEALING) as served:
        side = await world.tenant(conn, served, "mine")
        async with served.client(side.key) as narrow, served.client(side.whole) as wide:
            yield Asked(narrow, wide, side)


def with_bodies() -> Iterator[tuple[str, str, Any]]:
    for method, template, told in operations():
        if "requestBody" in told:
            yield method, template, table.BODIES[method, template]


@proves("M17", "I4")
async def test_bytes_that_are_no_json(asked: Asked, share: Share) -> None:
    for method, template, _ in with_bodies():
        for name, body in share(BROKEN.items(), f"{method} {template}"):
            reply = await asked(method, template, content=body)
            assert reply.status_code != 404, f"{method} {template} does not get as far as its body"
            if name not in {"nothing", "null", "blank"}:
                assert 400 <= reply.status_code, f"{method} {template} {name}: {reply.status_code}"


@proves("M17", "I2")
async def test_bodies_that_are_too_large(asked: Asked) -> None:
    bomb = {b"content-encoding": b"gzip"}
    for method, template, _ in with_bodies():
        large = await asked(method, template, content=b" " * _HUGE)
        packed = await asked(method, template, content=gzip.compress(b" " * _HUGE), headers=bomb)
        # Who may not ask at all is told so before a byte is read.
        wanted = 403 if table.REFUSED_TO_OWNERS.get((method, template)) == 403 else 413
        assert [wanted, wanted] == [large.status_code, packed.status_code], f"{method} {template}"


@proves("M17", "I4")
async def test_wrong_values_in_every_field(asked: Asked, share: Share) -> None:
    """Texts that cannot be stored, times out of range, numbers without end, other types."""
    for method, template, example in with_bodies():
        for name in fields(method, template):
            for wrong in share((*TEXTS, *NUMBERS, *OTHERS), f"{method} {template} {name}"):
                reply = await asked(method, template, content=body_with(example, name, wrong))
                if reply.status_code >= 400:
                    assert len(reply.content) < 2000, f"{method} {template} {name} says it all again"
                stored = isinstance(wrong, str) and ("\x00" in wrong or "\ud800" in wrong)
                if stored or wrong == {"a": "\x00"}:
                    assert 400 <= reply.status_code, f"{method} {template} {name}: {reply.status_code}"


@proves("M17", "I4")
async def test_wrong_values_in_every_parameter(asked: Asked, share: Share) -> None:
    for method, template, told in operations():
        body = json.dumps(table.BODIES.get((method, template), {}))
        for each in told.get("parameters", ()):
            for wrong in share(IN_URLS, f"{method} {template} {each['name']}"):
                if each["in"] == "query":
                    await asked(method, template, query=f"?{each['name']}={wrong}", content=body)
                elif each["in"] == "path":
                    await asked(method, template, named=wrong or "x", content=body)


@proves("M17")
async def test_wrong_headers(asked: Asked, share: Share) -> None:
    for method, template, _ in operations():
        body = json.dumps(table.BODIES.get((method, template), {}))
        for headers in share(HEADERS, f"{method} {template}"):
            await asked(method, template, content=body, headers=headers)


@proves("M17")
async def test_a_foreign_origin_is_refused_where_something_could_change(asked: Asked) -> None:
    for method, template, _ in operations():
        body = json.dumps(table.BODIES.get((method, template), {}))
        for origin in (b"https://evil.test", b"null", b"\xff", b"http://localhost.evil.test:1"):
            reply = await asked(method, template, content=body, headers={b"origin": origin})
            assert "access-control-allow-origin" not in reply.headers
            if method not in {"GET", "HEAD"}:
                assert (403, "OriginNotAllowed") == (reply.status_code, reply.json()["error"]), template


@proves("M17", "I4")
@pytest.mark.parametrize("times", [4, pytest.param(500, marks=pytest.mark.nightly)])
async def test_bodies_with_some_bytes_turned(times: int, asked: Asked) -> None:
    turning = random.Random(17)
    for method, template, example in with_bodies():
        for _ in range(times):
            body = bytearray(json.dumps(example).encode())
            for _ in range(turning.randint(1, 4)):
                at = turning.randrange(len(body))
                body[at : at + turning.randint(0, 2)] = turning.randbytes(turning.randint(0, 3))
            await asked(method, template, content=bytes(body))


def fields(method: str, template: str) -> list[str]:
    """Of the outermost object, or of the items of the outermost list."""
    schema = DOCUMENT["paths"][template][method.lower()]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    for _ in range(4):
        schema = schema.get("items", schema)
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(schema.get("properties", {}))


def body_with(example: Any, name: str, value: Any) -> bytes:
    whole = [{**example[0], name: value}] if isinstance(example, list) else {**example, name: value}
    return json.dumps(whole).encode()


async def test_null_is_as_if_it_were_not_there(asked: Asked) -> None:
    refused = []
    for method, template, example in with_bodies():
        for name in fields(method, template):
            if f'{name}"' in json.dumps(example) or name in table.NOT_NULL.get((method, template), ()):
                continue
            reply = await asked(method, template, content=body_with(example, name, None))
            if reply.status_code == 400 and name in json.dumps(reply.json().get("issues")):
                refused.append((method, template, name))
    assert not refused, "\n".join(map(str, refused))


@proves("I4")
async def test_whatever_is_created_takes_an_idempotency_key(asked: Asked) -> None:
    """Sent again it is replayed without its secrets; other bytes under the key are 422; a bad key is 400."""
    for method, template, told in operations():
        if all(each["name"] != "Idempotency-Key" for each in told.get("parameters", ())):
            continue
        body = json.dumps(table.BODIES.get((method, template), {}))
        key = {b"idempotency-key": b"once"}
        if (method, template) in table.REFUSED_TO_OWNERS:
            continue
        first, again, other, wrong = [
            await asked(method, template, content=content, headers=headers)
            for content, headers in (
                (body, key),
                (body, key),
                (body + " ", key),
                (body, {b"idempotency-key": b"a b"}),
            )
        ]
        assert [first.status_code, first.status_code, 422, 400] == [
            each.status_code for each in (first, again, other, wrong)
        ], f"{template}: {again.text} {other.text}"
        assert ("true", None) == tuple(each.headers.get("idempotency-replayed") for each in (again, first)), (
            template
        )
        for secret in re.findall(r"obx_[\w-]{43}|whsec_[\w+/=]{44}", first.text):
            assert secret not in again.text, template


@proves("I4")
async def test_every_filter_can_stand_beside_the_others(asked: Asked) -> None:
    """Pieces of SQL that are put together have to fit."""
    for method, template, told in operations():
        given = {
            each["name"]: plausible(each["schema"])
            for each in told.get("parameters", ())
            if each["in"] == "query" and each["name"] not in _ALONE
        }
        if method == "GET" and given:
            query = "&".join(f"{name}={said}" for name, said in given.items())
            await asked(method, template, query=f"?{query}")


def plausible(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "integer":
        return schema.get("minimum", 1)
    return (schema.get("examples") or ["b"])[0]
