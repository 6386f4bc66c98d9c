"""What is kept of an answer, and how a text that was kept before is known again."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxd.handlers.memory import likeness, rendering
from outboxd.handlers.memory.grammar import Observation, Summary
from outboxd.handlers.memory.prompt import PROMPT_VERSION
from outboxd.handlers.memory.redaction import Redactor
from tests.proofs import proves

REDACTOR = Redactor()
LEAD = UUID("01890000-0000-7000-8000-000000000001")

FULL = Observation(
    type="bugfix",
    title="Title",
    subtitle="Subtitle",
    narrative="Told.\n\nAt length.",
    facts=("one", "two"),
    concepts=("gotcha",),
    files_read=("a.py",),
    files_modified=("b.py",),
    sources=(1,),
)


@proves("M24")
@pytest.mark.parametrize(
    ("observation", "content"),
    [
        (FULL, "Title\n\nSubtitle\n\nTold.\n\nAt length.\n\n- one\n- two"),
        (Observation(type="x", title="Title", facts=("one",)), "Title\n\n- one"),
        (Observation(type="x", facts=("one", "two")), "- one\n- two"),
        (Observation(type="x", narrative="Told."), "Told."),
        (Observation(type="x", concepts=("a", "b")), "Concepts: a, b"),
    ],
)
def test_content_is_title_subtitle_narrative_and_facts_or_else_the_concepts(
    observation: Observation, content: str
) -> None:
    assert rendering.content(observation) == content


def test_metadata_has_every_field_null_where_the_model_said_nothing() -> None:
    assert rendering.metadata(FULL, "claude", "m-1") == {
        "title": "Title",
        "subtitle": "Subtitle",
        "facts": ("one", "two"),
        "narrative": "Told.\n\nAt length.",
        "concepts": ("gotcha",),
        "files_read": ("a.py",),
        "files_modified": ("b.py",),
        "provider": "claude",
        "model": "m-1",
        "promptVersion": PROMPT_VERSION,
    }
    bare = rendering.metadata(Observation(type="x", concepts=("a",)), "claude", "m-1")
    assert (bare["title"], bare["subtitle"], bare["narrative"], bare["facts"]) == (None, None, None, ())


@proves("M10")
def test_what_the_model_repeats_of_private_or_secret_texts_is_taken_out() -> None:
    dirty = "a<private>§</private>b <system-reminder>§</system-reminder>password=§hunter2"
    clean = "ab password=[redacted:password]"
    found = rendering.cleaned(
        Observation(
            type="x",
            title=dirty,
            subtitle="<private>§",
            narrative=dirty,
            facts=(dirty, "<private>§</private>"),
            concepts=("<private>§</private>",),
            files_read=(dirty,),
            files_modified=("<persisted-output>§",),
        ),
        REDACTOR,
    )
    assert found == Observation(type="x", title=clean, narrative=clean, facts=(clean,), files_read=(clean,))


def test_an_observation_of_which_nothing_is_left_is_none() -> None:
    hidden = "<private>x</private>"
    assert rendering.cleaned(Observation(type="x", title=hidden, files_read=("a.py",)), None) is None
    assert rendering.cleaned_summary(Summary(request=hidden, notes="kept"), None) is None


def test_secrets_stay_where_a_project_wants_it_so() -> None:
    assert rendering.cleaned(Observation(type="x", title="password=hunter2"), None) == (
        Observation(type="x", title="password=hunter2")
    )


def test_the_key_is_of_the_job_the_place_and_the_trimmed_content() -> None:
    digest = hashlib.sha256(b"Title").hexdigest()
    key = f"generation:v1:{LEAD}:2:{digest}"
    assert rendering.generation_key(LEAD, 2, "Title") == key
    assert rendering.generation_key(LEAD, 2, " Title\n") == key
    assert rendering.summary_key(LEAD) == f"summary:v1:{LEAD}"


def test_a_summary_has_a_line_for_each_field_that_says_something() -> None:
    whole = Summary(request="r", investigated="i", learned="l", completed="c", next_steps="n\nm", notes="o")
    assert rendering.summary_content(whole) == (
        "Request: r\n\nInvestigated: i\n\nLearned: l\n\nCompleted: c\n\nNext steps: n\nm\n\nNotes: o"
    )
    assert rendering.summary_content(Summary(completed="c")) == "Completed: c"
    assert rendering.summary_metadata(
        Summary(completed="c"), "claude", "m-1", events=4, observations=3, left_out=2
    ) == {
        "request": None,
        "investigated": None,
        "learned": None,
        "completed": "c",
        "next_steps": None,
        "notes": None,
        "provider": "claude",
        "model": "m-1",
        "promptVersion": PROMPT_VERSION,
        "eventCount": 4,
        "observationCount": 3,
        "leftOut": 2,
    }


STORY = " ".join(f"step {n} moved file{n}.py to the package{n} and its tests" for n in range(60))


def test_case_and_blanks_make_no_difference_and_digits_do() -> None:
    assert likeness.of("A  B\n\tc") == likeness.of("a b C")
    assert likeness.of("error 401 in login").hash != likeness.of("error 402 in login").hash
    assert not likeness.of("error 401 in login").near(likeness.of("error 402 in login"))


def test_a_long_text_with_a_small_difference_is_near_and_another_text_is_not() -> None:
    story = likeness.of(STORY)
    changed = likeness.of(STORY.replace("step 30 moved", "step 30 took"))
    assert story.hash != changed.hash
    assert story.near(changed)
    assert not story.near(likeness.of(STORY.replace("moved", "copied").replace("tests", "docs")))
    assert not story.near(likeness.of("The reaper locks leases by id, so a deadlock cannot form."))


def test_the_hash_is_pinned_since_rows_keep_it() -> None:
    assert likeness.of("the quick brown fox jumps over the lazy dog").simhash == 8459713369324106103
    assert likeness.of("").simhash == likeness.of(" ").simhash


@given(st.text(), st.text())
def test_distances_are_those_of_64_bits_in_a_signed_number(one: str, other: str) -> None:
    a, b = likeness.of(one).simhash, likeness.of(other).simhash
    assert -(2**63) <= a < 2**63
    assert likeness.distance(a, b) == likeness.distance(b, a) <= 64
    bits = [f"{x & (2**64 - 1):064b}" for x in (a, b)]
    assert likeness.distance(a, b) == sum(x != y for x, y in zip(*bits, strict=True))


def naive(words: list[str]) -> int:
    """SimHash as it is defined, bit by bit."""
    triples = [" ".join(words[at : at + 3]) for at in range(max(len(words) - 2, 1))]
    hashes = [int.from_bytes(hashlib.blake2b(t.encode(), digest_size=8).digest(), "little") for t in triples]
    bits = sum((2 * sum(h >> n & 1 for h in hashes) > len(hashes)) << n for n in range(64))
    return bits - 2**64 if bits >= 2**63 else bits


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40))
def test_counting_eight_bits_at_once_counts_each(words: list[str]) -> None:
    assert likeness.simhash(" ".join(words)) == naive(words)
