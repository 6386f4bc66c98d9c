import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from outboxd import telemetry
from outboxd.telemetry.labels import Bounded
from tests.proofs import proves

METRICS = {name: value for name, value in vars(telemetry).items() if isinstance(value, MetricWrapperBase)}
PACKAGE = Path(telemetry.__file__).parents[1]
SPECIFIED = """
  http_requests_total http_request_seconds http_in_flight http_refused_total auth_cache_total
  loop_delay_seconds ready breaker_opened_total db_pool_wait_seconds wal_bytes_per_job dead_rows_per_job
  streams_open audit_lost_total pull_waiters
  limits_not_asked_total
  ingest_events_total ingest_queue_events ingest_queue_bytes ingest_group_size
  ingest_commit_seconds ingest_refused_total ingest_isolations_total ingest_duplicates_total
  ingest_debezium_refused_total
  notify_failures_total jobs_total job_wait_seconds job_run_seconds queue_due queue_oldest_seconds
  claims_total claim_seconds settle_refused_total rescued_total dead_letters lanes_blocked slots_in_use
  beat_age_seconds self_fenced_total notify_sent_total xmin_age_seconds queue_paused workers stuck_jobs
  jobs_held settle_seconds settle_queue_rows claim_rows sequence_seconds sequence_rows pending_rows
  pending_oldest_seconds listen_reconnects_total listen_up deliveries_total delivery_seconds endpoints
  egress_blocked_total chore_last_success chore_seconds chore_rows_total
  chore_failures_total db_pool_connections db_errors_total db_retries_total
  db_network_cuts_total notify_queue_ratio table_dead_rows schema_version
  interactions_total interactions_denied_total interactions_wait_seconds interactions_waiters
  interactions_pending interactions_oldest_pending_seconds
  stream_subscribers_replaying stream_lag_events stream_frames_total stream_resets_total
  stream_closed_total stream_gaps_total stream_ring_bytes
  build_info provider_calls_total provider_seconds provider_tokens_total provider_cost_micros_total
  provider_held generation_outcomes_total
"""


def values(name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(telemetry.render().decode())
        for sample in family.samples
        if sample.name == f"outboxd_{name}"
    }


@pytest.mark.parametrize("name", sorted(METRICS))
def test_each_metric_is_moved_by_something(name: str) -> None:
    # Its definition is one mention; in the table of what every process shows alike it may have another.
    said = sum(len(re.findall(rf"\b{name}\b", file.read_text())) for file in PACKAGE.rglob("*.py"))
    assert said > 1 + (METRICS[name] in telemetry.SHARED)


def test_the_metrics_are_those_that_are_documented() -> None:
    assert {name.lower() for name in METRICS} == set(SPECIFIED.split())


@pytest.mark.parametrize("name", METRICS)
def test_a_constant_is_the_name_of_its_metric(name: str) -> None:
    described = next(iter(METRICS[name].describe()))
    counted = described.name + ("_total" if described.type == "counter" else "")
    assert (counted, bool(described.documentation)) == (f"outboxd_{name.lower()}", True)


def test_what_is_rendered_parses_and_has_no_created_series() -> None:
    telemetry.JOBS_TOTAL.labels("observe", "observe", "completed").inc()
    families = list(text_string_to_metric_families(telemetry.render().decode()))
    assert {family.name for family in families} >= {
        "outboxd_jobs",
        "outboxd_job_run_seconds",
        "process_open_fds",
    }
    assert [s.name for family in families for s in family.samples if s.name.endswith("_created")] == []


def test_no_other_module_defines_a_metric() -> None:
    sources = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "telemetry"]
    makes = re.compile(r"\b(Counter|Gauge|Histogram|Summary)\(\s*f?\"|from prometheus_client")
    assert [path.name for path in sources if makes.search(path.read_text())] == []


def test_shared_metrics_are_gauges_that_exist() -> None:
    assert set(METRICS.values()) >= telemetry.SHARED


@proves("G8", "G9")
def test_no_label_tells_a_tenant_or_an_id() -> None:
    labels = {label for metric in METRICS.values() for label in metric._labelnames}
    assert labels == {
        "chore", "class", "direction", "door", "handler", "kind", "limit", "method", "outcome", "provider",
        "python", "queue", "reason", "result", "route", "schema", "state", "status", "table", "version",
    }  # fmt: skip


@proves("G9")
def test_names_beyond_the_limit_are_other() -> None:
    names = Bounded(50)
    labels = {names.label(f"hostile-{number}") for number in range(1000)}
    assert len(labels) == 51
    assert names.label("hostile-3") == "hostile-3"
    assert names.label("hostile-999") == "other"


@proves("G9")
def test_queues_are_told_by_their_class() -> None:
    assert telemetry.queue_label("endpoint:0197f1c2", "deliver") == "endpoint"
    assert telemetry.queue_label("mail", "pull:mail") == "pull"
    assert telemetry.queue_label("anything", "observe") == "observe"
    assert telemetry.handler_label("pull:mail") == "pull"


def test_what_is_gone_is_not_shown_for_ever() -> None:
    telemetry.show(telemetry.QUEUE_DUE, {("observe",): 3, ("endpoint",): 4})
    telemetry.show(telemetry.QUEUE_DUE, {("endpoint",): 5})
    telemetry.show(telemetry.PENDING_ROWS, {(): 7})
    assert values("queue_due") == {("endpoint",): 5}
    assert values("pending_rows") == {(): 7}


def test_the_build_is_told_once() -> None:
    telemetry.built("0.1.0", 1)
    telemetry.built("0.2.0", 2)
    assert [labels[0::2] for labels in values("build_info")] == [("0.2.0", "2")] or len(
        values("build_info")
    ) == 1
    assert values("schema_version") == {(): 2}
