"""/openapi.json: it is there, it is one, and every route says in it what it asks and answers."""

import re
from collections.abc import Iterator

import jsonschema_rs
import msgspec
import pytest

from outboxd.api import described, openapi
from outboxd.api.exchange import Operation
from outboxd.api.parameters import PARAMETERS
from outboxd.api.routes import ROUTES
from outboxd.db.pool import Database
from tests.api.served import serving

_METHODS = {"get", "post", "put", "patch", "delete"}


def every() -> Iterator[tuple[str, str, Operation]]:
    for template, known in ROUTES.items():
        for method, operation in known.items():
            yield method, template, operation


EACH = pytest.mark.parametrize(
    ("method", "template", "operation"), [*every()], ids=lambda part: part if isinstance(part, str) else ""
)


@EACH
def test_a_route_says_what_it_is_and_answers(method: str, template: str, operation: Operation) -> None:
    assert operation.answers, "answers={200: …} is missing"
    assert 3 <= len(described.summary(operation)) <= 120
    # A protocol, and clients of an older server, have refusals of their own form.
    own = {400, 406} if operation.raw else {404} if operation.legacy else set()
    assert all(200 <= status < 300 or status in {304, 503} or status in own for status in operation.answers)


@EACH
def test_its_query_parameters_have_types(method: str, template: str, operation: Operation) -> None:
    assert set() == operation.query - PARAMETERS.keys() - operation.parameters.keys()


def test_nothing_is_described_that_no_route_knows() -> None:
    used = {name for _, _, operation in every() for name in operation.query}

    assert set() == PARAMETERS.keys() - used


def test_the_document_is_whole() -> None:
    document = openapi.build(ROUTES)
    text = msgspec.json.encode(document).decode()

    assert set(ROUTES) == set(document["paths"])
    names = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(names) == len(set(names))
    for reference in set(re.findall(r'"\$ref":"#/components/(\w+)/([\w.-]+)"', text)):
        assert reference[1] in document["components"][reference[0]]
    for path in document["paths"].values():
        assert path.keys() <= _METHODS
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


async def test_it_is_served_without_a_key_and_can_be_kept(db: Database) -> None:
    async with serving(db) as served:
        first = await served.http.get("/openapi.json")
        tag = first.headers["etag"]
        again = await served.http.get("/openapi.json", headers={"if-none-match": f'"other", W/{tag}'})
        other = await served.http.get("/openapi.json", headers={"if-none-match": '"other"'})

    assert (200, "max-age=300") == (first.status_code, first.headers["cache-control"])
    assert "3.1.0" == first.json()["openapi"]
    assert (304, b"", tag) == (again.status_code, again.content, again.headers["etag"])
    assert 200 == other.status_code
