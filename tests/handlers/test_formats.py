"""What is sent as a CloudEvent: whole in the body, or the data alone with the rest in headers."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.client import verify
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import serving
from tests.handlers.desk import Desk, Post, Target, says
from tests.handlers.test_signing import C_PUBLIC, A, B, C
from tests.waiting import until

FORMATS = ("ce-structured", "ce-binary")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AT = datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)


async def send(post: Desk, event: UUID) -> None:
    async with post.at_work():
        for job in await post.deliveries(event):
            await post.crew.attempt(job, "completed")


def parsed(got: Post) -> Any:
    """By the PyPI SDK."""
    return from_http_event(HTTPMessage(headers=dict(got.headers), body=got.body))


async def as_cloudevent(post: Desk, event: UUID, **columns: Any) -> None:
    """As if it had come as one."""
    for name, value in columns.items():
        given = Jsonb(value) if name in {"attributes", "payload"} else value
        await post.do(f"update outbox.events set {name} = %s where id = %s", given, event)


@pytest.mark.parametrize("form", FORMATS)
async def test_an_event_of_ours_is_a_cloudevent(post: Desk, target: Target, form: str) -> None:
    await post.endpoint(target.url, format=form, secret=A)
    event = await post.publish(
        {"n": 1, "name": "Zoë"}, occurred_at=AT, subject="a b", ordering_key="k€", traceparent=TRACE
    )
    await post.do("select outbox.sequence(array[%s::uuid])", post.crew.project)
    await send(post, event)
    (got,) = target.got
    found = parsed(got)

    assert (
        str(event),
        f"https://outbox.example/v1/projects/{post.crew.project}",
        "order.paid",
        "a b",
        AT,
    ) == (
        found.get_id(),
        found.get_source(),
        found.get_type(),
        found.get_subject(),
        found.get_time(),
    )
    assert ("k€", "0" * 19 + "1", TRACE) == tuple(
        found.get_extension(name) for name in ("partitionkey", "sequence", "traceparent")
    )
    assert {"n": 1, "name": "Zoë"} == (found.get_data())
    verify(got.headers, got.body, A)


async def test_in_headers_what_is_no_visible_ascii_is_escaped(post: Desk, target: Target) -> None:
    await post.endpoint(target.url, format="ce-binary")
    event = await post.publish({"n": 1}, subject='Euro € 😀 "50%"')
    await send(post, event)
    (got,) = target.got

    assert "Euro%20%E2%82%AC%20%F0%9F%98%80%20%2250%25%22" == got.headers["ce-subject"]
    assert ("1.0", str(event), "application/json", {"n": 1}) == (
        got.headers["ce-specversion"],
        got.headers["ce-id"],
        got.headers["content-type"],
        json.loads(got.body),
    )
    assert "ce-datacontenttype" not in got.headers


@pytest.mark.parametrize("form", FORMATS)
async def test_a_cloudevent_that_came_in_goes_out_the_same(
    post: Desk, target: Target, db: Database, conn: AsyncConnection[dict[str, Any]], form: str
) -> None:
    await post.endpoint(target.url, format=form)
    _, key = await seed.key(conn, post.crew.team, "*", project=post.crew.project)
    given = {
        "specversion": "1.0",
        "id": "their-1",
        "source": "/their/source",
        "type": "their.type",
        "subject": "s",
        "time": "2026-01-01T00:00:00.5Z",
        "dataschema": "https://example.com/schema",
        "datacontenttype": "application/vnd.x+json",
        "comexampleext": "Zoë",
        "flag": True,
        "count": 7,
        "tracestate": "a=1",
        "traceparent": TRACE,
        "data": [1, {"a": None}],
    }
    async with serving(db, key) as served:
        reply = await served.http.post(
            "/v1/events",
            content=json.dumps(given),
            headers={"content-type": "application/cloudevents+json"},
        )
    assert reply.status_code == 201, reply.text
    await send(post, UUID(reply.json()["event"]["id"]))
    (got,) = target.got
    found = parsed(got)

    assert [1, {"a": None}] == found.get_data()
    told = {name: str(value).lower() for name, value in given.items() if name not in {"data", "time"}}
    kept = {name: str(value).lower() for name, value in found.get_attributes().items() if name in told}
    assert told == kept
    assert datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=UTC) == found.get_time()
    assert reply.json()["event"]["id"] == got.headers["webhook-id"], "ours, so that repeats are told apart"
    if form == "ce-structured":
        body = json.loads(got.body)
        assert (True, 7) == (body["flag"], body["count"]), "types are kept where JSON has them"


@pytest.mark.parametrize(
    ("encoding", "type_", "payload", "data"),
    [
        ("text", "text/xml", "<a>Zoë</a>", "<a>Zoë</a>".encode()),
        ("base64", "image/png", base64.b64encode(b"\x89\x00").decode(), b"\x89\x00"),
        ("base64", None, base64.b64encode(b"\xff").decode(), b"\xff"),
    ],
)
async def test_data_that_are_no_json_are_sent_as_they_came(
    post: Desk, target: Target, encoding: str, type_: str | None, payload: str, data: bytes
) -> None:
    for form in FORMATS:
        await post.endpoint(target.url, format=form)
    event = await post.publish()
    await as_cloudevent(
        post, event, source="/s", source_event_id="1", encoding=encoding, content_type=type_, payload=payload
    )
    await send(post, event)
    (whole,) = [got for got in target.got if "ce-id" not in got.headers]
    (bare,) = [got for got in target.got if "ce-id" in got.headers]
    body = json.loads(whole.body)

    assert (data, type_ or "application/octet-stream") == (bare.body, bare.headers["content-type"])
    assert payload == body["data_base64" if encoding == "base64" else "data"]
    assert ("data" in body) != ("data_base64" in body)


@pytest.mark.parametrize("form", ["standard", *FORMATS])
async def test_over_the_limit_of_the_endpoint_the_data_are_told_by_reference_and_signed(
    post: Desk, target: Target, form: str
) -> None:
    await post.endpoint(target.url, format=form, maxBodyBytes=1024, secret=A)
    fits = await post.publish({"text": "x" * 500})
    await send(post, fits)
    large = await post.publish({"text": "x" * 1100})
    await send(post, large)
    small, big = target.got

    ref = f"https://outbox.example/v1/events/{large}"
    assert b"xxx" in small.body
    if form == "ce-binary":
        assert (b"", ref) == (big.body, big.headers["ce-dataref"])
    else:
        body = json.loads(big.body)
        assert (None, ref) == (body["data"], body["dataref"])
    for got in target.got:
        verify(got.headers, got.body, A)


@pytest.mark.parametrize("extra", [0, 1])
async def test_the_limit_is_reached_at_its_last_byte(post: Desk, target: Target, extra: int) -> None:
    await post.endpoint(target.url, format="ce-binary", maxBodyBytes=1024)
    await send(post, await post.publish({"a": "x" * (1024 - len('{"a": ""}') + extra)}))
    (got,) = target.got

    assert (0 if extra else 1024) == len(got.body)
    assert bool(extra) == ("ce-dataref" in got.headers)


# Signatures and traces of live deliveries ----------------------------------------------------------------


@pytest.mark.parametrize(("signs", "versions"), [("v1", ["v1"]), ("v1+v1a", ["v1a", "v1"]), ("v1a", ["v1a"])])
async def test_each_version_that_is_asked_for_signs(
    post: Desk, target: Target, signs: str, versions: list[str]
) -> None:
    await post.endpoint(target.url, signing=signs, secret=A, private=C)
    await send(post, await post.publish({"name": "Zoë 😀"}))
    (got,) = target.got

    signatures = got.headers["webhook-signature"].split(" ")
    assert sorted(versions) == sorted(each.partition(",")[0] for each in signatures)
    for version, key in (("v1", A), ("v1a", C_PUBLIC)):
        if version in versions:
            verify(got.headers, got.body, key)


async def test_a_key_that_has_expired_signs_nothing_even_while_it_is_there(
    post: Desk, target: Target
) -> None:
    endpoint = await post.endpoint(target.url, secret=A)
    await post.do("update outbox.endpoint_secrets set expires_at = outbox.clock()")
    await post.do("select outbox.add_endpoint_key(%s, 'hmac', %s, null)", endpoint, post.sealed(endpoint, B))
    await send(post, await post.publish())
    (got,) = target.got

    assert 1 == len(got.headers["webhook-signature"].split(" "))
    verify(got.headers, got.body, B)


@pytest.mark.parametrize(
    ("given", "trace", "flags"),
    [
        (TRACE, "4bf92f3577b34da6a3ce929d0e0e4736", "01"),
        (TRACE[:-2] + "00", "4bf92f3577b34da6a3ce929d0e0e4736", "00"),
        ("cc" + TRACE[2:] + "-later", "4bf92f3577b34da6a3ce929d0e0e4736", "01"),
        ("ff" + TRACE[2:], None, "00"),
        (TRACE.upper(), None, "00"),
        (TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), None, "00"),
        (TRACE.replace("00f067aa0ba902b7", "0" * 16), None, "00"),
        (TRACE + "-extra", None, "00"),
        (TRACE[:-1], None, "00"),
        ("", None, "00"),
    ],
)
async def test_a_delivery_is_in_its_events_trace_with_a_new_span_each_attempt(
    post: Desk, target: Target, given: str, trace: str | None, flags: str
) -> None:
    target.answers = [says(500), says(204)]
    await post.endpoint(target.url)
    async with post.at_work():
        (job,) = await post.deliveries(await post.publish(traceparent=given))
        await post.crew.attempt(job)
        await post.crew.hurry_up()
        await until(lambda: len(target.got) == 2)
        await post.crew.attempt(job, "completed")

    found = [got.headers["traceparent"].split("-") for got in target.got]
    assert {("00", flags)} == {(each[0], each[3]) for each in found}
    assert found[0][2] != found[1][2]
    if trace is not None:
        assert {trace} == {each[1] for each in found}
    assert "00f067aa0ba902b7" not in {each[2] for each in found}
