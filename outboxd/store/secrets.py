"""Sealing: what must not be readable in the database, or in a dump of it, is AES-256-GCM there.

    sealed = version (1 byte) ‖ length of kid (1) ‖ kid ‖ nonce (12) ‖ ciphertext and tag

The first of the keys seals, every one opens, so that a new key is put in front and rows move to it
one by one. Whose it is and which column it stands in are authenticated with it: a sealed value
copied to another row or column does not open there.
"""

import secrets
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outboxd.config.kinds import SealKey
from outboxd.errors import Broken, NotConfigured

_VERSION = 1
_NONCE_BYTES = 12


def head_of(keys: Sequence[SealKey]) -> bytes:
    """How everything begins that the first key seals. Raises NotConfigured if there is none."""
    if not keys:
        raise NotConfigured("no key to seal secrets with: set OUTBOXD_SECRET_KEYS")
    kid = keys[0].kid.encode()
    return bytes((_VERSION, len(kid))) + kid


def seal(keys: Sequence[SealKey], text: bytes, *, owner: UUID, column: str) -> bytes:
    """Raises NotConfigured if there is no key to seal with."""
    head, nonce = head_of(keys), secrets.token_bytes(_NONCE_BYTES)
    return head + nonce + AESGCM(keys[0].key).encrypt(nonce, text, _bound_to(owner, column))


def unseal(keys: Sequence[SealKey], sealed: bytes, *, owner: UUID, column: str) -> bytes:
    """Raises NotConfigured if its key is not among `keys`, Broken if it is not what was sealed."""
    kid = kid_of(sealed)
    key = next((key for key in keys if key.kid == kid), None)
    if key is None:
        raise NotConfigured(f"the key {kid} of OUTBOXD_SECRET_KEYS, which sealed a secret, is missing")
    start = 2 + sealed[1]
    nonce, body = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
    try:
        return AESGCM(key.key).decrypt(nonce, body, _bound_to(owner, column))
    except (InvalidTag, ValueError):
        raise Broken("a sealed secret does not open with the key that is named on it") from None


def kid_of(sealed: bytes) -> str:
    """Which key sealed it: what is not of the first key waits to be sealed again. Raises Broken."""
    if len(sealed) < 2 or sealed[0] != _VERSION or len(sealed) < 2 + sealed[1] + _NONCE_BYTES:
        raise Broken("a sealed secret is not in a form that is known here")
    try:
        return sealed[2 : 2 + sealed[1]].decode("ascii")
    except UnicodeDecodeError:
        raise Broken("a sealed secret is not in a form that is known here") from None


def make_key(kid: str) -> SealKey:
    return SealKey(kid=kid, key=secrets.token_bytes(32))


def _bound_to(owner: UUID, column: str) -> bytes:
    return owner.bytes + column.encode()
