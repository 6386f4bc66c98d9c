"""Bad input at the door: the right status, a pointer, nothing stored, nothing leaked."""

import gzip
import json
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import problem, serving

Conn = AsyncConnection[DictRow]

NOTHING = {"events": 0, "event_keys": 0, "jobs": 0, "ready": 0, "later": 0, "pending": 0}
JSON = {"content-type": "application/json"}


async def refused(
    db: Database, conn: Conn, *, path: str = "/v1/events", headers: Any = JSON, **request: Any
) -> tuple[httpx.Response, dict[str, Any]]:
    """The reply to what must be refused; nothing of it is in any table."""
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(path, headers=headers, **request)
    assert await seed.counts(conn) == NOTHING
    told = problem(reply)
    for leak in ("select", "outbox.", "Traceback", "psycopg", tenant.key):
        assert leak not in reply.text
    return reply, told


def event(**fields: Any) -> dict[str, Any]:
    return {"eventType": "a", **fields}


BODIES: list[tuple[bytes, int, str, int | None]] = [
    (b"", 400, "ValidationError", None),
    (b"{", 400, "BadJson", 1),
    (b'{"eventType":"a"} x', 400, "BadJson", 18),
    (b'{"eventType":"a","payload":NaN}', 400, "BadJson", 27),
    (b'{"eventType":"a","payload":[Infinity]}', 400, "BadJson", 28),
    (b'{"eventType":"a","payload":1e400}', 400, "BadJson", 27),
    (b'{"eventType":"a","payload":' + b"9" * 400 + b"}", 400, "BadJson", 27),
    (b'{"eventType":"a","payload":"\xff"}', 400, "BadJson", 28),
    (b'{"eventType":"a","payload":"a\x01"}', 400, "BadJson", None),
    (b"\xef\xbb\xbf{}", 400, "BadJson", 0),
    (b'{"eventType":"a","payload":' + b"[" * 128 + b"]" * 128 + b"}", 400, "BadJson", 154),
    (b"[" * 100_000, 400, "BadJson", None),
    (b"[]", 400, "ValidationError", None),
    (b'"a"', 400, "ValidationError", None),
]


@pytest.mark.parametrize(("body", "status", "code", "offset"), BODIES, ids=range(len(BODIES)))
@pytest.mark.proves("I4", "I1")
async def test_a_body_that_is_no_such_json(
    body: bytes, status: int, code: str, offset: int | None, db: Database, conn: Conn
) -> None:
    reply, told = await refused(db, conn, content=body)

    assert (status, code) == (reply.status_code, told["error"])
    if offset is not None:
        assert offset == told["offset"]


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({}, "/eventType"),
    ({"eventType": ""}, "/eventType"),
    ({"eventType": 7}, "/eventType"),
    ({"eventType": None}, "/eventType"),
    ({"eventType": "x" * 256}, "/eventType"),
    ({"eventType": "a\nb"}, "/eventType"),
    ({"eventType": "a\x85"}, "/eventType"),
    ({"eventType": "a\x00b"}, "/eventType"),
    ({"eventType": "outboxd.x"}, "/eventType"),
    (event(projectId=5), "/projectId"),
    (event(sourceType="sql"), "/sourceType"),
    (event(sourceType="outboxd"), "/sourceType"),
    (event(occurredAtEpoch=-1), "/occurredAtEpoch"),
    (event(occurredAtEpoch=253402300800000), "/occurredAtEpoch"),
    (event(occurredAtEpoch=10**30), "/occurredAtEpoch"),
    (event(occurredAtEpoch=1.5), "/occurredAtEpoch"),
    (event(occurredAtEpoch="1"), "/occurredAtEpoch"),
    (event(occurredAtEpoch=True), "/occurredAtEpoch"),
    (event(payload={"a": [1, {"b": "x\x00"}]}), "/payload/a/1/b"),
    (event(payload={"k\x00": 1}), "/payload/k\ufffd"),
    (event(payload={"a~/b": "\x00"}), "/payload/a~0~1b"),
    (event(metadata=[]), "/metadata"),
    (event(metadata="x"), "/metadata"),
    (event(metadata={"a": "x" * 32768}), "/metadata"),
    (event(contentSessionId="x" * 513), "/contentSessionId"),
    (event(memorySessionId=7), "/memorySessionId"),
    (event(platformSource="x" * 65), "/platformSource"),
    (event(sourceEventId=""), "/sourceEventId"),
    (event(sourceEventId="x" * 513), "/sourceEventId"),
    (event(idempotencyKey=""), "/idempotencyKey"),
    (event(idempotencyKey="x" * 256), "/idempotencyKey"),
    (event(subject="x" * 256), "/subject"),
    (event(orderingKey=""), "/orderingKey"),
    (event(priority=101), "/priority"),
    (event(priority=-101), "/priority"),
    (event(runAtEpoch=253402300799999), "/runAtEpoch"),
    (event(expiresAtEpoch=1), "/expiresAtEpoch"),
    (event(expiresAtEpoch=253402300799999), "/expiresAtEpoch"),
]


@pytest.mark.parametrize(("body", "pointer"), FIELDS, ids=range(len(FIELDS)))
@pytest.mark.proves("I4", "I1")
async def test_a_wrong_field_is_400_with_its_pointer(
    body: dict[str, Any], pointer: str, db: Database, conn: Conn
) -> None:
    reply, told = await refused(db, conn, content=json.dumps(body))

    assert (400, "ValidationError") == (reply.status_code, told["error"])
    assert [pointer] == [each["pointer"] for each in told["errors"]]
    assert len(told["issues"]) == 1


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00 x"', '{"\\ud83dx":1}', '"\\ud83d\\ud83d"'])
@pytest.mark.proves("I4")
async def test_a_lone_surrogate_is_400_with_its_pointer(text: str, db: Database, conn: Conn) -> None:
    _, told = await refused(db, conn, content=f'{{"eventType":"a","payload":{text}}}')

    assert told["status"] == 400
    assert told["errors"][0]["pointer"].startswith("/payload")


HEADERS: list[tuple[dict[str, str], int, str]] = [
    ({"content-type": "text/plain"}, 415, "UnsupportedMediaType"),
    ({"content-type": "application/jsonx"}, 415, "UnsupportedMediaType"),
    ({"content-type": "application/json; charset=latin-1"}, 415, "UnsupportedMediaType"),
    ({"content-type": "application/json", "content-encoding": "br"}, 415, "UnsupportedMediaType"),
    ({"content-type": "application/json", "content-encoding": "gzip, gzip"}, 415, "UnsupportedMediaType"),
    ({"content-type": "application/json", "content-encoding": "gzip"}, 400, "BadRequest"),
    ({"content-type": "application/json", "accept": "text/html"}, 406, "NotAcceptable"),
    ({"content-type": "application/json", "accept": "application/json;q=0"}, 406, "NotAcceptable"),
    ({"content-type": "application/json", "x": "y" * 33_000}, 431, "HeadersTooLarge"),
    ({"content-type": "application/json", "origin": "https://evil.test"}, 403, "OriginNotAllowed"),
]


@pytest.mark.parametrize(("headers", "status", "code"), HEADERS, ids=range(len(HEADERS)))
@pytest.mark.proves("I4")
async def test_wrong_headers(
    headers: dict[str, str], status: int, code: str, db: Database, conn: Conn
) -> None:
    reply, told = await refused(db, conn, headers=headers, content=b'{"eventType":"a"}')

    assert (status, code) == (reply.status_code, told["error"])


@pytest.mark.parametrize("query", ["wait=1", "wait=yes", "generate=0", "wait=TRUE", "wait=%ff"])
@pytest.mark.proves("I4")
async def test_a_flag_is_true_or_false(query: str, db: Database, conn: Conn) -> None:
    reply, _ = await refused(db, conn, path=f"/v1/events?{query}", content=b'{"eventType":"a"}')

    assert reply.status_code == 400


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.proves("I3")
async def test_a_body_over_the_limit_is_413(packed: bool, db: Database, conn: Conn) -> None:
    body = b'{"eventType":"a","payload":"' + b"x" * (5 * 1024 * 1024) + b'"}'
    headers = {**JSON, "content-encoding": "gzip"} if packed else JSON
    reply, told = await refused(db, conn, headers=headers, content=gzip.compress(body) if packed else body)

    assert (413, "PayloadTooLarge") == (reply.status_code, told["error"])


@pytest.mark.parametrize("cut", [10, 30])
async def test_a_gzip_body_cut_short_is_400(cut: int, db: Database, conn: Conn) -> None:
    body = gzip.compress(b'{"eventType":"a"}')[:cut]
    reply, _ = await refused(db, conn, headers={**JSON, "content-encoding": "gzip"}, content=body)

    assert reply.status_code == 400


async def test_a_gzip_body_is_unpacked(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(
            "/v1/events",
            content=gzip.compress(b'{"eventType":"a",') + gzip.compress(b'"payload":7}'),
            headers={"content-type": "application/vnd.x+json; charset=UTF-8", "content-encoding": "gzip"},
        )

    assert (201, 7) == (reply.status_code, reply.json()["event"]["payload"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("null", "{}"), ('"text"', '"text"'), ("[1,2]", "[1, 2]"), ("0", "0"), ("false", "false"),
        ('{"a":1,"a":2}', '{"a": 2}'), ('"\\\\u0000 \\\\ud800"', '"\\\\u0000 \\\\ud800"'),
        ('"\\ud83d\\ude00"', '"😀"'), ("1.10", "1.10"), ("12345678901234567890", "12345678901234567890"),
        ('"1e999"', '"1e999"'), ("1e300", "1" + "0" * 300), ("[" * 126 + "]" * 126, "[" * 126 + "]" * 126),
        ('"é\u2028"', '"é\u2028"'),
    ],
)  # fmt: skip
@pytest.mark.proves("E8")
async def test_any_json_is_kept_as_it_is(sent: str, kept: str, db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(
            "/v1/events", content=f'{{"eventType":"a","payload":{sent}}}'.encode(), headers=JSON
        )
    assert reply.status_code == 201
    stored = await (await conn.execute("select payload::text as p from outbox.events")).fetchone()
    assert {"p": kept} == stored


BATCHES: list[tuple[Any, str | None]] = [
    ({}, None),
    ([], None),
    ([event()] * 501, None),
    ([event(), {"eventType": 4}], "/1/eventType"),
    ([event(), {}], "/1/eventType"),
    ([event(), 5], "/1"),
    ([event(payload="\x00")], "/0/payload"),
    ([event(), event(expiresAtEpoch=1)], "/1/expiresAtEpoch"),
]


@pytest.mark.parametrize(("body", "pointer"), BATCHES, ids=range(len(BATCHES)))
@pytest.mark.proves("E6", "I1")
async def test_a_batch_with_one_bad_item_stores_nothing(
    body: Any, pointer: str | None, db: Database, conn: Conn
) -> None:
    reply, told = await refused(db, conn, path="/v1/events/batch", content=json.dumps(body))

    assert reply.status_code == 400
    if pointer is not None:
        assert [pointer] == [each["pointer"] for each in told["errors"]]


@pytest.mark.proves("I4")
async def test_unknown_fields_are_ignored_where_old_clients_post(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/events?x=1", json={"eventType": "a", "nonsense": {"a": [1]}})

    assert reply.status_code == 201
