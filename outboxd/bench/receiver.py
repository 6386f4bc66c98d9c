"""A webhook's target that takes everything at once, a process: `python -m outboxd.bench.receiver`.

Reads its order from the first line of standard input, prints its port, and stops at the end of it.
"""

import asyncio
import signal
import sys

import msgspec

_LENGTH = b"content-length:"
_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to be told so far."""


def main() -> None:
    # Ctrl-C is answered by who started us.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    asyncio.run(_serve())


async def _serve() -> None:
    server = await asyncio.start_server(_taking, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


async def _taking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            await reader.readexactly(int(head.split(_LENGTH)[1].split(b"\r")[0]))
            writer.write(_TAKEN)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


if __name__ == "__main__":
    main()
