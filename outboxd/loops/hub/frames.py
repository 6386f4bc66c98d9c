"""What subscribers are sent, as bytes: Server-Sent Events (https://html.spec.whatwg.org/#server-sent-events).

Lines end in LF. Data is one line of JSON, in which CR and LF are always escaped; other ends of lines,
as U+2028, are data there.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Raw

from outboxd.loops.hub.rings import Entry
from outboxd.loops.hub.subscribers import Close, Reset
from outboxd.model import Event, cloudevents

Format = Literal["json", "cloudevents"]

KEEPALIVE = b":\n"
"""Without a blank line: some parsers make an empty message of that."""

_encode = msgspec.json.Encoder().encode


class Frames:
    """For one form of them, which all that want it share."""

    def __init__(self, form: Format, public_url: str | None, *, named: bool = False) -> None:
        self._form = form
        self._public_url = public_url
        self._named = named

    def events(self, entries: Iterable[Entry]) -> bytes:
        return b"".join([self._frame(entry) for entry in entries])

    def data(self, entry: Entry) -> bytes:
        """One line of JSON."""
        assert entry.event is not None  # noqa: S101 - only those that match are shown
        event = _compact(entry.event)
        if self._form == "cloudevents":
            return cloudevents.structured(event, self._public_url, entry.seq)
        return _encode(event)

    def _frame(self, entry: Entry) -> bytes:
        known = entry.frames.get((self._form, self._named))
        if known is None:
            assert entry.event is not None  # noqa: S101 - as above
            name = b"event: %b\n" % entry.row.type.encode() if self._named else b""
            position = (entry.event.position or "").encode()
            known = b"%bid: %b\ndata: %b\n\n" % (name, position, self.data(entry))
            entry.frames[self._form, self._named] = known
        return known


def retry(ms: int) -> bytes:
    """The first line of the block that follows: alone, some parsers make an empty message of it."""
    return b"retry: %d\n" % ms


def checkpoint(position: str, head: str) -> bytes:
    """Its data is never empty, since clients pass over blocks without any, and their ids with them."""
    return b'event: outboxd.checkpoint\nid: %b\ndata: {"head":"%b"}\n\n' % (position.encode(), head.encode())


def reset(told: Reset) -> bytes:
    """Without an id: the position is the next checkpoint's."""
    return b"event: outboxd.reset\ndata: %b\n\n" % _encode(told)


def close(reason: Close) -> bytes:
    return b'event: outboxd.close\ndata: {"reason":"%b"}\n\n' % reason.encode()


def _compact(event: Event) -> Event:
    payload = event.payload
    metadata = event.metadata
    return msgspec.structs.replace(
        event,
        payload=Raw(msgspec.json.format(payload, indent=-1)) if isinstance(payload, Raw) else payload,
        metadata=Raw(msgspec.json.format(metadata, indent=-1)) if isinstance(metadata, Raw) else metadata,
    )
