"""HTTP to the process under test, with the standard library and nothing of ours."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

LIMIT = 60.0


class Unmet(Exception):  # noqa: N818  it says what was not so
    """A step did not see what it should."""


def expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise Unmet(otherwise)


def until(what: str, holds: Callable[[], Any], limit: float = LIMIT, pause: float = 0.05) -> Any:
    """What `holds` gives once it is true. Raises Unmet after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (found := holds()):
        expect(time.monotonic() < deadline, f"{what}: not within {limit:.0f} s")
        time.sleep(pause)
    return found


class Talk:
    """Requests of one key; a connection each, so that one that died with a process harms no other."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url, self.key = url, key

    def call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Status and document. Raises OSError or HTTPException while nobody answers."""
        at = urlsplit(self.url)
        conn = http.client.HTTPConnection(at.hostname or "", at.port or 80, timeout=LIMIT)
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        given = None
        if body is not None:
            headers["content-type"], given = "application/json", json.dumps(body)
        try:
            conn.request(method, f"{path}?{urlencode(query)}" if query else path, given, headers)
            reply = conn.getresponse()
            text = reply.read()
            is_json = "json" in (reply.headers["content-type"] or "")
            return reply.status, json.loads(text) if is_json and text else text.decode()
        finally:
            conn.close()

    def got(self, path: str, **query: Any) -> Any:
        return self._fine("GET", path, None, query)

    def posted(self, path: str, body: Any, **query: Any) -> Any:
        return self._fine("POST", path, body, query)

    def status(self, method: str, path: str, body: Any = None) -> int:
        """0 while nobody answers."""
        try:
            return self.call(method, path, body)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def _fine(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> Any:
        status, document = self.call(method, path, body, query)
        expect(status in {200, 201, 202}, f"{method} {path} was answered {status}: {document}")
        return document
