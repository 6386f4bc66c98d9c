"""What a project may set, what holds where it says nothing, and how a patch is merged."""

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.engine import Engine

Json = dict[str, Any]


def check(engine: Engine, settings: Any) -> str | None:
    """What is wrong with them; None: nothing."""
    try:
        engine.do("select outbox.check_project_settings(%s)", Jsonb(settings))
    except psycopg.Error as failed:
        return str(failed.diag.message_primary) if failed.sqlstate == "OX400" else failed.sqlstate
    return None


def setting(engine: Engine, path: str, settings: Json | None = None) -> Any:
    engine.do("update outbox.projects set settings = %s", Jsonb(settings or {}))
    return engine.one("select outbox.project_setting(p, %s) from outbox.projects p limit 1", path)


def daemon_says(engine: Engine, **rows: str) -> None:
    for name, value in rows.items():
        engine.do("insert into outbox.settings values (%s, %s)", name, value)


EDGES = [
    ("generation", "quietMs", 500, 600_000),
    ("generation", "maxWaitMs", 5_000, 3_600_000),
    ("generation", "maxEvents", 1, 200),
    ("generation", "maxOutputTokens", 256, 32_768),
    ("summary", "quietSeconds", 0, 3_600),
    ("session", "idleEndSeconds", 60, 604_800),
    ("retention", "eventDays", 0, 3_650),
    ("retention", "memoryDays", 0, 3_650),
]


@pytest.mark.parametrize(("group", "name", "low", "high"), EDGES)
def test_a_number_is_taken_at_both_its_bounds_and_refused_beyond(
    engine: Engine, group: str, name: str, low: int, high: int
) -> None:
    # The wait goes along, or the relation between the two would be broken, and not the bound.
    wait = {"maxWaitMs": 3_600_000} if name == "quietMs" else {}

    assert check(engine, {group: {**wait, name: low}}) is None
    assert check(engine, {group: {**wait, name: high}}) is None
    for wrong in (low - 1, high + 1, low + 0.5, str(low), True):
        refused = check(engine, {group: {**wait, name: wrong}}) or ""
        assert refused.startswith(f"settings.{group}.{name}: ")


@pytest.mark.parametrize("name", ["tokensPerMonth", "costMicrosPerMonth", "callsPerHour"])
def test_a_budget_is_a_whole_number_from_nothing_up(engine: Engine, name: str) -> None:
    assert check(engine, {"budgets": {name: 0}}) is None
    assert check(engine, {"budgets": {name: 10**12}}) is None
    assert check(engine, {"budgets": {name: -1}}) is not None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"generation": {}},
        {"generation": {"policy": "end-of-session", "quietMs": None}},
        {"generation": {"model": "m" * 128, "types": ["bugfix"] * 40}},
        {"generation": {"skipTools": ["Read*"] * 100, "skipEventTypes": []}},
        {"summary": {"enabled": False}, "dedupe": {"enabled": False}},
        {"session": {"idleEndSeconds": 0}},
        {"privacy": {"redactSecrets": "ingest"}},
    ],
)
def test_what_the_page_names_is_taken(engine: Engine, settings: Json) -> None:
    assert check(engine, settings) is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ([], "settings"),
        ({"generation": 5}, "settings.generation"),
        ({"colour": {"hue": 1}}, "settings.colour.hue"),
        ({"colour": {}}, "settings.colour"),
        ({"generation": {"colour": 1}}, "settings.generation.colour"),
        ({"generation": {"policy": "sometimes"}}, "settings.generation.policy"),
        ({"generation": {"policy": 1}}, "settings.generation.policy"),
        ({"generation": {"model": "m" * 129}}, "settings.generation.model"),
        ({"generation": {"types": ["x"] * 41}}, "settings.generation.types"),
        ({"generation": {"types": [1]}}, "settings.generation.types"),
        ({"generation": {"skipTools": ["x"] * 101}}, "settings.generation.skipTools"),
        ({"summary": {"enabled": "yes"}}, "settings.summary.enabled"),
        ({"session": {"idleEndSeconds": 59}}, "settings.session.idleEndSeconds"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(engine: Engine, settings: Any, named: str) -> None:
    assert (check(engine, settings) or "").startswith(f"{named}: ")


def test_a_wait_shorter_than_the_quiet_time_is_refused_also_against_the_servers(engine: Engine) -> None:
    assert check(engine, {"generation": {"quietMs": 9_000, "maxWaitMs": 9_000}}) is None
    assert "maxWaitMs" in (check(engine, {"generation": {"quietMs": 9_001, "maxWaitMs": 9_000}}) or "")
    assert "maxWaitMs" in (check(engine, {"generation": {"quietMs": 60_001}}) or "")


def test_only_a_provider_that_the_daemon_has_may_be_named(engine: Engine) -> None:
    assert check(engine, {"generation": {"provider": "claude"}}) is not None
    daemon_says(engine, providers="claude,offline")

    assert check(engine, {"generation": {"provider": "claude"}}) is None
    assert check(engine, {"generation": {"provider": "gemini"}}) is not None


def test_the_projects_value_wins_then_the_daemons_then_the_built_in(engine: Engine) -> None:
    engine.tenant()

    assert setting(engine, "generation.policy") == "off"
    assert setting(engine, "summary.enabled") is True
    assert setting(engine, "budgets.tokensPerMonth") is None
    assert len(setting(engine, "generation.types")) == 9

    daemon_says(engine, generation="per-event", event_days="0", budget_tokens_per_month="7", model="")
    assert setting(engine, "generation.policy") == "per-event"
    assert setting(engine, "retention.eventDays") == 0
    assert setting(engine, "budgets.tokensPerMonth") == 7
    assert setting(engine, "generation.model") is None

    assert setting(engine, "generation.policy", {"generation": {"policy": "debounce"}}) == "debounce"


@pytest.mark.parametrize(
    ("old", "patch", "merged"),
    [
        ({}, {"summary": {"enabled": False}}, {"summary": {"enabled": False}}),
        ({}, {"summary.enabled": False}, {"summary": {"enabled": False}}),
        ({}, {"summary": {"enabled": True, "quietSeconds": 5}, "summary.enabled": False},
         {"summary": {"enabled": False, "quietSeconds": 5}}),
        ({"summary": {"enabled": False, "quietSeconds": 5}}, {"summary.enabled": None},
         {"summary": {"quietSeconds": 5}}),
        ({"summary": {"enabled": False}}, {"summary": {"enabled": None}}, {}),
        ({"summary": {"enabled": False}, "dedupe": {"enabled": False}}, {"summary": None},
         {"dedupe": {"enabled": False}}),
        ({"summary": {"enabled": False}}, None, {}),
        ({"summary": {"enabled": False}}, {}, {"summary": {"enabled": False}}),
    ],
)  # fmt: skip
def test_a_patch_is_merged(engine: Engine, old: Json, patch: Json | None, merged: Json) -> None:
    assert engine.one("select outbox.merge_settings(%s, %s)", Jsonb(old), Jsonb(patch)) == merged


@pytest.mark.parametrize(
    "patch", [{"colour": None}, {"summary.colour": None}, {"summary": {"colour": None}}, 5]
)
def test_removing_what_no_setting_is_called_is_refused(engine: Engine, patch: Any) -> None:
    with pytest.raises(psycopg.Error) as failed:
        engine.one("select outbox.merge_settings('{}', %s)", Jsonb(patch))

    assert failed.value.sqlstate == "OX400"
