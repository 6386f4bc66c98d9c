"""The demo's receiver believes only what the standard's own library would."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from outboxd.cli.demo.receiver import Receiver, one_in_five

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"type": "github.push", "data": {"n": 1}}).encode()


def headers(age: timedelta = timedelta()) -> dict[str, str]:
    at = datetime.now(UTC) - age
    signed = Webhook(SECRET).sign("evt_1", at, BODY.decode())
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": f"v1,Zm9yZ2Vk {signed}",
    }


@pytest.fixture
def receiver() -> Receiver:
    made = Receiver(one_in_five)
    made.secret = SECRET
    return made


def test_what_the_library_signed_is_taken(receiver: Receiver) -> None:
    assert b"204 No Content" == receiver._answer(headers(), BODY)
    [call] = receiver.accepted("evt_1")
    assert ("github.push", {"n": 1}, 0) == (call.type, call.data, receiver.forged)


def test_what_was_changed_or_is_old_or_unsigned_is_not(receiver: Receiver) -> None:
    for forged, body in [
        (headers(), BODY.replace(b"1", b"2")),
        (headers(timedelta(minutes=6)), BODY),
        ({**headers(), "webhook-signature": ""}, BODY),
        ({}, BODY),
    ]:
        assert b"401 Unauthorized" == receiver._answer(forged, body)
    assert (4, []) == (receiver.forged, receiver.calls)


def test_one_call_in_five_fails_on_purpose(receiver: Receiver) -> None:
    answers = [receiver._answer(headers(), BODY) for _ in range(20)]
    assert 4 == answers.count(b"503 Service Unavailable") == receiver.failed
