"""Completion: the scripts hold the whole grammar, and a real bash completes by its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from outboxd.cli import frame, grammar
from outboxd.cli.grammar import Command
from tests.cli.place import Run, runner

ASKED = {
    "j": "jobs",
    "jobs sn": "snooze",
    "jobs list --sta": "--status",
    "jobs --stat": "--status",
    "jobs list --status ca": "cancelled",
    "jobs list --status failed --lim": "--limit",
    "queues pause work --rea": "--reason",
    "keys rotate --over": "--overlap",
    "completion fi": "fish",
    "migrate --ch": "--check",
    "jobs list --queue j": "",
    "nothing at all": "",
}
"""A line, and the only word that may complete its last one."""


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner("postgresql://nowhere.test/x", capsys)


def every(command: Command) -> list[Command]:
    return [command, *(each for below in command.below for each in every(below))]


def test_the_scripts_know_each_noun_verb_and_flag(script: Run) -> None:
    top = grammar.read(frame.nouns().parser)
    words = {word for each in every(top) for word in each.words}
    flags = {max(flag.names, key=len) for each in every(top) for flag in each.flags if each.words}
    assert {"jobs", "snooze", "completion"} <= words
    for shell, mark in (("bash", "--"), ("zsh", "--"), ("fish", "-l ")):
        said = script("completion", shell).out
        known = set(said.replace("'", " ").split())
        assert set() == words - known, shell
        assert set() == {flag for flag in flags if flag.replace("--", mark) not in said}, shell


def test_bash_completes(script: Run) -> None:
    source = script("completion", "bash").out
    calls = "\n".join(
        f"COMP_WORDS=(outboxd {line}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); _outboxd; "
        'echo "${COMPREPLY[*]}"'
        for line in ASKED
    )
    ran = subprocess.run(
        ["bash", "--norc"], input=f"{source}\n{calls}\n", capture_output=True, text=True, check=True
    )
    assert dict(zip(ASKED, ran.stdout.splitlines(), strict=True)) == ASKED
    assert "" == ran.stderr


@pytest.mark.parametrize("checker", ["shellcheck -s bash", "zsh -n", "fish -n"])
def test_a_script_is_one_of_its_shell(checker: str, script: Run, tmp_path: Path) -> None:
    program, *options = checker.split()
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} on this machine")
    shell = {"shellcheck": "bash"}.get(program, program)
    said = script("completion", shell).out
    file = tmp_path / "script"
    file.write_text(said)
    ran = subprocess.run([program, *options, str(file)], capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, ran.stdout + ran.stderr)


def test_another_shell_is_refused(script: Run) -> None:
    refused = script("completion", "tcsh")
    assert (2, "") == (refused.exit, refused.out)
    assert "tcsh" in refused.err
