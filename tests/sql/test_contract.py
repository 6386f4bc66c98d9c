"""What operate.md promises, what sql/README.md says, and what the database has: one and the same."""

import re

import psycopg
import pytest

from tests import promised as contract
from tests.sql.test_roles import MAY
from tests.sql.test_views import VIEWS, promised

PAGE = {
    "queue_depth": "queue, handler, due, later, held, running, failed, capped, oldest_due_at, lag,"
    " next_due_at, paused, closed_until, concurrency, workers, idle_workers",
    "tenant_depth": "queue, team_id, project_id, due, capped, oldest_due_at, weight, paused",
    "open_leases": "job_id, queue, handler, project_id, worker_id, host, lease_id, attempt, claimed_at, age,"
    " deadline_at",
    "stuck_jobs": "job_id, queue, handler, project_id, reason, since, blocked_by",
    "held_jobs": "held, queue, project_id, jobs, capped, oldest_at, until",
    "dead_jobs": "job_id, team_id, project_id, queue, handler, event_id, failed_at, attempts, class, status,"
    " error",
    "failure_groups": "queue, handler, class, status, error_head, attempts, jobs, first_at, last_at,"
    " sample_job",
    "throughput": "minute, queue, handler, completed, failed, lost, wait_p50_ms, wait_p95_ms, run_p50_ms,"
    " run_p95_ms, complete",
    "blocked_lanes": "queue, project_id, ordering_key, head_job_id, state, due_at, waiting",
    "live_workers": "worker_id, name, host, pid, version, kind, queues, handlers, started_at, beat_age,"
    " state, slots, running",
    "endpoint_health": "endpoint_id, project_id, uid, host, state, reason, closed_until,"
    " consecutive_failures, first_failure_at, last_success_at, last_class, last_status, queued,"
    " oldest_queued_at",
    "stream_lag": "project_id, epoch, head, floor, pending, oldest_pending_age, sequenced_at",
    "pending_stalled": "pid, xact_age, role, state",
    "provider_health": "provider, held_until, class, since, last_ok_at, calls_1h, failed_1h, tokens_today,"
    " cost_micros_today",
    "usage_by_day": "day, team_id, project_id, provider, model, kind, total, cap, used_ratio",
    "late_schedules": "schedule_id, project_id, name, next_at, late, state",
    "open_interactions": "id, project_id, connection_id, kind, created_at, expires_at",
    "key_use": "key_id, name, prefix, team_id, project_id, scopes, last_used_at, expires_at,"
    " revoked_at, note",
    "audit_trail": "at, action, resource_type, resource_id, team_id, project_id, actor, key_id, request_id,"
    " event_id, job_id, details",
    "chore_health": "chore, every, last_success_at, last_error_at, last_error, late",
    "vacuum_pins": "kind, pid, name, role, application, state, xmin_age, since, dead_behind, cure",
    "table_health": "table_name, live, dead, dead_ratio, bytes, last_vacuum, last_autovacuum",
    "held_partitions": "table_name, partition_name, from_at, to_at, bytes, held_by",
    "server_health": "check_name, value, wanted, ok, why",
}
"""The views of operate.md §5, with their columns in order; what else there is comes after those."""

OPERATORS = {
    "why": "job uuid",
    "retry": "caller caller, job uuid, reason text = null",
    "cancel": "caller caller, job uuid, reason text = null",
    "snooze": "caller caller, job uuid, until timestamptz, reason text = null",
    "redrive": "caller caller, filter jsonb, limit int = 1000, rate numeric = 10, dry_run boolean = false,"
    " reason text = null",
    "cancel_many": "caller caller, filter jsonb, limit int = 1000, dry_run boolean = false,"
    " reason text = null",
    "purge": "caller caller, filter jsonb, limit int = 1000, dry_run boolean = false, reason text = null",
    "unhold": "caller caller, held text, project uuid = null, limit int = 1000",
    "pause": "caller caller, queue text, project uuid = null, until timestamptz = null, reason text = null",
    "resume": "caller caller, queue text, project uuid = null",
    "configure_queue": "caller caller, queue text, settings jsonb",
    "weigh": "caller caller, queue text, project uuid, weight int",
    "add_route": "caller caller, pattern text, queue text, project uuid = null, options jsonb = '{}'",
    "change_route": "caller caller, route uuid, options jsonb",
    "remove_route": "caller caller, route uuid",
    "reset_stream": "caller caller, project uuid",
    "position": "project uuid = null",
    "timeline": "caller caller, event uuid",
    "recover": "caller caller, endpoint uuid, since timestamptz, until timestamptz = null,"
    " only text = 'undelivered', types text[] = null, rate numeric = 10, dry_run boolean = false",
    "resume_provider": "caller caller, provider text",
    "revoke_key": "caller caller, key uuid, reason text",
    "expunge": "caller caller, event uuid",
}
"""The functions of operate.md §5 and jobs.md §6; arguments are only added at the end, with a default."""

PAGE_ROLES = {
    "producer": "publish publish_many enqueue position ask answer use_suggestion withdraw match_routes",
    "worker": "enlist beat poll look claim settle extend release report payload retire",
    "reader": "why timeline position",
    "operator": " ".join(OPERATORS),
}


@pytest.mark.parametrize("view", PAGE)
def test_a_view_of_the_page_has_its_columns_in_their_order(view: str) -> None:
    wanted = PAGE[view].split(", ")
    assert promised()[view][: len(wanted)] == wanted


def test_the_signatures_of_the_contract_are_those_of_the_database(dsn: str) -> None:
    said = contract.FILE.read_text().partition("## Signatures")[1:]
    with psycopg.connect(dsn) as conn:
        assert contract.signatures(conn) == "".join(said), "run `python -m tests.schema`"


@pytest.mark.parametrize("name", OPERATORS)
def test_a_function_of_the_page_takes_what_it_says(name: str) -> None:
    [row] = re.findall(rf"^\| `{name}` \| (.*?) \| .* \| .* \|$", _signatures(), re.MULTILINE)
    assert (row + ",").startswith(OPERATORS[name] + ",") or row.startswith(OPERATORS[name] + " = ")


@pytest.mark.parametrize("role", PAGE_ROLES)
def test_a_role_may_call_what_the_page_says(role: str) -> None:
    assert set(PAGE_ROLES[role].split()) <= MAY[f"outbox_{role}"]


@pytest.mark.parametrize("role", PAGE_ROLES)
def test_the_contract_tells_what_each_role_may_call(role: str) -> None:
    """By name in its row, or as one of the verbs that have a part of their own."""
    text = contract.FILE.read_text()
    [row] = re.findall(rf"^\| `outbox_{role}` \| (.*) \|$", text, re.MULTILINE)
    parts = {"operator": "Verbs of operators", "producer": "Questions"}
    part = text.partition(f"## {parts[role]}\n")[2].partition("\n## ")[0] if role in parts else ""
    readers = (
        re.findall(r"^\| `outbox_reader` \| (.*) \|$", text, re.MULTILINE)[0] if role == "operator" else ""
    )
    named = set(re.findall(r"`(\w+)", row + part + readers))
    missing = MAY[f"outbox_{role}"] - contract.CALLED_BY_VIEWS - {"me"} - named
    assert missing == set()


def test_every_view_of_the_database_is_in_the_contract() -> None:
    assert set(PAGE) <= set(promised()) == set(VIEWS)


def _signatures() -> str:
    return contract.FILE.read_text().partition("## Signatures")[2]
