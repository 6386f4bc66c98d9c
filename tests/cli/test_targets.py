"""endpoints: one good run and one bad input each."""

import json
from base64 import b64encode
from pathlib import Path

import psycopg
import pytest

from tests.cli.place import Run, runner
from tests.cli.yard import Yard

UNKNOWN = "0197f1c2-7a00-7000-8000-000000000001"
KEY = "k1:" + b64encode(b"k" * 32).decode()


@pytest.fixture
def cli(dsn: str, yard: Yard, capsys: pytest.CaptureFixture[str]) -> Run:
    """With a key to seal with, and a project `shop`."""
    return runner(dsn, capsys, OUTBOXD_SECRET_KEYS=KEY)


def test_an_endpoint_is_made_with_a_secret_that_is_shown_once(cli: Run, dsn: str) -> None:
    words = ("--type", "order.*", "--type", "x", "--concurrency", "4", "--timeout", "5s", "--uid", "mine")
    more = ("--retry-schedule", "0,1,2", "--rate", "2.5", "--contains", '{"n":1}', "--ordering", "key")
    url = "https://example.com/hook"
    made = cli("endpoints", "create", url, "--project", "shop", *words, *more, "--json").json()
    assert made["secret"].startswith("whsec_")
    endpoint = made["endpoint"]
    assert (url, ["order.*", "x"], 4, 5000, [0, 1, 2], 2.5, {"n": 1}, "key", "mine") == tuple(
        endpoint[name]
        for name in (
            "url", "types", "concurrency", "timeoutMs", "retrySchedule", "ratePerSecond", "contains",
            "ordering", "uid",
        )
    )  # fmt: skip
    for shown in (["list"], ["show", endpoint["id"]], ["show", "uid:mine", "--project", "shop"]):
        assert made["secret"] not in cli("endpoints", *shown, "--json").out
    with psycopg.connect(dsn) as conn:
        [(sealed,)] = conn.execute("select sealed from outbox.endpoint_secrets").fetchall()
    assert made["secret"].encode() not in sealed
    rotated = cli("endpoints", "rotate", "uid:mine", "--overlap", "1h", "--json").json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    with psycopg.connect(dsn) as conn:
        ends = conn.execute("select expires_at from outbox.endpoint_secrets order by created_at").fetchall()
    assert [True, False] == [each is not None for (each,) in ends]


def test_an_endpoint_that_signs_with_a_pair_shows_the_public_half_and_a_warning(cli: Run) -> None:
    words = ("--signing", "v1a", "--format", "ce-binary", "--disable-after-hours", "0")
    made = cli("endpoints", "create", "https://example.com/", "--project", "shop", *words, "--json").json()
    assert ("v1a", "ce-binary", 0) == tuple(
        made["endpoint"][name] for name in ("signing", "format", "disableAfterHours")
    )
    assert made["publicKey"].startswith("whpk_")
    assert ("secret" not in made, 1) == (True, len(made["warnings"]))


def test_an_endpoint_is_listed_shown_switched_and_deleted(cli: Run) -> None:
    made = cli("endpoints", "create", "https://example.com/", "--project", "shop", "--json").json()
    id_ = made["endpoint"]["id"]
    assert [id_] == [
        each["id"] for each in cli("endpoints", "--project", "shop", "--json").json()["endpoints"]
    ]
    assert "disabled" == cli("endpoints", "disable", id_, "--json").json()["state"]
    assert "enabled" == cli("endpoints", "enable", id_, "--json").json()["state"]
    assert not cli("endpoints", "delete", id_, "--dry-run", "--json").json()["deleted"]
    assert id_ == cli("endpoints", "show", id_, "--json").json()["id"]
    assert cli("endpoints", "delete", id_, "--yes", "--json").json()["deleted"]
    assert [] == cli("endpoints", "--json").json()["endpoints"]


def test_deliveries_are_listed_and_sent_again_and_what_is_owed_is_recovered(cli: Run, dsn: str) -> None:
    made = cli(
        "endpoints", "create", "https://example.com/", "--project", "shop", "--uid", "u", "--json"
    ).json()
    id_, events = made["endpoint"]["id"], []
    with psycopg.connect(dsn, autocommit=True) as conn:
        project = made["endpoint"]["projectId"]
        for _ in range(2):
            row = conn.execute("select outbox.publish('a', '{}', %s)", [project]).fetchone()
            events.append(str(row[0]) if row else "")
        conn.execute("select outbox.sequence(array[%s::uuid])", [project])
        conn.execute(
            "select outbox.cancel(outbox.me(), id) from outbox.jobs where event_id = %s", [events[0]]
        )
    listed = cli("endpoints", "deliveries", "uid:u", "--project", "shop", "--json").json()["deliveries"]
    assert events == [each["sourceId"] for each in reversed(listed)]
    gone = cli("endpoints", "deliveries", id_, "--status", "cancelled", "--json").json()["deliveries"]
    dry = cli("endpoints", "recover", id_, "--since", "1h", "--dry-run", "--json").json()
    assert (1, True) == (dry["matched"], dry["exact"])
    again = cli("endpoints", "redeliver", id_, gone[0]["id"], "--json").json()
    assert again["made"]
    assert {"job": again["job"], "made": False} == cli(
        "endpoints", "redeliver", id_, gone[0]["id"], "--json"
    ).json()
    assert 2 == cli("endpoints", "recover", id_, "--since", "1h").exit
    assert cli("endpoints", "recover", id_, "--since", "1h", "--rate", "5", "--yes", "--json").json()["job"]
    refused = cli("endpoints", "recover", id_, "--since", "1h", "--yes")
    assert (1, True) == (refused.exit, "under way" in refused.err)


def test_a_target_is_tried_and_the_exit_says_whether_it_took_it(cli: Run, dsn: str) -> None:
    made = cli("endpoints", "create", "https://example.com/", "--project", "shop", "--json").json()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("update outbox.endpoints set url = 'https://127.0.0.1/'")
    tried = cli("endpoints", "test", made["endpoint"]["id"], "--json")
    assert (1, "failed", "blocked") == (tried.exit, tried.json()["outcome"], tried.json()["class"])
    with psycopg.connect(dsn) as conn:
        told = conn.execute(
            "select actor, details ->> 'via' from outbox.audit_log where action = 'endpoint.tested'"
        ).fetchall()
    assert [True] == [actor.startswith("cli:") and via == "cli" for actor, via in told]


def test_without_a_key_to_seal_with_none_is_made(
    dsn: str, yard: Yard, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bare = runner(dsn, capsys, OUTBOXD_DATA=str(tmp_path))
    refused = bare("endpoints", "create", "https://example.com/", "--project", "shop")
    assert 1 == refused.exit
    assert "OUTBOXD_SECRET_KEYS" in refused.err
    (tmp_path / "secret.key").write_text(KEY + "\n")
    assert 0 == bare("endpoints", "create", "https://example.com/", "--project", "shop").exit


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("create", "ftp://example.com", "--project", "shop"), 2, "http(s)"),
        (("create", "https://u:p@example.com", "--project", "shop"), 2, "http(s)"),
        (("create", "https://example.com"), 2, "--project"),
        (("create", "https://example.com", "--project", "nothing"), 1, "Project not found"),
        (("create", "https://example.com", "--project", "shop", "--concurrency", "65"), 1, "64"),
        (("create", "https://example.com", "--project", "shop", "--type", "a.*.b"), 1, "prefix"),
        (("create", "https://example.com", "--project", "shop", "--retry-schedule", "soon"), 2, "seconds"),
        (("create", "https://example.com", "--project", "shop", "--contains", "{"), 2, "no JSON"),
        (("show", UNKNOWN), 1, "no endpoint"),
        (("enable", UNKNOWN), 1, "no endpoint"),
        (("disable", "7"), 1, "no endpoint"),
        (("delete", UNKNOWN, "--yes"), 1, "no endpoint"),
        (("test", UNKNOWN), 1, "no endpoint"),
        (("test", UNKNOWN, "--payload", "{"), 2, "no JSON"),
        (("deliveries", UNKNOWN), 1, "no endpoint"),
        (("redeliver", UNKNOWN, UNKNOWN), 1, "no endpoint"),
        (("recover", UNKNOWN, "--since", "1h"), 1, "no endpoint"),
        (("recover", UNKNOWN), 2, "--since"),
        (("list", "--project", "nothing"), 1, "Project not found"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bad_input_is_told_with_its_exit_code(
    cli: Run, words: tuple[str, ...], status: int, said: str
) -> None:
    answer = cli("endpoints", *words)
    assert (status, "") == (answer.exit, answer.out)
    assert said in answer.err
    assert {"error", "message"} == set(json.loads(cli("endpoints", *words, "--json").err))


def test_a_deletion_asks_first(cli: Run) -> None:
    made = cli("endpoints", "create", "https://example.com/", "--project", "shop", "--json").json()
    assert 2 == cli("endpoints", "delete", made["endpoint"]["id"]).exit
    assert 1 == len(cli("endpoints", "--json").json()["endpoints"])
