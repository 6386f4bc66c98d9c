"""What a model says is read as far as it can be read, and no further."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outboxd.handlers.memory import grammar
from outboxd.handlers.memory.grammar import Answer, Observation, ParseError, Summary, Truncated, Unreadable
from tests.proofs import proves

TYPES = ("bugfix", "feature", "change", "discovery", "decision")
REPLIES = Path(__file__).parent / "replies"


def reply(name: str) -> str:
    return (REPLIES / f"{name}.txt").read_text()


def observed(text: str, stop: str = "end", events: int = 9) -> tuple[Observation, ...]:
    return grammar.observations(text, stop, TYPES, events).observations


def only(text: str) -> Observation:
    (found,) = observed(text)
    return found


def block(*parts: str) -> str:
    return f"<observation>{''.join(parts)}</observation>"


def test_a_good_reply_is_read_as_it_is_meant() -> None:
    assert observed(reply("good_two"), events=3) == (
        Observation(
            type="bugfix",
            title="Lease renewal no longer races the reaper",
            subtitle="The reaper reads the beat before it locks",
            narrative=(
                "The reaper locked leases in the order of ids; renewal in the order of beats. "
                "Both now lock by id & queue, so a <deadlock> cannot form."
            ),
            facts=("loops/reap.py locks by (queue_id, id)", "The test ran 200 times without a 40P01"),
            concepts=("problem-solution", "gotcha"),
            files_read=("loops/reap.py",),
            files_modified=("loops/reap.py", "tests/test_reap.py"),
            sources=(1, 3),
        ),
        Observation(type="discovery", title="Sessions have no index on ended_at", sources=(2,)),
    )


def test_prose_fences_case_blanks_and_unknown_tags_do_not_matter() -> None:
    assert only(reply("sloppy_fenced")) == Observation(
        type="change",
        title="Uses `a < b` &amp; more",
        narrative="Before:\n\n```python\nif a < b and b > c: pass\n```",
        facts=("one", "AB'\""),
    )


def test_cdata_is_unwrapped_as_it_stands_there() -> None:
    assert only(reply("sloppy_cdata")) == Observation(
        type="feature",
        title="Template <T> && U &lt;",
        narrative="It reads <observation><title>x</title></observation> and <b>.",
    )


def test_a_field_that_never_closes_ends_at_the_next_tag() -> None:
    assert observed(reply("sloppy_unclosed_fields")) == (
        Observation(
            type="decision",
            title="Postgres only",
            narrative="No broker, because one thing is easier to run.",
            facts=("no Redis", "no Kafka"),
            concepts=("trade-off",),
            files_read=("DESIGN.md",),
        ),
        Observation(type="bugfix", title="Second"),
    )


def test_a_block_ends_where_another_starts_before_it_closed() -> None:
    assert only("<observation><title>cut</title>" + block("<title>whole</title>")).title == "whole"
    with pytest.raises(Truncated):
        observed("<observation><title>cut</title><summary></observation>", "length")


def test_an_item_that_never_closes_ends_at_the_next() -> None:
    found = only(block("<facts><fact>a<fact>b</fact><fact>c</facts><title>x</title>"))
    assert (found.facts, found.title) == (("a", "b", "c"), "x")


def test_an_answer_may_quote_the_tags() -> None:
    assert only(reply("sloppy_quotes")) == Observation(
        type="bugfix",
        title="The parser keeps a quoted </observation> and <skip_summary/>",
        narrative='An answer is <observation> blocks; <title> is one line. <skip_summary reason="x"/>',
        facts=("it ends with </facts>",),
    )


@proves("M24")
def test_complete_blocks_of_a_reply_that_was_cut_are_kept() -> None:
    (found,) = observed(reply("cut_second"), "length")
    assert found.title == "Complete"


@pytest.mark.parametrize(
    ("text", "stop", "error"),
    [
        (reply("cut_first"), "length", Truncated),
        (reply("cut_first"), "end", ParseError),
        (reply("prose"), "end", ParseError),
        ("", "end", ParseError),
        ("", "length", Truncated),
        ("  \n", "end", ParseError),
        ("\x00\x01\ufffd", "end", ParseError),
        (block(), "end", ParseError),
        (block("<subtitle>alone</subtitle>"), "end", ParseError),
        (block("<files_read><file>alone</file></files_read>"), "end", ParseError),
        ("</observation><title>x</title>", "end", ParseError),
        ("<observation/>", "end", ParseError),
        ("&lt;observation&gt;&lt;title&gt;x&lt;/title&gt;&lt;/observation&gt;", "end", ParseError),
        (reply("summary"), "end", ParseError),
    ],
)
def test_a_reply_without_a_block_is_an_error_that_says_nothing_of_it(
    text: str, stop: str, error: type[Unreadable]
) -> None:
    with pytest.raises(error) as raised:
        observed(text, stop)
    assert raised.value.kind == ("truncated" if error is Truncated else "parse_error")
    assert str(raised.value).startswith("the model's reply ")


def test_there_may_be_nothing_worth_recording() -> None:
    assert grammar.observations(reply("skip"), "end", TYPES, 1) == Answer(skip='only "ls" & cd')
    assert grammar.observations("<SKIP_SUMMARY>", "end", TYPES, 1) == Answer(skip="")
    assert grammar.summary(reply("skip"), "end", TYPES).skip is not None


@proves("M24")
@pytest.mark.parametrize("name", ["sloppy_fenced", "sloppy_quotes"])
def test_a_skip_that_is_quoted_or_stands_beside_a_block_discards_nothing(name: str) -> None:
    assert grammar.observations(reply(name), "end", TYPES, 1).skip is None
    assert len(observed(reply(name))) == 1


def test_a_skip_inside_a_block_that_was_cut_is_none() -> None:
    with pytest.raises(Truncated):
        observed("<observation><title>x <skip_summary/>", "length")


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("<type>feature</type>", "feature"),
        ("<type> FEATURE </type>", "feature"),
        ("<type>my-own_type2</type>", "my-own_type2"),
        ("<type>not allowed!</type>", "bugfix"),
        ("<type>" + "a" * 41 + "</type>", "bugfix"),
        ("<type></type>", "bugfix"),
        ("<type/>", "bugfix"),
        ("", "bugfix"),
    ],
)
def test_a_type_that_is_missing_or_impossible_is_the_first_allowed(said: str, means: str) -> None:
    assert only(block(said, "<title>x</title>")).type == means


@proves("M24")
@pytest.mark.parametrize(
    "part",
    [
        "<title>x</title>",
        "<narrative>x</narrative>",
        "<facts><fact>x</fact></facts>",
        "<concepts><concept>x</concept></concepts>",
    ],
)
def test_a_title_a_narrative_a_fact_or_a_concept_is_enough(part: str) -> None:
    assert only(block(part)).survives


def test_concepts_are_cut_at_the_colon_and_told_once_without_the_type() -> None:
    said = ["how-it-works: by locks", "how-it-works", ": nothing", "", "bugfix", "gotcha"]
    items = "".join(f"<concept>{each}</concept>" for each in said)
    assert only(block("<concepts>", items, "</concepts>")).concepts == ("how-it-works", "gotcha")


def test_the_first_of_a_field_that_says_something_wins() -> None:
    found = only(block("<title/><title> </title><title>one</title><title>two</title>"))
    assert found.title == "one"


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ("1,3", (1, 3)),
        ("3, 1; 3", (3, 1)),
        ("<source>2</source>", (2,)),
        ("0, 9", ()),
        ("all", ()),
        ("", ()),
        ("9" * 5000, ()),
    ],
)
def test_sources_are_numbers_of_events_that_there_were(said: str, numbers: tuple[int, ...]) -> None:
    (found,) = observed(block("<title>x</title><sources>", said, "</sources>"), events=3)
    assert found.sources == numbers


@proves("M24")
@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("&lt;b&gt; &amp; &quot;x&quot; &apos;", '<b> & "x" \''),
        ("&amp;lt;", "&lt;"),
        ("&#60;&#x3c;&#X3C;", "<<<"),
        ("&#1114111;&#1114112;&#9999999;", "\U0010ffff\ufffd\ufffd"),
        ("a&#0;&#xD800;&#x1b;b", "ab"),
        ("&nbsp;&LT;&;&#;&#x;", "&nbsp;&LT;&;&#;&#x;"),
        ("&lol9;", "&lol9;"),
    ],
)
def test_entities_are_unescaped_once_and_none_is_expanded(escaped: str, text: str) -> None:
    assert only(block("<title>", escaped, "</title>")).title == text


def test_what_is_too_much_is_cut() -> None:
    long = "x" * 20_000

    def items(name: str, each: str) -> str:
        return f"<{name}>" + "".join(f"<{each}>{n} {long}</{each}>" for n in range(200)) + f"</{name}>"

    text = block(
        *(f"<{name}>{long}</{name}>" for name in ("title", "subtitle", "narrative")),
        items("facts", "fact"),
        items("concepts", "concept"),
        items("files_read", "file"),
        items("files_modified", "file"),
    )
    found = observed(text * 2 + block("<title>x</title>") * 30)
    assert len(found) == 20
    first = found[0]
    assert (len(first.title or ""), len(first.subtitle or ""), len(first.narrative or "")) == (300, 500, 8000)
    sizes = [(len(each), max(map(len, each))) for each in (first.facts, first.concepts)]
    assert sizes == [(50, 1000), (20, 100)]
    sizes = [(len(each), max(map(len, each))) for each in (first.files_read, first.files_modified)]
    assert sizes == [(100, 512), (100, 512)]


@proves("M9")
def test_a_summary_is_the_first_and_its_empty_fields_are_null() -> None:
    assert grammar.summary(reply("summary"), "end", TYPES) == Answer(
        summary=Summary(
            request="Make the <b>reaper</b> safe",
            investigated="loops/reap.py",
            completed="Locks by id <first>",
            notes="none",
        )
    )


def test_observations_in_the_place_of_a_summary_are_folded_into_one() -> None:
    assert grammar.summary(reply("summary_as_observations"), "end", TYPES).summary == Summary(
        completed="First done\nSecond done", learned="learned a\nlearned b\nlearned c"
    )
    assert grammar.summary(reply("summary_as_observations") + reply("summary"), "end", TYPES).summary == (
        grammar.summary(reply("summary"), "end", TYPES).summary
    )


def test_notes_alone_are_no_summary() -> None:
    with pytest.raises(ParseError):
        grammar.summary(reply("summary_notes_only"), "end", TYPES)


def test_a_summary_is_cut() -> None:
    text = "<summary>" + "".join(f"<{n}>{'x' * 9000}</{n}>" for n in grammar.SUMMARY_FIELDS) + "</summary>"
    found = grammar.summary(text, "end", TYPES).summary
    assert found is not None
    assert {len(getattr(found, name)) for name in grammar.SUMMARY_FIELDS} == {4000}


NAMES = ["observation", "summary", "skip_summary", "title", "type", "facts", "fact", "file", "files_read",
         "concepts", "concept", "narrative", "sources", "request", "b"]  # fmt: skip
PIECES = [f"<{name}>" for name in NAMES] + [f"</{name}>" for name in NAMES]
REST = [
    "<title/>",
    "<![CDATA[",
    "]]>",
    "&lt;",
    "&#0;",
    "x",
    " ",
    "<",
    ">",
    "12",
    '<skip_summary reason="a>b"/>',
]


def answers(text: str) -> list[Answer]:
    """What both kinds of call would read in it."""
    found = []
    with contextlib.suppress(Unreadable):
        found.append(grammar.observations(text, "end", TYPES, 5))
    with contextlib.suppress(Unreadable):
        found.append(grammar.summary(text, "end", TYPES))
    return found


@given(st.lists(st.sampled_from(PIECES + REST) | st.text(max_size=5), max_size=60).map("".join))
@settings(max_examples=400)
def test_no_reply_breaks_anything_and_what_is_read_keeps_its_bounds(text: str) -> None:
    for answer in answers(text):
        assert (bool(answer.observations), answer.summary is not None, answer.skip is not None).count(
            True
        ) == 1
        for each in answer.observations:
            assert each.survives
            assert each.title is None or each.title == each.title.strip() != ""
            assert not any(fact != fact.strip() or not fact for fact in (*each.facts, *each.concepts))
            assert set(each.sources) <= set(range(1, 6))
            assert "\x00" not in repr(each)


FIELD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda text: bool(text.strip())
)


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@given(FIELD, st.lists(FIELD, max_size=4), FIELD)
def test_what_is_written_by_the_rules_is_read_as_it_was(title: str, facts: list[str], prose: str) -> None:
    inner = "".join(f"<fact>{escaped(each)}</fact>" for each in facts)
    text = f"{escaped(prose)}{block('<title>', escaped(title), '</title><facts>', inner, '</facts>')}"
    found = only(text)
    assert found.title == title.strip()[:300].strip()
    assert found.facts == tuple(each.strip() for each in facts)


HOSTILE = [
    "<observation>",
    "<observation><title>",
    "<title>",
    "</title>",
    "<observation><title></observation>",
    "<observation><facts><fact>",
    "<facts>",
    "<fact>",
    "<![CDATA[",
    "<title><![CDATA[",
    "<title><![CDATA[]]",
    "<",
    "< ",
    "<title ",
    '<title a="',
    "&",
    "&#",
    "<skip_summary reason=",
    "<observation><title>x</title></observation>",
    "<summary><request>",
    "<observation></title><narrative>",
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("before", ["", "<observation><title>", "<observation><facts><fact>"])
def test_no_reply_takes_longer_than_in_proportion_to_its_length(unit: str, before: str) -> None:
    # What takes the square of its length takes hours for these.
    text = before + unit * (200_000 // len(unit)) + "]]></fact></title></observation>"
    answers(text)
