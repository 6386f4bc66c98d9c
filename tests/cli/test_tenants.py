"""teams, projects, keys: one good run and one bad input each, and what they promise besides."""

import hashlib
import json
from pathlib import Path

import psycopg
import pytest

from tests.cli.place import Run


@pytest.fixture
def acme(cli: Run) -> Run:
    cli("teams", "create", "acme")
    cli("projects", "create", "shop", "--team", "acme")
    return cli


def test_a_team_is_made_listed_shown_and_changed(cli: Run) -> None:
    made = cli("teams", "create", "acme", "--json").json()
    assert "acme" == made["name"]
    assert [made["id"]] == [team["id"] for team in cli("teams", "--json").json()["teams"]]
    assert made == cli("teams", "show", "ACME", "--json").json()
    changed = cli("teams", "set", made["id"], "name=apex", 'metadata={"plan":"free"}', "--json").json()
    assert ("apex", {"plan": "free"}) == (changed["name"], changed["metadata"])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("teams", "create", ""), 1, "name: 1 to 120 characters"),
        (("teams", "create", "acme"), 1, "a team has this name"),
        (("teams", "show", "nobody"), 1, "Team not found"),
        (("teams", "set", "acme", "colour=red"), 2, "colour: no such setting"),
        (("teams", "set", "acme", "metadata=7"), 2, "wants a JSON object"),
        (("teams", "set", "acme", "name="), 1, "name: 1 to 120 characters"),
        (("teams", "set", "acme", "budgets.tokensPerMonth=-1"), 1, "budgets.tokensPerMonth"),
        (("projects", "set", "shop", "generation.policy=often"), 1, "settings.generation.policy"),
        (("projects", "set", "shop", "generation.quietMs=soon"), 2, "a whole number"),
        (("projects", "set", "shop", "generation.colour=red"), 2, "no such setting"),
        (("audit", "--since", "soon"), 2, "no time"),
        (("audit", "--event", "nonsense"), 1, "no event nonsense"),
        (("teams", "--limit", "0"), 2, "whole number"),
        (("projects", "create", "shop", "--team", "acme"), 1, "a project of this team has this name"),
        (("projects", "create", "x"), 2, "--team"),
        (("projects", "show", "nothing"), 1, "Project not found"),
        (("projects", "set", "shop", "archived=perhaps"), 2, "true or false"),
        (("projects", "archive", "nothing"), 1, "Project not found"),
        (("projects", "egress", "shop", "maybe"), 2, "invalid choice"),
        (("projects", "--team", "nobody"), 1, "Team not found"),
        (("keys", "create", "--scope", "fly"), 1, "no such scope: fly"),
        (("keys", "create", "--scope", ""), 1, "at least one scope"),
        (("keys", "create", "--operator", "--team", "acme"), 2, "--operator"),
        (("keys", "create", "--expires", "soon"), 2, "no time span"),
        (("keys", "revoke", "obx_nope"), 1, "Key not found"),
        (("keys", "rotate", "0197f1c2-7a00-7000-8000-000000000001"), 1, "Key not found"),
        (("keys", "bootstrap", "--out", "/nonexistent/keys"), 1, "cannot be written"),
        (("keys", "--project", "nothing"), 1, "Project not found"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bad_input_is_told_with_its_exit_code(
    acme: Run, words: tuple[str, ...], status: int, said: str
) -> None:
    answer = acme(*words)
    assert (status, "") == (answer.exit, answer.out)
    assert said in answer.err
    machine = json.loads(acme(*words, "--json").err)
    assert {"error", "message"} == set(machine)


def test_a_project_is_made_listed_shown_changed_and_archived(acme: Run) -> None:
    made = acme("projects", "create", "web", "--team", "acme", "--json").json()
    listed = acme("projects", "--team", "acme", "--json").json()["projects"]
    assert ["shop", "web"] == [project["name"] for project in listed]
    assert made == acme("projects", "show", "web", "--json").json()
    assert "site" == acme("projects", "set", "web", "name=site", "--json").json()["name"]
    assert acme("projects", "archive", "site", "--json").json()["archived"]
    assert not acme("projects", "set", "site", "archived=off", "--json").json()["archived"]


def test_an_ambiguous_name_lists_the_ids(acme: Run) -> None:
    acme("teams", "create", "other")
    acme("projects", "create", "shop", "--team", "other")
    answer = acme("projects", "show", "shop")
    assert 1 == answer.exit
    for team in ("acme", "other"):
        assert acme("projects", "show", "shop", "--team", team, "--json").json()["id"] in answer.err


def test_egress_is_switched_and_stands_in_the_trail_as_done_by_the_command_line(acme: Run, dsn: str) -> None:
    assert acme("projects", "egress", "shop", "on", "--json").json()["before"] is False
    assert acme("projects", "egress", "shop", "off", "--json").json()["before"] is True
    with psycopg.connect(dsn) as conn:
        trail = conn.execute(
            "select actor, details ->> 'via' from outbox.audit_log where action = 'project.egress'"
        ).fetchall()
        login = conn.info.user
    assert [(f"cli:{login}", "cli")] * 2 == trail


def test_a_key_is_shown_once_and_only_its_hash_is_kept(acme: Run, dsn: str) -> None:
    made = acme(
        "keys", "create", "--project", "shop", "--scope", "events:write", "--name", "ci", "--json"
    ).json()
    assert {"id", "key", "name", "teamId", "projectId", "scopes", "expiresAtEpoch"} == set(made)
    assert ("ci", ["events:write"]) == (made["name"], made["scopes"])
    assert made["key"] not in acme("keys", "--json").out
    with psycopg.connect(dsn) as conn:
        kept = conn.execute("select hash from outbox.keys where id = %s", [made["id"]]).fetchone()
    assert (hashlib.sha256(made["key"].encode()).digest(),) == kept


def test_a_key_without_team_and_project_is_of_default(cli: Run) -> None:
    made = cli("keys", "create", "--json").json()
    assert ["memories:read", "memories:write"] == made["scopes"]
    assert made["projectId"] == cli("projects", "show", "default", "--json").json()["id"]
    again = cli("keys", "create", "--json").json()
    assert made["projectId"] == again["projectId"]


def test_an_operator_key_is_of_no_team(cli: Run) -> None:
    made = cli("keys", "create", "--operator", "--scope", "admin", "--expires", "90d", "--json").json()
    assert (None, None) == (made["teamId"], made["projectId"])
    assert made["expiresAtEpoch"] is not None


def test_a_revoked_key_leaves_the_list_and_a_repeat_says_the_same(cli: Run) -> None:
    made = cli("keys", "create", "--json").json()
    first = cli("keys", "revoke", made["key"][:8], "--json").json()
    assert (True, made["id"]) == (first["revoked"], first["id"])
    assert first == cli("keys", "revoke", made["id"], "--json").json()
    assert [] == cli("keys", "--json").json()["keys"]
    assert [made["id"]] == [key["id"] for key in cli("keys", "--all", "--json").json()["keys"]]


def test_a_rotated_key_goes_on_for_the_overlap_beside_the_new_one(cli: Run) -> None:
    old = cli("keys", "create", "--name", "ci", "--json").json()
    new = cli("keys", "rotate", old["id"], "--overlap", "1h", "--json").json()
    assert old["key"] != new["key"]
    assert [old[name] for name in ("name", "projectId", "scopes")] == [
        new[name] for name in ("name", "projectId", "scopes")
    ]
    live = {key["id"]: key["expiresAtEpoch"] for key in cli("keys", "--json").json()["keys"]}
    assert live[old["id"]] is not None
    assert live[new["id"]] is None
    cli("keys", "revoke", old["id"])
    assert 1 == cli("keys", "rotate", old["id"]).exit
    assert 1 == cli("keys", "rotate", new["id"], "--overlap", "8d").exit


def test_bootstrap_makes_the_first_keys_once(cli: Run) -> None:
    made = cli("keys", "bootstrap", "--json").json()
    assert made["made"]
    assert {made["key"][:4], made["operatorKey"][:4]} == {"obx_"}
    again = cli("keys", "bootstrap", "--json")
    assert (0, {"made": False}) == (again.exit, again.json())


def test_bootstrap_writes_a_file_that_only_we_read_and_overwrites_none(cli: Run, tmp_path: Path) -> None:
    out = tmp_path / "keys.json"
    said = cli("keys", "bootstrap", "--out", str(out))
    assert "obx_" not in said.out
    assert json.loads(out.read_text())["key"].startswith("obx_")
    assert 0o600 == out.stat().st_mode & 0o777
    assert 1 == cli("keys", "bootstrap", "--out", str(out)).exit
    other = tmp_path / "other.json"
    assert 0 == cli("keys", "bootstrap", "--out", str(other)).exit
    assert not other.exists()


def test_a_database_without_the_schema_is_exit_4(empty_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.cli.place import runner

    answer = runner(empty_dsn, capsys)("teams")
    assert 4 == answer.exit
    assert "outboxd migrate" in answer.err


def test_settings_are_set_and_an_empty_value_is_the_default_again(acme: Run) -> None:
    said = acme(
        "projects", "set", "shop", "generation.policy=debounce", "summary.enabled=off",
        "generation.skipTools=Read*, Glob", "--json",
    ).json()  # fmt: skip
    back = acme("projects", "set", "shop", "generation.policy=", "summary.enabled=", "name=store", "--json")

    assert {
        "generation": {"policy": "debounce", "skipTools": ["Read*", "Glob"]},
        "summary": {"enabled": False},
    } == said["settings"]
    assert ({"generation": {"skipTools": ["Read*", "Glob"]}}, "store") == (
        back.json()["settings"], back.json()["name"],
    )  # fmt: skip


def test_a_teams_budgets_are_set_and_taken_away(acme: Run) -> None:
    made = acme("teams", "set", "acme", "budgets.tokensPerMonth=5", "budgets.callsPerHour=7", "--json").json()
    left = acme("teams", "set", "acme", "budgets.tokensPerMonth=", "--json").json()

    assert {"tokensPerMonth": 5, "callsPerHour": 7} == made["budgets"]
    assert {"callsPerHour": 7} == left["budgets"]


def test_the_trail_is_shown_and_filtered(acme: Run) -> None:
    key = acme("keys", "create", "--project", "shop", "--json").json()["id"]
    acme("keys", "revoke", key)
    acme("teams", "create", "other")
    of_team = acme("audit", "--team", "acme", "--json").json()["entries"]
    of_key = acme("audit", "--resource", key, "--json").json()["entries"]
    created = acme("audit", "--action", "team.*", "--json").json()["entries"]

    assert ["api_key.revoke", "api_key.create", "project.created", "team.created"] == [
        each["action"] for each in of_team
    ]
    assert ["api_key.revoke", "api_key.create"] == [each["action"] for each in of_key]
    assert {"cli"} == {each["details"]["via"] for each in of_key}
    assert 2 == len(created)


def test_revoking_says_how_many_jobs_it_strands(acme: Run, dsn: str) -> None:
    made = acme("keys", "create", "--project", "shop", "--json").json()
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "with j as (insert into outbox.jobs (id, team_id, project_id, queue_id, key_id)"
            " select outbox.uuid7(outbox.clock()), %s, %s, q.id, k.id from outbox.queues q, outbox.keys k"
            " where q.name = 'observe' and k.id = %s returning id, queue_id)"
            " insert into outbox.ready select outbox.clock(), 1, id, queue_id, 0, 0, 0, 1 from j",
            [made["teamId"], made["projectId"], made["id"]],
        )
    dry = acme("keys", "revoke", made["id"], "--dry-run", "--json").json()
    assert {"revoked": False, "id": made["id"], "strandedJobs": 1} == dry
    assert made["id"] in [key["id"] for key in acme("keys", "--json").json()["keys"]]
    assert 1 == acme("keys", "revoke", made["id"], "--json").json()["strandedJobs"]
