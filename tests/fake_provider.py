"""A provider on loopback that does what a test says, in the three wire formats, and counts who came.

In a test:

    async with faking() as fake:
        fake.script(fails(429, headers={"retry-after": "7"}), says("<observation>…"))
        settings = config.read({**fake.environ("claude")}, …)

The path tells the format. Acts of the script are used up in order; then `act` answers, which by
default is `observes`: one observation for each `<event n="…">` of the prompt, or one summary,
always the same for the same prompt. As a process of its own:

    python -m tests.fake_provider --port 0 [--delay SECONDS]      prints "listening on http://…"

`GET /calls` tells {"calls": …, "most": …, "aborted": …}; `most` is how many ran at once.
"""

import argparse
import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import msgspec

from tests.egress.scripted import reset

Format = Literal["claude", "gemini", "openai"]
KEY = "sk-hunter2secret"
MODEL = "fake-model"
_MOST_HEAD = 1024 * 1024
_EVENT = re.compile(r'<event n="(\d+)"')


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked."""

    format: Format
    target: str
    headers: Mapping[str, str]
    body: Any

    @property
    def model(self) -> str:
        return str(
            self.target.split("/models/")[1].split(":")[0] if "model" not in self.body else self.body["model"]
        )

    @property
    def system(self) -> str:
        match self.format:
            case "claude":
                return str(self.body["system"])
            case "gemini":
                return str(self.body["systemInstruction"]["parts"][0]["text"])
            case "openai":
                return str(self.body["messages"][0]["content"])

    @property
    def user(self) -> str:
        match self.format:
            case "claude":
                return str(self.body["messages"][0]["content"])
            case "gemini":
                return str(self.body["contents"][0]["parts"][0]["text"])
            case "openai":
                return str(self.body["messages"][1]["content"])


Act = Callable[[Call, asyncio.StreamWriter], Awaitable[None]]


class FakeProvider:
    def __init__(self, act: Act | None = None, delay: float = 0.0) -> None:
        self.act = act or observes()
        self.delay = delay
        """Seconds before each answer."""
        self.calls: list[Call] = []
        self.most = 0
        self.aborted = 0
        """Calls whose connection was closed before they were answered."""
        self.port = 0
        self._script: deque[Act] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *acts: Act) -> None:
        self._script.extend(acts)

    def environ(self, format: Format = "claude") -> dict[str, str]:  # noqa: A002 - it is one
        """Settings that make this the provider of a process."""
        name = {"claude": "ANTHROPIC", "gemini": "GEMINI", "openai": "OPENAI"}[format]
        return {
            "OUTBOXD_PROVIDER": format,
            "OUTBOXD_MODEL": MODEL,
            f"OUTBOXD_{name}_API_KEY": KEY,
            f"OUTBOXD_{name}_BASE_URL": self.url,
        }

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        finally:
            with suppress(OSError):
                writer.close()
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        target, headers, body = await _request(reader)
        if target == "/calls":
            told = {"calls": len(self.calls), "most": self.most, "aborted": self.aborted}
            await _write(writer, 200, msgspec.json.encode(told))
            return True
        call = Call(format=_format(target), target=target, headers=headers, body=msgspec.json.decode(body))
        self.calls.append(call)
        act = self._script.popleft() if self._script else self.act
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            return await self._until_gone(act, call, reader, writer)
        finally:
            self._running -= 1

    async def _until_gone(
        self, act: Act, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection may be used again."""
        gone = asyncio.create_task(_gone(reader))
        answering = asyncio.create_task(self._answer(act, call, writer))
        try:
            await asyncio.wait({gone, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.aborted += 1
                return False
            await answering
            return not writer.is_closing()
        finally:
            for task in (gone, answering):
                task.cancel()
            await asyncio.gather(gone, answering, return_exceptions=True)

    async def _answer(self, act: Act, call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.delay)
        await act(call, writer)


@asynccontextmanager
async def faking(
    act: Act | None = None, delay: float = 0.0, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakeProvider]:
    fake = FakeProvider(act, delay)
    listening = await asyncio.start_server(fake.accept, "127.0.0.1", port, limit=_MOST_HEAD, ssl=tls)
    fake.port = listening.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        listening.close()
        await fake.close()


# Acts ---------------------------------------------------------------------------------------------------


def says(text: str, *, stop: str = "end", tokens: tuple[int, int] | None = (100, 20)) -> Act:
    """`stop`: end, length or filtered; without `tokens` nothing is said about them."""

    async def act(call: Call, writer: asyncio.StreamWriter) -> None:
        await _write(writer, 200, msgspec.json.encode(SHAPES[call.format](text, stop, tokens)))

    return act


def observes() -> Act:
    async def act(call: Call, writer: asyncio.StreamWriter) -> None:
        await says(observation(call.user))(call, writer)

    return act


def observation(user: str) -> str:
    """What `observes` answers to a prompt."""
    if "<observation_request" not in user:
        return "<summary><request>Asked</request><completed>Done</completed><learned>Much</learned></summary>"
    return "\n".join(
        f"<observation><type>discovery</type><title>Observed {number}</title>"
        f"<facts><fact>Event {number} was seen</fact></facts><sources>{number}</sources></observation>"
        for number in _EVENT.findall(user)
    )


def fails(status: int, told: object = None, headers: Mapping[str, str] | None = None) -> Act:
    """`told`: bytes as they are, a text as the error's message, anything else as JSON."""
    match told:
        case bytes():
            body = told
        case str():
            body = msgspec.json.encode({"error": {"message": told}})
        case _:
            body = msgspec.json.encode(told)

    async def act(call: Call, writer: asyncio.StreamWriter) -> None:
        await _write(writer, status, body, headers or {})

    return act


def answers(body: object) -> Act:
    """A 200 with that, as it is."""
    return fails(200, body if not isinstance(body, str) else body.encode())


def sends(*parts: bytes, pause: float = 0.0) -> Act:
    """Bytes instead of HTTP; the connection is closed after them."""

    async def act(call: Call, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        writer.close()

    return act


def hangs() -> Act:
    async def act(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return act


def dribbles(pause: float = 0.01) -> Act:
    """A byte at a time, and never done."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"
    return sends(head, *[b" "] * 1_000_000, pause=pause)


def breaks_off() -> Act:
    return sends(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"content": [')


def is_huge(size: int = 5 * 1024 * 1024) -> Act:
    return sends(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, *[b"x" * 65536] * (size // 65536))


def is_malformed() -> Act:
    return answers('{"content": [{"type": "text", "text": "hunter2-of-the-provider"')


def redirects(to: str) -> Act:
    return fails(307, b"", {"location": to})


def resets() -> Act:
    async def act(call: Call, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    return act


# Formats ------------------------------------------------------------------------------------------------

_Tokens = tuple[int, int] | None


def _claude(text: str, stop: str, tokens: _Tokens) -> object:
    reasons = {"end": "end_turn", "length": "max_tokens", "filtered": "refusal"}
    usage = {"usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]}} if tokens else {}
    return {"content": [{"type": "text", "text": text}], "stop_reason": reasons[stop], **usage}


def _gemini(text: str, stop: str, tokens: _Tokens) -> object:
    reasons = {"end": "STOP", "length": "MAX_TOKENS", "filtered": "SAFETY"}
    counted = {"promptTokenCount": tokens[0], "candidatesTokenCount": tokens[1]} if tokens else {}
    first = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reasons[stop]}
    return {"candidates": [first], "usageMetadata": counted}


def _openai(text: str, stop: str, tokens: _Tokens) -> object:
    reasons = {"end": "stop", "length": "length", "filtered": "content_filter"}
    usage = {"usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}} if tokens else {}
    message = {"role": "assistant", "content": text}
    return {"choices": [{"message": message, "finish_reason": reasons[stop]}], **usage}


SHAPES: dict[Format, Callable[[str, str, _Tokens], object]] = {
    "claude": _claude,
    "gemini": _gemini,
    "openai": _openai,
}


def _format(target: str) -> Format:
    if target.endswith("/messages"):
        return "claude"
    return "gemini" if ":generateContent" in target else "openai"


# HTTP ---------------------------------------------------------------------------------------------------


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return head[0].split(" ")[1], headers, body


async def _gone(reader: asyncio.StreamReader) -> None:
    # Looked at and not read: a byte may be the next request's first.
    while not reader.at_eof() and reader.exception() is None:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)


async def _write(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


async def _main(port: int, delay: float) -> None:
    async with faking(delay=delay, port=port) as fake:
        print(f"listening on {fake.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(options.port, options.delay))
