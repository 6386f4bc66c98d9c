"""The provider that is no model: what it says of events, and that it always says the same."""

import msgspec
import pytest

from outboxd import providers
from outboxd.providers import Lived, Prompt, Seen
from tests.providers.calling import PROMPT, settings

EDIT = Seen(
    type="tool_use",
    payload={
        "tool_name": "Edit",
        "tool_input": {"file_path": "src/app.py", "old_string": "a < b", "new_string": "a\nb"},
        "tool_response": {"ok": True, "filePath": "src/app.py", "note": "done & dusted"},
        "cwd": "/home/ann",
    },
)
READ = Seen(type="tool_use", payload={"tool_name": "Read", "tool_input": {"paths": ["a.md", "b.md"]}})


async def said(facts: list[Seen] | Lived) -> str:
    async with providers.opened(settings()) as found:
        reply = await found.generate("offline", msgspec.structs.replace(PROMPT, facts=facts))
    assert (reply.stop, reply.model, reply.tokens_in, reply.tokens_out) == ("end", "offline-1", 0, 0)
    return reply.text


async def test_each_event_becomes_an_observation_of_what_can_be_seen_from_outside() -> None:
    assert (await said([EDIT, READ])).split("\n") == [
        (
            "<observation><type>change</type><title>Edit src/app.py</title>"
            "<facts><fact>old_string: a &lt; b</fact><fact>note: done &amp; dusted</fact>"
            "<fact>cwd: /home/ann</fact></facts>"
            "<files_modified><file>src/app.py</file></files_modified><sources>1</sources></observation>"
        ),
        (
            "<observation><type>discovery</type><title>Read a.md</title>"
            "<files_read><file>a.md</file><file>b.md</file></files_read><sources>2</sources></observation>"
        ),
    ]


@pytest.mark.parametrize("payload", [None, 7, "a text", [], {}, {"tool_name": 7}, {"a": None}])
async def test_an_event_without_a_tool_is_called_by_its_type(payload: object) -> None:
    text = await said([Seen(type="user_prompt", payload=payload)])
    assert "<type>discovery</type><title>user prompt</title>" in text


async def test_a_session_is_summed_up_from_its_own_words() -> None:
    lived = Lived(first_prompt="Fix <it>", titles=("Edit a.py", "Read b.py"), facts=("x: 1", "x: 1", "y: 2"))
    assert await said(lived) == (
        "<summary><request>Fix &lt;it&gt;</request><completed>Edit a.py; Read b.py</completed>"
        "<learned>x: 1; y: 2</learned></summary>"
    )


@pytest.mark.parametrize("facts", [[], Lived()])
async def test_nothing_is_made_of_nothing(facts: list[Seen] | Lived) -> None:
    assert (await said(facts)).startswith("<skip_summary ")


async def test_what_is_wide_or_deep_is_bounded() -> None:
    deep: object = "x"
    for _ in range(500):
        deep = {"file_path": deep}
    wide = {f"key{number}": f"value {number}" for number in range(10_000)}
    text = await said([Seen(type="deep", payload=deep), Seen(type="wide", payload=wide)])
    assert len(text) < 2000


async def test_same_input_same_bytes() -> None:
    prompt = Prompt(system="one", user="two", facts=[EDIT, READ])
    async with providers.opened(settings()) as first, providers.opened(settings()) as second:
        texts = [(await each.generate("offline", prompt)).text for each in (first, second, first)]
    assert len(set(texts)) == 1
