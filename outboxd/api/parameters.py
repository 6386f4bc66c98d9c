"""What query parameters look like, by name, for `/openapi.json`: the handlers judge, this page tells.

A route on which a name means something else says so in `Operation.parameters`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from outboxd.model.jobs import SourceType

Flag = Literal["true", "false"]
Limit = Annotated[int, Meta(ge=1, le=200)]
Ident = Annotated[str, Meta(description="an id")]
Moment = Annotated[
    str, Meta(description="milliseconds since 1970, or ISO 8601", examples=["2026-01-31T12:00:00Z"])
]

Place = Annotated[str, Meta(description="a position, `earliest` or `latest`")]


def text(most: int, description: str = "") -> Any:
    return Annotated[str, Meta(min_length=1, max_length=most, description=description or None)]


PARAMETERS: Mapping[str, Any] = {
    "after": Place,
    "action": text(100, "exact, or a prefix as `api_key.*`"),
    "active": Flag,
    "actorId": text(255),
    "apiKeyId": Ident,
    "agentId": text(255),
    "archived": Flag,
    "class": text(64, "how the last attempt ended"),
    "classification": text(64, "why the last attempt failed"),
    "concept": text(100, "whatever the case"),
    "dryRun": Flag,
    "expectedActor": text(255, "as its channel names people"),
    "expungeSource": Flag,
    "file": text(512, "a path, or the end of one"),
    "kind": text(2000, "at most 20, separated by commas"),
    "observations": Literal["keep", "delete"],
    "connectionId": text(255, "the channel instance that shows it"),
    "contentSessionId": text(512),
    "cursor": Annotated[str, Meta(description="`nextCursor` of the page before")],
    "eventId": Ident,
    "eventType": Annotated[
        str,
        Meta(min_length=1, description="exact, or a prefix `a.*`; at most 20, separated by commas"),
    ],
    "externalSessionId": text(512),
    "generate": Flag,
    "handler": text(255),
    "hasFailedJob": Flag,
    "held": Flag,
    "groupBy": Literal["project", "model", "day"],
    "include": Literal["payload"],
    "jobId": Ident,
    "last_event_id": Place,
    "limit": Limit,
    "month": Annotated[str, Meta(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])$", description="of UTC")],
    "name": text(120, "in whatever case"),
    "named": Flag,
    "on_gap": Literal["earliest", "latest"],
    "open": Flag,
    "offset": Annotated[int, Meta(ge=0, le=10_000)],
    "order": Literal["asc", "desc"],
    "payload": Annotated[str, Meta(min_length=1, max_length=4096, description="JSON")],
    "platformSource": text(64),
    "projectId": Ident,
    "queue": text(100),
    "requestId": text(64),
    "resourceId": text(255),
    "resourceType": text(100),
    "sessionId": Ident,
    "since": Moment,
    "sourceType": text(64),
    "source_type": SourceType,
    "state": Literal["enabled", "paused", "disabled"],
    "status": text(512, "states, separated by commas"),
    "subject": text(255),
    "token": text(512, "in place of a key, for clients that cannot send a header"),
    "type": text(255),
    "until": Moment,
    "wait": Flag,
    "waitSeconds": Annotated[int, Meta(ge=0, le=30)],
}
