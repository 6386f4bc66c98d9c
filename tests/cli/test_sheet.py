"""`outboxd sql`: what it says of a view is what the database has."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.cli.place import Run

VIEWS = sorted(file.stem for file in (Path(__file__).parents[2] / "sql" / "views").glob("*.sql"))


def test_the_contract_is_printed(cli: Run) -> None:
    said = cli("sql")
    assert 0 == said.exit
    assert all(f"`{view}`" in said.out for view in VIEWS)
    assert said.out.strip() == cli("sql", "--json").json()["contract"].strip()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_told_with_its_columns_and_an_example_that_runs(cli: Run, dsn: str, view: str) -> None:
    told = cli("sql", view, "--json").json()
    assert told["question"].endswith("?")
    with psycopg.connect(dsn) as conn:
        have = [
            column.name for column in conn.execute(f"select * from outbox.{view} limit 0").description or ()
        ]
        if "'…'" not in told["example"]:
            conn.execute(told["example"])
    assert have == told["columns"]
    assert f"outbox.{view} " in told["example"]


def test_an_unknown_view_is_exit_1(cli: Run) -> None:
    answer = cli("sql", "weather")
    assert (1, "") == (answer.exit, answer.out)
    assert "queue_depth" in answer.err
    assert {"error", "message"} == set(json.loads(cli("sql", "weather", "--json").err))
