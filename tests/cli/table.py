"""Every command: a run that is good, and a word that is not, with its exit status.

`{name}` in a word is something that `tests/cli/test_every_command.py` has made.
"""

from typing import Final

import msgspec

UNKNOWN: Final = "0197f1c2-7a00-7000-8000-000000000001"
ANN = ("--connection", "chat-1", "--actor", "ann")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    good: tuple[str, ...] | None = ()
    """Its words besides its name; None: it is run in `elsewhere`."""
    bad: tuple[str, ...]
    exit: int
    """Of the bad run."""
    may: tuple[int, ...] = (0,)
    """Exits of the good run."""
    elsewhere: str = ""
    """The test that runs it, since it is a process or needs more than a database."""


ROWS: dict[str, Row] = {
    "demo": Row(good=None, elsewhere="test_demo.py", bad=("--exit", "now"), exit=2),
    "up": Row(good=None, elsewhere="test_events.py", bad=("--port", "much"), exit=2),
    "dev": Row(good=None, elsewhere="test_every_command.py", bad=("--port", "much"), exit=2),
    "serve": Row(good=None, elsewhere="test_every_command.py", bad=("--sometimes",), exit=2),
    "work": Row(good=None, elsewhere="test_events.py", bad=("--slots", "0"), exit=2),
    "migrate": Row(good=("--check",), bad=("--wait", "long"), exit=2),
    "check": Row(may=(0, 1), bad=("--all",), exit=2),
    "health": Row(good=("--live",), bad=("now",), exit=2),
    "config": Row(good=("--example",), bad=("--env-file", "/nonexistent"), exit=2),
    "teams list": Row(bad=("--limit", "0"), exit=2),
    "teams create": Row(good=("umbrella",), bad=("acme",), exit=1),
    "teams show": Row(good=("acme",), bad=("nobody",), exit=1),
    "teams set": Row(good=("acme", "budgets.callsPerHour=9"), bad=("acme", "colour=red"), exit=2),
    "projects list": Row(good=("--team", "acme"), bad=("--team", "nobody"), exit=1),
    "projects create": Row(good=("attic", "--team", "acme"), bad=("attic",), exit=2),
    "projects show": Row(good=("shop",), bad=("twice",), exit=1),
    "projects set": Row(good=("shop", "dedupe.enabled=off"), bad=("shop", "dedupe"), exit=2),
    "projects archive": Row(good=("attic",), bad=("nothing",), exit=1),
    "projects egress": Row(good=("shop", "on"), bad=("shop", "maybe"), exit=2),
    "projects purge": Row(good=("attic", "--dry-run"), bad=("attic",), exit=2),
    "keys list": Row(good=("--all",), bad=("--project", "twice"), exit=1),
    "keys create": Row(good=("--name", "ci", "--expires", "90d"), bad=("--expires", "soon"), exit=2),
    "keys revoke": Row(good=("{key}", "--dry-run"), bad=(UNKNOWN,), exit=1),
    "keys rotate": Row(good=("{key}", "--overlap", "1h"), bad=("{key}", "--overlap", "30d"), exit=1),
    "keys bootstrap": Row(bad=("--out", "/nonexistent/keys"), exit=1),
    "routes list": Row(good=("--project", "shop"), bad=("--watch", "never"), exit=2),
    "routes add": Row(good=("a.*", "work"), bad=("a.*.b", "work"), exit=1),
    "routes change": Row(good=("{route}", "--disable"), bad=("{route}",), exit=2),
    "routes remove": Row(good=("{route}",), bad=(UNKNOWN,), exit=1),
    "routes test": Row(good=("a", "--project", "shop"), bad=("a",), exit=2),
    "endpoints list": Row(bad=("--limit", "many"), exit=2),
    "endpoints show": Row(good=("{endpoint}",), bad=(UNKNOWN,), exit=1),
    "endpoints create": Row(
        good=("https://example.com/2", "--project", "shop"),
        bad=("ftp://example.com", "--project", "shop"),
        exit=2,
    ),
    "endpoints enable": Row(good=("{endpoint}",), bad=(UNKNOWN,), exit=1),
    "endpoints disable": Row(good=("uid:spare", "--project", "shop"), bad=("uid:nothing",), exit=1),
    "endpoints test": Row(good=("{endpoint}",), may=(1,), bad=("{endpoint}", "--payload", "{{"), exit=2),
    "endpoints rotate": Row(
        good=("{endpoint}", "--overlap", "1h"), bad=("{endpoint}", "--kind", "rsa"), exit=2
    ),
    "endpoints deliveries": Row(good=("{endpoint}",), bad=("{endpoint}", "--status", "odd"), exit=2),
    "endpoints redeliver": Row(good=("{endpoint}", "{delivery}"), bad=("{endpoint}", UNKNOWN), exit=1),
    "endpoints recover": Row(
        good=("{endpoint}", "--since", "1h", "--dry-run"), bad=("{endpoint}", "--since", "1h"), exit=2
    ),
    "endpoints delete": Row(good=("{endpoint}", "--yes"), bad=("uid:spare", "--project", "shop"), exit=2),
    "schedules list": Row(bad=("--project", "nothing"), exit=1),
    "schedules create": Row(
        good=("second", "@daily", "a", "--project", "shop"),
        bad=("third", "0 0 30 2 *", "a", "--project", "shop"),
        exit=1,
    ),
    "schedules change": Row(good=("{schedule}", "--cron", "@hourly"), bad=("{schedule}",), exit=2),
    "schedules enable": Row(good=("{schedule}",), bad=(UNKNOWN,), exit=1),
    "schedules disable": Row(good=("{schedule}",), bad=(UNKNOWN,), exit=1),
    "schedules run": Row(good=("{schedule}",), bad=(UNKNOWN,), exit=1),
    "schedules delete": Row(good=("{schedule}", "--yes"), bad=("second", "--project", "shop"), exit=2),
    "secrets reencrypt": Row(good=("--dry-run",), bad=(), exit=2),
    "handlers list": Row(bad=("--limit", "-1"), exit=2),
    "handlers add": Row(good=("sql:public.count_it",), bad=("sql:outbox.settle",), exit=1),
    "handlers remove": Row(good=("sql:public.count_it",), bad=("nothing",), exit=1),
    "events list": Row(good=("--since", "15m"), bad=("--since", "yesterday"), exit=2),
    "events show": Row(good=("{event}", "--payload"), bad=(UNKNOWN,), exit=1),
    "events tail": Row(good=("--from", "earliest", "--count", "1"), bad=("--count", "0"), exit=2),
    "events publish": Row(good=("a", "--data", '{{"n": 1}}'), bad=("a", "--data", "{{"), exit=2),
    "sessions list": Row(good=("--open",), bad=("--open", "--ended"), exit=2),
    "sessions show": Row(good=("{session}",), bad=(UNKNOWN,), exit=1),
    "sessions end": Row(good=("{session}",), bad=(UNKNOWN,), exit=1),
    "interactions list": Row(bad=("--state", "odd"), exit=2),
    "interactions show": Row(good=("{interaction}",), bad=("nothing",), exit=1),
    "interactions answer": Row(
        good=("{interaction}", *ANN, "--answer", "yes"),
        bad=("{interaction}", *ANN[:2], "--actor", "bob", "--answer", "no"),
        exit=1,
    ),
    "interactions withdraw": Row(good=("{question}", *ANN[:2]), bad=("nothing", *ANN[:2]), exit=1),
    "jobs list": Row(good=("--status", "failed", "--since", "2h"), bad=("--status", "odd"), exit=2),
    "jobs show": Row(good=("{dead}",), bad=("7",), exit=1),
    "jobs why": Row(good=("{dead}",), bad=(), exit=2),
    "jobs retry": Row(good=("{dead}",), bad=("{completed}",), exit=1),
    "jobs cancel": Row(good=("{dead}",), bad=("{completed}",), exit=1),
    "jobs snooze": Row(good=("{queued}", "--until", "2h"), bad=("{completed}", "--until", "2h"), exit=1),
    "dead list": Row(good=("--by-error",), bad=("--until", "later"), exit=2),
    "dead retry": Row(good=("--all", "--dry-run"), bad=(), exit=2),
    "dead discard": Row(good=("--queue", "none", "--yes"), bad=("--all",), exit=2),
    "dead purge": Row(good=("--class", "none", "--yes"), bad=("--project", "twice", "--yes"), exit=1),
    "queues list": Row(bad=("--watch", "0"), exit=2),
    "queues pause": Row(good=("side", "--for", "2h"), bad=("nothing",), exit=1),
    "queues resume": Row(good=("side",), bad=("nothing",), exit=1),
    "queues set": Row(good=("side", "concurrency=8"), bad=("side", "speed=9"), exit=2),
    "queues weigh": Row(good=("side", "shop", "5"), bad=("side", "shop", "101"), exit=2),
    "streams list": Row(bad=("--limit", "10001"), exit=2),
    "streams reset": Row(good=("shop", "--dry-run"), bad=("shop",), exit=2),
    "providers list": Row(bad=("--limit", "0"), exit=2),
    "providers resume": Row(good=("{provider}",), bad=("nobody",), exit=1),
    "workers list": Row(bad=("--limit", "0"), exit=2),
    "audit": Row(good=("--action", "queue.*", "--since", "1d"), bad=("--key", "nothing"), exit=1),
    "sql": Row(good=("queue_depth",), bad=("nothing",), exit=1),
    "mcp": Row(good=None, elsewhere="test_mcp.py", bad=("--url", "ftp://x"), exit=2),
    "bench": Row(good=None, elsewhere="../bench/test_run.py", bad=("--clients", "none"), exit=2),
    "drill": Row(good=None, elsewhere="../bench/test_drill.py", bad=("--seconds", "none"), exit=2),
    "export": Row(
        good=("--project", "shop", "--out", "{out}"), bad=("--project", "shop", "--after", "x"), exit=2
    ),
    "import": Row(good=("{out}", "--dry-run"), bad=("/nonexistent/export.jsonl",), exit=1),
    "openapi": Row(bad=("--out", "/nonexistent/openapi.json"), exit=1),
    "completion": Row(good=("fish",), bad=("tcsh",), exit=2),
    "version": Row(bad=("now",), exit=2),
}
