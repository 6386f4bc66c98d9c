"""What a process says of generation when it starts: nothing is ever silently off."""

import json
from typing import Any

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
