"""A snippet shows where the words of the question stand together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxd.store.snippets import LONGEST, snippet

FILLER = "nothing to see here " * 40


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    assert "one two three" == snippet("one\n\n two\tthree ", "two")


@pytest.mark.parametrize("place", ["begin", "middle", "end"])
def test_the_words_that_stand_together_are_shown(place: str) -> None:
    match = "the kettle boils its water"
    parts = {"begin": (match, FILLER), "middle": (FILLER, match, FILLER), "end": (FILLER, match)}[place]
    shown = snippet(
        " ".join((*parts, "kettle") if place == "begin" else ("kettle", *parts)), "boiling kettles water"
    )
    assert match in shown
    assert len(shown) <= LONGEST


def test_without_a_match_the_beginning_is_shown() -> None:
    shown = snippet(FILLER, "kettle")
    assert FILLER.startswith(shown)
    assert LONGEST // 2 < len(shown) <= LONGEST


@given(st.text(max_size=2000), st.text(max_size=100))
def test_it_is_never_longer_and_always_from_the_text(content: str, query: str) -> None:
    shown = snippet(content, query)
    assert len(shown) <= LONGEST
    assert shown in " ".join(content.split()) or shown.strip() in " ".join(content.split())
