"""The routes of feeds."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from outboxd.api import feed, following, streams
from outboxd.api.exchange import Operation
from outboxd.api.parameters import Ident
from outboxd.model.streams import FeedPage, PositionReply, StreamToken
from outboxd.store.stream_tokens import SCOPE

_FILTERS = {
    "type": Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=255)]],
        Meta(max_length=following.MOST_TYPES, description="exact, a prefix as `a.*`, or `*`; repeatable"),
    ],
    "session": Ident,
    "subject": Annotated[
        str, Meta(min_length=1, max_length=255, description="exact, or a prefix that ends in `*`")
    ],
    "format": Literal["json", "cloudevents"],
}

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/projects/{id}/stream": {
        "GET": Operation(
            handler=streams.live,
            scopes=(SCOPE,),
            query=streams.QUERY,
            parameters=_FILTERS,
            takes_token=True,
            raw=True,
            answers={200: "text/event-stream"},
            refuses=(406,),
        )
    },
    "/v1/projects/{id}/feed": {
        "GET": Operation(
            handler=feed.page,
            scopes=(SCOPE,),
            query=feed.QUERY,
            parameters={
                **_FILTERS,
                "limit": Annotated[int, Meta(ge=1, le=feed.MOST)],
                "wait": Annotated[int, Meta(ge=0, le=feed.LONGEST, description="seconds")],
            },
            answers={200: FeedPage},
        )
    },
    "/v1/projects/{id}/position": {
        "GET": Operation(handler=feed.standing, scopes=(SCOPE,), answers={200: PositionReply})
    },
    "/v1/streams/token": {
        "POST": Operation(
            handler=streams.mint,
            scopes=(SCOPE,),
            body=streams.TOKEN,
            answers={201: StreamToken},
            refuses=(404, 409),
        )
    },
}
