"""outboxd sessions: list, show, end; one good run and one bad input each."""

from typing import Any

import pytest

from tests.cli.place import Run
from tests.cli.yard import Yard

UNKNOWN = "0197f1c2-7a00-7000-8000-000000000001"


def started(yard: Yard, **given: Any) -> str:
    named = "".join(f", p_{name} => %s" for name in given)
    return str(
        yard.value(
            f"select session_id from outbox.start_session(outbox.me(), %s{named})",
            yard.project,
            *given.values(),
        )
    )


def test_sessions_are_listed_newest_start_first(cli: Run, yard: Yard) -> None:
    first = started(yard, content="c", platform="Claude Code")
    second = started(yard, platform="codex")
    cli("sessions", "end", first)
    listed = cli("sessions", "--json").json()["sessions"]
    assert [second, first] == [each["id"] for each in listed]
    for words, found in (
        (("--open",), [second]),
        (("--ended",), [first]),
        (("--content", "c"), [first]),
        (("--platform", "CODEX"), [second]),
        (("--project", "shop", "--limit", "1"), [second]),
        (("--since", "1h"), [second, first]),
    ):
        assert found == [each["id"] for each in cli("sessions", *words, "--json").json()["sessions"]]
    assert "codex" in cli("sessions").out


def test_a_session_is_shown_with_its_jobs_and_without_its_metadata(cli: Run, yard: Yard) -> None:
    session = started(yard, metadata='{"cwd": "/secret"}')
    yard.value("select outbox.publish('x', p_project => %s, p_session => %s)", yard.project, session)
    ended = cli("sessions", "end", session, "--reason", "a test", "--json").json()
    shown = cli("sessions", "show", session, "--json")
    assert (1, 1, "processing") == tuple(
        shown.json()["session"][name] for name in ("endCount", "eventCount", "generationStatus")
    )
    assert [ended["jobId"]] == [job["id"] for job in shown.json()["jobs"]]
    assert "secret" not in shown.out
    assert {"cwd": "/secret"} == cli("sessions", "show", session, "--metadata", "--json").json()["session"][
        "metadata"
    ]


def test_an_end_is_said_once_and_audited_as_of_the_command_line(cli: Run, yard: Yard) -> None:
    session = started(yard)
    first = cli("sessions", "end", session, "--reason", "a test", "--json").json()
    again = cli("sessions", "end", session, "--json").json()
    assert (True, False) == (first["ended"], again["ended"])
    assert first["jobId"] == again["jobId"]
    [row] = yard.rows("select details from outbox.audit_log where action = 'session.end'")
    assert {"endCount": 1, "reason": "a test", "via": "cli"} == row["details"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", UNKNOWN), 1, "no session"),
        (("show", "x"), 1, "no session"),
        (("end", UNKNOWN), 1, "Session not found"),
        (("list", "--open", "--ended"), 2, "--ended"),
        (("list", "--project", "nothing"), 1, "Project not found"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bad_input_is_told_with_its_exit_code(
    cli: Run, yard: Yard, words: tuple[str, ...], status: int, said: str
) -> None:
    answer = cli("sessions", *words)
    assert (status, "") == (answer.exit, answer.out)
    assert said in answer.err
