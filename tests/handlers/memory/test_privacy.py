"""What is marked private is gone, whatever surrounds it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outboxd.handlers.memory import privacy
from outboxd.handlers.memory.privacy import ALL, PRIVATE, says_anything, strip_raw, strip_text
from tests.proofs import proves

SPANS: list[tuple[str, str, int]] = [
    ("nothing here", "nothing here", 0),
    ("a < b and b > c", "a < b and b > c", 0),
    ("a<private>x</private>b", "ab", 1),
    ("<private>x</private>", "", 1),
    ("a<PRIVATE>x</pRiVaTe>b", "ab", 1),
    ('a<private reason="mine">x</private>b', "ab", 1),
    ("a<private\n  reason=mine\n>x</private\n>b", "ab", 1),
    ("a<private>x</private>b<private>y</private>c", "abc", 2),
    ("a<private>x<private>y</private>z</private>b", "ab", 1),
    ("a<private>x<private>y</private>z", "a", 1),
    ("a<private>x", "a", 1),
    ("a<private", "a", 1),
    ("a<private x", "a", 1),
    ("a<private/>x</private>b", "ab", 1),
    ("a<private/>x", "a", 1),
    ("a</private>b", "ab", 0),
    ("a</private></private>b", "ab", 0),
    ("a</private>b<private>x</private>c", "abc", 1),
    ("a<private><b>x</b></private>b", "ab", 1),
    ("a<private-note>x</private-note>b", "a<private-note>x</private-note>b", 0),
    ("a<privates>x</privates>b", "a<privates>x</privates>b", 0),
    ("a<private.Field>b", "a<private.Field>b", 0),
    ("ä<private>ö</private>ü", "äü", 1),
    ("<private\u00a0x>y</private>z", "z", 1),
    # Half a tag, a span, the other half: its closing tag was a stray one by then, so the rest goes.
    ("<pri<private>x</private>vate>y</private>z", "", 2),
    ("a<pri<private></private>vate>x</pri<private></private>vate>b", "ab", 3),
    # As deep as nobody writes by accident: the rest goes.
    ("a<pri" + "</pri" * 9 + "</private>" + "vate>" * 10 + "x", "a<pri" + "</pri" * 6, 1),
    ("a<system-reminder>x</system-reminder>b", "a<system-reminder>x</system-reminder>b", 0),
]

NOISE: list[tuple[str, str, int]] = [
    ("a<system-reminder>x</system-reminder>b", "ab", 0),
    ("a<System_Instruction x=1>x</SYSTEM_INSTRUCTION>b", "ab", 0),
    ("a<system-instruction>x</system-instruction>b", "ab", 0),
    ("a<persisted-output>x</persisted-output>b", "ab", 0),
    ("a<claude-mem-context>x<claude-mem-context>y</claude-mem-context>z</claude-mem-context>b", "ab", 0),
    ("a<claude-mem-context>x", "a", 0),
    ("a</claude-mem-context>b", "ab", 0),
    ("a<system-reminder>x</persisted-output>y</system-reminder>b", "ab", 0),
    ("a<system-reminder>x<private>y</private>z</system-reminder>b", "ab", 1),
    ("a<system-reminder><private>x</system-reminder>y</private>b", "a", 1),
    ("<pri<system-reminder>x</system-reminder>vate>y</private>z", "", 1),
]


@proves("I9", "M10")
@pytest.mark.parametrize(("text", "left", "spans"), SPANS)
def test_private_spans_are_removed_and_counted(text: str, left: str, spans: int) -> None:
    assert strip_text(text, PRIVATE) == (left, spans)


@proves("M10")
@pytest.mark.parametrize(("text", "left", "spans"), NOISE)
def test_context_tags_go_by_the_same_rules_and_are_not_counted_as_private(
    text: str, left: str, spans: int
) -> None:
    assert strip_text(text, ALL) == (left, spans)


DOCUMENTS: list[tuple[str, str, int]] = [
    ('{"a":1.10,"b":12345678901234567890123}', '{"a":1.10,"b":12345678901234567890123}', 0),
    (
        '{"a":1.10, "b":12345678901234567890123, "c":"<private>x</private>", "d":1e2}',
        '{"a":1.10, "b":12345678901234567890123, "c":"", "d":1e2}',
        1,
    ),
    ('{"k<private>x</private>":{"<private>y</private>":["z<private>"]}}', '{"k":{"":["z"]}}', 3),
    (r'"a\u003cprivate\u003ex\u003c/private>b"', '"ab"', 1),
    (r'"a\u003CPRIVATE>x<\/private>b"', '"ab"', 1),
    (r'"a<\u0070\u0072ivate>x</priv\u0061te>b"', '"ab"', 1),
    (r'"a<\u0050RIVATE>x"', '"a"', 1),
    (r'"a\\u003cprivate>x"', r'"a\\u003cprivate>x"', 0),
    (r'"\"<private>\\</private>\""', r'"\"\""', 1),
    (r'"<private>\"</private>\ud83d\ude00ä"', '"\U0001f600ä"', 1),
    ('["<priv","ate>x"]', '["<priv","ate>x"]', 0),
    ('["<private>x","y</private>"]', '["","y"]', 1),
    ('{"n":null,"t":true,"f":false,"s":"</private>"}', '{"n":null,"t":true,"f":false,"s":""}', 0),
]


@proves("I9", "M10")
@pytest.mark.parametrize(("before", "after", "spans"), DOCUMENTS)
def test_every_string_of_a_document_is_stripped_and_nothing_else_changes(
    before: str, after: str, spans: int
) -> None:
    assert strip_raw(before.encode(), PRIVATE) == (after.encode(), spans)


def test_a_document_may_be_nested_as_deeply_as_it_likes() -> None:
    deep = b"[" * 100_000 + b'"<private>x</private>"' + b"]" * 100_000
    assert strip_raw(deep, PRIVATE) == (b"[" * 100_000 + b'""' + b"]" * 100_000, 1)


@pytest.mark.parametrize("name", ["private", *(name.decode() for name in privacy._NOISE.names)])
def test_each_name_is_found_in_any_case_and_behind_escapes(name: str) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    for shown in (name, name.upper(), escaped, escaped.upper().replace("\\U", "\\u")):
        assert strip_raw(f'"a<{shown}>x"'.encode(), ALL)[0] == b'"a"'


@proves("M10")
@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ("{}", False),
        ("[]", False),
        ('""', False),
        ("null", False),
        ('" \\n"', False),
        ('{"only":{"keys":["",{"here":""}],"and":null}}', False),
        ('{ "key" : "" }', False),
        ('{"a":"x"}', True),
        ('["",["",{"a":["b"]}]]', True),
        ("0", True),
        ('{"exit":0}', True),
        ("false", True),
        ('{"a":"\\u0020."}', True),
        ('{"a":":"}', True),
        ('{"a":"null"}', True),
    ],
)
def test_a_payload_that_is_private_except_for_its_keys_says_nothing(payload: str, says: bool) -> None:
    assert says_anything(payload.encode()) is says


TAGS = "<private> </private> <PRIVATE/> <private </private <pri vate> <system-reminder> </system-reminder>"
CHIPS = [*TAGS.split(), "<system-", "reminder>", *"></x \né"]
PIECES = st.lists(st.sampled_from(CHIPS), max_size=30).map("".join)


@given(PIECES)
@settings(max_examples=500)
def test_what_comes_out_shows_no_tag_and_a_second_time_changes_nothing(text: str) -> None:
    for rules in (PRIVATE, ALL):
        left, _ = strip_text(text, rules)
        assert not any(tags.tag.search(left) for tags in rules)
        assert strip_text(left, rules) == (left, 0)


CLEAN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>§"), max_size=12)
OPENS = st.sampled_from(["<private>", "<PRIVATE >", '<private a="1">', "<private\n>"])


@st.composite
def marked(draw: st.DrawFn, depth: int = 3) -> str:
    """A text whose private parts, and nothing else, hold §."""
    hidden = "".join(
        draw(CLEAN) + "§" + (draw(marked(depth - 1)) if depth else "") for _ in range(draw(st.integers(0, 2)))
    )
    closing = draw(st.sampled_from(["</private>", "</PRIVATE >"]))
    return draw(OPENS) + hidden + closing


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, str]:
    """(with private parts, what has to be left of it)."""
    parts = draw(st.lists(st.tuples(CLEAN, marked()), max_size=4))
    last = draw(CLEAN)
    return "".join(clean + span for clean, span in parts) + last, "".join(c for c, _ in parts) + last


@proves("I9", "M10")
@given(texts())
def test_exactly_what_is_private_is_gone(both: tuple[str, str]) -> None:
    text, left = both
    assert strip_text(text, PRIVATE)[0] == left


NAMES = texts().map(lambda both: both[0])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def given_and_left(value: Any) -> tuple[Any, Any]:
    match value:
        case (str() as text, str() as left):
            return text, left
        case list():
            pairs = [given_and_left(each) for each in value]
            return [a for a, _ in pairs], [b for _, b in pairs]
        case dict():
            both = {key: given_and_left(each) for key, each in value.items()}
            return (
                {key: a for key, (a, _) in both.items()},
                {strip_text(key, PRIVATE)[0]: b for key, (_, b) in both.items()},
            )
    return value, value


@proves("I9", "M10")
@given(VALUES, st.booleans())
def test_no_private_byte_survives_in_a_document(value: Any, ascii_only: bool) -> None:
    before, left = given_and_left(value)
    for raw in (msgspec.json.encode(before), json.dumps(before, ensure_ascii=ascii_only).encode()):
        after, _ = strip_raw(raw, PRIVATE)
        assert json.loads(after) == left
        assert "§" not in json.dumps(json.loads(after), ensure_ascii=False)
        assert strip_raw(after, PRIVATE) == (after, 0)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "<private>" * 100_000,
        "</private>" * 100_000,
        "<private" * 100_000,
        "<private " + " " * 1_000_000,
        "</private " * 100_000,
        "<pri" * 150_000 + "<private></private>" + "vate>" * 150_000,
        "<pri<private></private>vate></private>" * 30_000,
        "<" * 1_000_000,
        "<pri" + "</pri" * 100_000 + "</private>" + "vate>" * 100_001,
        "<private>" * 50_000 + "</private>" * 50_000,
        "<system-reminder><private></system-reminder>" * 30_000,
    ],
    ids=range(11),
)
def test_no_text_takes_longer_than_in_proportion_to_its_length(text: str) -> None:
    # What takes the square of its length takes hours for these.
    left, _ = strip_text(text, ALL)
    assert strip_text(left, ALL) == (left, 0)
    after, _ = strip_raw(msgspec.json.encode({text: [text]}), ALL)
    assert json.loads(after) == {left: [left]}
