"""streams, and events tail: good runs and bad inputs."""

from tests.cli.place import Run
from tests.cli.yard import Yard


def test_streams_are_listed_and_reset(cli: Run, yard: Yard) -> None:
    yard.value("select outbox.publish('t', '{}', %s)", yard.project)
    [stream] = cli("streams", "--json").json()["streams"]
    assert (str(yard.project), 0, 1) == (stream["projectId"], stream["head"], stream["pending"])
    [told] = cli("streams", "reset", "shop", "--yes", "--json").json()["streams"]
    assert not told["position"].startswith(stream["epoch"])
    assert told["position"].endswith("-0")
    assert 1 == len(cli("streams", "reset", "--all", "--yes", "--json").json()["streams"])


def test_a_reset_wants_to_know_of_what(cli: Run, yard: Yard) -> None:
    assert 2 == cli("streams", "reset", "--yes").exit
    assert 2 == cli("streams", "reset", "shop", "--all", "--yes").exit


def test_a_tail_needs_a_project_and_a_server(cli: Run, yard: Yard) -> None:
    assert 2 == cli("events", "tail").exit
