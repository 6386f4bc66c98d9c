"""Alerts and dashboard speak of what exists: metrics, labels, views and commands; and the alerts fire."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from outboxd import telemetry
from outboxd.cli.frame import nouns
from outboxd.errors import ConfigError
from outboxd.telemetry.histograms import Histogram

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS, DASHBOARD = DEPLOY / "alerts.yaml", DEPLOY / "grafana.json"
METRICS = {
    f"outboxd_{name.lower()}": value
    for name, value in vars(telemetry).items()
    if isinstance(value, MetricWrapperBase)
}
# What a server of metrics adds to each series, and what it counts by itself.
ADDED = {"job", "instance", "le"}
OTHERS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
NAME = re.compile(r"\b(?:outboxd|process)_\w+|\bup\b")
LABELLED = re.compile(r"(outboxd_\w+)\{([^}]*)\}")
ROWS = [
    "HTTP", "Ingest and hints", "Queues and jobs", "Streams and feed", "Webhooks", "Generation",
    "Interactions", "Chores", "Database", "Cost", "Process",
]  # fmt: skip
PAGE = {
    "OutboxdDown", "OutboxdNotReady", "OutboxdLag", "OutboxdNoWorkers", "OutboxdStuck", "OutboxdDeadLetters",
    "OutboxdFeedBehind", "OutboxdEndpointResting", "OutboxdEndpointDisabled", "OutboxdProviderHeld",
    "OutboxdBudget", "OutboxdVacuumPinned", "OutboxdNotifyQueue", "OutboxdChoreLate", "OutboxdRefusing",
    "OutboxdLeasesLost", "OutboxdGap",
}  # fmt: skip


def alerts() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="no YAML parser is installed here")
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def panels(kind: str) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] == kind]


def asked() -> list[str]:
    """Every expression of both files."""
    shown = [target["expr"] for panel in panels("timeseries") for target in panel["targets"]]
    return shown + [alert["expr"] for alert in alerts()]


def defined(series: str) -> MetricWrapperBase | None:
    """The metric that has this series."""
    whole = METRICS.get(series)
    part = METRICS.get(re.sub(r"_(bucket|sum|count)$", "", series))
    return whole or (part if isinstance(part, Histogram) else None)


def unknown(expression: str) -> list[str]:
    """Series that nothing of ours has, and labels that a series does not have."""
    wrong = [name for name in NAME.findall(expression) if not (defined(name) or name in OTHERS)]
    for series, selectors in LABELLED.findall(expression):
        metric = defined(series)
        known = {*ADDED, *(metric._labelnames if metric else ())}
        wrong += [f"{series}: {label}" for label in re.findall(r"(\w+)[!=]", selectors) if label not in known]
    return wrong


def test_alerts_and_dashboard_speak_of_metrics_that_are_defined() -> None:
    assert [] == [wrong for expression in asked() for wrong in unknown(expression)]


@pytest.mark.parametrize(
    "expression", ["max(outboxd_queue_dew)", 'outboxd_queue_due{tenant="a"}', "outboxd_queue_due_bucket"]
)
def test_what_is_not_defined_would_be_found(expression: str) -> None:
    assert unknown(expression)


def test_every_alert_of_the_page_is_there_and_says_what_to_read_and_what_to_type() -> None:
    found = alerts()
    assert PAGE == {alert["alert"] for alert in found}
    assert [] == [a["alert"] for a in found if {"summary", "read", "first"} - set(a["annotations"])]
    read = " ".join(alert["annotations"]["read"] for alert in found)
    views = {file.stem for file in (DEPLOY.parent / "sql" / "views").glob("*.sql")}
    assert set(re.findall(r"\b[a-z]+_[a-z_]+\b", read)) <= views
    first = [alert["annotations"]["first"].partition(",")[0] for alert in found]
    commands = [line.split()[1:] for line in first if line.startswith("outboxd ")]
    assert [] == [words for words in commands if not _is_command(words)]


def _is_command(words: list[str]) -> bool:
    try:
        nouns().parse(words)
    except (ConfigError, SystemExit):
        return False
    return True


def test_what_every_process_tells_alike_is_not_added_up() -> None:
    shared = {name for name, metric in METRICS.items() if metric in telemetry.SHARED}
    wrong = [
        expression
        for expression in asked()
        for name in NAME.findall(expression)
        if name in shared and not re.search(rf"max( by \([\w, ]+\))? ?\((delta\()?{name}", expression)
    ]
    assert [] == wrong


def test_the_dashboard_has_a_row_for_each_group_and_every_metric() -> None:
    assert ROWS == [panel["title"] for panel in panels("row")]
    said = " ".join(target["expr"] for panel in panels("timeseries") for target in panel["targets"])
    assert [] == [name for name in METRICS if name not in said]


def test_alerts_fire_when_they_should_and_are_quiet_otherwise() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here")
    file = Path(__file__).with_name("alerts_test.yaml")
    told = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert 0 == told.returncode, told.stdout + told.stderr
