"""A webhook target on loopback that fails one call in five, and writes down the others, verified."""

import base64
import hashlib
import hmac
import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

from outboxd.bench.drill.ledger import Ledger

_IN_A_ROW = 2
"""Failures at a time: five would open the breaker, and what is drilled here is not its patience."""


class Receiver:
    """Answers 503 with a short Retry-After where it fails; `secret` is set once the endpoint exists."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.secret = ""
        self.failing = 0.2
        self._in_a_row = 0
        self._random = random.Random(seed)
        self._ledger = Ledger(folder / "received.jsonl")
        self._lock = Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                body = self.rfile.read(size)
                if len(body) < size:
                    # Whoever called was killed in the middle of it: nothing was received.
                    self.close_connection = True
                    return
                self.send_response(receiver.receive(dict(self.headers), body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                """Nothing: the ledger is the log."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        """The status to answer with. A failed call is not written down: it was not received."""
        found = {name.lower(): value for name, value in headers.items()}
        if not self.secret:
            # The endpoint is there before whoever made it has read its secret.
            return 503
        with self._lock:
            if self._in_a_row < _IN_A_ROW and self._random.random() < self.failing:
                self._in_a_row += 1
                return 500
            self._in_a_row = 0
            self._ledger.write(id=found["webhook-id"], genuine=self._genuine(found, body))
        return 204

    def _genuine(self, headers: dict[str, str], body: bytes) -> bool:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        ours = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return any(hmac.compare_digest(ours, given) for given in headers["webhook-signature"].split())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: callers are killed in the middle of their calls, that is what the drill is for."""
