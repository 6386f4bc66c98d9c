"""One table over the parser: each command does its work, refuses what is none, and tells its flags.

One database and one served process are enough for the whole of it.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest

from outboxd.api import openapi
from outboxd.api.routes import ROUTES
from outboxd.cli import frame, grammar
from outboxd.cli.grammar import Command
from tests.cli import table
from tests.cli.place import Run, runner
from tests.cli.yard import Yard
from tests.daemon.daemons import Daemon, free_port
from tests.proofs import proves
from tests.waiting import until

HERE = Path(__file__).parent
SEALING = "test:" + "A" * 43 + "="


def leaves(command: Command) -> Iterator[Command]:
    for below in command.below:
        yield from leaves(below)
    if not command.below:
        yield command


LEAVES = {" ".join(each.words): each for each in leaves(grammar.read(frame.nouns().parser))}


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grammar is made once, not for each of hundreds of runs."""
    monkeypatch.setattr(frame, "nouns", cache(frame.nouns))


class World:
    """What the words of the table name, made when one asks for it."""

    def __init__(self, cli: Run, yard: Yard, folder: Path) -> None:
        self._folder = folder
        self._cli = cli
        self._yard = yard
        self._known: dict[str, str] = {}
        # It never beats, and the served process would take it for dead.
        yard.rows("update outbox.workers set beats = false, lease_for = '1 h' returning id")
        other = yard.value("select outbox.make_team(outbox.me(), 'twin')")
        for team in (yard.team, other):
            yard.value("select outbox.make_project(outbox.me(), %s, 'twice')", team)
        yard.value("select outbox.open_queue('side', 'pull:side')")
        yard.conn.execute(
            "create function public.count_it(job outbox.claimed) returns jsonb "
            "language sql return '{}'::jsonb"
        )
        self.made("endpoints", "create", "https://example.com/1", "--project", "shop", "--uid", "spare")

    def filled(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.format_map(self) for word in words)

    def __getitem__(self, name: str) -> str:
        # A job that an order has moved is not one for the next.
        if name in {"queued", "completed", "dead"}:
            self._yard.rows(
                """select outbox.cancel_many(outbox.me(), '{"queue": "work", "status": ["queued"]}')"""
            )
            made: str = getattr(self._yard, name)()
            return made
        if name not in self._known:
            self._known[name] = str(getattr(self, f"_{name}")())
        return self._known[name]

    def made(self, *words: str) -> Any:
        said = self._cli(*words, "--json")
        assert 0 == said.exit, said.err
        return said.json()

    def _out(self) -> Path:
        return self._folder / "shop.jsonl.gz"

    def _key(self) -> str:
        found: str = self.made("keys", "create", "--name", "old")["id"]
        return found

    def _route(self) -> str:
        found: str = self.made("routes", "add", "z", "work", "--project", "shop")["id"]
        return found

    def _endpoint(self) -> str:
        words = ("endpoints", "create", "https://example.com/", "--project", "shop")
        found: str = self.made(*words)["endpoint"]["id"]
        # A test-send must not leave this machine: here it is blocked before it is dialled.
        self._yard.rows(
            "update outbox.endpoints set url = 'https://127.0.0.1/' where id = %s returning id", found
        )
        return found

    def _delivery(self) -> Any:
        endpoint = self["endpoint"]
        self._yard.value("select outbox.publish('a', '{}', %s)", self._yard.project)
        return self._yard.value(
            "select j.id from outbox.jobs j join outbox.endpoints e on e.queue_id = j.queue_id "
            "where e.id = %s order by j.id limit 1",
            endpoint,
        )

    def _event(self) -> Any:
        return self._yard.value("select outbox.publish('a', '{}', %s)", self._yard.project)

    def _schedule(self) -> str:
        words = ("schedules", "create", "first", "@daily", "a", "--project", "shop")
        found: str = self.made(*words)["id"]
        return found

    def _session(self) -> Any:
        start = "select session_id from outbox.start_session(outbox.me(), %s, p_content => 'c')"
        return self._yard.value(start, self._yard.project)

    def _provider(self) -> str:
        self._yard.rows("select outbox.provider_failed('claude', 'quota_exhausted', null, true)")
        return "claude"

    def _interaction(self) -> Any:
        return self._asked("q1")

    def _question(self) -> Any:
        return self._asked("q2")

    def _asked(self, name: str) -> Any:
        ask = "select interaction_id from outbox.ask(%s, 'chat-1', 'ann', '\"well?\"', %s)"
        return self._yard.value(ask, self._yard.project, name)


@proves("G8")
def test_every_command_does_its_work_and_refuses_what_is_none(
    dsn: str, yard: Yard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # What Kubernetes injects for a Service of our name stops no boot.
    links = {"SERVICE_HOST": "10.3.0.1", "SERVICE_PORT": "8377", "PORT_8377_TCP": "tcp://10.3.0.1:8377"}
    serve = Daemon(tmp_path, dsn, "serve", **links)
    try:
        key = str(
            runner(dsn, capsys)("keys", "create", "--scope", "*", "--project", "shop", "--json").json()["key"]
        )
        cli = runner(
            dsn,
            capsys,
            OUTBOXD_SECRET_KEYS=SEALING,
            OUTBOXD_PORT=str(serve.port),
            OUTBOXD_API_KEY=key,
            OUTBOXD_PROJECT_ID=str(yard.project),
        )
        world = World(cli, yard, tmp_path)
        world["event"]
        serve.ready()
        wrong = [said for name in LEAVES for said in judged(name, cli, world)]
        assert not wrong, "\n".join(wrong)
        assert 1 == serve.log.count("enableServiceLinks: false")
        serve.signal(signal.SIGTERM)
        assert 0 == serve.gone(10), serve.log
    finally:
        serve.close()


def judged(name: str, cli: Run, world: World) -> Iterator[str]:
    """What is wrong about a command; nothing, mostly."""
    row, words = table.ROWS[name], name.split()
    if row.good is not None:
        good = cli(*words, *world.filled(row.good), "--json")
        if good.exit not in row.may or good.err:
            yield f"{name} {row.good}: exit {good.exit}: {good.err}"
        elif not parses(good.out):
            yield f"{name} {row.good}: no JSON: {good.out[:200]}"
    bad = cli(*words, *world.filled(row.bad))
    if (row.exit, "") != (bad.exit, bad.out) or not bad.err.startswith("error: "):
        yield f"{name} {row.bad}: exit {bad.exit}: {bad.out[:200]} {bad.err}"


def parses(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_help_names_each_flag_of_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    cli = runner("postgresql://nowhere.test/x", capsys)
    for name, command in LEAVES.items():
        said = cli(*name.split(), "--help")
        missing = [flag.names for flag in command.flags if not all(each in said.out for each in flag.names)]
        assert (0, []) == (said.exit, missing), name


def test_the_document_that_is_written_is_the_one_that_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = runner("postgresql://nowhere.test/x", capsys)
    file = tmp_path / "openapi.json"
    said = cli("openapi", "--out", str(file), "--json").json()
    document = json.loads(file.read_text())
    assert {"out": str(file), "paths": len(ROUTES)} == said
    assert (
        document == openapi.build(ROUTES) == cli("openapi", "--json").json() == json.loads(cli("openapi").out)
    )


def test_the_table_has_every_command() -> None:
    assert LEAVES.keys() == table.ROWS.keys()
    for name, row in table.ROWS.items():
        assert (row.good is None) == bool(row.elsewhere), name
        if row.elsewhere:
            assert f'"{name}"' in (HERE / row.elsewhere).read_text(), name


@pytest.fixture
def here() -> Iterator[Path]:
    """A folder that every account can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="outboxd-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.nightly)])
async def test_dev_leaves_nothing_behind(own: bool, dsn: str, here: Path) -> None:
    """With a database of its own in there, too; on one that is elsewhere it is quicker."""
    port, probe = free_port(), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(here),
        "OUTBOXD_PORT": str(port),
        "OUTBOXD_METRICS_LISTEN": f"127.0.0.1:{probe}",
        "OUTBOXD_DRAIN_DELAY_S": "0",
        **({} if own else {"OUTBOXD_DATABASE_URL": dsn, "OUTBOXD_SECRET_KEYS": SEALING}),
    }
    dev = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "outboxd", "dev", env=environ, stdout=PIPE, stderr=STDOUT
    )
    try:
        await until(lambda: dev.returncode is not None or answers(probe), 60)
        there = inside(here) != []
        dev.terminate()
        said = (await asyncio.wait_for(dev.communicate(), 30))[0].decode()
    finally:
        if dev.returncode is None:
            dev.kill()
    assert (0, True, []) == (dev.returncode, there, inside(here)), said
    assert f"http://127.0.0.1:{port}" in said


def inside(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
