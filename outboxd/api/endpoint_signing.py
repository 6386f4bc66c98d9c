"""The keys that an endpoint's `signing` wants: made when it wants them, and shown in that reply only."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd.config.kinds import SealKey
from outboxd.handlers import signing
from outboxd.handlers.signing import Ed25519Key, HmacKey, SigningKey
from outboxd.model import Endpoint
from outboxd.model.endpoints import EndpointSaid
from outboxd.store import endpoint_keys
from outboxd.store.endpoint_keys import Kind, SealedKey

_KINDS: Mapping[Literal["v1", "v1+v1a", "v1a"], tuple[Kind, ...]] = {
    "v1": ("hmac",),
    "v1+v1a": ("hmac", "ed25519"),
    "v1a": ("ed25519",),
}
_RARE = "signing v1a: stock verifiers of Standard Webhooks know v1 only and will refuse these deliveries"


class Made(msgspec.Struct, frozen=True):
    keys: Sequence[SigningKey]
    sealed: Sequence[SealedKey]

    @property
    def secret(self) -> str | UnsetType:
        return next((key.text() for key in self.keys if isinstance(key, HmacKey)), UNSET)

    @property
    def public_key(self) -> str | UnsetType:
        return next((key.public() for key in self.keys if isinstance(key, Ed25519Key)), UNSET)


def missing(
    wanted: Literal["v1", "v1+v1a", "v1a"], there: Collection[Kind], endpoint: UUID, keys: Sequence[SealKey]
) -> Made:
    """New keys of the kinds that `wanted` names and that are not there. Raises NotConfigured."""
    return sealed([signing.make(kind) for kind in _KINDS[wanted] if kind not in there], endpoint, keys)


def sealed(made: Sequence[SigningKey], endpoint: UUID, keys: Sequence[SealKey]) -> Made:
    return Made(
        made,
        [
            endpoint_keys.sealed(keys, endpoint, "ed25519", key.text(), key.public())
            if isinstance(key, Ed25519Key)
            else endpoint_keys.sealed(keys, endpoint, "hmac", key.text(), None)
            for key in made
        ],
    )


def said(endpoint: Endpoint | None, made: Made) -> EndpointSaid:
    rare = endpoint is not None and endpoint.signing == "v1a"
    return EndpointSaid(
        endpoint=endpoint,
        secret=made.secret,
        public_key=made.public_key,
        warnings=[_RARE] if rare else UNSET,
    )
