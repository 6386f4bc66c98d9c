"""What a client asks a server to store. An order can be sent again at any time: it is one thing."""

import time
import uuid
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

EVENTS = "/v1/events"

_ENCODER = msgspec.json.Encoder()


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened. Its key and its time are set when it is made, so a resend is the same event.

    What is not given is left out; `platform_source=None` says that the session has no platform.
    """

    event_type: str
    payload: Any = {}
    """Anything that JSON can say."""
    project_id: str | UnsetType = UNSET
    """Else the client's, else the key's."""
    source_type: str | UnsetType = UNSET
    """hook, worker, provider, server, api, sdk or mcp."""
    server_session_id: str | UnsetType = UNSET
    content_session_id: str | UnsetType = UNSET
    memory_session_id: str | UnsetType = UNSET
    platform_source: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    source_event_id: str | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    ordering_key: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    run_at_epoch: int | UnsetType = UNSET
    expires_at_epoch: int | UnsetType = UNSET
    occurred_at_epoch: int = msgspec.field(default_factory=lambda: time.time_ns() // 1_000_000)
    """Milliseconds."""
    idempotency_key: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One write, as it is sent and as it stands in a spool."""

    path: str
    query: dict[str, str] = {}
    body: Raw = Raw(b"{}")

    @property
    def batches(self) -> bool:
        """Whether neighbours of the same kind can travel in one request."""
        return self.path == EVENTS


def order(path: str, said: dict[str, Any], query: dict[str, str] | None = None) -> Order:
    """Fields that are None or unset are left out."""
    body = {name: value for name, value in said.items() if value is not None and value is not UNSET}
    return Order(path=path, query=query or {}, body=Raw(_ENCODER.encode(body)))


def order_of(event: Event, project: str | None, query: dict[str, str]) -> Order:
    if event.project_id is UNSET and project:
        event = msgspec.structs.replace(event, project_id=project)
    return Order(path=EVENTS, query=query, body=Raw(_ENCODER.encode(event)))


def batch_of(orders: list[Order]) -> Order:
    body = b"[" + b",".join(bytes(each.body) for each in orders) + b"]"
    return Order(path=f"{EVENTS}/batch", query=orders[0].query, body=Raw(body))
