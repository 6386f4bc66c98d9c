"""What a process says of generation when it starts: nothing is ever silently off."""

import json
import time
from typing import Any

import psycopg
import pytest

from tests.daemon.daemons import Daemon, Place

proves = pytest.mark.proves

KEY = "sk-hunter2secret"


def told(daemon: Daemon) -> dict[str, Any]:
    """Its one line about generation."""
    lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    [found] = [line for line in lines if line["event"].startswith("generation")]
    return dict(found)


@proves("M27")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"provider": "grok"}, "OUTBOXD_PROVIDER: got 'grok'; wants claude or"),
        ({"provider": "claude"}, "wants its key too: OUTBOXD_ANTHROPIC_API_KEY is not set"),
        ({"provider_fallback": "gemini"}, "wants its key too: OUTBOXD_GEMINI_API_KEY is not set"),
    ],
    ids=["unknown", "without a key", "fallback without a key"],
)
def test_a_provider_that_cannot_be_asked_ends_the_boot_with_one_sentence(
    place: Place, settings: dict[str, str], said: str
) -> None:
    daemon = place.work(generation="per-event", **settings)
    assert 2 == daemon.gone(20), daemon.log
    assert 1 == daemon.log.count("error:"), daemon.log
    assert said in daemon.log


@proves("M27")
def test_policy_and_provider_are_told_at_boot_and_the_key_is_not(place: Place) -> None:
    daemon = place.work(generation="debounce", anthropic_api_key=KEY).ready()
    line = told(daemon)
    assert ("debounce", "claude", "info") == (line["policy"], line["provider"], line["level"])
    assert "hunter2" not in daemon.log
    stored = place.value("select string_agg(name || value, ' ') from outbox.settings")
    assert "provider_key:claude" in stored
    assert "hunter2" not in stored


@proves("M27")
def test_generation_that_is_off_or_without_a_model_is_said_aloud(place: Place) -> None:
    off = told(place.work(generation="off").ready())
    assert ("warning", "off") == (off["level"], off["policy"])
    offline = told(place.work(generation="per-event").ready())
    assert ("per-event", "offline") == (offline["policy"], offline["provider"])
    assert "without a model" in offline["event"]


def test_another_key_ends_the_hold_of_the_old_one(place: Place) -> None:
    place.work(anthropic_api_key=KEY).ready()
    place.value("select outbox.provider_failed('claude', 'auth_invalid', '5 min', true)")
    held = "select count(*) from outbox.queues where closed_reason = 'provider'"
    place.work(anthropic_api_key=KEY).ready()
    assert 2 == place.value(held)
    last = place.work(anthropic_api_key="sk-another").ready()
    assert 0 == place.value(held)
    assert "its hold ended" in last.log


OBSERVED = "select count(*) > 0 from outbox.attempts where job_id = %s and outcome = 'completed'"
ASLEEP = "select exists (select from outbox.idle where handler = 'observe')"


def asleep(place: Place) -> None:
    """A worker that hears hints, and waits for one."""
    daemon = place.work(generation="per-event").ready()
    until = time.monotonic() + 10
    while '"listen":"ok"' not in str(daemon.get("/readyz")):
        assert time.monotonic() < until, daemon.get("/readyz")
        time.sleep(0.05)
    place.until(ASLEEP)


def published(place: Place, *, hinted: bool = True) -> Any:
    """An event, and the job of generation that it makes."""
    project = place.project()
    place.value(
        "insert into outbox.settings values ('generation', 'per-event')"
        " on conflict (name) do update set value = excluded.value returning 1"
    )
    event = place.value(
        "select outbox.publish('tool_use', '{\"tool_name\": \"Edit\"}', p_project => %s)"
        " from (select set_config('outbox.notify', %s, false) offset 0) s",
        *(project, "gated" if hinted else "off"),
    )
    return place.value("select id from outbox.jobs where event_id = %s", event)


@proves("M1")
def test_an_event_whose_hint_is_lost_is_observed_by_the_poll(place: Place) -> None:
    asleep(place)
    job = published(place, hinted=False)
    place.until(OBSERVED, job, limit=6)


@proves("M1")
def test_a_retry_of_a_queued_job_wakes_a_worker_that_sleeps(place: Place) -> None:
    job = published(place)
    place.value("select outbox.snooze(outbox.me(), %s, outbox.clock() + interval '1 h')", job)
    asleep(place)
    with psycopg.connect(place.dsn, autocommit=True) as hears:
        hears.execute("listen outbox_wake")
        assert "queued" == place.value("select before from outbox.retry(outbox.me(), %s)", job)
        hints = [hint.payload for hint in hears.notifies(timeout=5, stop_after=1)]
    assert ["q:observe"] == hints
    place.until(OBSERVED, job, limit=6)
