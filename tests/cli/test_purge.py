"""projects purge: what a project remembers is gone, after its name was typed."""

import io
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from outboxd.cli.confirm import typed
from outboxd.errors import ConfigError, Refused
from tests.cli.place import Run
from tests.cli.yard import Yard

COUNTS = {"observations": 1, "agentEvents": 2, "sessions": 1, "jobs": 0}


def remembers(yard: Yard) -> None:
    """Two events, one with a job that is nobody's memory, a session, and a memory."""
    session = uuid4()
    yard.rows("select outbox.add_route(outbox.me(), 'x.*', 'work', %s)", yard.project)
    for kind in ("x.y", "other"):
        yard.rows("select outbox.publish(%s, '{\"secret\": 1}', p_project => %s)", kind, yard.project)
    yard.conn.execute(
        "insert into outbox.sessions (id, team_id, project_id, started_at, created_at, updated_at)"
        " select %s, %s, %s, now, now, now from (select outbox.clock() as now) t",
        [session, yard.team, yard.project],
    )
    yard.conn.execute(
        "insert into outbox.observations (id, team_id, project_id, session_id, origin, kind, content,"
        " created_at, updated_at, search)"
        " select gen_random_uuid(), %s, %s, %s, 'manual', 'manual', 'we use tabs', now, now, ''"
        " from (select outbox.clock() as now) t",
        [yard.team, yard.project, session],
    )


def left(yard: Yard) -> dict[str, Any]:
    [row] = yard.rows(
        "select (select count(*) from outbox.observations) as observations,"
        " (select count(*) from outbox.sessions) as sessions,"
        " (select count(*) from outbox.events where payload::text like '%secret%') as events"
    )
    return row


def test_a_dry_run_counts_and_deletes_nothing(cli: Run, yard: Yard) -> None:
    remembers(yard)
    said = cli("projects", "purge", "shop", "--dry-run", "--json").json()
    assert (False, True) == (said["purged"], said["dryRun"])
    assert COUNTS == said["counts"]
    assert {"observations": 1, "sessions": 1, "events": 2} == left(yard)


def test_all_that_a_project_remembers_is_gone_and_the_project_goes_on(cli: Run, yard: Yard) -> None:
    remembers(yard)
    said = cli("projects", "purge", "shop", "--yes", "--json").json()
    assert (str(yard.project), True, COUNTS) == (said["projectId"], said["purged"], said["counts"])
    assert {"observations": 0, "sessions": 0, "events": 0} == left(yard)
    yard.rows("select outbox.publish('x.y', '{}', p_project => %s)", yard.project)
    [row] = yard.rows("select actor from outbox.audit_log where action = 'project.memory_purged'")
    assert row["actor"].startswith("cli:")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("shop",), 2, "--yes"),
        (("nothing", "--yes"), 1, "Project not found"),
        (("--yes",), 2, "required"),
    ],
)
def test_what_is_not_confirmed_or_not_there_is_not_purged(
    cli: Run, yard: Yard, words: tuple[str, ...], status: int, said: str
) -> None:
    remembers(yard)
    ended = cli("projects", "purge", *words)
    assert (status, True) == (ended.exit, said in ended.err)
    assert {"observations": 1, "sessions": 1, "events": 2} == left(yard)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_name_itself_has_to_be_typed() -> None:
    args = SimpleNamespace(yes=False)
    typed(args, "Delete?", "shop", answer=Terminal("shop\n"), to=io.StringIO())
    for text in ("y\n", "Shop\n", ""):
        with pytest.raises(Refused, match="nothing was done"):
            typed(args, "Delete?", "shop", answer=Terminal(text), to=io.StringIO())
    with pytest.raises(ConfigError):
        typed(args, "Delete?", "shop", answer=io.StringIO("shop\n"), to=io.StringIO())
