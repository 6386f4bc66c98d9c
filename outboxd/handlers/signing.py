"""Signatures of webhooks: Standard Webhooks 1.0, `v1` (HMAC-SHA256) and `v1a` (ed25519).

Signed is `id.timestamp.body`, the body exactly as it is sent: nothing may be serialised again
between signing and sending.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from outboxd.errors import Invalid

_LEAST_BYTES, _MADE_BYTES, _MOST_BYTES = 24, 32, 64


class HmacKey(msgspec.Struct, frozen=True):
    """Shared with the receiver: `whsec_` + base64 of 24..64 bytes."""

    secret: bytes

    def __repr__(self) -> str:
        return "whsec_***"

    def text(self) -> str:
        return _text("whsec_", self.secret)

    def sign(self, signed: bytes) -> str:
        return _text("v1,", hmac.digest(self.secret, signed, "sha256"))


class Ed25519Key(msgspec.Struct, frozen=True):
    """Never shown; the receiver gets `public()`."""

    seed: bytes

    def __repr__(self) -> str:
        return "whsk_***"

    def text(self) -> str:
        return _text("whsk_", self.seed + self._public_bytes())

    def public(self) -> str:
        return _text("whpk_", self._public_bytes())

    def sign(self, signed: bytes) -> str:
        return _text("v1a,", Ed25519PrivateKey.from_private_bytes(self.seed).sign(signed))

    def _public_bytes(self) -> bytes:
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


SigningKey = HmacKey | Ed25519Key


def make(kind: Literal["hmac", "ed25519"]) -> SigningKey:
    return make_hmac() if kind == "hmac" else make_ed25519()


def make_hmac() -> HmacKey:
    return HmacKey(secrets.token_bytes(_MADE_BYTES))


def make_ed25519() -> Ed25519Key:
    return Ed25519Key(secrets.token_bytes(32))


def parse(text: str) -> SigningKey:
    """The key that `text`, `whsec_…` or `whsk_…`, stands for. Raises Invalid without quoting it."""
    if text.startswith("whsec_"):
        secret = _decoded(text.removeprefix("whsec_"))
        if not _LEAST_BYTES <= len(secret) <= _MOST_BYTES:
            raise Invalid(f"the secret must be {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64")
        return HmacKey(secret)
    if text.startswith("whsk_"):
        both = _decoded(text.removeprefix("whsk_"))
        key = Ed25519Key(both[:32])
        if len(both) != 64 or not hmac.compare_digest(key.text(), text):
            raise Invalid("the private key must be its seed and public key, 64 bytes in base64")
        return key
    raise Invalid("the secret must start with whsec_ or whsk_")


def headers(id: str, timestamp: int, body: bytes, keys: Sequence[SigningKey]) -> dict[str, str]:  # noqa: A002
    """The three headers of one attempt. `timestamp` is in seconds; `keys` are in force, newest first."""
    signed = b"%s.%d.%s" % (id.encode(), timestamp, body)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(key.sign(signed) for key in keys),
    }


def _text(prefix: str, data: bytes) -> str:
    return prefix + base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("the secret must be base64 (standard alphabet, padded)") from None
