import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd import model

ID = UUID("0197f1c2-7a00-7000-8000-000000000001")
STRUCTS = [
    value
    for name in model.__all__
    if isinstance(value := getattr(model, name), type) and issubclass(value, msgspec.Struct)
]
EVENT = """
  id projectId teamId serverSessionId sourceAdapter sourceEventId eventType platformSource payload
  metadata occurredAtEpoch receivedAtEpoch createdAtEpoch subject orderingKey requestId traceparent
  position expiresAtEpoch privateRemoved expungedAtEpoch
"""
FULL = """
  id projectId teamId sourceType sourceId agentEventId serverSessionId jobType status bullmqJobId
  attempts maxAttempts nextAttemptAtEpoch completedAtEpoch failedAtEpoch cancelledAtEpoch lastError
  createdAtEpoch updatedAtEpoch queue handler priority orderingKey runAtEpoch outcome eventCount
  heldReason retriedCount requestId progress output deadlineEpoch expiresAtEpoch
"""
SQL = Path(__file__).parents[2] / "sql" / "migrations" / "0001_engine.sql"


def members(view: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(view))
    return found


def event(**fields: Any) -> model.Event:
    return model.Event(
        id=ID,
        project_id=ID,
        team_id=ID,
        server_session_id=None,
        source_adapter="api",
        source_event_id=None,
        event_type="order.paid",
        platform_source=None,
        occurred_at_epoch=1,
        received_at_epoch=2,
        created_at_epoch=2,
        subject=None,
        ordering_key=None,
        request_id="r",
        traceparent=None,
        position=None,
        expires_at_epoch=None,
        private_removed=0,
        expunged_at_epoch=None,
        **fields,
    )


def test_every_noun_is_frozen() -> None:
    assert [kind for kind in STRUCTS if not kind.__struct_config__.frozen] == []


def test_an_event_shows_null_where_there_is_nothing_and_leaves_out_what_it_never_had() -> None:
    shown = members(event(payload=Raw(b'{"n": 1.10}'), metadata=Raw(b"{}")))
    assert set(shown) == set(EVENT.split())
    assert shown["position"] is None


def test_a_payload_is_passed_on_byte_for_byte() -> None:
    assert b'{"n": 1.10, "big": 12345678901234567890}' in msgspec.json.encode(
        event(payload=Raw(b'{"n": 1.10, "big": 12345678901234567890}'))
    )


def test_the_full_view_of_a_job_has_the_members_that_are_promised() -> None:
    promised = set(FULL.split())
    assert set(model.JobFull.__struct_encode_fields__) - {"payload"} == promised


def test_names_that_camel_case_would_spoil_are_as_promised() -> None:
    assert "class" in model.Attempt.__struct_encode_fields__
    assert "terminal4xx" in model.Endpoint.__struct_encode_fields__


def test_an_error_of_a_job_shows_only_what_is_known() -> None:
    error = model.JobError(reason="refused", classification="connect", retry_in_ms=5000)
    assert members(error) == {"reason": "refused", "classification": "connect", "retryInMs": 5000}


def test_a_claimed_job_has_the_fields_of_its_type_in_the_database() -> None:
    body = re.search(r"create type outbox\.claimed as \((.*?)\);", SQL.read_text(), re.DOTALL)
    assert body is not None
    assert [field.split()[0] for field in body[1].split(",")] == list(model.Claimed.__struct_fields__)


def test_times_are_milliseconds() -> None:
    assert model.epoch(datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)) == 1767225600123


def test_a_handler_sees_the_claimed_fields_and_the_payload_decoded() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    claimed = model.Claimed(
        lease_id=ID, job_id=ID, no=3, attempt=2, max_attempts=5, series=1, queue="q", handler="resize",
        lane=4, priority=0, run_at=now, team_id=ID, project_id=ID, event_id=None, type=None, payload=None,
        payload_bytes=99999, ordering_key="k", timeout=timedelta(minutes=5), deadline=now, expires_at=None,
        checkpoint={"page": 3}, key_id=None, actor=None, request_id="r", traceparent=None, watched=False,
        queue_id=1, hops=0,
    )  # fmt: skip
    job = model.job_of(claimed, {"size": 3})
    assert (job.id, job.payload, job.checkpoint, job.attempt) == (ID, {"size": 3}, {"page": 3}, 2)
