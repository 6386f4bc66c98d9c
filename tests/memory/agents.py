"""What coding agents do, told the way their hooks tell it: a prompt, tools, words at the end."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from outboxd.client import Client, Event

_FILES = ("src/app.py", "src/store/orders.py", "tests/test_orders.py", "README.md", "pyproject.toml")
_BATCH = 7


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One session, and what is done in it."""

    name: str
    platform: str
    deeds: Sequence[tuple[str, Any]]
    """Event types with their payloads."""


def agents(sessions: int, events: int) -> list[Agent]:
    """`events` in all, spread over the sessions; the same each time."""
    counts = [events // sessions + (n < events % sessions) for n in range(sessions)]
    return [
        Agent(name=f"run-{n}", platform=("claude", "codex", "cursor")[n % 3], deeds=_deeds(n, count))
        for n, count in enumerate(counts)
    ]


async def live(client: Client, agent: Agent) -> None:
    """From start to end, over the API; the turns in between end the session too, as hooks do."""
    started = await client.start_session(
        external_session_id=agent.name, content_session_id=agent.name, platform_source=agent.platform
    )
    assert started is not None
    session = started["session"]["id"]
    for at in range(0, len(agent.deeds), _BATCH):
        await client.record_events([_event(agent, *deed) for deed in agent.deeds[at : at + _BATCH]])
        await client.end_session(session)


def _event(agent: Agent, kind: str, payload: Any) -> Event:
    return Event(
        event_type=kind,
        payload=payload,
        content_session_id=agent.name,
        platform_source=agent.platform,
        source_type="hook",
    )


def _deeds(session: int, count: int) -> list[tuple[str, Any]]:
    tools = _tools(session)
    middle = [next(tools) for _ in range(count - 2)]
    return [
        ("user_prompt", {"prompt": f"Run {session}: make the orders page quick"}),
        *middle,
        ("assistant_message", {"message": f"Run {session}: it is quick now"}),
    ]


def _tools(session: int) -> Iterator[tuple[str, Any]]:
    n = 0
    while True:
        path = _FILES[n % len(_FILES)]
        name, given, answer = (
            ("Read", {"file_path": path}, f"{n} lines"),
            ("Edit", {"file_path": path, "old_string": f"a{n}", "new_string": f"b{n}"}, {"ok": True}),
            ("Bash", {"command": f"pytest -k orders_{session}_{n}"}, {"stdout": f"{n} passed"}),
        )[n % 3]
        yield "tool_use", {"tool_name": name, "tool_input": given, "tool_response": answer}
        n += 1
