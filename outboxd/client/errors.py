"""How a call of the client ends when it does not end well."""

from datetime import timedelta
from typing import Literal

Kind = Literal["missing_api_key", "transport", "timeout", "http_error", "invalid_response", "spool_full"]

KEY_REFUSED = frozenset({401, 402, 403})
"""The event is not at fault, the key or its quota is: worth another try later, or with another key."""


class ClientError(Exception):
    """The kind decides what can still be done; a table of three columns:

    kind                                 fallback_eligible   spooled
    missing_api_key, transport, timeout  yes                 yes
    http_error 5xx, 429                  yes                 yes
    http_error 401, 402, 403             no                  yes
    http_error, other                    no                  no
    invalid_response, spool_full         no                  no
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_in: timedelta | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        """Of the answer, where there was one."""
        self.code = code
        """What the server calls the error."""
        self.retry_in = retry_in
        """When the server wants to be asked again."""

    @property
    def fallback_eligible(self) -> bool:
        """Whether somebody else may be tried, since this server did not judge the request."""
        if self.kind == "http_error":
            return self.status is not None and (self.status == 429 or self.status >= 500)
        return self.kind in {"missing_api_key", "transport", "timeout"}

    @property
    def spooled(self) -> bool:
        """Whether the same request may succeed later, so that a spool keeps it."""
        return self.fallback_eligible or self.key_refused

    @property
    def key_refused(self) -> bool:
        return self.kind == "http_error" and self.status in KEY_REFUSED
