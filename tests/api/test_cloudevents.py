"""CloudEvents 1.0 in: each line of the table has what is accepted and what is refused."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import event_keys
from tests import seed
from tests.api.served import problem, serving

Conn = AsyncConnection[DictRow]

STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
EURO, ESCAPED = "Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"
CORE = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_PARENT = "00-11111111111111111111111111111111-2222222222222222-01"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
LATE = SOON + timedelta(days=400)
TOO_LARGE = 64 * 1024 + 1


def binary(**attributes: str) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in {**CORE, **attributes}.items()}


class Case(msgspec.Struct, frozen=True):
    """A request; and what is stored of it, or where it is wrong."""

    headers: dict[str, str] | list[tuple[str, str]]
    body: Any = None
    stored: dict[str, Any] = {}
    status: int = 201
    at: str | None = None


def as_member(**members: Any) -> Any:
    return {**CORE, **members}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CORE.items() if key != name}


JSON_BINARY = {**binary(), "content-type": "application/json"}
MANY = {f"e{n}": "x" for n in range(64)}

ACCEPTED = {
    "mode: binary": Case(JSON_BINARY, b'{"a":1}', {"payload": {"a": 1}, "encoding": "json"}),
    "mode: structured": Case(STRUCTURED, as_member(data=[1]), {"payload": [1], "encoding": "json"}),
    "mode: structured, whatever the case": Case({"content-type": "Application/CloudEvents+JSON"}, CORE),
    "mode: bare": Case({"content-type": "application/cloudevents; charset=UTF-8"}, CORE),
    "mode: structured wins over headers": Case(
        {**STRUCTURED, **binary(id="h")}, CORE, {"sourceEventId": "1"}
    ),
    "mode: a JSON dialect is data": Case(
        {**binary(), "content-type": "application/vnd.x+json"},
        b"1.50",
        {"payload": 1.5, "contentType": "application/vnd.x+json"},
    ),
    "mode: our JSON": Case({"ce-id": "x"}, {"eventType": "own"}, {"eventType": "own"}),
    "source: a relative reference": Case(STRUCTURED, as_member(source="a/b?c#d"), {"source": "a/b?c#d"}),
    "source: a URN": Case(STRUCTURED, as_member(source="urn:uuid:6e8bc430"), {"source": "urn:uuid:6e8bc430"}),
    "source: an address": Case(STRUCTURED, as_member(source="https://u@[::1]:80/%20?q#f")),
    "source: 2,048": Case(STRUCTURED, as_member(source="/" + "a" * 2047)),
    "subject": Case(STRUCTURED, as_member(subject=EURO), {"subject": EURO}),
    "null is absent": Case(STRUCTURED, as_member(subject=None, ext=None, data=None), {"attributes": {}}),
    "time": Case(
        STRUCTURED, as_member(time="2018-04-05T17:31:00.5+02:00"), {"occurredAtEpoch": 1_522_942_260_500}
    ),
    "time: a leap second": Case(
        STRUCTURED, as_member(time="1990-12-31t23:59:60z"), {"occurredAtEpoch": 662_688_000_000}
    ),
    "dataschema": Case(
        STRUCTURED, as_member(dataschema="http://x/y"), {"attributes": {"dataschema": "http://x/y"}}
    ),
    "extensions": Case(
        STRUCTURED,
        as_member(a="x", b=True, c=-(2**31), a1234567890123456789="y"),
        {"attributes": {"a": "x", "b": True, "c": -(2**31), "a1234567890123456789": "y"}},
    ),
    "extensions: 64 of them": Case(STRUCTURED, as_member(**MANY), {"attributes": MANY}),
    "extensions: 4 KiB": Case(STRUCTURED, as_member(ext="x" * 4096)),
    "binary: Content-Type is the data's": Case(
        {**binary(), "content-type": "text/plain"}, b"hi", {"contentType": "text/plain"}
    ),
    "binary: quoted and escaped": Case(
        binary(subject=f'"a\\"b {ESCAPED}"'), None, {"subject": f'a"b {EURO}'}
    ),
    "binary: escaped": Case(binary(subject=ESCAPED), None, {"subject": EURO}),
    "binary: needless and lower-case escapes": Case(
        binary(subject="%41%e2%82%ac%2525"), None, {"subject": "A€%25"}
    ),
    "binary: a percent sign that escapes nothing": Case(
        binary(ext="100% %zz"), None, {"attributes": {"ext": "100% %zz"}}
    ),
    "data_base64": Case(
        STRUCTURED,
        as_member(data_base64="aGk=", datacontenttype="text/plain"),
        {"payload": "hi", "encoding": "text"},
    ),
    "data: JSON in base64": Case(
        STRUCTURED, as_member(data_base64=base64.b64encode(b'{"a":1}').decode()), {"payload": {"a": 1}}
    ),
    "data: text": Case(
        STRUCTURED,
        as_member(data="<a/>", datacontenttype="text/xml"),
        {"payload": "<a/>", "encoding": "text", "contentType": "text/xml"},
    ),
    "data: UTF-8 without a media type": Case(binary(), EURO.encode(), {"payload": EURO, "encoding": "text"}),
    "data: bytes": Case(
        {**binary(), "content-type": "application/octet-stream"},
        b"\xff\x00",
        {"payload": "/wA=", "encoding": "base64"},
    ),
    "data: text that jsonb cannot hold": Case(binary(), b"a\x00", {"payload": "YQA=", "encoding": "base64"}),
    "data: bytes in base64 without a media type": Case(
        STRUCTURED, as_member(data_base64="/wA="), {"payload": "/wA=", "encoding": "base64"}
    ),
    "data: none": Case(JSON_BINARY, b"", {"payload": {}, "contentType": "application/json"}),
    "data: 64 KiB": Case(binary(), b"x" * (TOO_LARGE - 1), {"payload": "x" * (TOO_LARGE - 1)}),
    "partitionkey": Case(
        STRUCTURED, as_member(partitionkey="k"), {"orderingKey": "k", "attributes": {}}
    ),
    "expirytime": Case(
        STRUCTURED, as_member(expirytime=SOON.isoformat()), {"expiresAtEpoch": round(SOON.timestamp() * 1000)}
    ),
    "traceparent: the event's own wins": Case(
        {**STRUCTURED, "traceparent": OTHER_PARENT}, as_member(traceparent=PARENT), {"traceparent": PARENT}
    ),
    "traceparent: malformed, as none": Case(
        {**STRUCTURED, "traceparent": OTHER_PARENT}, as_member(traceparent="x"), {"traceparent": OTHER_PARENT}
    ),
}  # fmt: skip

REFUSED = {
    "mode: a format not read": Case({"content-type": "application/cloudevents+avro"}, CORE, status=415),
    "mode: a batch not read": Case(
        {"content-type": "application/cloudevents-batch+protobuf"}, CORE, status=415
    ),
    "mode: charset": Case({"content-type": "application/cloudevents+json; charset=latin1"}, CORE, status=415),
    "mode: no CloudEvent": Case({"content-type": "text/plain"}, b"x", status=415),
    "mode: structured, not an object": Case(STRUCTURED, [CORE], status=400),
    "specversion": Case(STRUCTURED, as_member(specversion="0.3"), status=400, at="/specversion"),
    "specversion: missing": Case(STRUCTURED, without("specversion"), status=400, at="/specversion"),
    "id: missing": Case(STRUCTURED, without("id"), status=400, at="/id"),
    "id: empty": Case(STRUCTURED, as_member(id=""), status=400, at="/id"),
    "id: a number": Case(STRUCTURED, as_member(id=1), status=400, at="/id"),
    "id: too long": Case(STRUCTURED, as_member(id="x" * 513), status=400, at="/id"),
    "source: missing": Case(STRUCTURED, without("source"), status=400, at="/source"),
    "source: empty": Case(binary(source=""), status=400, at="ce-source"),
    "source: no reference": Case(STRUCTURED, as_member(source="a b"), status=400, at="/source"),
    "source: a bad escape": Case(STRUCTURED, as_member(source="/%zz"), status=400, at="/source"),
    "source: a colon first": Case(STRUCTURED, as_member(source="1:2"), status=400, at="/source"),
    "source: 2,049": Case(STRUCTURED, as_member(source="/" + "a" * 2048), status=400, at="/source"),
    "type: missing": Case(STRUCTURED, without("type"), status=400, at="/type"),
    "type: reserved": Case(STRUCTURED, as_member(type="outboxd.x"), status=400, at="/type"),
    "type: 256": Case(STRUCTURED, as_member(type="x" * 256), status=400, at="/type"),
    "subject: empty": Case(STRUCTURED, as_member(subject=""), status=400, at="/subject"),
    "time": Case(STRUCTURED, as_member(time="2018-04-05 17:31:00Z"), status=400, at="/time"),
    "time: no such day": Case(STRUCTURED, as_member(time="2018-02-30T00:00:00Z"), status=400, at="/time"),
    "time: no zone": Case(binary(time="2018-04-05T17:31:00"), status=400, at="ce-time"),
    "time: before 1970": Case(STRUCTURED, as_member(time="1969-12-31T23:59:59Z"), status=400, at="/time"),
    "dataschema: relative": Case(STRUCTURED, as_member(dataschema="/x"), status=400, at="/dataschema"),
    "extension: capital": Case(STRUCTURED, as_member(myExt="x"), status=400, at="/myExt"),
    "extension: 21": Case(STRUCTURED, as_member(**{"a" * 21: "x"}), status=400, at="/" + "a" * 21),
    "extension: data": Case(binary(data="x"), status=400, at="ce-data"),
    "extension: a hyphen": Case(binary(**{"a-b": "x"}), status=400, at="ce-a-b"),
    "extension: an object": Case(STRUCTURED, as_member(ext={}), status=400, at="/ext"),
    "extension: a fraction": Case(STRUCTURED, as_member(ext=1.5), status=400, at="/ext"),
    "extension: 33 bits": Case(STRUCTURED, as_member(ext=2**31), status=400, at="/ext"),
    "extensions: 65 of them": Case(STRUCTURED, as_member(**MANY, f="x"), status=400, at="/f"),
    "extension: over 4 KiB": Case(STRUCTURED, as_member(ext="x" * 4097), status=400, at="/ext"),
    "attribute: U+0000": Case(STRUCTURED, as_member(ext="\x00"), status=400, at="/ext"),
    "attribute: control": Case(STRUCTURED, as_member(ext="\x1f"), status=400, at="/ext"),
    "attribute: C1": Case(binary(ext="%C2%80"), status=400, at="ce-ext"),
    "attribute: noncharacter": Case(STRUCTURED, as_member(ext="\ufdd0"), status=400, at="/ext"),
    "attribute: a noncharacter far out": Case(STRUCTURED, as_member(ext="\U0010ffff"), status=400, at="/ext"),
    "attribute: lone surrogate": Case(
        STRUCTURED, as_member(ext="\ud800"), status=400, at="/ext"
    ),
    "binary: ce-datacontenttype": Case(binary(datacontenttype="text/plain"), status=400, at="content-type"),
    "binary: a repeated header": Case(
        [*binary().items(), ("ce-ext", "a"), ("ce-ext", "a")], status=400, at="ce-ext"
    ),
    "binary: overlong UTF-8": Case(binary(ext="%C0%A0"), status=400, at="ce-ext"),
    "binary: a quote not closed": Case(binary(ext='"a'), status=400, at="ce-ext"),
    "data: both": Case(STRUCTURED, as_member(data=1, data_base64="aGk="), status=400, at="/data_base64"),
    "data: no base64": Case(STRUCTURED, as_member(data_base64="aGk"), status=400, at="/data_base64"),
    "data: declared JSON and not": Case(JSON_BINARY, b"{", status=400),
    "data: declared JSON in base64 and not": Case(
        STRUCTURED,
        as_member(data_base64="aGk=", datacontenttype="application/json"),
        status=400,
        at="/data_base64",
    ),
    "data: too large": Case(binary(), b"x" * TOO_LARGE, status=413),
    "data: too large, structured": Case(STRUCTURED, as_member(data="x" * TOO_LARGE), status=413),
    "partitionkey: 256": Case(
        STRUCTURED, as_member(partitionkey="x" * 256), status=400, at="/partitionkey"
    ),
    "expirytime: 400 days": Case(
        STRUCTURED, as_member(expirytime=LATE.isoformat()), status=400, at="/expirytime"
    ),
    "expirytime: past": Case(
        STRUCTURED, as_member(expirytime="2020-01-01T00:00:00Z"), status=400, at="/expirytime"
    ),
}  # fmt: skip


async def sent(http: httpx.AsyncClient, case: Case, **query: str) -> httpx.Response:
    body = case.body if isinstance(case.body, bytes | None) else json.dumps(case.body).encode()
    return await http.post("/v1/events", headers=case.headers, content=body or b"", params=query)


async def test_each_line_of_the_table_has_what_is_accepted(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    wrong = []
    async with serving(db, tenant.key, MAX_EVENT_BYTES=str(TOO_LARGE - 1)) as served:
        for name, case in ACCEPTED.items():
            await conn.execute("truncate outbox.event_keys")
            reply = await sent(served.http, case)
            told = reply.json().get("event", reply.json())
            read = (await served.http.get(f"/v1/events/{told.get('id')}")).json().get("event")
            want = {key: told.get(key) for key in case.stored}
            if (201, case.stored, told) != (reply.status_code, want, read):
                wrong.append((name, reply.status_code, told, read))

    assert [] == wrong


@pytest.mark.proves("I4")
async def test_each_line_of_the_table_has_what_is_refused_and_says_where(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    wrong = []
    async with serving(db, tenant.key, MAX_EVENT_BYTES=str(TOO_LARGE - 1)) as served:
        for name, case in REFUSED.items():
            reply = await sent(served.http, case)
            [error, *_] = problem(reply).get("errors", [{}])
            at = error.get("pointer", error.get("parameter"))
            if case.status != reply.status_code or case.at not in (None, at):
                wrong.append((name, reply.status_code, reply.json()))

    assert [] == wrong
    assert {0} == set((await seed.counts(conn)).values())


@pytest.mark.proves("E8")
async def test_what_the_sdk_sends_is_stored_and_reads_back_the_same(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    at = datetime(2026, 5, 4, 3, 2, 1, 123000, UTC)
    kept = {"myext": 'a%b "q" ' + EURO, "comexampleon": "true"}
    core = {"type": "t", "source": "/a?b=c", "specversion": "1.0", "subject": EURO, "time": at}
    event = CloudEvent({**core, "id": "b", "datacontenttype": "application/json", **kept}, {"a": EURO})
    async with serving(db, tenant.key) as served:
        for message in (
            to_binary_event(event),
            to_structured_event(CloudEvent({**event.get_attributes(), "id": "s"}, {"a": EURO})),
        ):
            reply = await served.http.post("/v1/events", headers=message.headers, content=message.body)
            told = reply.json()["event"]
            assert (201, EURO, "/a?b=c", {"a": EURO}, kept) == (
                reply.status_code, told["subject"], told["source"], told["payload"], told["attributes"],
            )  # fmt: skip
            assert round(at.timestamp() * 1000) == told["occurredAtEpoch"]
            assert ("cloudevents", "application/json") == (told["sourceAdapter"], told["contentType"])

    ours = {f"ce-{name}": value for name, value in {**CORE, "subject": ESCAPED}.items()}
    assert EURO == from_binary_event(HTTPMessage(ours, b"")).get_subject()


OF_NPM = {
    "binary": Case(
        {
            "content-type": "application/json",
            **binary(id="1", source="/a?b=c", myext='a%b "q"', partitionkey="k"),
        },
        '{"a":"€"}'.encode(),
        {"payload": {"a": "€"}, "attributes": {"myext": 'a%b "q"'}, "orderingKey": "k"},
    ),
    "structured": Case(
        {"content-type": "application/cloudevents+json; charset=utf-8"},
        (
            '{"id":"2","time":"2026-05-04T03:02:01.123Z","type":"t","source":"/a?b=c","specversion":"1.0",'
            '"datacontenttype":"application/json","subject":"Euro € 😀","data":{"a":"€"},"myext":'
            '"a%b \\"q\\" €"}'
        ).encode(),
        {"subject": EURO, "payload": {"a": "€"}, "attributes": {"myext": 'a%b "q" €'}},
    ),
    "bytes": Case(
        {"content-type": "application/cloudevents+json; charset=utf-8"},
        (
            '{"id":"3","time":"2026-05-04T03:02:01.123Z","type":"t","source":"/a?b=c","specversion":"1.0",'
            '"datacontenttype":"application/octet-stream","subject":"Euro € 😀","data_base64":"/wA="}'
        ).encode(),
        {"payload": "/wA=", "encoding": "base64"},
    ),
    "no data": Case(
        {"content-type": "application/json; charset=utf-8", **binary(id="4", source="/a?b=c")},
        b"",
        {"payload": {}, "attributes": {}},
    ),
}  # fmt: skip
"""As the npm SDK 10 sends them, recorded."""


async def test_what_the_npm_sdk_sends_is_stored(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        told = {name: (await sent(served.http, case)).json()["event"] for name, case in OF_NPM.items()}

    assert {name: case.stored for name, case in OF_NPM.items()} == {
        name: {key: told[name][key] for key in case.stored} for name, case in OF_NPM.items()
    }


async def test_a_batch_is_atomic_and_lenient_is_per_item(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    good = [as_member(id=str(n)) for n in range(3)]
    bad = [*good, as_member(id="4", source="a b")]
    async with serving(db, tenant.key) as served:
        atomic = await sent(served.http, Case(BATCH, bad))
        before = (await seed.counts(conn))["events"]
        lenient = await sent(served.http, Case({**BATCH, "prefer": "handling=lenient"}, bad))
        whole = await sent(served.http, Case(BATCH, good))
        empty = await sent(served.http, Case(BATCH, []))
        many = await sent(served.http, Case(BATCH, [CORE] * 501))

    assert (400, "/3/source", 0) == (
        atomic.status_code,
        problem(atomic)["errors"][0]["pointer"],
        before,
    )
    assert [201, 201, 201, 400] == [each["status"] for each in lenient.json()["events"]]
    assert "handling=lenient" == lenient.headers["preference-applied"]
    assert [True] * 3 == [each["duplicate"] for each in whole.json()["events"]]
    assert (201, {"events": []}) == (empty.status_code, empty.json())
    assert 400 == many.status_code
    assert 3 == (await seed.counts(conn))["events"]


async def test_source_and_id_together_are_the_event_key(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        first = (await sent(served.http, Case(STRUCTURED, as_member(data=1)))).json()
        again = (await sent(served.http, Case({**binary(), "content-type": "a/json"}, b"1"))).json()
        differs = (await sent(served.http, Case(STRUCTURED, as_member(data=2)))).json()
        elsewhere = (await sent(served.http, Case(STRUCTURED, as_member(source="/other")))).json()
    cur = await conn.execute("select key from outbox.event_keys order by key")

    assert first["event"]["id"] == again["event"]["id"] == differs["event"]["id"] != elsewhere["event"]["id"]
    assert ([True, True], [None, True]) == (
        [again["duplicate"], differs["duplicate"]],
        [again.get("duplicateDiffers"), differs.get("duplicateDiffers")],
    )
    keys = [event_keys.of_cloudevent(tenant.team, tenant.project, at, "1") for at in ("/s", "/other")]
    assert sorted(keys) == [row["key"] for row in await cur.fetchall()]


async def test_an_idempotency_key_covers_attributes_that_are_headers(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    once = {"idempotency-key": "k"}
    async with serving(db, tenant.key) as served:
        first, again, other = [
            await sent(served.http, Case({**binary(id=id_), **once}, b"same")) for id_ in ("1", "1", "2")
        ]

    assert [201, 201, 422] == [first.status_code, again.status_code, other.status_code]
    assert ["idempotency-replayed" in reply.headers for reply in (first, again)] == [False, True]
    assert first.json()["event"] == again.json()["event"]


async def test_the_query_names_the_project_of_a_key_of_the_whole_team(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    _, key = await seed.key(conn, tenant.team, "events:write")
    async with serving(db, key) as served:
        missing = await sent(served.http, Case(binary()))
        foreign = await sent(served.http, Case(binary()), projectId=str(other.project))
        own = await sent(served.http, Case(binary()), projectId=str(tenant.project))

    assert (400, "projectId") == (missing.status_code, problem(missing)["errors"][0]["parameter"])
    assert (403, "project_id must belong to team_id") == (foreign.status_code, problem(foreign)["message"])
    assert (201, str(tenant.project)) == (own.status_code, own.json()["event"]["projectId"])
    assert 1 == (await seed.counts(conn))["events"]


async def test_private_spans_of_a_cloud_event_are_stored_as_sent(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    text = "a <private>b</private> c"
    async with serving(db, tenant.key) as served:
        told = (await sent(served.http, Case(STRUCTURED, as_member(data=text)))).json()["event"]

    assert (text, 0) == (told["payload"], told["privateRemoved"])
