"""What README.md and the operator's guide tell people to type can be typed."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import psycopg
import pytest

from outboxd.api.exchange import Operation
from outboxd.api.routes import ROUTES
from outboxd.cli import frame
from outboxd.errors import ConfigError

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "deploy/README.md")
README = "\n".join((ROOT / page).read_text() for page in PAGES)

# They speak of tables that are the reader's.
THEIRS = ("insert into orders", "create function shop.book", "create role", "create database")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Each `outboxd …`, in blocks for the shell and in sentences."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("#")[0].split("&&")]
    parts += re.findall(r"`(outboxd [^`]+)`", README)
    typed = [part.removeprefix(".venv/bin/") for part in parts]
    return sorted({each for each in typed if each.startswith("outboxd ")})


def curls() -> list[str]:
    """Each `curl …`, of however many lines."""
    lines = re.sub(r"\\\n\s*", "", "\n".join(blocks("sh")))
    # A quoted body may go over several lines.
    found: list[str] = re.findall(r"^\s*(curl (?:'[^']*'|[^'\n])*)", lines, re.MULTILINE)
    return found


def request_of(line: str) -> tuple[str, set[str], dict[str, str], str | None]:
    """Path, names of the query, headers in lower case, body."""
    words = shlex.split(line, comments=True)
    url = urlsplit("http://" + next(word for word in words if word.startswith("localhost:8377")))
    pairs = list(pairwise(words))
    headers = dict(value.split(": ", 1) for name, value in pairs if name == "-H")
    body = next((value for name, value in pairs if name == "-d"), None)
    return url.path, set(parse_qs(url.query)), {name.lower(): headers[name] for name in headers}, body


def operation_of(path: str, method: str) -> Operation:
    """Raises LookupError for what nobody answers."""
    for known, methods in ROUTES.items():
        if method in methods and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path):
            return methods[method]
    raise LookupError(f"{method} {path}")


def targets() -> list[str]:
    typed = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    named = re.findall(r"`make` alone prints the other targets: (.*?)\n\n", README, re.DOTALL)
    return sorted({*typed, *re.findall(r"`make (\w+)`", README), *re.findall(r"`(\w+)`", "".join(named))})


def statements() -> list[str]:
    """Of the blocks in SQL, without what stands between begin and commit."""
    text = "\n".join(re.sub(r"--.*", "", block) for block in blocks("sql"))
    parts = [part.strip() for part in re.split(r";\s*\n", text + "\n")]
    return [
        part for part in parts if part and not re.match("begin|commit", part) and not part.startswith(THEIRS)
    ]


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str) -> None:
    words = shlex.split(re.sub(r"<\w+>|\bID\b", "0197f1c2-7a00-7000-8000-000000000001", command))
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
    for verb in ("queue_depth", "ask", "answer", "position"):
        assert any(f"outbox.{verb}" in each for each in found)
    with psycopg.connect(dsn, autocommit=True) as conn:
        team = "select outbox.make_team(outbox.me(), 'acme')"
        conn.execute(f"select outbox.make_project(outbox.me(), ({team}), 'shop')".encode())
        for each in found:
            conn.execute(with_project(each).encode())


@pytest.mark.parametrize("line", curls())
def test_a_request_would_be_taken(line: str) -> None:
    path, query, headers, body = request_of(line)
    operation = operation_of(path, "GET" if body is None else "POST")
    assert query <= operation.query or operation.tolerant
    assert headers["authorization"] == "Bearer $KEY"
    if body not in {None, "@-"} and headers["content-type"] == "application/json":
        assert operation.body is not None
        operation.body.decode(str(body))


def test_a_request_that_would_not_be_taken_is_found_out() -> None:
    path, _, _, body = request_of("curl localhost:8377/v1/interactions -d '{\"prompts\": 1}'")
    operation = operation_of(path, "POST")
    assert operation.body is not None
    with pytest.raises(msgspec.ValidationError):
        operation.body.decode(str(body))
    with pytest.raises(LookupError):
        operation_of("/v1/interaction", "POST")


def test_the_files_that_are_named_exist() -> None:
    named = re.findall(r"`((?:sql|outboxd|tests|deploy)/[\w./]*)`", README)
    assert len(named) >= 4
    assert [each for each in named if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", (ROOT / page).read_text())
    assert linked
    assert [each for each in linked if not ((ROOT / page).parent / each).exists()] == []


def test_the_guide_knows_each_alert() -> None:
    guide = (ROOT / "deploy/README.md").read_text()
    alerts = re.findall(r"- alert: Outboxd(\w+)", (ROOT / "deploy/alerts.yaml").read_text())
    assert len(alerts) >= 12
    assert [each for each in alerts if not re.search(rf"\b(Outboxd)?{each}\b", guide)] == []


def with_project(statement: str) -> str:
    """A role that owns one project need not name it; the test's login owns all. psql knows `:'project'`."""
    statement = statement.replace(":'project'", "(select id from outbox.projects)")
    if "outbox.publish(" not in statement:
        return statement
    return statement[:-1] + ", p_project => (select id from outbox.projects))"


def test_the_figures_of_the_guide_are_those_that_were_kept() -> None:
    """To three digits."""
    kept = msgspec.json.decode((ROOT / "outboxd/bench/results/scale-two-cores.json").read_bytes())
    rows = {"wait 100 ms, 50 slots each": "waiting", "do nothing": "no-op"}
    for words, kind in rows.items():
        line = next(each for each in README.splitlines() if each.startswith(f"| handlers that {words}"))
        shown = [int(cell.replace(",", "")) for cell in line.split("|")[2:6]]
        found = [r["median"] for r in kept["results"] if r["measure"].startswith(f"scale {kind},")]
        assert shown == [pytest.approx(each, rel=0.005) for each in found]
