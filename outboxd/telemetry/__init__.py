"""What the process tells about itself: every metric is defined here, and nowhere else.

A constant is its metric's name in capitals, without the prefix `outboxd_`. Labels come from closed
sets; what callers name freely passes through `queue_label` and `handler_label`. Metrics in
`SHARED` are about the database, which every process sees alike: they are written when somebody
scrapes, by `show`, and alerts take their maximum.
"""

import platform
from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from outboxd.telemetry.histograms import Histogram
from outboxd.telemetry.labels import HELD, OTHER, SQLSTATES, Bounded
from outboxd.telemetry.logs import configure_logging, flush_logs, tells_worker

__all__ = [
    "CONTENT_TYPE",
    "SHARED",
    "built",
    "configure_logging",
    "flush_logs",
    "handler_label",
    "held_label",
    "queue_label",
    "reading",
    "render",
    "show",
    "sqlstate_label",
    "tells_worker",
]

CONTENT_TYPE = CONTENT_TYPE_LATEST

disable_created_metrics()  # type: ignore[no-untyped-call]
_REGISTRY = CollectorRegistry()
ProcessCollector(registry=_REGISTRY)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"outboxd_{name}", text, labels, registry=_REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"outboxd_{name}", text, labels, registry=_REGISTRY)


def _seconds(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(f"outboxd_{name}", text, labels, registry=_REGISTRY, buckets=_SECONDS)


def _rows(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(f"outboxd_{name}", text, labels, registry=_REGISTRY, buckets=_ROWS)


# HTTP ---------------------------------------------------------------------------------------------------

HTTP_REQUESTS_TOTAL = _counter("http_requests_total", "Requests answered.", "route", "method", "status")
HTTP_REQUEST_SECONDS = _seconds("http_request_seconds", "From request to answer.", "route")
HTTP_IN_FLIGHT = _gauge("http_in_flight", "Requests being answered.")
HTTP_REFUSED_TOTAL = _counter("http_refused_total", "Requests refused before their route.", "reason")
STREAMS_OPEN = _gauge("streams_open", "Replies that go on, such as event streams.")
LIMITS_NOT_ASKED_TOTAL = _counter(
    "limits_not_asked_total", "Requests let through since a limit could not be asked.", "limit"
)
AUDIT_LOST_TOTAL = _counter("audit_lost_total", "Reads and batches that are not in the audit trail.")
AUTH_CACHE_TOTAL = _counter("auth_cache_total", "Look-ups of keys in memory.", "result")
LOOP_DELAY_SECONDS = _seconds("loop_delay_seconds", "How late the event loop comes back to what is due.")

# Taking events in ---------------------------------------------------------------------------------------

INGEST_EVENTS_TOTAL = _counter("ingest_events_total", "Events by what became of them.", "door", "outcome")
INGEST_QUEUE_EVENTS = _gauge("ingest_queue_events", "Events waiting for their commit.")
INGEST_QUEUE_BYTES = _gauge("ingest_queue_bytes", "Bytes waiting for their commit.")
INGEST_GROUP_SIZE = _rows("ingest_group_size", "Events in one commit.")
INGEST_COMMIT_SECONDS = _seconds("ingest_commit_seconds", "One commit of a group.")
INGEST_REFUSED_TOTAL = _counter("ingest_refused_total", "Events refused by pressure.", "reason")
INGEST_ISOLATIONS_TOTAL = _counter("ingest_isolations_total", "Groups taken apart for a bad row.")
INGEST_DUPLICATES_TOTAL = _counter("ingest_duplicates_total", "Events that were here already.", "kind")
INGEST_DEBEZIUM_REFUSED_TOTAL = _counter(
    "ingest_debezium_refused_total", "Rows of outboxevent that may not become events."
)
NOTIFY_SENT_TOTAL = _counter("notify_sent_total", "Hints sent to other processes.")
NOTIFY_FAILURES_TOTAL = _counter("notify_failures_total", "Hints that could not be sent.")

# Jobs ---------------------------------------------------------------------------------------------------

JOBS_TOTAL = _counter("jobs_total", "Executions by how they ended.", "queue", "handler", "outcome")
JOB_WAIT_SECONDS = _seconds("job_wait_seconds", "From due to started.", "queue")
JOB_RUN_SECONDS = _seconds("job_run_seconds", "From started to ended.", "queue", "handler")
CLAIMS_TOTAL = _counter("claims_total", "Claims by what they got: empty, short, full.", "result")
CLAIM_SECONDS = _seconds("claim_seconds", "One claim.")
CLAIM_ROWS = _rows("claim_rows", "Jobs in one claim.")
SETTLE_SECONDS = _seconds("settle_seconds", "One settling statement.")
SETTLE_QUEUE_ROWS = _gauge("settle_queue_rows", "Outcomes waiting to be settled.")
SETTLE_REFUSED_TOTAL = _counter("settle_refused_total", "Outcomes of jobs that were no longer ours.")
RESCUED_TOTAL = _counter("rescued_total", "Jobs taken from dead workers.")
SLOTS_IN_USE = _gauge("slots_in_use", "Jobs running in this process.")
BEAT_AGE_SECONDS = _gauge("beat_age_seconds", "Since this worker's last good beat.")
SELF_FENCED_TOTAL = _counter("self_fenced_total", "Times this worker gave up its leases by itself.")
QUEUE_DUE = _gauge("queue_due", "Jobs that could run now.", "queue")
QUEUE_OLDEST_SECONDS = _gauge("queue_oldest_seconds", "Age of the oldest of them.", "queue")
QUEUE_PAUSED = _gauge("queue_paused", "Queues that are paused.", "queue")
DEAD_LETTERS = _gauge("dead_letters", "Jobs that failed for good and wait for a person.", "queue")
LANES_BLOCKED = _gauge("lanes_blocked", "Ordering keys that stand still behind a dead job.", "queue")
WORKERS = _gauge("workers", "Workers by state.", "state")
STUCK_JOBS = _gauge("stuck_jobs", "Jobs that will not run by themselves.", "reason")
JOBS_HELD = _gauge("jobs_held", "Jobs that wait for more than their time.", "reason")

# The feed -----------------------------------------------------------------------------------------------

SEQUENCE_SECONDS = _seconds("sequence_seconds", "One numbering of committed events.")
SEQUENCE_ROWS = _rows("sequence_rows", "Events numbered at once.")
PENDING_ROWS = _gauge("pending_rows", "Committed events that have no number yet.")
PENDING_OLDEST_SECONDS = _gauge("pending_oldest_seconds", "Age of the oldest of them.")
STREAM_SUBSCRIBERS_REPLAYING = _gauge("stream_subscribers_replaying", "Subscribers that read from the table.")
STREAM_LAG_EVENTS = _rows("stream_lag_events", "Events between what was sent and the head.")
STREAM_FRAMES_TOTAL = _counter("stream_frames_total", "Events sent to subscribers.")
STREAM_RESETS_TOTAL = _counter("stream_resets_total", "Positions that could not be served.", "reason")
STREAM_CLOSED_TOTAL = _counter("stream_closed_total", "Streams by why they ended.", "reason")
STREAM_GAPS_TOTAL = _counter("stream_gaps_total", "Rows that did not follow the one before; must stay 0.")
STREAM_RING_BYTES = _gauge("stream_ring_bytes", "Newest rows of feeds, held for subscribers.")
LISTEN_RECONNECTS_TOTAL = _counter("listen_reconnects_total", "Times LISTEN was set up again.")
LISTEN_UP = _gauge("listen_up", "1 while hints are proven to arrive, else 0 and polling.")

# Interactions -------------------------------------------------------------------------------------------

INTERACTIONS_TOTAL = _counter("interactions_total", "What became of questions.", "kind", "outcome")
INTERACTIONS_DENIED_TOTAL = _counter("interactions_denied_total", "Answers in a scope that is not theirs.")
INTERACTIONS_WAIT_SECONDS = Histogram(
    "outboxd_interactions_wait_seconds",
    "From question to answer.",
    (),
    registry=_REGISTRY,
    buckets=(1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400, 604_800),
)
PULL_WAITERS = _gauge("pull_waiters", "Claims over HTTP that wait for a job.")
INTERACTIONS_WAITERS = _gauge("interactions_waiters", "Requests that wait for an answer.")
INTERACTIONS_PENDING = _gauge("interactions_pending", "Questions that wait for a person.")
INTERACTIONS_OLDEST_PENDING_SECONDS = _gauge(
    "interactions_oldest_pending_seconds", "Age of the oldest of them."
)

# Webhooks -----------------------------------------------------------------------------------------------

DELIVERIES_TOTAL = _counter("deliveries_total", "Attempts to deliver by how they ended.", "class")
DELIVERY_SECONDS = _seconds("delivery_seconds", "One attempt to deliver.", "class")
ENDPOINTS = _gauge("endpoints", "Webhook targets by state.", "state")
BREAKER_OPENED_TOTAL = _counter("breaker_opened_total", "Webhook targets that rest after failures in a row.")
EGRESS_BLOCKED_TOTAL = _counter("egress_blocked_total", "Calls not made, since their target is denied.")

# Providers ----------------------------------------------------------------------------------------------

PROVIDER_CALLS_TOTAL = _counter("provider_calls_total", "Calls by what came of them.", "provider", "class")
PROVIDER_SECONDS = _seconds("provider_seconds", "One call of a provider.", "provider")
PROVIDER_TOKENS_TOTAL = _counter("provider_tokens_total", "Tokens in and out.", "provider", "direction")
PROVIDER_COST_MICROS_TOTAL = _counter("provider_cost_micros_total", "Micro-dollars spent.", "provider")
PROVIDER_HELD = _gauge("provider_held", "1 while the provider is left alone, else 0.", "provider")
GENERATION_OUTCOMES_TOTAL = _counter(
    "generation_outcomes_total", "Completed jobs of generation by what came of them.", "outcome"
)

# Chores -------------------------------------------------------------------------------------------------

CHORE_LAST_SUCCESS = _gauge("chore_last_success", "When the chore last succeeded, unix seconds.", "chore")
CHORE_SECONDS = _seconds("chore_seconds", "One run of a chore.", "chore")
CHORE_ROWS_TOTAL = _counter("chore_rows_total", "Rows a chore dealt with.", "chore")
CHORE_FAILURES_TOTAL = _counter("chore_failures_total", "Runs of a chore that failed.", "chore")

# Database -----------------------------------------------------------------------------------------------

DB_POOL_CONNECTIONS = _gauge("db_pool_connections", "Connections of the pool by state.", "state")
DB_POOL_WAIT_SECONDS = _seconds("db_pool_wait_seconds", "Wait for a connection of the pool.")
DB_ERRORS_TOTAL = _counter("db_errors_total", "Errors of Postgres by SQLSTATE class.", "class")
DB_RETRIES_TOTAL = _counter("db_retries_total", "Statements repeated after an error.")
DB_NETWORK_CUTS_TOTAL = _counter("db_network_cuts_total", "Connections cut because they were silent.")
NOTIFY_QUEUE_RATIO = _gauge("notify_queue_ratio", "How full the server's queue of hints is, 0..1.")
TABLE_DEAD_ROWS = _gauge("table_dead_rows", "Dead rows waiting for vacuum.", "table")
XMIN_AGE_SECONDS = _gauge("xmin_age_seconds", "Age of the oldest snapshot, which holds vacuum back.")
SCHEMA_VERSION = _gauge("schema_version", "Number of the last migration.")

# Cost ---------------------------------------------------------------------------------------------------

WAL_BYTES_PER_JOB = _gauge("wal_bytes_per_job", "WAL of the whole server for each attempt, over a minute.")
DEAD_ROWS_PER_JOB = _gauge("dead_rows_per_job", "Row versions made dead for each attempt, over a minute.")

# Process ------------------------------------------------------------------------------------------------

READY = _gauge("ready", "1 while /readyz says that requests may come, else 0.")
BUILD_INFO = _gauge("build_info", "What runs here; always 1.", "version", "python", "schema")

SHARED: frozenset[Gauge] = frozenset(
    {
        QUEUE_DUE,
        QUEUE_OLDEST_SECONDS,
        QUEUE_PAUSED,
        DEAD_LETTERS,
        LANES_BLOCKED,
        WORKERS,
        STUCK_JOBS,
        JOBS_HELD,
        PROVIDER_HELD,
        PENDING_ROWS,
        PENDING_OLDEST_SECONDS,
        INTERACTIONS_PENDING,
        INTERACTIONS_OLDEST_PENDING_SECONDS,
        ENDPOINTS,
        CHORE_LAST_SUCCESS,
        NOTIFY_QUEUE_RATIO,
        TABLE_DEAD_ROWS,
        XMIN_AGE_SECONDS,
        WAL_BYTES_PER_JOB,
        DEAD_ROWS_PER_JOB,
    }
)

_QUEUES = Bounded(50)
_HANDLERS = Bounded(50)


def queue_label(queue: str, handler: str) -> str:
    """The queue's class: its handler, where all endpoints are one, and all pull queues are one."""
    if queue.startswith("endpoint:"):
        return "endpoint"
    return "pull" if handler.startswith("pull:") else _QUEUES.label(handler)


def handler_label(handler: str) -> str:
    return "pull" if handler.startswith("pull:") else _HANDLERS.label(handler)


def held_label(reason: str) -> str:
    """Handlers, and whoever snoozes a job, may give any reason."""
    return reason if reason in HELD else OTHER


def sqlstate_label(state: str | None) -> str:
    """The class of an error; functions of users may raise with any. None: the client gave up by itself."""
    if state is None:
        return "client"
    return state[:2] if state[:2] in SQLSTATES else OTHER


def show(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    """Makes `values`, by their labels, all that the gauge says: what is gone is not shown for ever."""
    gauge.clear()
    for labels, value in values.items():
        (gauge.labels(*labels) if labels else gauge).set(value)


def reading(metric: Gauge | Counter) -> float:
    """What a metric without labels says now."""
    return next(iter(metric.collect())).samples[0].value


def built(version: str, schema: int) -> None:
    show(BUILD_INFO, {(version, platform.python_version(), str(schema)): 1})
    SCHEMA_VERSION.set(schema)


def render() -> bytes:
    """Everything, in the text format of Prometheus (`CONTENT_TYPE`)."""
    return generate_latest(_REGISTRY)
