"""Routes of interactions."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from outboxd.api import interaction_wire, interactions
from outboxd.api.exchange import Operation
from outboxd.model.interactions import (
    InteractionAnswered,
    InteractionAsked,
    InteractionPage,
    InteractionReply,
)

_WRITE = (interactions.WRITE,)
_READ = ("interactions:read",)

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/interactions": {
        "POST": Operation(
            handler=interactions.ask,
            scopes=_WRITE,
            body=interaction_wire.ASK,
            answers={200: InteractionAsked, 201: InteractionAsked},
            refuses=(404, 409),
        ),
        "GET": Operation(
            handler=interactions.listed,
            scopes=_READ,
            query=interactions.LIST_QUERY,
            parameters={
                "kind": Literal["question", "approval", "suggestion"],
                "state": Literal["pending", "answered", "withdrawn", "expired"],
            },
            answers={200: InteractionPage},
            refuses=(404,),
        ),
    },
    "/v1/interactions/{id}": {
        "GET": Operation(
            handler=interactions.one,
            scopes=_READ,
            query=frozenset({"wait"}),
            parameters={
                "wait": Annotated[int, Meta(ge=0, le=interactions.LONGEST_WAIT, description="seconds")]
            },
            answers={200: InteractionReply},
            refuses=(404,),
        ),
        "DELETE": Operation(
            handler=interactions.withdraw,
            scopes=_WRITE,
            body=interaction_wire.WITHDRAW,
            needs_body=False,
            query=frozenset({"connectionId"}),
            answers={200: InteractionReply},
            refuses=(404, 409, 410),
        ),
    },
    "/v1/interactions/{id}/answer": {
        "POST": Operation(
            handler=interactions.answer,
            scopes=_WRITE,
            body=interaction_wire.ANSWER,
            answers={200: InteractionAnswered},
            refuses=(404, 409, 410),
        )
    },
}
