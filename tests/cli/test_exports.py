"""`outboxd export` and `outboxd import`: what comes out goes in again, whole, and nothing follows from it."""

import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pytest_postgresql.executors import NoopExecutor

from tests import cluster
from tests.cli.place import Run, runner
from tests.cli.yard import Yard

EQUAL = {
    "projects": "select to_jsonb(t) - '{number}'::text[] as row from outbox.projects t",
    "events": "select to_jsonb(t) as row from outbox.events t",
    "sessions": "select to_jsonb(t) - '{ended_at,ended_events,ended_event}'::text[] as row"
    " from outbox.sessions t",
    "observations": "select to_jsonb(t) - 'search' as row from outbox.observations t",
    "sources": "select to_jsonb(t) as row from outbox.observation_sources t",
}


@pytest.fixture
def elsewhere(migrated: NoopExecutor) -> Iterator[str]:
    with cluster.clone(migrated) as made:
        yield made.dsn


@pytest.fixture
def there(elsewhere: str, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(elsewhere, capsys)


@pytest.fixture
def full(yard: Yard) -> Yard:
    """A project with a session, events, memories, a webhook, and a neighbour that has some, too."""
    other = yard.value("select outbox.make_project(outbox.me(), %s, 'other')", yard.team)
    for project in (yard.project, other):
        yard.rows("select * from outbox.start_session(outbox.me(), %s, 'ext', 'content')", project)
        event = None
        for n in range(30):
            event = yard.value(
                "select outbox.publish('tool_use', %s, p_project => %s, p_session => (select id from"
                " outbox.sessions where project_id = %s), p_key => %s)",
                *(json.dumps({"n": n, "text": "wörds \\u2028"}), project, project, f"k{n}"),
            )
        yard.rows(
            "select * from outbox.write_memory(outbox.me(), %s, %s)",
            *(
                project,
                json.dumps({"kind": "note", "content": "bananas are yellow", "metadata": {"title": "x"}}),
            ),
        )
        yard.rows(
            "insert into outbox.observation_sources (id, observation_id, project_id, source_type, source_id,"
            " created_at) select gen_random_uuid(), id, project_id, 'agent_event', %s, now()"
            " from outbox.observations where project_id = %s returning 1",
            *(event, project),
        )
    yard.rows(
        "select outbox.open_endpoint(outbox.me(), gen_random_uuid(), %s,"
        ' \'{"url": "https://h.test", "types": ["*"], "state": "enabled", "ordering": "none", "timeout": "7",'
        ' "max_age": "7 days", "terminal_4xx": false, "max_body_bytes": 1000, "metadata": {}}\','
        " '{\"concurrency\": 3, \"attempts\": 4}', '\\x01')",
        yard.project,
    )
    return yard


def contents(dsn: str, project: Any) -> dict[str, list[Any]]:
    found = {}
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        for name, query in EQUAL.items():
            column = "id" if name == "projects" else "project_id"
            rows = conn.execute(f"{query} where t.{column} = %s order by t.id".encode(), [project]).fetchall()
            found[name] = [row["row"] for row in rows]
    return found


def found_by(dsn: str, project: Any, words: str) -> list[Any]:
    with psycopg.connect(dsn) as conn:
        return conn.execute(
            "select id from outbox.observations"
            " where project_id = %s and search @@ plainto_tsquery('english', %s)",
            (project, words),
        ).fetchall()


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_an_empty_database_gets_the_same_rows(
    cli: Run, there: Run, full: Yard, dsn: str, elsewhere: str, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    wrote = cli("export", "--project", "shop", "--out", str(file), "--json").json()
    assert {"endpoint": 1, "session": 1, "event": 30, "observation": 1}.items() <= wrote.items()
    assert 0o600 == file.stat().st_mode & 0o777

    dry = there("import", str(file), "--dry-run", "--json").json()
    assert {"endpoint": 1, "session": 1, "event": 30, "observation": 1} == dry["taken"]
    assert [] == contents(elsewhere, full.project)["projects"]

    took = there("import", str(file), "--json").json()
    assert dry["taken"] == took["taken"]
    assert contents(dsn, full.project) == contents(elsewhere, full.project)
    assert found_by(dsn, full.project, "banana") == found_by(elsewhere, full.project, "banana") != []
    assert there("import", str(file), "--json").json()["alreadyHere"] == took["taken"]
    assert contents(dsn, full.project) == contents(elsewhere, full.project)


def test_nothing_follows_from_an_import(
    cli: Run, there: Run, full: Yard, elsewhere: str, tmp_path: Path
) -> None:
    with psycopg.connect(elsewhere, autocommit=True) as conn:
        conn.execute(
            "insert into outbox.routes (id, pattern, queue_id, created_at)"
            " values (gen_random_uuid(), '*', outbox.open_queue('all'), now())"
        )
        file = tmp_path / "a.jsonl"
        cli("export", "--project", "shop", "--out", str(file))
        assert 0 == there("import", str(file)).exit
        conn.execute("update outbox.sessions set started_at = now() - interval '3 days'")
        conn.execute("select * from outbox.end_idle_sessions()")
        for table in ("jobs", "pending", "feed", "gatherings"):
            assert [(0,)] == conn.execute(f"select count(*) from outbox.{table}".encode()).fetchall()
        [(state, reason, headers)] = conn.execute(
            "select state, disabled_reason, headers from outbox.endpoints"
        ).fetchall()
        assert ("disabled", "imported", None) == (state, reason, headers)
        assert [(3, 4)] == conn.execute(
            "select concurrency, attempts from outbox.queues where class = 'endpoint'"
        ).fetchall()


def test_without_payloads_nothing_says_what_was_in_them(
    cli: Run, there: Run, full: Yard, elsewhere: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    cli("export", "--project", "shop", "--no-payload", "--out", str(file))
    assert "wörds" not in file.read_text()
    assert "wörds" in cli("export", "--project", "shop").out
    there("import", str(file))
    assert [{}] * 30 == [row["payload"] for row in contents(elsewhere, full.project)["events"]]


def test_an_export_goes_on_behind_an_id(
    cli: Run, there: Run, full: Yard, dsn: str, elsewhere: str, tmp_path: Path
) -> None:
    parts = [cli("export", "--project", "shop").out.splitlines()]
    cut = 10
    last = json.loads(parts[0][cut - 1])["id"]
    parts.append(cli("export", "--project", "shop", "--after", last).out.splitlines())
    assert parts[0][cut:-1] == parts[1][1:-1]
    file = tmp_path / "first.jsonl"
    file.write_text("\n".join(parts[0][:cut]) + "\n")
    assert 1 == there("import", str(file)).exit
    file.write_text("\n".join(parts[1]) + "\n")
    assert 0 == there("import", str(file)).exit
    assert contents(dsn, full.project) == contents(elsewhere, full.project)
    assert 1 == cli("export", "--project", "shop", "--after", "0197f1c2-7a00-7000-8000-000000000001").exit


def test_events_older_than_they_would_be_kept_are_counted(
    cli: Run, there: Run, full: Yard, elsewhere: str, tmp_path: Path
) -> None:
    lines = cli("export", "--project", "shop").out.splitlines()
    old = [
        line.replace('"received_at": "20', '"received_at": "19') if n < 9 else line
        for n, line in enumerate(lines)
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(old))
    took = there("import", str(file), "--json").json()
    assert (30, True) == (took["taken"]["event"] + took["tooOld"], took["tooOld"] > 0)


def _not_json(lines: list[str]) -> list[str]:
    return [*lines[:5], lines[5][:40], *lines[6:]]


def _no_row(lines: list[str]) -> list[str]:
    return [*lines[:5], lines[5].replace('"type": "tool_use"', '"type": null'), *lines[6:]]


BAD: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a line that is no JSON": (_not_json, "line 6 "),
    "a row that cannot be stored": (_no_row, "line 6: "),
    "another version": (
        lambda lines: [lines[0].replace('"version":1', '"version":2'), *lines[1:]],
        "version is 2",
    ),
    "another file": (lambda _: ['{"a": 1}'], "line 1 "),
    "nothing": (lambda _: [], "line 1 "),
    "cut off": (lambda lines: lines[:-3], "cut off"),
    "lines missing": (lambda lines: [*lines[:7], *lines[9:]], "lines are missing"),
    "an unknown kind": (lambda lines: [*lines[:3], '{"kind": "job", "id": "x"}', *lines[4:]], "line 4 "),
}


def test_a_bad_file_is_refused_with_its_line(cli: Run, there: Run, full: Yard, tmp_path: Path) -> None:
    lines = cli("export", "--project", "shop").out.splitlines()
    file = tmp_path / "a.jsonl"
    for fault, (spoil, said) in BAD.items():
        file.write_text("\n".join(spoil(lines)))
        answer = there("import", str(file))
        assert (1, "") == (answer.exit, answer.out), fault
        assert said in answer.err, fault
    file = tmp_path / "a.jsonl.gz"
    cli("export", "--project", "shop", "--out", str(file))
    whole = file.read_bytes()
    with pytest.raises(EOFError):
        gzip.decompress(whole[:-20])
    file.write_bytes(whole[:-20])
    answer = there("import", str(file))
    assert 1 == answer.exit
    assert "after line" in answer.err


UNDOABLE = {
    "export --project nowhere": 1,
    "export": 2,
    "export --project shop --json": 2,
    "export --project shop --out /nonexistent/x": 1,
    "import /nonexistent/x": 1,
    "import": 2,
    "import x --from-claude-mem postgresql://x": 2,
    "import --from-claude-mem postgresql://nobody@127.0.0.1:1/x": 3,
}


def test_what_cannot_be_done_says_so(cli: Run, yard: Yard) -> None:
    for words, status in UNDOABLE.items():
        answer = cli(*words.split())
        assert (status, "") == (answer.exit, answer.out), words
        assert answer.err, words


def test_a_file_is_not_overwritten(cli: Run, yard: Yard, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("precious")
    assert 1 == cli("export", "--project", "shop", "--out", str(file)).exit
    assert "precious" == file.read_text()


@pytest.mark.nightly
def test_memory_stays_where_it_is_when_a_project_is_large(yard: Yard, dsn: str, tmp_path: Path) -> None:
    """100 MB of payloads, and back again over what was deleted."""
    yard.rows(
        "insert into outbox.events"
        " (id, team_id, project_id, occurred_at, received_at, type, adapter, payload)"
        " select outbox.uuid7(now() - g * interval '1 s'), %s, %s, now(), now(), 'x', 'sql',"
        " jsonb_build_object('t', (select string_agg(md5(g || '.' || h), '') from generate_series(1, 600) h))"
        " from generate_series(1, 5000) g returning 1",
        *(yard.team, yard.project),
    )
    file = str(tmp_path / "large.jsonl")
    environ = {"PATH": os.environ["PATH"], "OUTBOXD_DATABASE_URL": dsn, "OUTBOXD_DATA": "/nonexistent"}
    outboxd = [sys.executable, "-m", "outboxd"]
    subprocess.run([*outboxd, "export", "--project", "shop", "--out", file], env=environ, check=True)
    assert Path(file).stat().st_size > 90 * 2**20
    yard.conn.execute("truncate outbox.events")
    subprocess.run([*outboxd, "import", file], env=environ, check=True)
    assert 5000 == yard.value("select count(*) from outbox.events")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 150 * 1024  # KiB
