"""Event keys are those of the server whose clients we keep."""

import json
import shutil
import subprocess
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outboxd.store import event_keys

TEAM = UUID("11111111-1111-4111-8111-111111111111")
PROJECT = UUID("22222222-2222-4222-8222-222222222222")


def hashed(digest: str) -> str:
    return f"agent_event:v1:{digest}"


def test_a_native_id_has_the_key_of_the_server_we_replace() -> None:
    plain = event_keys.of_source(TEAM, PROJECT, "hook", None, "evt-1")
    platform = event_keys.of_source(TEAM, PROJECT, "hook", "claude-code", "evt-1")

    assert hashed("6f40a658095cb3845a63425f0a0cd06364f181c88361b01d6bcf49f2227a1dd3") == plain
    assert hashed("08a4d730f6afa764e9c0ac5e68c980c70899279a76d0356dbba8a8a2ea50695f") == platform


def test_content_has_the_key_of_the_server_we_replace() -> None:
    payload = msgspec.json.decode(
        r'{"tool":"Bash","n":1.0,"e":1e21,"f":0.1,"10":"a","9":"b","z":null,'
        r'"u":"é\u2028😀","nested":{"b":[2,1],"a":true}}'
    )
    hook = event_keys.of_content(
        TEAM, PROJECT, "hook", None, "cs-1", "PostToolUse", 1_767_225_600_123, payload
    )
    api = event_keys.of_content(TEAM, PROJECT, "api", None, None, "note", 0, {})

    assert hashed("e0e29ec5b2c299eb3e0fc4d6a448dda446d367f674ddc2d2b79812a3b7ec16c3") == hook
    assert hashed("1ba2b35c8a24040b92c49e1437c37fc6996c1c0d79e6eb7516bbb5d76848bb4a") == api


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (100.0, "100"), (0.1, "0.1"),
        (1e16, "10000000000000000"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (1.25e21, "1.25e+21"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"),
        (0.00001, "0.00001"), (123456.789, "123456.789"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"), (12345678901234567890, "12345678901234567000"),
        (2**53 + 1, "9007199254740992"), (1234.5e15, "1234500000000000000"),
    ],
)  # fmt: skip
def test_numbers_are_printed_as_javascript_does(number: float, text: str) -> None:
    assert text == event_keys.canonical(number)


def test_object_keys_stand_in_javascripts_order() -> None:
    keys = ["b", "10", "9", "a", "01", "4294967294", "4294967295", "\ufb01", "\U0001f600", "", "-1"]

    # U+1F600 begins with the surrogate D83D, so it stands before U+FB01.
    expected = ["9", "10", "4294967294", "", "-1", "01", "4294967295", "a", "b", "\U0001f600", "\ufb01"]
    assert expected == list(msgspec.json.decode(event_keys.canonical(dict.fromkeys(keys, 1))))


def test_only_what_must_be_escaped_is() -> None:
    assert '"\\u0001\\t\\"\\\\/\u2028é"' == event_keys.canonical('\x01\t"\\/\u2028é')


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node as oracle")
def test_javascript_agrees_on_numbers() -> None:
    numbers = [n * 10.0**e for n in (1, 1.5, 123456789, 1 / 3) for e in range(-30, 30)]
    script = f"console.log(JSON.stringify({numbers!r}))"
    printed = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == event_keys.canonical(numbers)


_ORACLE = """
const sorted = v => Array.isArray(v) ? v.map(sorted)
  : v && typeof v === "object" ? Object.fromEntries(Object.keys(v).sort().map(k => [k, sorted(v[k])])) : v;
const lines = require("fs").readFileSync(0, "utf8").trim().split("\\n");
console.log(JSON.stringify(lines.map(line => JSON.stringify(sorted(JSON.parse(line))))));
"""
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.integers(0, 2**33).map(str)
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=6),
    max_leaves=12,
)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node as oracle")
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(values=st.lists(_JSON, min_size=20, max_size=40))
def test_javascript_agrees_on_any_json(values: list[Any]) -> None:
    # `__proto__` is no member to JavaScript's objects.
    lines = [json.dumps(value) for value in values if "__proto__" not in json.dumps(value)]
    said = subprocess.run(
        ["node", "-e", _ORACLE], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == [event_keys.canonical(json.loads(line)) for line in lines]
