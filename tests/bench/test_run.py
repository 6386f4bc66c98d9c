"""A small run, as a user starts it: it measures, and nothing stays behind."""

import importlib.util
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec
import psycopg
import pytest

from outboxd.bench import command, ground, measures, place
from outboxd.bench.command import Asked
from outboxd.bench.drain import Order
from outboxd.bench.ground import Ground, NotMeasuredError, Size
from outboxd.errors import ConfigError

TINY = Size(jobs=600, slow_jobs=50, cost_jobs=200, seconds=1, held=1, backlog=2_000, lanes=20, shares=5)


@pytest.fixture(scope="module")
def durable() -> Iterator[str]:
    """A server whose commits are durable, unlike that of the other tests."""
    with place.private_server() as dsn:
        yield dsn


def left(dsn: str) -> list[str]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return [
            row[0]
            for row in conn.execute("select datname from pg_database where datname like 'outboxd\\_bench%'")
        ]


@pytest.mark.nightly
async def test_a_small_run_measures_and_leaves_nothing_behind(durable: str) -> None:
    said: list[str] = []
    asked = Asked(server=durable, on_server=True, rounds=1, only=("drain 100",), peers=False, size=TINY)
    done = await command.run(asked, said.append)
    told = msgspec.json.decode(done.document)
    found = {(each["measure"], each["system"]): each["median"] for each in told["results"]}
    assert found["drain 100", "outboxd"] > 0
    assert found["drain 100", "raw SQL"] > 0
    assert "outboxd_bench_" in said[0]
    assert left(durable) == []


@pytest.mark.nightly
async def test_what_a_job_costs_the_server_is_measured_in_a_small_run(durable: str) -> None:
    asked = Asked(server=durable, on_server=True, rounds=1, only=("cost direct",), peers=False, size=TINY)
    done = await command.run(asked, lambda _: None)
    found = {each["measure"]: each["median"] for each in msgspec.json.decode(done.document)["results"]}
    assert 500 < found["wal direct"] < 5_000
    assert 1 <= found["dead direct"] < 2


@pytest.mark.nightly
async def test_what_agents_do_is_observed_and_found_in_a_small_run(durable: str) -> None:
    size = msgspec.structs.replace(TINY, observed=100, memories=500, asked=5)
    asked = Asked(
        server=durable, on_server=True, rounds=1, only=("observe", "search"), peers=False, size=size
    )
    done = await command.run(asked, lambda _: None)
    found = {each["measure"]: each["median"] for each in msgspec.json.decode(done.document)["results"]}
    assert found["observed per-event"] > 0
    assert found["observed debounce"] > 0
    assert 1 / 8 <= found["calls an event, per-event"] <= 1
    assert found["calls an event, debounce"] < 1 / 8
    assert 0 < found["search p50"] <= found["search p99"]
    assert 0 < found["context newest p50"]


@pytest.mark.nightly
async def test_what_is_delivered_and_recovered_is_measured_in_a_small_run(durable: str) -> None:
    size = msgspec.structs.replace(TINY, delivered=100)
    asked = Asked(
        server=durable, on_server=True, rounds=1, only=("deliver", "recover"), peers=False, size=size
    )
    done = await command.run(asked, lambda _: None)
    found = {each["measure"]: each["median"] for each in msgspec.json.decode(done.document)["results"]}
    assert found["deliver"] > 0
    assert 0 < found["recover delivered"] <= found["recover made"]


async def test_a_peer_that_is_not_installed_is_told_with_its_reason(durable: str) -> None:
    if importlib.util.find_spec("pgqueuer") is not None:
        pytest.skip("pgqueuer is installed here")
    order = Order(system="pgqueuer", dsn=durable, act="fill", jobs=1)
    with pytest.raises(NotMeasuredError, match=re.escape("pip install 'outboxd[bench]'")):
        await Ground(durable, TINY).fill(order)


async def test_a_measure_that_fails_leaves_nothing_behind_and_fails_the_check(
    durable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "PAYLOAD", "no json")
    monkeypatch.setattr("outboxd.bench.draining.PAYLOAD", "no json")
    asked = Asked(server=durable, on_server=True, rounds=1, only=("drain 1",), peers=False, size=TINY)
    done = await command.run(asked, lambda _: None)
    assert any(told.startswith("drain 1 (") for told in done.missed)
    assert left(durable) == []


async def test_volatile_settings_are_refused(dsn: str) -> None:
    """The server of the tests runs without fsync."""
    with pytest.raises(ConfigError, match="fsync is off"):
        await command.run(Asked(server=dsn, on_server=True), lambda _: None)
    assert left(dsn) == []


def test_a_foreign_host_needs_its_owner() -> None:
    with pytest.raises(ConfigError, match="--i-own-this-server"):
        place.check_server("host=db.example.com dbname=x", own=False)
    place.check_server("host=db.example.com dbname=x", own=True)
    place.check_server("postgresql://u@127.0.0.1/x", own=False)


def test_an_unknown_measure_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"no measure 'drian'.*drain 100"):
        measures.chosen(["drian"])


def test_first_words_select_every_measure_that_begins_with_them() -> None:
    assert [one.name for one in measures.chosen(["cost"])] == ["cost direct", "cost event", "cost keyed"]
    assert [one.name for one in measures.chosen(["drain 1"])] == ["drain 1"]


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["bench", "--only", "nonsense"], 2),
        (["bench", "--server"], 2),
        (["bench", "--rounds", "0"], 2),
    ],
)
def test_the_command_ends_with_its_status(argv: list[str], status: int, tmp_path: Path) -> None:
    from outboxd.cli.frame import run

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert run(argv, {"OUTBOXD_DATA": str(tmp_path)}) == status
    assert err.getvalue().startswith("error: ")
    assert out.getvalue() == ""


def test_a_server_that_is_not_there_is_status_3(tmp_path: Path) -> None:
    from outboxd.cli.frame import run

    environ = {"OUTBOXD_DATABASE_URL": "host=127.0.0.1 port=1 dbname=x", "OUTBOXD_DATA": str(tmp_path)}
    with redirect_stderr(io.StringIO()) as err:
        assert run(["bench", "--server", "--quick", "--only", "drain 1"], environ) == 3
    assert "error: " in err.getvalue()
