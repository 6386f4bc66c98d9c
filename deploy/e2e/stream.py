"""A subscriber as anybody would write one: it reads Server-Sent Events, and comes again where it was cut."""

import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

_AGAIN = 0.1
_SILENCE = 30.0


class Follower:
    """Follows a project's stream in a thread of its own until `stop()`, over any number of restarts."""

    def __init__(self, url: str, path: str, key: str) -> None:
        self._at, self._path, self._key = urlsplit(url), path, key
        self._stopped = threading.Event()
        self.position = ""
        self.numbers: list[int] = []
        """Of every event, in the order they came."""
        self.ids: list[str] = []
        self.said: list[str] = []
        """What was no event and no checkpoint: a reset, a goodbye."""
        self.connections = 0
        self._conn: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def number(self) -> int:
        """Where it stands."""
        return int(self.position.rpartition("-")[2] or -1)

    def stop(self) -> None:
        self._stopped.set()
        if self._conn is not None and self._conn.sock is not None:
            self._conn.sock.close()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self._once()
            except (OSError, http.client.HTTPException, ValueError, AttributeError):
                time.sleep(_AGAIN)

    def _once(self) -> None:
        self._conn = http.client.HTTPConnection(self._at.hostname or "", self._at.port, timeout=_SILENCE)
        headers = {"authorization": f"Bearer {self._key}", "accept": "text/event-stream"}
        if self.position:
            headers["last-event-id"] = self.position
        self._conn.request("GET", self._path, headers=headers)
        reply = self._conn.getresponse()
        if reply.status != 200:
            self._conn.close()
            time.sleep(_AGAIN)
            return
        self.connections += 1
        block: dict[str, str] = {}
        for line in reply:
            text = line.decode().rstrip("\r\n")
            name, _, value = text.partition(": ")
            if text:
                block[name] = value
            elif block:
                self._take(block)
                block = {}

    def _take(self, block: dict[str, str]) -> None:
        """A frame counts once its blank line was read: what was cut comes again."""
        kind = block.get("event", "")
        if kind not in {"", "outboxd.checkpoint"}:
            self.said.append(f"{kind} {block.get('data', '')}")
        self.position = block.get("id", self.position)
        if not kind and "data" in block:
            event: dict[str, Any] = json.loads(block["data"])
            self.numbers.append(self.number)
            self.ids.append(str(event["id"]))
