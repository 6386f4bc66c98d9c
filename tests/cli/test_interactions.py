"""outboxd interactions: list, show, answer, withdraw; one good run and one bad input each."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.cli.place import Run
from tests.cli.yard import Yard

ANN = ("--connection", "chat-1", "--actor", "ann")
OPTIONS = [{"value": "yes"}, {"value": "no"}]


def asked(yard: Yard, id_: str, **given: Any) -> str:
    named = "".join(f", p_{name} => %s" for name in given)
    values = [Jsonb(value) if isinstance(value, list | dict) else value for value in given.values()]
    statement = "select interaction_id from outbox.ask(%s, 'chat-1', 'ann', '\"hunter2\"', %s"
    named += ", p_context => '{\"a\": 1}'"
    return str(yard.value(f"{statement}{named})", yard.project, id_, *values))


def test_questions_are_listed_newest_first_without_payloads(cli: Run, yard: Yard) -> None:
    first, second = asked(yard, "q1"), asked(yard, "q2", kind="approval")
    cli("interactions", "answer", first, *ANN, "--answer", "hunter2")
    listed = cli("interactions", "--json")
    assert [second, first] == [each["id"] for each in listed.json()["interactions"]]
    assert "hunter2" not in listed.out
    for words, found in (
        (("--state", "answered"), [first]),
        (("--kind", "approval"), [second]),
        (("--connection", "chat-2"), []),
        (("--actor", "ann", "--limit", "1"), [second]),
        (("--project", "shop", "--since", "1h"), [second, first]),
    ):
        shown = cli("interactions", *words, "--json").json()["interactions"]
        assert found == [each["id"] for each in shown]
    assert "approval" in cli("interactions").out


def test_a_question_is_shown_with_its_payload_only_when_asked(cli: Run, yard: Yard) -> None:
    id_ = asked(yard, "q")
    assert "hunter2" not in cli("interactions", "show", id_).out
    shown = cli("interactions", "show", id_, "--payload", "--json").json()
    assert ("hunter2", {"a": 1}, "pending") == (shown["prompt"], shown["context"], shown["state"])


def test_an_answer_is_given_once_and_audited_as_of_the_command_line(cli: Run, yard: Yard) -> None:
    id_ = asked(yard, "q", options=OPTIONS)
    first = cli("interactions", "answer", id_, *ANN, "--choice", "1", "--json").json()
    again = cli("interactions", "answer", id_, *ANN, "--answer", "no", "--json").json()
    other = cli("interactions", "answer", id_, *ANN, "--answer", "yes")
    assert ("answered", "replayed", 1) == (first["outcome"], again["outcome"], other.exit)
    assert "answered before" in other.err
    [row] = yard.rows("select details from outbox.audit_log where action = 'interaction.answered'")
    assert ("cli", "ann") == (row["details"]["via"], row["details"]["answeredBy"])


def test_somebody_elses_answer_is_refused_and_in_the_trail(cli: Run, yard: Yard) -> None:
    id_ = asked(yard, "q")
    refused = cli("interactions", "answer", id_, "--connection", "chat-1", "--actor", "eve", "--answer", "x")
    assert (1, True) == (refused.exit, "for eve" in refused.err)
    [row] = yard.rows("select details from outbox.audit_log where action = 'interaction.denied'")
    assert "actor" == row["details"]["reason"]


def test_a_suggestion_is_used(cli: Run, yard: Yard) -> None:
    id_ = asked(yard, "s", kind="suggestion", options=OPTIONS, max_uses=1)
    used = cli("interactions", "answer", id_, *ANN, "--answer", "no", "--json").json()
    assert ("used", 1) == (used["outcome"], used["uses"])
    assert "expired" in cli("interactions", "answer", id_, *ANN, "--choice", "0").err
    assert "no option" in cli("interactions", "answer", asked(yard, "q"), *ANN, "--choice", "7").err


def test_a_question_is_withdrawn(cli: Run, yard: Yard) -> None:
    id_ = asked(yard, "q")
    given = ("interactions", "withdraw", id_, "--connection")
    assert 1 == cli(*given, "chat-2").exit
    done = cli(*given, "chat-1", "--reason", "a test", "--json").json()
    assert ("withdrawn", "a test") == (done["state"], done["endedReason"])
    assert 0 == cli(*given, "chat-1").exit


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", "nothing"), 1, "no interaction"),
        (("list", "--state", "open"), 2, "--state"),
        (("answer", "q", "--answer", "x"), 2, "--connection"),
        (("answer", "q", *ANN), 2, "--answer"),
        (("withdraw", "q", "--connection", "c"), 1, "no interaction"),
        (("list", "--project", "nothing"), 1, "Project not found"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bad_input_is_told_with_its_exit_code(
    cli: Run, yard: Yard, words: tuple[str, ...], status: int, said: str
) -> None:
    answer = cli("interactions", *words)
    assert (status, "") == (answer.exit, answer.out)
    assert said in answer.err
