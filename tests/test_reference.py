"""deploy/REFERENCE.md and deploy/outboxd.env are what the code says."""

import re

import pytest

from outboxd.cli import frame
from outboxd.config import show
from tests import reference


def test_the_reference_is_what_the_code_says() -> None:
    assert reference.FILE.read_text() == reference.text(), "run `make reference`"


def test_the_example_of_settings_is_what_the_code_says() -> None:
    assert reference.EXAMPLE.read_text() == show.example(), "run `make reference`"


def test_each_command_and_each_of_its_options_says_what_it_does() -> None:
    for words, parser in reference._leaves(frame.nouns().parser):
        assert parser.description, words
        for action in parser._actions:
            assert action.help, f"outboxd {words}: {action.option_strings or action.dest}"


@pytest.mark.parametrize("part", ["Commands", "Settings", "HTTP routes", "Metrics", "Views"])
def test_no_row_of_the_reference_lacks_its_sentence(part: str) -> None:
    section = reference.text().split(f"\n## {part}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        cells = re.split(r"(?<!\\)\|", row)[1:-1]
        assert cells[1 if part == "Commands" else -1].strip(), row
