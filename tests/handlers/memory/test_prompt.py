"""What a model is asked, to the letter, and what it is never shown."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxd.handlers.memory import prompt, shown
from outboxd.handlers.memory.prompt import (
    PROMPT_VERSION,
    Asked,
    Observing,
    PromptEvent,
    PromptMemory,
    Session,
    Summarizing,
)
from outboxd.handlers.memory.redaction import Redactor
from tests.proofs import proves

SNAPSHOTS = Path(__file__).parent / "snapshots"
REDACTOR = Redactor()
AT = datetime(2026, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)

EDIT = {
    "tool_name": "Edit",
    "tool_input": {"file_path": "src/a.py", "old": "if a < b & c:", "new": "<private>mine</private>ok"},
    "tool_response": "done\x1b[0m <system-reminder>be nice</system-reminder>with AKIAIOSFODNN7EXAMPLE",
    "ratio": 1.10,
    "tags": [],
}


def event(payload: Any, *, type_: str = "tool_use", after: int = 0, most: int = 16_384) -> PromptEvent:
    found = shown.payload(msgspec.json.encode(payload), REDACTOR, most)
    return PromptEvent(
        type=type_, source="claude-code", occurred_at=AT + timedelta(seconds=after), payload=found.text
    )


OBSERVING = Observing(
    project="Shop <beta>",
    session=Session(platform="claude", agent_type="planner"),
    events=[event(EDIT), event("Fix the\ncart, please", type_="user_prompt", after=1)],
    types=("bugfix", "feature"),
)
SUMMARIZING = Summarizing(
    project="Shop",
    session=Session(platform="claude"),
    previous="Request: fix the cart",
    first_prompt="Fix the cart <private>now</private>",
    last_message="All done & tested",
    memories=[
        PromptMemory(
            kind="bugfix", created_at=AT + timedelta(seconds=2), content="Cart rounds\n\n- in cents"
        ),
        PromptMemory(kind="discovery", created_at=AT, content="Prices are floats"),
    ],
    events=[event({"tool_name": "Bash"}, after=1, most=prompt.EVENT_IN_SUMMARY)],
)


def snapshot(name: str, asked: Asked) -> None:
    """The version is in the name: words that change under an old version are a fault."""
    path = SNAPSHOTS / f"{name}.v{PROMPT_VERSION}.txt"
    assert f"{asked.system}\n----\n{asked.user}\n" == path.read_text()


def test_the_prompt_for_observations_is_this_one() -> None:
    snapshot("observe", prompt.observe(OBSERVING, REDACTOR))


@proves("M9")
def test_the_prompt_for_a_summary_is_this_one_and_asks_for_the_tag_that_is_read() -> None:
    asked = prompt.summarize(SUMMARIZING, REDACTOR, 128 * 1024)
    snapshot("summarize", asked)
    assert asked.left_out == 0
    assert "<summary>" in asked.system
    assert "<observation>" not in asked.system


def test_nothing_identifies_a_tenant() -> None:
    for asked in (prompt.observe(OBSERVING, REDACTOR), prompt.summarize(SUMMARIZING, REDACTOR, 10**6)):
        names = {element.tag for element in ET.fromstring(asked.user).iter()}
        assert not {name for name in names if re.search(r"id|key|team", name)}


@proves("M10")
def test_what_is_private_noise_or_secret_is_in_no_part() -> None:
    dirty = "a <private>§</private> b <system-reminder>§</system-reminder> c password=§hunter2"
    observing = Observing(
        project=dirty,
        session=Session(platform=dirty, agent_type=dirty),
        events=[msgspec.structs.replace(event({dirty: [dirty]}), type=dirty, source=dirty)],
    )
    summarizing = Summarizing(
        project=dirty,
        session=Session(platform=dirty),
        previous=dirty,
        first_prompt=dirty,
        last_message=dirty,
        memories=[PromptMemory(kind=dirty, created_at=AT, content=dirty)],
        events=observing.events,
    )
    for asked in (prompt.observe(observing, REDACTOR), prompt.summarize(summarizing, REDACTOR, 10**6)):
        assert "§" not in asked.user
        assert "[redacted:password]" in asked.user


def test_a_project_may_leave_its_secrets_alone_but_not_what_is_private() -> None:
    raw = b'{"a":"<private>x</private>password=hunter2"}'
    assert json.loads(shown.payload(raw, None).text) == {"a": "password=hunter2"}


def test_a_string_is_shown_as_it_is_and_json_with_two_blanks() -> None:
    assert shown.payload(b'"a\\nb \\"c\\""', REDACTOR).text == 'a\nb "c"'
    assert shown.payload(b'{"a":[1.10,12345678901234567890]}', REDACTOR).text == (
        '{\n  "a": [\n    1.10,\n    12345678901234567890\n  ]\n}'
    )


def test_long_strings_keep_head_and_tail_and_say_what_is_missing() -> None:
    text = "".join(f"{n:05}," for n in range(2_000))
    found = shown.payload(msgspec.json.encode({"a": [text, "b"]}), REDACTOR)
    long, short = found.value["a"]
    left = re.fullmatch(r"(00000,.*)\[… (\d+) characters left out …\](.*01999,)", long)
    assert left is not None
    assert len(long) <= shown.LONGEST_STRING
    assert len(left[1]) + int(left[2]) + len(left[3]) == len(text)
    assert text.startswith(left[1])
    assert text.endswith(left[3])
    assert short == "b"


@pytest.mark.parametrize("most", [1_000, shown.LONGEST_PAYLOAD])
def test_a_payload_is_cut_as_a_whole(most: int) -> None:
    found = shown.payload(msgspec.json.encode({str(n): "x" * 99 for n in range(5_000)}), REDACTOR, most)
    assert most - 20 < len(found.text) <= most
    assert "characters left out …]" in found.text


def test_a_secret_is_found_before_it_is_cut_in_half() -> None:
    for head in range(2_750, 2_790):
        text = "y" * head + " AKIAIOSFODNN7EXAMPLE " + "z" * 5_000
        assert "AKI" not in shown.payload(msgspec.json.encode(text), REDACTOR).text


def test_control_characters_are_dropped() -> None:
    found = shown.payload(msgspec.json.encode({"a\x07": "b\x00c\r\n\td\x9b\x7f\ufffe"}), REDACTOR)
    assert found.value == {"a": "bc\n\td"}
    asked = prompt.observe(Observing(project="a\x1b[0m\x0cb", session=None, events=[]), REDACTOR)
    assert ET.fromstring(asked.user).findtext("project") == "a[0mb"


@proves("M10")
@pytest.mark.parametrize(
    ("payload", "empty", "private"),
    [
        ({"prompt": "<private>x</private>"}, True, 1),
        ({"a": {"b": ["<private>x"]}}, True, 1),
        ({"a": "<system-reminder>x</system-reminder>"}, True, 0),
        ({"a": "<private>x</private>", "b": "y"}, False, 1),
        ({}, True, 0),
        ("<private>x</private>", True, 1),
    ],
)
def test_a_payload_with_nothing_left_is_known(payload: Any, empty: bool, private: int) -> None:
    found = shown.payload(msgspec.json.encode(payload), REDACTOR)
    assert (found.empty, found.private) == (empty, private)


def test_a_payload_of_any_depth_is_shown() -> None:
    raw = b"[" * 50_000 + b'"<private>x</private>AKIAIOSFODNN7EXAMPLE password=hunter2"' + b"]" * 50_000
    found = shown.payload(raw, REDACTOR, 200_000)
    assert "[redacted:aws] password=[redacted:password]" in found.text
    assert found.private == 1


@given(st.text(), st.text(), st.recursive(st.none() | st.text(), st.lists, max_leaves=4))
def test_whatever_happened_the_user_part_is_one_xml_document(project: str, type_: str, payload: Any) -> None:
    found = shown.payload(msgspec.json.encode(payload), REDACTOR)
    told = PromptEvent(type=type_, source="x", occurred_at=AT, payload=found.text)
    asked = prompt.observe(Observing(project=project, session=None, events=[told, told]), REDACTOR)
    document = ET.fromstring(asked.user)
    assert document.tag == "observation_request"
    assert [each.get("n") for each in document.iterfind("events/event")] == ["1", "2"]
    assert (document.findtext("events/event/payload") or "") == found.text
    assert abs(prompt.event_size(told) * 2 - len(asked.user.encode())) < 200 + 5 * len(project.encode())


def test_a_summary_shows_everything_in_the_order_in_which_it_happened() -> None:
    document = ET.fromstring(prompt.summarize(SUMMARIZING, REDACTOR, 10**6).user)
    timeline = document.find("timeline")
    assert timeline is not None
    assert [each.tag for each in timeline] == ["observation", "event", "observation"]
    assert timeline[0].findtext("content") == "Prices are floats"
    assert document.find("left_out") is None


def test_what_has_no_room_goes_oldest_observations_first_and_the_model_is_told() -> None:
    memories = [
        PromptMemory(kind="change", created_at=AT + timedelta(seconds=n), content=f"{n:04} " + "é&" * 300)
        for n in range(200)
    ]
    events = [event(f"event {n}", after=n) for n in range(5)]
    request = msgspec.structs.replace(SUMMARIZING, memories=memories[::-1], events=events)
    for limit in (128 * 1024, 16 * 1024):
        asked = prompt.summarize(request, REDACTOR, limit)
        document = ET.fromstring(asked.user)
        kept = [(each.findtext("content") or "")[:4] for each in document.iterfind("timeline/observation")]
        assert len(asked.user.encode()) <= limit
        assert kept == [f"{n:04}" for n in range(asked.left_out, 200)]
        assert 0 < asked.left_out < 200
        assert len(document.findall("timeline/event")) == 5
        assert (document.findtext("left_out") or "").startswith(f"{asked.left_out} ")


def test_the_limit_holds_even_where_only_what_is_always_there_fits() -> None:
    wide = "\U0001f600&" * 9_000
    request = Summarizing(
        project="p",
        session=Session(),
        previous=wide,
        first_prompt=wide,
        last_message=wide,
        memories=[PromptMemory(kind="change", created_at=AT, content=wide)],
        events=[event(wide)],
    )
    for limit in (128 * 1024, 16 * 1024):
        asked = prompt.summarize(request, REDACTOR, limit)
        assert len(asked.user.encode()) <= limit
        assert {"previous_summary", "first_prompt"} <= {each.tag for each in ET.fromstring(asked.user)}
