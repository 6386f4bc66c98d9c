"""Routes of what is done with an endpoint, besides making, changing and removing it."""

from collections.abc import Mapping

from outboxd.api import endpoint_orders, endpoint_tests
from outboxd.api.exchange import Operation
from outboxd.model.deliveries import DeliveryPage, Owed, Tested
from outboxd.model.endpoints import EndpointReply
from outboxd.model.jobs import JobReply

_WRITES = ("endpoints:write",)

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/endpoints/{id}/enable": {
        "POST": Operation(handler=endpoint_orders.enable, scopes=_WRITES, answers={200: EndpointReply})
    },
    "/v1/endpoints/{id}/disable": {
        "POST": Operation(handler=endpoint_orders.disable, scopes=_WRITES, answers={200: EndpointReply})
    },
    "/v1/endpoints/{id}/test": {
        "POST": Operation(
            handler=endpoint_tests.test,
            scopes=_WRITES,
            body=endpoint_tests.TEST,
            needs_body=False,
            answers={200: Tested},
        )
    },
    "/v1/endpoints/{id}/deliveries": {
        "GET": Operation(
            handler=endpoint_orders.deliveries,
            scopes=("endpoints:read",),
            query=endpoint_orders.DELIVERIES_QUERY,
            answers={200: DeliveryPage},
        )
    },
    "/v1/endpoints/{id}/deliveries/{jobId}/redeliver": {
        "POST": Operation(
            handler=endpoint_orders.redeliver,
            scopes=_WRITES,
            answers={200: JobReply, 202: JobReply},
            refuses=(409,),
        )
    },
    "/v1/endpoints/{id}/recover": {
        "POST": Operation(
            handler=endpoint_orders.recover,
            scopes=_WRITES,
            body=endpoint_orders.RECOVER,
            answers={200: Owed, 202: JobReply},
            refuses=(409,),
        )
    },
}
