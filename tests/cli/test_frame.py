"""One run of a command: exit statuses, what is opened, what goes where."""

import asyncio
import contextlib
import json
import os
import pty
import resource
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxd import __version__
from outboxd.cli import frame
from outboxd.cli.confirm import confirm
from outboxd.cli.parser import Args, Needs, Nouns, Verb
from outboxd.cli.reply import Record, Reply, Rows, Text
from outboxd.db.pool import Database
from outboxd.errors import (
    Broken,
    ConfigError,
    Conflict,
    DatabaseUnavailable,
    Error,
    InUse,
    NotFound,
    SchemaError,
    Unauthorized,
)

QUIET = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OUTBOXD_DATA": "/nonexistent/outboxd"}


def outboxd(*words: str, environ: Mapping[str, str] = QUIET) -> subprocess.CompletedProcess[str]:
    """As a process of its own, with nothing of ours in its environment."""
    command = [sys.executable, "-m", "outboxd", *words]
    return subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)


def refused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


Do = Callable[..., None]


@pytest.fixture
def do(monkeypatch: pytest.MonkeyPatch) -> Do:
    """`do(verb, needs)` makes the command `do` of a verb, or of what it raises or replies."""

    def make(what: Verb | BaseException | Reply, needs: Needs = "nothing") -> None:
        async def answer(args: Args, *_: object) -> Reply:
            if isinstance(what, BaseException):
                raise what
            assert isinstance(what, Rows | Record | Text)
            return what

        verb = what if callable(what) else answer

        class Module:
            @staticmethod
            def add(nouns: Nouns) -> None:
                nouns.command("do", "what the test says", verb, needs=needs)

        monkeypatch.setattr(frame, "MODULES", (Module,))

    return make


NOTHING = Text(text="", document=None)


@pytest.mark.parametrize(
    ("failed", "status"),
    [
        (NotFound("no job 7"), 1),
        (Conflict("has ended"), 1),
        (Unauthorized("who"), 1),
        (Broken("a defect"), 1),
        (ConfigError(["OUTBOXD_X: no such setting"]), 2),
        (DatabaseUnavailable("gone"), 3),
        (SchemaError("too old"), 4),
        (InUse("taken"), 5),
    ],
    ids=lambda each: type(each).__name__,
)
def test_an_error_is_told_on_stderr_and_decides_the_status(
    do: Do, capsys: pytest.CaptureFixture[str], failed: Error, status: int
) -> None:
    do(failed)
    assert frame.run(["do"], QUIET) == status
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: {failed.detail}\n")
    assert frame.run(["do", "--json"], QUIET) == status
    assert json.loads(capsys.readouterr().err) == {"error": failed.code, "message": failed.detail}


def test_ctrl_c_is_130(do: Do, capsys: pytest.CaptureFixture[str]) -> None:
    do(KeyboardInterrupt())
    assert frame.run(["do"], QUIET) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reply_may_say_that_it_is_bad_news(do: Do, capsys: pytest.CaptureFixture[str]) -> None:
    do(Text(text="two fail", document={"failed": 2}, exit=1))
    assert frame.run(["do"], QUIET) == 1
    assert capsys.readouterr() == ("two fail\n", "")


def test_a_verb_that_needs_the_database_gets_it_open(
    do: Do, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(args: Args, db: Database) -> Reply:
        async with db.connection() as conn:
            cur = await conn.execute("select 40 + 2 as answer")
            return Text(text=str(await cur.fetchone()), document=None)

    do(run, "database")
    assert frame.run(["do"], {**QUIET, "OUTBOXD_DATABASE_URL": dsn}) == 0
    assert capsys.readouterr().out == "{'answer': 42}\n"


def test_without_a_database_the_ways_out_are_named(do: Do, capsys: pytest.CaptureFixture[str]) -> None:
    do(NOTHING, "database")
    assert frame.run(["do"], QUIET) == 2
    assert "set OUTBOXD_DATABASE_URL, or start `outboxd up`" in capsys.readouterr().err


def test_an_unreachable_database_is_3_at_once_and_without_the_password(
    do: Do, capsys: pytest.CaptureFixture[str]
) -> None:
    do(NOTHING, "database")
    dsn = f"postgresql://me:swordfish@127.0.0.1:{refused_port()}/x"
    assert frame.run(["do"], {**QUIET, "OUTBOXD_DATABASE_URL": dsn}) == 3
    said = capsys.readouterr().err
    assert "refused" in said
    assert "swordfish" not in said


def test_a_silent_database_is_3_within_the_network_timeout(
    do: Do, capsys: pytest.CaptureFixture[str]
) -> None:
    do(NOTHING, "database")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x"
        environ = {**QUIET, "OUTBOXD_DATABASE_URL": dsn, "OUTBOXD_NET_TIMEOUT_S": "1"}
        before = asyncio.run(elapsed())
        assert frame.run(["do"], environ) == 3
        assert asyncio.run(elapsed()) - before < 4
    assert "did not answer" in capsys.readouterr().err


async def elapsed() -> float:
    return asyncio.get_running_loop().time()


def test_settings_come_from_a_file_and_the_environment_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "env"
    file.write_text("# mine\nOUTBOXD_PORT=9001\nOUTBOXD_HOST=127.0.0.2\n")
    words = ["config", "--json", "--env-file", str(file)]
    assert frame.run(words, {**QUIET, "OUTBOXD_PORT": "9002"}) == 0
    settings = {each["name"]: each for each in json.loads(capsys.readouterr().out)["settings"]}
    assert settings["OUTBOXD_PORT"]["value"] == "9002"
    assert settings["OUTBOXD_HOST"]["value"] == "127.0.0.2"


def test_config_tells_every_problem_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    bad = {
        **QUIET,
        "OUTBOXD_PORT": "high",
        "OUTBOXD_POLL_MAX": "7",
        "OUTBOXD_DATABASE_URL": "postgres://a:hush@",
    }
    assert frame.run(["config"], bad) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == len(said.splitlines()) >= 2
    assert "OUTBOXD_PORT" in said
    assert "OUTBOXD_POOL_MAX" in said
    assert frame.run(["config"], {**QUIET, "OUTBOXD_DATABASE_URL": "postgresql://a:hush@b/c"}) == 0
    out, err = capsys.readouterr()
    assert "***" in out
    assert "hush" not in said + out + err


def test_the_example_is_a_file_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.run(["config", "--example"], QUIET) == 0
    file = tmp_path / "outboxd.env"
    file.write_text(capsys.readouterr().out)
    assert frame.run(["config", "--env-file", str(file)], QUIET) == 0


def test_version_says_release_schema_and_python() -> None:
    ran = outboxd("version", "--json")
    assert ran.returncode == 0
    said = json.loads(ran.stdout)
    assert said["version"] == __version__
    assert said["schema"].startswith("00")
    assert said["python"] == sys.version.split()[0]


def test_help_costs_less_than_a_fifth_of_a_second() -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert outboxd("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from outboxd.cli.frame import run; run(['--help'], {}); "
        "print(*[m for m in ('asyncio', 'psycopg', 'structlog', 'outboxd.config', 'starlette', 'httpx') "
        "if m in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == ""


def test_a_reader_that_leaves_is_no_failure() -> None:
    line = f"{sys.executable} -m outboxd config --example | head -c 10; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", line], env=QUIET, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1].endswith("0")
    assert ran.stderr == ""


def test_a_terminal_gets_colour_unless_it_says_no() -> None:
    assert b"\x1b[1m" in on_a_terminal("config")
    assert b"\x1b[1m" not in on_a_terminal("config", NO_COLOR="1")


def on_a_terminal(*words: str, **environ: str) -> bytes:
    """What a command writes to a terminal of 60 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "outboxd", *words]
    inner = {**QUIET, "COLUMNS": "60", **environ}
    with subprocess.Popen(command, env=inner, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:
            pass  # Linux says EIO when the last writer has gone
        assert child.wait(20) == 0
    os.close(ours)
    return seen


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "goes"), [("y\n", True), ("YES\n", True), ("\n", False), ("no\n", False)])
def test_a_person_is_asked(typed: str, goes: bool) -> None:
    args, told = Namespace(yes=False), StringIO()
    if goes:
        confirm(args, "Remove 3 jobs?", answer=Terminal(typed), to=told)
    else:
        with pytest.raises(Error, match="nothing was done"):
            confirm(args, "Remove 3 jobs?", answer=Terminal(typed), to=told)
    assert told.getvalue() == "Remove 3 jobs? [y/N] "


def test_without_a_terminal_only_yes_goes_on() -> None:
    confirm(Namespace(yes=True), "Remove 3 jobs?", answer=StringIO())
    with pytest.raises(ConfigError, match="--yes"):
        confirm(Namespace(yes=False), "Remove 3 jobs?", answer=StringIO("y\n"))


_grammar = cache(frame.nouns)


@given(st.lists(st.text(max_size=12), max_size=5))
def test_no_words_end_in_a_traceback(words: list[str]) -> None:
    grammar = _grammar()
    with contextlib.suppress(ConfigError, SystemExit):
        grammar.parse(words)
