"""One request and its answer. The only module of the client that knows the HTTP library."""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import msgspec

from outboxd.client.errors import ClientError

MOST_BYTES = 64 * 1024 * 1024
"""Of an answer."""
LONGEST_WAIT = timedelta(seconds=2)
"""A server that wants more than this is not asked again here: who waits is the caller's choice."""
PAUSES = (timedelta(milliseconds=100), timedelta(milliseconds=400))
"""Before the quick retries, where the server names no time."""

_NOW = timedelta()


class Http:
    """Connections to one server, with one key. Proxies of the environment are not used."""

    def __init__(self, url: str, key: str | None, timeout: timedelta) -> None:
        self._url = url.rstrip("/")
        self._key = (key or "").strip()
        self._timeout = timeout
        # Plain http needs no certificates, and loading them takes longer than the request of a hook.
        secure = ssl.create_default_context() if self._url.lower().startswith("https:") else False
        # The whole request is timed, below.
        self._http = httpx.AsyncClient(timeout=None, trust_env=False, verify=secure)  # noqa: S113

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | msgspec.Raw | None = None,
        query: Mapping[str, str] | None = None,
        *,
        patience: timedelta = _NOW,
        retries: bool = True,
    ) -> Any:
        """The answer's JSON object, or None where it has no body. Raises ClientError.

        `patience` is added to the timeout, for requests that the server is asked to hold.
        """
        # A Raw is a view of somebody's line; the HTTP library wants bytes.
        body = None if body is None else bytes(body)
        pauses = PAUSES if retries else ()
        for pause in pauses:
            try:
                return await self._once(method, path, body, query, patience)
            except ClientError as failed:
                wait = _wait(failed, pause)
                if wait is None:
                    raise
                await asyncio.sleep(wait.total_seconds())
        return await self._once(method, path, body, query, patience)

    async def _once(
        self, method: str, path: str, body: bytes | None, query: Mapping[str, str] | None, patience: timedelta
    ) -> Any:
        if not self._key:
            raise ClientError("missing_api_key", "no API key is set")
        headers = {"authorization": f"Bearer {self._key}", "accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            request = self._http.build_request(
                method, self._url + path, params=query or None, content=body, headers=headers
            )
            async with asyncio.timeout((self._timeout + patience).total_seconds()):
                response = await self._http.send(request, stream=True)
                try:
                    text = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise ClientError("timeout", f"no answer within {self._timeout + patience}") from None
        except (httpx.InvalidURL, httpx.HTTPError) as failed:
            # Only the name of what failed: the library's sentence may hold parts of the request.
            raise ClientError(
                "transport", f"the server cannot be reached ({type(failed).__name__})"
            ) from None
        return _understood(response, text)


def _wait(failed: ClientError, pause: timedelta) -> timedelta | None:
    """How long until the same request is worth another try; None: it is not."""
    if failed.kind == "transport":
        return pause
    if failed.status in {429, 503} and failed.retry_in is not None and failed.retry_in <= LONGEST_WAIT:
        return failed.retry_in
    return None


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ClientError("invalid_response", "the answer is too large", status=response.status_code)
    return bytes(body)


def _understood(response: httpx.Response, text: bytes) -> Any:
    status = response.status_code
    if not response.is_success:
        raise _refusal(status, text, response.headers.get("retry-after"))
    if not text:
        return None
    try:
        answer = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise ClientError("invalid_response", "the answer is not JSON", status=status) from None
    if not isinstance(answer, dict):
        raise ClientError("invalid_response", "the answer is not a JSON object", status=status)
    return answer


def _refusal(status: int, text: bytes, retry_after: str | None) -> ClientError:
    try:
        problem = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        problem = None
    said = problem if isinstance(problem, dict) else {}
    detail, code = said.get("message") or said.get("detail"), said.get("error")
    return ClientError(
        "http_error",
        detail if isinstance(detail, str) else f"the server answered {status}",
        status=status,
        code=code if isinstance(code, str) else None,
        retry_in=_seconds(retry_after),
    )


def _seconds(text: str | None) -> timedelta | None:
    """Dates are not read: what they mean needs two clocks that agree."""
    return timedelta(seconds=int(text)) if text and text.isascii() and text.isdigit() else None
