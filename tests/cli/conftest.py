from collections.abc import Iterator

import pytest

from tests.cli.place import Run, runner
from tests.cli.yard import Yard


@pytest.fixture
def cli(dsn: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command on the test's database: `cli("teams", "list")`."""
    return runner(dsn, capsys)


@pytest.fixture
def yard(dsn: str) -> Iterator[Yard]:
    made = Yard(dsn)
    yield made
    made.close()
