"""`outboxd migrate` and `outboxd check` against real servers."""

import json
import os
import socket
from pathlib import Path

import psycopg
import pytest

from outboxd.cli import database, frame
from tests.conftest import CrashServer


def environ(dsn: str, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "OUTBOXD_DATABASE_URL": dsn, "OUTBOXD_DATA": "/nonexistent", **more}


def test_migrate_applies_and_is_current_after(empty_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.run(["migrate", "--check", "--json"], environ(empty_dsn)) == 4
    pending = json.loads(capsys.readouterr().out)
    assert pending["current"] is False
    assert pending["pending"][0].startswith("migrations/0001")
    assert frame.run(["migrate"], environ(empty_dsn)) == 0
    assert "applied: migrations/0001" in capsys.readouterr().out
    assert frame.run(["migrate", "--check"], environ(empty_dsn)) == 0
    assert capsys.readouterr().out == "the schema is current\n"
    assert frame.run(["migrate", "--json"], environ(empty_dsn)) == 0
    assert json.loads(capsys.readouterr().out)["migrations"] == []


def test_what_migrate_prints_is_sql_that_makes_the_schema(
    empty_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frame.run(["migrate", "--print"], environ(empty_dsn)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    statements = "\n".join(line for line in out.splitlines() if not line.startswith("\\"))
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute(statements.encode())
    assert frame.run(["migrate", "--check"], environ(empty_dsn)) == 0


def test_print_needs_no_database(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = {"PATH": os.environ["PATH"], "OUTBOXD_DATA": "/nonexistent"}
    assert frame.run(["migrate", "--print", "--role", "dba"], nowhere) == 0
    out = capsys.readouterr().out
    assert "create table outbox.jobs" in out
    assert "dba" in out


def test_an_edited_migration_is_exit_4(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("update outbox.migrations set checksum = 'other' where path like 'migrations/%'")
    for words in (["migrate"], ["migrate", "--check"]):
        assert frame.run(words, environ(dsn)) == 4
        assert "was edited" in capsys.readouterr().err


def test_migrate_waits_no_longer_than_told(capsys: pytest.CaptureFixture[str]) -> None:
    nobody = environ("postgresql://me@127.0.0.1:1/x")
    assert frame.run(["migrate", "--wait", "0"], nobody) == 3
    assert "cannot be reached" in capsys.readouterr().err


def findings(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    return {each["subject"]: each for each in json.loads(capsys.readouterr().out)["findings"]}


def test_check_passes_on_a_good_server(crash_server: CrashServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.run(["check", "--json"], environ(crash_server.dsn)) == 0
    found = findings(capsys)
    assert {subject for subject, each in found.items() if each["level"] != "ok"} == set()
    assert {"server", "rights", "schema", "listen", "pooler", "clock", "disk", "vacuum", "chores"} <= set(
        found
    )


def test_check_names_what_a_test_server_lacks(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    if os.environ.get("OUTBOXD_TEST_DSN"):
        pytest.skip("the server of OUTBOXD_TEST_DSN has settings of its own")
    assert frame.run(["check", "--json"], environ(dsn)) == 1
    found = findings(capsys)
    assert found["disk"]["level"] == "warn"
    assert "fsync = off" in found["disk"]["finding"]
    assert (found["vacuum"]["level"], found["vacuum"]["cure"]) == ("fail", "autovacuum = on")


def test_check_fails_without_a_schema_and_says_the_cure(
    empty_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frame.run(["check", "--json"], environ(empty_dsn)) == 1
    found = findings(capsys)
    assert found["schema"]["cure"] == "outboxd migrate"
    assert found["chores"]["level"] == "fail"
    assert found["listen"]["level"] == "ok"


def test_check_finds_a_login_that_does_not_own_the_schema(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        role = f"stranger_{os.getpid()}"
        conn.execute(f"create role {role} login password 'x'".encode())
        try:
            told = psycopg.conninfo.make_conninfo(dsn, user=role, password="x")
            assert frame.run(["check", "--json"], environ(told)) == 1
            assert "does not own the schema" in findings(capsys)["rights"]["finding"]
            for words in ("queues", "migrate"):
                assert frame.run([words], environ(told)) == 1
                assert "the role that owns the schema" in capsys.readouterr().err
        finally:
            conn.execute(f"drop role {role}".encode())


def test_a_command_finds_the_embedded_server_that_runs(
    crash_server: CrashServer, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(str(psycopg.conninfo.conninfo_to_dict(crash_server.dsn)["host"]))
    root = data.parent if (data.parent / "pgdata").is_dir() else None
    if root is None:
        pytest.skip("the socket of the test server is not in its data directory")
    alone = {"PATH": os.environ["PATH"], "OUTBOXD_DATA": str(root)}
    assert frame.run(["migrate", "--check"], alone) == 4
    assert "pending" in capsys.readouterr().out


def test_migrate_does_not_wait_for_a_database_that_nobody_asked_it_to_wait_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nobody = environ("postgresql://me@127.0.0.1:1/x")
    assert frame.run(["migrate"], nobody) == 3
    assert "127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["migrate"], ["migrate", "--wait", "1"], ["migrate", "--check"]])
def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = environ(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x", OUTBOXD_NET_TIMEOUT_S="1")
        assert frame.run(words, nobody) == 3
    assert "database" in capsys.readouterr().err


def test_serve_and_work_join_the_server_that_up_has_started(
    crash_server: CrashServer, tmp_path: Path
) -> None:
    data = Path(str(psycopg.conninfo.conninfo_to_dict(crash_server.dsn)["host"])).parent
    if not (data / "pgdata").is_dir():
        pytest.skip("the socket of the test server is not in its data directory")
    alone = {"OUTBOXD_DATA": str(data)}
    found = database.joined(alone, "work")
    assert found["OUTBOXD_DATABASE_URL"].startswith("postgresql://outboxd:")
    assert database.joined({**alone, "OUTBOXD_DATABASE_URL": "postgresql://elsewhere/x"}, "work") == {}
    assert database.joined(alone, "up") == {}
    assert database.joined({"OUTBOXD_DATA": str(tmp_path)}, "serve") == {}
