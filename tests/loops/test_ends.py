"""What an exception or a return value means, without a database."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from outboxd import errors
from outboxd.db import faults
from outboxd.errors import Refused, Unavailable, Unreachable
from outboxd.loops import ends
from outboxd.model import Done, Snooze
from outboxd.model.contract import Ended

proves = pytest.mark.proves

LEASE = UUID("0197f1c2-7a00-7000-8000-000000000001")
JOB = UUID("0197f1c2-7a00-7000-8000-000000000002")


def said(ended: Ended, ms: int = 12) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ends.said(LEASE, JOB, ended, ms))
    return found


@pytest.mark.parametrize(
    ("raised", "final", "retry_in", "class_", "status"),
    [
        (Refused("no"), True, None, "BadRequest", 400),
        (errors.NotFound("no"), True, None, "NotFound", 404),
        (errors.RateLimited("slow"), True, None, "rate_limited", 429),
        (errors.LeaseLost("over"), False, None, "LeaseLost", 409),
        (Unavailable("x"), False, None, "Overloaded", 503),
        (Unavailable("x", timedelta(seconds=9)), False, timedelta(seconds=9), "Overloaded", 503),
        (Unreachable("x", "dns"), False, None, "dns", 503),
        (errors.Broken("x"), False, None, "InternalError", 500),
        (ValueError("x"), False, None, "ValueError", None),
        (TimeoutError(), False, None, "TimeoutError", None),
        (SystemExit(1), False, None, "SystemExit", None),
        (psycopg.errors.UniqueViolation(), False, None, "23505", None),
        (psycopg.OperationalError(), False, None, "database", None),
        (ExceptionGroup("x", [Refused("no")]), True, None, "BadRequest", 400),
        (ExceptionGroup("x", [Refused("no"), Refused("no")]), False, None, "ExceptionGroup", None),
    ],
)
def test_what_was_raised_decides(
    raised: BaseException, final: bool, retry_in: timedelta | None, class_: str, status: int | None
) -> None:
    ended = ends.of_error(raised)

    assert ("failed", final, retry_in, class_, status) == (
        ended.outcome,
        ended.final,
        ended.retry_in,
        ended.class_,
        ended.status,
    )


def test_an_error_of_the_database_keeps_its_state_through_the_seam() -> None:
    """`Clash` is a Refused, yet a unique violation in a handler may pass the next time."""
    cause = psycopg.errors.UniqueViolation()
    clash = faults.of(cause)
    clash.__cause__ = cause

    ended = ends.of_error(clash)

    assert isinstance(clash, Refused)
    assert (False, "23505") == (ended.final, ended.class_)


def test_what_was_returned_decides() -> None:
    assert ends.COMPLETED is ends.of_result(None)
    assert Ended(outcome="completed", output=3) == ends.of_result(Done(output=3))
    assert Ended(outcome="snoozed", delay=timedelta(hours=1), reason="budget") == ends.of_result(
        Snooze(timedelta(hours=1), "budget")
    )
    assert ("failed", "bad_return") == (ends.of_result(7).outcome, ends.of_result(7).class_)


def test_a_completion_says_no_more_than_it_must() -> None:
    assert {"lease": str(LEASE), "job": str(JOB), "outcome": "completed", "ms": 12} == said(ends.COMPLETED)


@proves("L11")
@pytest.mark.parametrize(
    ("asked", "millis"),
    [(timedelta(seconds=1), 1000), (timedelta(days=9), 86_400_000), (timedelta(seconds=-5), 0)],
)
def test_an_explicit_delay_is_kept_within_a_day(asked: timedelta, millis: int) -> None:
    assert millis == said(Ended(outcome="failed", retry_in=asked))["retryInMs"]


@proves("L12")
def test_texts_are_cut_and_hold_what_can_be_stored() -> None:
    item = said(Ended(outcome="failed", class_="c" * 200, error="a\0b\ud800" + "x" * 3000, reason="r" * 300))

    assert (100, 200) == (len(item["class"]), len(item["reason"]))
    assert "ab?" + "x" * 1996 == item["error"]


@proves("L12")
def test_of_somebody_elses_exception_only_class_and_place_are_kept() -> None:
    def leak() -> None:
        raise RuntimeError("password=hunter2")

    with pytest.raises(RuntimeError) as raised:
        leak()
    ended = ends.of_error(raised.value)

    assert ended.error is not None
    assert ended.error.startswith("RuntimeError at test_ends.py:")
    assert "hunter2" not in str(ended)


@pytest.mark.parametrize(
    ("output", "kept", "class_"),
    [
        ({"a": [1, None]}, {"a": [1, None]}, None),
        ("x" * 16_382, "x" * 16_382, None),
        ("x" * 16_383, None, "output_too_large"),
        ("a\0", None, "output_not_text"),
        ("\ud800", None, "output_not_json"),
        ({1, 2}, [1, 2], None),
        (object(), None, "output_not_json"),
    ],
)
def test_an_output_is_kept_or_its_absence_explained(output: Any, kept: Any, class_: str | None) -> None:
    item = said(Ended(outcome="completed", output=output))

    assert (kept, class_) == (item.get("output"), item.get("class"))


def test_a_deep_output_is_not_the_end_of_the_worker() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert "output_not_json" == said(Ended(outcome="completed", output=deep))["class"]
