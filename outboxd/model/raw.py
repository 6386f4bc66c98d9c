"""JSON that nobody here looks into, as `/openapi.json` tells of it."""

from typing import Annotated

from msgspec import Meta, Raw

AnyJson = Annotated[Raw, Meta(description="any JSON")]
Object = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
ObjectOrNull = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]


def no_members() -> Raw:
    """The default of a field; as a value it could not stand in a schema."""
    return _EMPTY


_EMPTY = Raw(b"{}")
