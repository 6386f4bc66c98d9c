"""The grammar: nouns, verbs, shared options."""

import argparse

import pytest

from outboxd.cli.frame import nouns
from outboxd.cli.parser import Args, Nouns, between, listed, pair, risky
from outboxd.cli.reply import Reply, Text
from outboxd.errors import ConfigError


async def said(args: Args) -> Reply:
    return Text(text=args.noun, document=args.noun)


async def gone(args: Args) -> Reply:
    return Text(text=args.noun, document=args.noun)


@pytest.fixture
def grammar() -> Nouns:
    made = Nouns("for a test")
    things = made.noun("things", "what there is")
    listed(things.verb("list", "all of them", said)).add_argument("--status")
    risky(things.verb("remove", "one of them", gone)).add_argument("id")
    made.noun("odds", "without a list").verb("end", "it", gone)
    made.command("now", "at once", said, needs="nothing")
    return made


def test_a_noun_alone_is_its_list(grammar: Nouns) -> None:
    for words in (["things"], ["things", "list"]):
        assert grammar.parse(words).run is said
    assert grammar.parse(["things", "--status", "failed", "--json"]).status == "failed"


def test_a_verb_is_found_with_its_arguments_and_what_it_needs(grammar: Nouns) -> None:
    removed = grammar.parse(["things", "remove", "7", "--yes"])
    assert (removed.run, removed.id, removed.yes, removed.dry_run) == (gone, "7", True, False)
    assert removed.needs == "database"
    assert grammar.parse(["now"]).needs == "nothing"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nothing"],
        ["odds"],
        ["things", "remove"],
        ["things", "--stat", "x"],
        ["things", "--json", "--jsonl"],
        ["things", "--limit", "0"],
        ["things", "--limit", "10001"],
        ["things", "--limit", "١"],
        ["things", "--watch", "-1"],
    ],
    ids=range(10),
)
def test_a_usage_error_is_one_of_ours_with_exit_2(grammar: Nouns, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        grammar.parse(words)
    assert caught.value.exit == 2
    assert caught.value.detail.endswith("--help)")


def test_watch_has_a_pace_of_its_own(grammar: Nouns) -> None:
    assert grammar.parse(["things"]).watch is None
    assert grammar.parse(["things", "--watch"]).watch == 2
    assert grammar.parse(["things", "--watch", "10"]).watch == 10


def test_help_ends_quietly(grammar: Nouns, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["things", "--help"], ["things", "list", "-h"]):
        with pytest.raises(SystemExit) as caught:
            grammar.parse(words)
        assert caught.value.code == 0
    assert "all of them" in capsys.readouterr().out


def test_numbers_and_pairs_are_checked() -> None:
    assert between(1, 5)("5") == 5
    assert pair("concurrency=8") == ("concurrency", "8")
    assert pair("note=a=b") == ("note", "a=b")
    for bad in ("concurrency", "=8"):
        with pytest.raises(argparse.ArgumentTypeError, match="KEY=VALUE"):
            pair(bad)


def parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and all that hang on it."""
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found += parsers(below)
    return found


def test_every_flag_of_every_command_has_a_help() -> None:
    bare = [
        f"{parser.prog} {'/'.join(action.option_strings) or action.dest}"
        for parser in parsers(nouns().parser)
        for action in parser._actions
        if not isinstance(action, argparse._SubParsersAction) and not action.help
    ]
    assert bare == []


def test_every_leaf_has_a_verb_and_the_options_of_all() -> None:
    for parser in parsers(nouns().parser):
        if not any(isinstance(action, argparse._SubParsersAction) for action in parser._actions):
            flags = {flag for action in parser._actions for flag in action.option_strings}
            # Of a benchmark people read the table, and its document goes to a file; so of a drill.
            of_all = {"--json", "--env-file"}
            if not parser.prog.endswith((" bench", " drill")):
                of_all |= {"--jsonl"}
            assert of_all <= flags, parser.prog
            assert parser.get_default("run") is not None, parser.prog
