"""A language model that answers at once, in a process of its own: `python -m outboxd.bench.model`.

Speaks as claude does: one observation for each event of the prompt, or for a few where there are many,
in the event's own words; or a summary. Reads its order from the first line of standard input, prints its
port, and stops at the end of it.
"""

import asyncio
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

MODEL = "bench"
_EVENT = re.compile(r'<event n="(\d+)">(.*?)</event>', re.DOTALL)
_BLANKS = re.compile(r"\s+")
_SUMMARY = "<summary><request>Bench</request><completed>Observed</completed></summary>"
_MOST = 20
"""Observations of one call that are taken."""
_MOST_HEAD = 2**20
_LENGTH = b"content-length:"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to be told so far."""


def environ(port: int) -> dict[str, str]:
    """Settings of a daemon that asks it."""
    return {
        "OUTBOXD_PROVIDER": "claude",
        "OUTBOXD_MODEL": MODEL,
        "OUTBOXD_ANTHROPIC_API_KEY": "bench",
        "OUTBOXD_ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
    }


def main() -> None:
    # Ctrl-C is answered by who started us.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    asyncio.run(_serve())


async def _serve() -> None:
    server = await asyncio.start_server(_answering, "127.0.0.1", 0, limit=_MOST_HEAD)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


async def _answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            length = int(head.split(_LENGTH)[1].split(b"\r")[0])
            asked = msgspec.json.decode(await reader.readexactly(length))
            body = msgspec.json.encode(_reply(str(asked["messages"][0]["content"])))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ")
            writer.write(b"%d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


def _reply(user: str) -> dict[str, Any]:
    events = _EVENT.findall(user)
    some = -(-len(events) // _MOST) or 1
    told = (_observation(events[at : at + some]) for at in range(0, len(events), some))
    text = "\n".join(told) or _SUMMARY
    usage = {"input_tokens": len(user) // 4, "output_tokens": len(text) // 4}
    return {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}


def _observation(events: Sequence[tuple[str, str]]) -> str:
    words = _BLANKS.sub(" ", re.sub("<[^>]*>", " ", events[0][1])).strip()
    return (
        f"<observation><type>discovery</type><title>{words[:80]}</title><narrative>{words[:400]}</narrative>"
        f"<sources>{','.join(number for number, _ in events)}</sources></observation>"
    )


if __name__ == "__main__":
    main()
