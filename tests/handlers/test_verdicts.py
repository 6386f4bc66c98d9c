"""What `Retry-After` may say, and what is left of it."""

from datetime import UTC, datetime, timedelta

import pytest

from outboxd.egress.asking import retry_after
from outboxd.errors import Blocked, Unreachable
from outboxd.handlers import verdicts
from outboxd.handlers.verdicts import Verdict
from tests.proofs import proves

NOW = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)
HALF_A_MINUTE = timedelta(seconds=30)
DAY = timedelta(hours=24)


@proves("L11")
@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("30", HALF_A_MINUTE),
        (" 30 ", HALF_A_MINUTE),
        ("00000000000000000030", HALF_A_MINUTE),
        ("Sun, 06 Nov 1994 08:49:37 GMT", HALF_A_MINUTE),
        ("Sunday, 06-Nov-94 08:49:37 GMT", HALF_A_MINUTE),
        ("Sun Nov  6 08:49:37 1994", HALF_A_MINUTE),
        ("86400", DAY),
        ("90000", DAY),
        ("Mon, 07 Nov 1994 09:49:07 GMT", DAY),
        ("9" * 5000, DAY),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("+30", None),
        ("٣٠", None),
        ("", None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:49:07 GMT", None),
        ("Sat, 05 Nov 1994 08:49:37 GMT", None),
        ("Sun, 36 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_of_a_day_at_most(text: str | None, wait: timedelta | None) -> None:
    assert retry_after(text, NOW) == wait


def verdict(status: int, *, terminal_4xx: bool = False, **headers: str) -> Verdict:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return verdicts.of_answer(status, named, now=NOW, terminal_4xx=terminal_4xx)


@proves("D4")
def test_every_status_is_completed_tried_again_or_final_as_the_table_says() -> None:
    every = {status: verdict(status) for status in range(100, 1000)}
    assert {status for status, found in every.items() if found.ok} == set(range(200, 300))
    assert {status for status, found in every.items() if found.final} == {410, 413, 415}
    assert {status for status, found in every.items() if found.disabled} == {410}
    assert {status for status, found in every.items() if found.closed} == {429}
    assert {status for status, found in every.items() if not found.noted} == {413, 415}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 302])
def test_terminal_4xx_leaves_what_is_no_refusal_to_be_tried_again(status: int) -> None:
    assert not verdict(status, terminal_4xx=True).final


@pytest.mark.parametrize(("asked", "rest"), [("10", 60), ("600", 600), ("nonsense", 60)])
def test_a_throttling_endpoint_rests_a_minute_at_least(asked: str, rest: int) -> None:
    assert verdict(429, retry_after=asked).closed == timedelta(seconds=rest)


def test_only_a_503_that_says_how_long_closes() -> None:
    assert verdict(503, retry_after="10").closed == timedelta(seconds=10)
    assert verdict(503).closed is None
    assert verdict(500, retry_after="10").closed is None


def test_what_the_receiver_says_of_itself_beats_its_status() -> None:
    assert verdict(410, webhook_delivery="Disable").disabled == "control"
    assert verdict(200, webhook_delivery=" disable ").ok
    aborted = verdict(503, webhook_delivery="abort-message", retry_after="10")
    assert (aborted.final, aborted.noted, aborted.closed) == (True, False, None)
    assert verdict(200, webhook_delivery="abort-message") == verdict(200)
    assert verdict(500, webhook_delivery="whatever") == verdict(500)


@pytest.mark.parametrize("kind", ["dns", "connect", "tls", "timeout", "protocol"])
def test_a_broken_way_is_tried_again_under_its_own_name(kind: str) -> None:
    found = verdicts.of_failure(Unreachable("away", kind))  # type: ignore[arg-type]
    assert (found.class_, found.final) == (kind, False)


def test_a_blocked_target_is_never_tried_again() -> None:
    found = verdicts.of_failure(Blocked("private"))
    assert (found.class_, found.final) == ("blocked", True)
