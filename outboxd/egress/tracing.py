"""What a call to somebody else's server says about the trace it belongs to (W3C Trace Context)."""

import re
import secrets

_TRACEPARENT = re.compile(
    # Version 00 has nothing behind the flags; later ones may.
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
_UNSAMPLED = "00"


def span(
    traceparent: str | None, tracestate: str | None = None, *, recorded: str | None = None
) -> dict[str, str]:
    """Headers of a new span in that trace; without one, in a trace of its own that nobody samples.

    `recorded`: the traceparent of a span of that trace that exists.
    """
    parent = _TRACEPARENT.fullmatch(traceparent or "")
    own = _hex(8)
    if recorded is not None:
        found = {"traceparent": recorded}
    elif parent is None:
        return {"traceparent": f"00-{_hex(16)}-{own}-{_UNSAMPLED}"}
    else:
        found = {"traceparent": f"00-{parent[1]}-{own}-{parent[2]}"}
    if tracestate and _TRACESTATE.fullmatch(tracestate):
        found["tracestate"] = tracestate
    return found


def _hex(size: int) -> str:
    """Random, and not all zero, which would be no id."""
    return (int.from_bytes(secrets.token_bytes(size)) or 1).to_bytes(size).hex()
