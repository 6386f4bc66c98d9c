"""Replies on a terminal, in a pipe, and for machines."""

import io
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from outboxd.cli.output import Form, Output, cell, say_error
from outboxd.cli.reply import Record, Reply, Rows, Text
from outboxd.errors import ConfigError, NotFound


class Thing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    created_at_epoch: int
    metadata: msgspec.Raw = msgspec.Raw(b'{"a": 1.10}')


THINGS = Rows(
    name="things",
    columns=("name", "createdAtEpoch"),
    rows=[Thing(name="first", created_at_epoch=0), Thing(name="second one", created_at_epoch=1000)],
)


def shown(reply: Reply, form: Form = "table", width: int | None = None, colour: bool = False) -> str:
    to = io.StringIO()
    Output(to, form, width=width, colour=colour).show(reply)
    return to.getvalue()


def test_a_table_has_a_head_and_is_whole_without_a_terminal() -> None:
    assert shown(THINGS).splitlines() == [
        "name        created at",
        "first       1970-01-01T00:00:00Z",
        "second one  1970-01-01T00:00:01Z",
    ]


def test_a_span_is_short_in_a_table_and_exact_in_json() -> None:
    late = Rows(name="queues", columns=("lag",), rows=[{"lag": timedelta(hours=1, seconds=1)}])
    assert shown(late).splitlines()[1] == "1h 1s"
    assert json.loads(shown(late, "json")) == {"queues": [{"lag": "PT3601S"}]}


def test_an_empty_list_is_a_head_or_an_empty_document() -> None:
    nothing = Rows(name="things", columns=("name",), rows=[])
    assert shown(nothing) == "name\n"
    assert json.loads(shown(nothing, "json")) == {"things": []}
    assert shown(nothing, "jsonl") == ""


def test_a_terminal_cuts_the_widest_column_to_its_width() -> None:
    wide = Rows(name="x", columns=("id", "error"), rows=[{"id": "42", "error": "e" * 300}])
    lines = shown(wide, width=40).splitlines()
    assert max(map(len, lines)) == 40
    assert lines[1].startswith("42  eee")
    assert lines[1].endswith("…")


def test_only_the_head_is_bold_and_only_with_colour() -> None:
    assert shown(THINGS, colour=True).startswith("\x1b[1mname")
    assert "\x1b" not in shown(THINGS)


def test_json_has_every_field_by_its_api_name_and_json_inside_untouched() -> None:
    document = shown(THINGS, "json")
    assert json.loads(document)["things"][0] == {"name": "first", "createdAtEpoch": 0, "metadata": {"a": 1.1}}
    assert '"a": 1.10' in document


def test_jsonl_is_one_row_a_line() -> None:
    assert [json.loads(line)["name"] for line in shown(THINGS, "jsonl").splitlines()] == [
        "first",
        "second one",
    ]


def test_one_thing_is_a_line_a_field() -> None:
    thing = Record(fields=THINGS.rows[0])
    assert shown(thing).splitlines()[1] == "created at  1970-01-01T00:00:00Z"
    assert shown(thing).splitlines()[2] == 'metadata    {"a":1.1}'
    assert json.loads(shown(thing, "json"))["name"] == "first"


def test_a_text_is_printed_as_it_is_and_machines_get_its_document() -> None:
    text = Text(text="select 1;\n", document={"sql": "select 1;"})
    assert shown(text) == "select 1;\n"
    assert json.loads(shown(text, "json")) == {"sql": "select 1;"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("note", None, "-"),
        ("paused", True, "yes"),
        ("paused", False, "no"),
        ("depth", 0, "0"),
        ("scopes", ["a", "b"], "a,b"),
        ("at", "2026-01-01", "2026-01-01"),
        ("settings", {"a": 1}, '{"a":1}'),
        ("lag", timedelta(milliseconds=12), "12ms"),
        ("lag", timedelta(seconds=125), "2m 5s"),
        ("lag", timedelta(days=3, hours=4, seconds=7), "3d 4h"),
        ("lag", -timedelta(seconds=61), "-1m 1s"),
    ],
    ids=range(11),
)
def test_a_cell_says(name: str, value: Any, expected: str) -> None:
    assert cell(name, value) == expected


def test_what_a_tenant_wrote_cannot_drive_the_terminal() -> None:
    hostile: Mapping[str, str] = {"name": "\x1b[2J\x07gone\nforged  line"}
    for form in (Rows(name="x", columns=("name",), rows=[hostile]), Record(fields=hostile)):
        printed = shown(form)
        assert "\x1b" not in printed
        assert "\x07" not in printed
        assert len(printed.splitlines()) == (2 if isinstance(form, Rows) else 1)


def test_errors_are_a_sentence_each_or_one_document() -> None:
    to = io.StringIO()
    say_error(
        ConfigError(["OUTBOXD_PORT: got 'x'; wants 1..65535", "OUTBOXD_FOO: no such setting"]), to, json=False
    )
    assert to.getvalue().splitlines() == [
        "error: OUTBOXD_PORT: got 'x'; wants 1..65535",
        "error: OUTBOXD_FOO: no such setting",
    ]
    to = io.StringIO()
    say_error(NotFound("no team 7"), to, json=True)
    assert json.loads(to.getvalue()) == {"error": "NotFound", "message": "no team 7"}


def test_what_lies_in_a_field_has_a_column_or_a_line_of_its_own() -> None:
    row = {"id": "1", "health": {"state": "closed", "lastStatus": 500}}
    rows = Rows(name="x", columns=("id", "health.lastStatus", "lastError.reason"), rows=[row])
    assert shown(rows).splitlines() == ["id  last status  reason", "1   500          -"]
    assert json.loads(shown(rows, "json")) == {"x": [row]}
    said = Record(fields={"endpoint": row, "warnings": {"a": 1}}, unfolded=("endpoint", "health"))
    assert shown(said).splitlines() == [
        "endpoint id                  1",
        "endpoint health state        closed",
        "endpoint health last status  500",
        'warnings                     {"a":1}',
    ]
