"""How much of its grid a walk asks."""

import zlib
from collections.abc import Callable, Collection
from typing import Any

import pytest

Share = Callable[[Collection[Any], str], list[Any]]


@pytest.fixture(params=[pytest.param(3, id="a_third"), pytest.param(1, id="all", marks=pytest.mark.nightly)])
def share(request: pytest.FixtureRequest) -> Share:
    """Of what is tried at each place, every third value, another third at the next place; all of it at night.

    Every place is asked and every value is sent at each change, only not each value at each place.
    """
    step: int = request.param

    def part(values: Collection[Any], place: str) -> list[Any]:
        return list(values)[zlib.crc32(place.encode()) % step :: step]

    return part
