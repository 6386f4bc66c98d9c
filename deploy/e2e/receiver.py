"""A webhook target: verifies every call after the text of Standard Webhooks, not with the sender's code."""

import hmac
import json
import threading
import time
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TOLERANCE = 300


class Receiver:
    """Listens from the start; `secret` is set once the endpoint is there."""

    def __init__(self, host: str) -> None:
        self.secret = ""
        self.received: list[str] = []
        """Types of events whose signature held."""
        self.forged = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                genuine = receiver.genuine(dict(self.headers.items()), body)
                self.send_response(204 if genuine else 401)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Silence: the steps say what matters."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def genuine(self, headers: dict[str, str], body: bytes) -> bool:
        said = {name.lower(): value for name, value in headers.items()}
        sent = said.get("webhook-timestamp", "")
        signed = f"{said.get('webhook-id')}.{sent}.".encode() + body
        ours = hmac.digest(b64decode(self.secret.removeprefix("whsec_")), signed, "sha256")
        theirs = said.get("webhook-signature", "").split()
        fresh = sent.isdigit() and abs(time.time() - int(sent)) < _TOLERANCE
        if not fresh or not any(
            hmac.compare_digest(f"v1,{b64encode(ours).decode()}", each) for each in theirs
        ):
            self.forged += 1
            return False
        self.received.append(json.loads(body)["type"])
        return True

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
