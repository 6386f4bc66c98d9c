"""What README.md tells people to type can be typed."""

import re
import shlex
from pathlib import Path

import psycopg
import pytest

from outboxd.cli import frame
from outboxd.errors import ConfigError

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

# They speak of tables that are the reader's.
THEIRS = ("insert into orders", "create function shop.book")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Each `outboxd …`, in blocks for the shell and in sentences."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("#")[0].split("&&")]
    parts += re.findall(r"`(outboxd [^`]+)`", README)
    typed = [part.removeprefix(".venv/bin/") for part in parts]
    return sorted({each for each in typed if each.startswith("outboxd ")})


def targets() -> list[str]:
    typed = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    named = re.findall(r"`make` alone prints the other targets: (.*?)\n\n", README, re.DOTALL)
    return sorted({*typed, *re.findall(r"`make (\w+)`", README), *re.findall(r"`(\w+)`", "".join(named))})


def statements() -> list[str]:
    """Of the blocks in SQL, without what stands between begin and commit."""
    text = "\n".join(re.sub(r"--.*", "", block) for block in blocks("sql"))
    parts = [part.strip() for part in re.split(r";\s*\n", text + "\n")]
    return [
        part for part in parts if part and part not in {"begin", "commit"} and not part.startswith(THEIRS)
    ]


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str) -> None:
    words = shlex.split(command.replace("<id>", "0197f1c2-7a00-7000-8000-000000000001"))
    args = frame.nouns().parse(words[1:])
    assert callable(args.run)


def test_a_command_that_does_not_exist_is_not() -> None:
    for wrong in (["queue"], ["dead", "retry", "--speed", "20"], ["jobs", "wherefore", "1"]):
        with pytest.raises(ConfigError):
            frame.nouns().parse(wrong)


def test_the_commands_of_the_page_are_found() -> None:
    found = commands()
    assert {"outboxd up", "outboxd check", "outboxd work --app shop:app"} <= set(found)
    assert len(found) >= 12


def test_a_target_that_is_named_is_in_the_makefile() -> None:
    there = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "bench", "drill"} <= set(targets())
    assert set(targets()) <= there


@pytest.mark.parametrize("line", re.findall(r"python3 (deploy/bootstrap\.py \w+)", README))
def test_a_line_of_make_can_be_typed_as_well(line: str) -> None:
    script, action = line.split()
    source = (ROOT / script).read_text()
    assert re.search(rf"\b{action}\b", source), f"{script} knows no {action}"


def test_the_statements_run(dsn: str) -> None:
    found = statements()
    assert any("outbox.publish" in each for each in found)
    assert any("outbox.queue_depth" in each for each in found)
    with psycopg.connect(dsn, autocommit=True) as conn:
        team = "select outbox.make_team(outbox.me(), 'acme')"
        conn.execute(f"select outbox.make_project(outbox.me(), ({team}), 'shop')".encode())
        for each in found:
            conn.execute(with_project(each).encode())


def test_the_files_that_are_named_exist() -> None:
    named = re.findall(r"`((?:sql|outboxd|tests|deploy)/[\w./]*)`", README)
    assert len(named) >= 4
    assert [each for each in named if not (ROOT / each).exists()] == []


def with_project(statement: str) -> str:
    """A role that owns one project need not name it; the test's login owns all of them."""
    if "outbox.publish(" not in statement:
        return statement
    return statement[:-1] + ", p_project => (select id from outbox.projects))"
