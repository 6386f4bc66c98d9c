"""The running server, for the commands that are its clients."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from outboxd.errors import Broken, ConfigError, Unreachable, of_status

if TYPE_CHECKING:
    from outboxd.config import Config


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is, and who we are there. One connection a request: a command makes few."""

    url: str
    key: str | None
    timeout: timedelta

    def post(self, path: str, body: Any, query: Mapping[str, str] | None = None) -> Any:
        """The answer, decoded. Raises what the server refuses with, Unreachable when there is none."""
        status, answer = self.call("POST", path, body, query)
        if status < 400:
            return answer
        said = answer if isinstance(answer, dict) else {}
        raise of_status(status, _sentence(said) or f"the server answered {status}", said.get("error"))

    def call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded answer, whatever they are. Raises Unreachable."""
        target = path + (f"?{urlencode(query)}" if query else "")
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        conn = self.connection()
        try:
            conn.request(method, target, None if body is None else json.dumps(body).encode(), headers)
            answer = conn.getresponse()
            text = answer.read()
        except TimeoutError:
            raise Unreachable(f"{self.url} did not answer within {self.timeout}", "timeout") from None
        except (OSError, http.client.HTTPException) as failed:
            raise Unreachable(f"{self.url} cannot be reached: {_reason(failed)}", "connect") from None
        finally:
            conn.close()
        return answer.status, _decoded(text)

    def connection(self) -> http.client.HTTPConnection:
        """Not made yet."""
        parts = urlsplit(self.url)
        seconds = self.timeout.total_seconds()
        if parts.scheme == "https":
            secure = ssl.create_default_context()
            return http.client.HTTPSConnection(parts.netloc, timeout=seconds, context=secure)
        return http.client.HTTPConnection(parts.netloc, timeout=seconds)


def of(config: "Config", wait: timedelta = timedelta()) -> Server:
    """Of OUTBOXD_URL and the key, else of the `client.json` of `outboxd up`. Raises ConfigError."""
    url, key = known(config)
    if not key:
        where = config.data / "client.json"
        raise ConfigError([f"no API key: set OUTBOXD_API_KEY or OUTBOXD_API_KEY_FILE, or have {where}"])
    return Server(url=url, key=key, timeout=config.net_timeout + wait)


def known(config: "Config") -> tuple[str, str | None]:
    """Where the server is, and the key for it if there is one."""
    found = _client_file(config)
    key = config.api_key.reveal() if config.api_key else found.get("apiKey")
    url = config.url or (found.get("url") if not config.api_key else None) or local(config)
    return url, key


def local(config: "Config") -> str:
    """What this machine's own API is called from here."""
    return f"http://{here(config.host)}:{config.port}"


def here(host: str) -> str:
    """An address to reach a listener of this machine by."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}.get(host, host)  # noqa: S104  not bound, asked
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _client_file(config: "Config") -> dict[str, Any]:
    try:
        found = json.loads((config.data / "client.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sentence(problem: Mapping[str, Any]) -> str | None:
    """What a problem document says, its first issues with it."""
    said = problem.get("message") or problem.get("detail") or problem.get("title")
    issues = [
        f"{'.'.join(map(str, issue.get('path', ())))}: {issue.get('message')}"
        for issue in problem.get("issues") or problem.get("errors") or ()
        if isinstance(issue, dict)
    ]
    return None if said is None else "; ".join([str(said), *issues[:3]])


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise Broken("the server answered with something that is no JSON") from None


def _reason(failed: Exception) -> str:
    if isinstance(failed, socket.gaierror):
        return "its name does not resolve"
    return getattr(failed, "strerror", None) or str(failed) or type(failed).__name__
