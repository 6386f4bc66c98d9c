import pytest

from tests.cli.place import Run, runner


@pytest.fixture
def cli(dsn: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command on the test's database: `cli("teams", "list")`."""
    return runner(dsn, capsys)
