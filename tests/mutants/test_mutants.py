"""Small edits of the SQL, one at a time: each takes a promise away, and a named test has to notice.

A mutant that survives means that a promise is not proved. One whose text is not found any more means
that the SQL has changed: find what keeps the promise now, and take that away instead.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    killer: str


RACES, POINTS, WAITING = (f"tests/interleavings/test_{name}.py" for name in ("races", "points", "waiting"))

MUTANTS = [
    Mutant(
        name="no lease check",
        file="functions/settle_whole.sql",
        old="and l.id = w.lease_id and l.worker_id = p_worker",
        new="and l.id = w.lease_id",
        killer="tests/sql/test_settle.py::test_another_workers_lease_is_over_for_me",
    ),
    Mutant(
        name="the fence read from an old snapshot",
        file="functions/settle.sql",
        old="""    order by l.id for update;
    v_open :=""",
        new="""    order by l.id;
    v_open :=""",
        killer=f"{RACES}::test_two_equal_settles_count_once",
    ),
    Mutant(
        name="ledger key dropped",
        file="migrations/0001_engine.sql",
        old="""  detail jsonb,
  primary key (job_id, no)
""",
        new="""  detail jsonb
""",
        killer="tests/plans/test_plans.py::test_hot_statements_keep_their_plans",
    ),
    Mutant(
        name="claim without skip locked",
        file="functions/claim_ready.sql",
        old="limit s.want for update skip locked",
        new="limit s.want for update",
        killer=f"{WAITING}::test_a_claim_answers_at_once_whatever_is_held",
    ),
    Mutant(
        name="hint without look",
        file="functions/look_queue.sql",
        old="select r.queue_id, r.lane, r.priority, r.run_at, 1 into v_spot",
        new="select r.queue_id, r.lane, r.priority, p_now - interval '500 ms', 1 into v_spot",
        killer="tests/sql/test_claim.py::test_a_hint_steps_over_older_rows_and_a_look_finds_them",
    ),
    Mutant(
        name="lane opened with do nothing",
        file="functions/append_to_lanes.sql",
        old="on conflict (queue_id, project_id, key) do update set last_place = l.last_place",
        new="on conflict (queue_id, project_id, key) do nothing",
        killer=f"{POINTS}::test_a_lane_is_never_stranded_between_its_end_and_its_next_job",
    ),
    Mutant(
        name="lane looked at before it is locked",
        file="functions/move_lanes.sql",
        old="order by l.queue_id, l.project_id, l.key for update;",
        new="order by l.queue_id, l.project_id, l.key;",
        killer=f"{POINTS}::test_a_lane_is_never_stranded_between_its_end_and_its_next_job",
    ),
    Mutant(
        name="gate not locked",
        file="functions/claim_room.sql",
        old="order by g.queue_id for update skip locked",
        new="order by g.queue_id",
        killer=f"{WAITING}::test_a_limit_of_three_is_never_exceeded_by_eight_claimers",
    ),
    Mutant(
        name="reap ignoring the lock",
        file="functions/fence_dead.sql",
        old="w.incarnation = v_here and not exists (",
        new="w.incarnation = v_here and true or not exists (",
        killer="tests/sql/test_reap.py::test_only_the_dead_are_touched",
    ),
    Mutant(
        name="attempt not counted at the claim",
        file="functions/claim_lease.sql",
        old="array_agg((s.attempt + 1)::smallint)",
        new="array_agg(s.attempt)",
        killer="tests/sql/test_reap.py::test_a_job_that_kills_its_workers_is_dead_after_exactly_its_attempts",
    ),
    Mutant(
        name="scope column dropped from a predicate",
        file="functions/sees.sql",
        old="and ((p_caller).team_id is null or (p_caller).team_id = p_team)",
        new="",
        killer="tests/sql/test_enqueue.py::test_tenancy_is_the_callers",
    ),
    Mutant(
        name="everybody is notified",
        file="functions/wake_gated.sql",
        old="and exists (select from outbox.idle i where i.handler = any (p_handlers))",
        new="",
        killer="tests/sql/test_publish.py::test_sleepers_are_woken_at_commit_only_and_only_if_they_sleep",
    ),
    Mutant(
        name="leases locked as they come",
        file="functions/settle.sql",
        old="if exists (select from unnest(v_items) i where i.lease_id <> v_items[1].lease_id) then",
        new="if false then",
        killer=f"{POINTS}::test_settles_of_several_leases_meet_at_every_write_without_a_deadlock",
    ),
    Mutant(
        name="an old plan over the whole table",
        file="functions/claim_lease.sql",
        old="(select j.* from outbox.jobs j where j.id = r.job_id offset 0)",
        new="(select j.* from outbox.jobs j where j.id = r.job_id)",
        killer="tests/plans/test_plans.py::test_hot_statements_keep_their_plans",
    ),
    Mutant(
        name="the end of a waiting job moves its lane",
        file="functions/move_lanes.sql",
        old="or (l.job_id is null and coalesce(l.blocked_by = i.job_id, true) and not exists (",
        new="or (l.job_id is null and not exists (select where false) or false and not exists (",
        killer="tests/sql/test_settle.py::test_the_end_of_a_waiting_job_moves_neither_a_waiting_nor_a_blocked_head",
    ),
]


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(mutant: Mutant, tmp_path: Path) -> None:
    for folder in ("outboxd", "sql", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    edited = tmp_path / "sql" / mutant.file
    text = edited.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.file} says it {text.count(mutant.old)} times"
    edited.write_text(text.replace(mutant.old, mutant.new))
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.killer]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    ran = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)

    assert ran.returncode == 1, f"survived: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    assert " failed" in ran.stdout, "the mutant does not even load: " + ran.stdout[-2000:]
