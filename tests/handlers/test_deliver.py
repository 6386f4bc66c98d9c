"""What is sent to a target, and what is kept of its answer."""

import base64
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from standardwebhooks import Webhook

import outboxd
from outboxd import telemetry
from outboxd.store import history
from tests.clock import Clock
from tests.handlers import desk
from tests.handlers.desk import Desk, Target, says, settled
from tests.loops.crew import Crew
from tests.proofs import proves
from tests.waiting import until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLDER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SLOW = timedelta(seconds=10)


# What is sent ------------------------------------------------------------------------------------------


async def test_a_stock_verifier_accepts_what_is_sent_and_the_bytes_are_those_that_were_signed(
    post: Desk, target: Target
) -> None:
    await post.endpoint(target.url, secret=SECRET)
    at = datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    async with post.at_work():
        event = await post.publish({"name": "Zoë 😀", "n": 12345678901234567890123}, occurred_at=at)
        (job,) = await post.deliveries(event)
        attempt = await post.crew.attempt(job)

    (got,) = target.got
    assert "😀".encode() in got.body
    assert Webhook(SECRET).verify(got.body, got.headers)["type"] == "order.paid"
    assert json.loads(got.body) == {
        "type": "order.paid",
        "timestamp": "2026-01-01T00:00:00.123Z",
        "data": {"name": "Zoë 😀", "n": 12345678901234567890123},
    }
    assert b": 12345678901234567890123" in got.body, "a number is sent as it was stored"
    assert ("completed", "ok") == (attempt["outcome"], attempt["class"])


async def test_the_headers_of_an_attempt_are_these_and_the_endpoints_own(post: Desk, target: Target) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await post.endpoint(target.url, headers={"X-Own": "mine", "User-Agent": "me", "Accept-Encoding": "gzip"})
    event = await post.publish(traceparent=trace)
    await post.do("update outbox.events set hops = 3, tracestate = 'a=1' where id = %s", event)
    async with post.at_work():
        (job,) = await post.deliveries(event)
        await post.crew.attempt(job)

    headers = target.got[0].headers
    span = headers.pop("traceparent")
    assert span.startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert span.endswith("-01")
    assert span != trace
    for name in ("host", "content-length", "webhook-signature", "webhook-timestamp"):
        del headers[name]
    assert headers == {
        "accept-encoding": "identity",
        "content-type": "application/json",
        "webhook-id": str(event),
        "outboxd-attempt": "1",
        "outboxd-hops": "4",
        "tracestate": "a=1",
        "user-agent": "me",
        "x-own": "mine",
    }


async def test_an_event_without_a_trace_is_sent_in_one_of_its_own(post: Desk, target: Target) -> None:
    await post.endpoint(target.url)
    async with post.at_work():
        for _ in range(2):
            await post.crew.attempt(await post.delivery())

    traces = [got.headers["traceparent"].split("-") for got in target.got]
    shapes = [(trace[0], len(trace[1]), len(trace[2]), trace[3]) for trace in traces]
    assert shapes == [("00", 32, 16, "00")] * 2
    assert traces[0][1] != traces[1][1]
    assert "tracestate" not in target.got[0].headers
    assert target.got[0].headers["user-agent"] == f"outboxd/{outboxd.__version__}"


async def test_the_position_is_told_once_the_event_has_one(post: Desk, target: Target) -> None:
    await post.endpoint(target.url)
    numbered = await post.delivery()
    await post.do("select outbox.sequence(array[%s::uuid])", post.crew.project)
    fresh = await post.delivery()
    async with post.at_work():
        await post.crew.attempt(numbered)
        await post.crew.attempt(fresh)

    epoch = await post.crew.value("select epoch from outbox.streams where project_id = %s", post.crew.project)
    positions = sorted(got.headers.get("outboxd-position", "none") for got in target.got)
    assert positions == sorted([f"{epoch}-1", "none"])


@proves("D2")
async def test_a_retry_has_the_same_id_another_time_and_calls_only_the_target_that_failed(
    post: Desk, target: Target, clock: Clock
) -> None:
    async with post.target(says(500)) as failing, post.target() as third:
        for each in (target, failing, third):
            await post.endpoint(each.url, secret=SECRET)
        event = await post.publish()
        retried = (await post.deliveries(event))[1]
        # Its beat is so slow that it is not silent when the clock is moved.
        async with post.crew.at_work([post.handler], beat=SLOW):
            for n in (1, 2, 3):
                await until(lambda n=n: settled(post, retried, n))
                clock.forward(timedelta(seconds=1))
                await post.crew.hurry_up()

    # That one target has failed for good is an event as well, and may have come to the others by now.
    for each in (target, third):
        assert 1 == sum(got.headers["webhook-id"] == str(event) for got in each.got)
    assert {got.headers["webhook-id"] for got in failing.got} == {str(event)}
    start = int(failing.got[0].headers["webhook-timestamp"])
    assert [int(got.headers["webhook-timestamp"]) - start for got in failing.got] == [0, 1, 2]
    assert len({got.headers["traceparent"].split("-")[2] for got in failing.got}) == 3
    assert [got.headers["outboxd-attempt"] for got in failing.got] == ["1", "2", "3"]
    for got in failing.got:
        Webhook(SECRET).verify(got.body, got.headers)


async def test_every_secret_in_force_signs_newest_first(post: Desk, target: Target) -> None:
    endpoint = await post.endpoint(target.url, secret=SECRET)
    for secret, made, ends in ((OLDER, "-1 day", "1 day"), (OLDER, "-2 days", "-1 hour")):
        await post.do(
            "insert into outbox.endpoint_secrets (id, endpoint_id, kind, sealed, created_at, expires_at)"
            " values (gen_random_uuid(), %s, 'hmac', %s, outbox.clock() + %s::interval,"
            " outbox.clock() + %s::interval)",
            *(endpoint, post.sealed(endpoint, secret), made, ends),
        )
    async with post.at_work():
        await post.crew.attempt(await post.delivery())

    (got,) = target.got
    newest, older = got.headers["webhook-signature"].split(" ")
    for secret, signature in ((SECRET, newest), (OLDER, older)):
        Webhook(secret).verify(got.body, {**got.headers, "webhook-signature": signature})


@pytest.mark.parametrize("over", [0, 1])
async def test_a_body_over_the_limit_goes_by_reference(post: Desk, target: Target, over: int) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    frame = len('{"type":"order.paid","timestamp":"2026-01-01T00:00:00.000Z","data":{"x": ""}}')
    await post.endpoint(target.url, secret=SECRET, maxBodyBytes=1024)
    async with post.at_work():
        event = await post.publish({"x": "x" * (1024 - frame + over)}, occurred_at=at)
        (job,) = await post.deliveries(event)
        await post.crew.attempt(job)

    (got,) = target.got
    sent = Webhook(SECRET).verify(got.body, got.headers)
    if over:
        assert sent["data"] is None
        assert sent["dataref"] == f"https://outbox.example/v1/events/{event}"
    else:
        assert (len(got.body), "dataref" in sent) == (1024, False)


async def test_a_body_of_a_mebibyte_is_sent_as_it_was_signed(post: Desk, target: Target) -> None:
    await post.endpoint(target.url, secret=SECRET, maxBodyBytes=1_048_576)
    async with post.at_work():
        job = await post.delivery({"x": "ü" * 524_200})
        await post.crew.attempt(job)

    (got,) = target.got
    assert len(got.body) > 1_048_400
    Webhook(SECRET).verify(got.body, got.headers)


# What is kept ----------------------------------------------------------------------------------------------


async def test_each_attempt_keeps_what_the_target_said(post: Desk, target: Target) -> None:
    body = b"caf\xe9 \x00 " + "ü".encode()
    target.answers = [
        says(422, "Content-Type: text/plain", "Retry-After: 7", "Webhook-Delivery: maybe", body=body)
    ]
    await post.endpoint(target.url)
    async with post.at_work():
        attempt = await post.crew.attempt(await post.delivery())

    kept = attempt["detail"]["delivery"]
    assert kept.pop("durationMs") >= 0
    assert kept == {
        "status": 422,
        "address": "127.0.0.1",
        "contentType": "text/plain",
        "retryAfter": "7",
        "webhookDelivery": "maybe",
        "body": "caf\ufffd \ufffd ü",
    }
    assert ("client_error", 422, "the target answered 422") == (
        attempt["class"],
        attempt["status"],
        attempt["error"],
    )


@pytest.mark.parametrize(
    ("body", "kept", "least"),
    [
        (b"x" * 70_000, "x", 16_384),
        ("ü".encode() * 40_000, "ü", 16_384),
        (b"\xff" * 70_000, "\ufffd", 16_383),
        (b"\x01" * 70_000, "\x01", 3000),
        (b'"' * 70_000, '"', 9000),
    ],
)
async def test_a_body_is_cut_so_that_the_ledger_holds_it(
    post: Desk, target: Target, body: bytes, kept: str, least: int
) -> None:
    target.answers = [says(200, body=body)]
    await post.endpoint(target.url)
    async with post.at_work():
        attempt = await post.crew.attempt(await post.delivery())

    text = attempt["detail"]["delivery"]["body"]
    assert text == kept * len(text)
    assert least <= len(text.encode()) <= 16_384


async def test_what_is_kept_is_read_as_the_attempts_delivery(post: Desk, target: Target) -> None:
    await post.endpoint(target.url)
    async with post.at_work():
        job = await post.delivery()
        attempt = await post.crew.attempt(job)

    async with post.crew.db.connection() as conn:
        (read,) = await history.attempts(conn, desk.OPERATOR, job, 0, 10)
    assert isinstance(read.delivery, msgspec.Raw)
    assert msgspec.json.decode(read.delivery) == attempt["detail"]["delivery"]


async def test_bodies_are_not_kept_where_that_is_off(crew: Crew) -> None:
    async with desk.opened(crew, DELIVERY_BODIES="off") as post, post.target(says(200, body=b"hi")) as target:
        await post.endpoint(target.url)
        async with post.at_work():
            attempt = await crew.attempt(await post.delivery())

    assert "body" not in attempt["detail"]["delivery"]
    assert 200 == attempt["detail"]["delivery"]["status"]


@proves("L12", "G8")
async def test_no_secret_and_no_header_of_the_endpoint_is_in_the_ledger_or_the_log(
    post: Desk, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    token = "Bearer s3cr3t-canary"
    target.answers = [says(429, body=f"you said authorization: {token}".encode())]
    await post.endpoint(target.url + "/url-canary", secret=SECRET, headers={"Authorization": token})
    async with post.at_work():
        attempt = await post.crew.attempt(await post.delivery({"payload": "payload-canary"}))
    printed = capsys.readouterr()

    assert token == target.got[0].headers["authorization"]
    assert "you said authorization: ***" == attempt["detail"]["delivery"]["body"]
    signature = target.got[0].headers["webhook-signature"]
    dumped = ""
    for table in ("attempts", "endpoints", "endpoint_secrets", "jobs", "queues"):
        dumped += str(await post.crew.rows(f"select t::text from outbox.{table} t"))
    for canary in ("s3cr3t-canary", SECRET.removeprefix("whsec_"), signature):
        assert canary not in dumped + printed.out + printed.err
    for canary in ("payload-canary", "url-canary"):
        assert canary not in str(attempt) + printed.out + printed.err


async def test_a_healthy_endpoint_is_written_once(post: Desk, target: Target) -> None:
    endpoint = await post.endpoint(target.url)
    async with post.at_work():
        await post.crew.attempt(await post.delivery())
        first = await post.health(endpoint)
        await post.do("drop function outbox.note_delivery")
        attempt = await post.crew.attempt(await post.delivery())

    assert "completed" == attempt["outcome"], "it had nothing to note"
    assert first == await post.health(endpoint)


async def test_an_endpoint_remembers_each_failure_and_the_success_that_ends_them(
    post: Desk, target: Target
) -> None:
    target.answers = [says(500), says(503), says(204)]
    endpoint = await post.endpoint(target.url)
    seen = []
    async with post.at_work():
        for _ in range(3):
            await post.crew.attempt(await post.delivery())
            seen.append(await post.health(endpoint))

    assert [("server_error", 500), ("server_error", 503), ("ok", 204)] == [
        (each["last_class"], each["last_status"]) for each in seen
    ]
    assert seen[0]["last_success_at"] is None
    assert seen[2]["last_success_at"] > seen[2]["last_failure_at"]


async def test_attempts_are_counted_by_how_they_ended(post: Desk, target: Target) -> None:
    target.answers = [says(410)]
    await post.endpoint(target.url)
    before = counted("gone")
    async with post.at_work():
        await post.crew.attempt(await post.delivery())

    assert counted("gone") == before + 1


def counted(class_: str) -> float:
    lines = telemetry.render().decode().splitlines()
    name = f'outboxd_deliveries_total{{class="{class_}"}}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def test_a_missing_key_is_said_and_nothing_is_sent_unsigned(crew: Crew) -> None:
    async with desk.opened(crew) as post, post.target() as target:
        await post.endpoint(target.url)
        other = "k2:" + base64.b64encode(bytes(32)).decode()
        async with desk.opened(crew, SECRET_KEYS=other) as locked, locked.at_work():
            job = await post.delivery()
            attempt = await crew.attempt(job)

    assert ("failed", "NotConfigured", []) == (attempt["outcome"], attempt["class"], target.got)
    assert ["later"] == await crew.where(job)
