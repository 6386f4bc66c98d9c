from hypothesis import given
from hypothesis import strategies as st

from outboxd.db.hints import MAX_BYTES, Hint, read, write

NAMES = st.text("abcdefghij0123456789._:-", min_size=1, max_size=60)
HINTS = st.one_of(
    st.builds(Hint, kind=st.sampled_from(["queue", "job", "interaction", "key"]), name=NAMES),
    st.builds(Hint, kind=st.just("stream"), name=NAMES, head=st.integers(0, 2**62)),
)


@given(st.lists(HINTS, max_size=300))
def test_what_is_written_is_read_once_each_and_fits(hints: list[Hint]) -> None:
    messages = list(write(hints))

    assert [hint for message in messages for hint in read(message)] == list(dict.fromkeys(hints))
    assert all(len(message.encode()) <= MAX_BYTES for message in messages)


def test_what_we_do_not_understand_is_passed_over() -> None:
    assert list(read("z:1 q: s:p s:p:x :x nonsense q:ok")) == [Hint(kind="queue", name="ok")]
