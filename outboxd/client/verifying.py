"""Whether a webhook is what its sender signed: Standard Webhooks 1.0, `v1` (HMAC-SHA256) and `v1a` (ed25519).

    verify(request.headers, await request.body(), ["whsec_…"])

Signed is `id.timestamp.body` with the body as it came: verify before anything parses it. An old key and
a new one may both be given, and may both have signed.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE = 300
"""Seconds between the two clocks, the way of the request included."""
_MOST_SIGNATURES = 100


class VerificationError(Exception):
    """Not signed by any of the keys, or not lately. Answer 4xx and forget it."""


def verify(
    headers: Mapping[str, str], body: bytes | str, secrets: str | Iterable[str], *, now: float | None = None
) -> None:
    """Returns if one of `secrets` (`whsec_…`, or `whpk_…` for ed25519) has signed these bytes lately.

    Names of headers in any case. Raises VerificationError and nothing else for whatever a request may be.
    `secrets` are the caller's own: ValueError if one of them is none.
    """
    keys = [_key(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
    given = {name.lower(): value for name, value in headers.items()}
    signed = _signed(given, body.encode() if isinstance(body, str) else body, now)
    signatures = given["webhook-signature"].split(" ")[:_MOST_SIGNATURES]
    # All are looked at, so that the time it takes tells nothing.
    found = [_fits(key, signature, signed) for key in keys for signature in signatures]
    if not any(found):
        raise VerificationError("no signature fits")


def _signed(given: Mapping[str, str], body: bytes, now: float | None) -> bytes:
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not given.get(name):
            raise VerificationError(f"the header {name} is missing")
    stamp = given["webhook-timestamp"]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
        raise VerificationError("the timestamp is none")
    if abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE:
        raise VerificationError("the timestamp is too old or too new")
    return b"%s.%s.%s" % (given["webhook-id"].encode(errors="surrogatepass"), stamp.encode(), body)


def _fits(key: "bytes | Ed25519PublicKey", signature: str, signed: bytes) -> bool:
    version, _, text = signature.partition(",")
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    if isinstance(key, bytes):
        return version == "v1" and hmac.compare_digest(hmac.digest(key, signed, "sha256"), value)
    return version == "v1a" and _verifies(key, value, signed)


def _verifies(key: "Ed25519PublicKey", value: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(value, signed)
    except InvalidSignature:
        return False
    return True


def _key(text: str) -> "bytes | Ed25519PublicKey":
    prefix, _, encoded = text.partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if prefix == "whsec" and key:
        return key
    if prefix == "whpk" and len(key) == 32:
        # Only who verifies v1a needs the library.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(key)
    raise ValueError("a secret is whsec_… or whpk_…, in base64")
