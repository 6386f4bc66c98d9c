"""The part of sql/README.md that is made from the catalog: every granted verb with its signature.

`python -m tests.schema` writes it anew; tests/sql/test_contract.py compares it with what was promised.
"""

import re
from pathlib import Path
from typing import Any

import psycopg

FILE = Path(__file__).parents[1] / "sql" / "README.md"

HEAD = """## Signatures

Made from the database by `python -m tests.schema`; arguments with a default may be left out.

| verb | takes | gives | roles |
|---|---|---|---|
"""
ROLES = ("producer", "worker", "operator", "reader")
CALLED_BY_VIEWS = frozenset(
    {
        *("clock", "uuid7_time", "longest_kept"),
        *("provider_figures", "usage_figures", "queue_figures", "rate_figures", "failure_figures"),
    }
)
"""A function that a view calls runs as whoever asks the view, so it is granted, and promises nothing."""

_VERBS = """
select p.proname as name, pg_get_function_arguments(p.oid) as takes, pg_get_function_result(p.oid) as gives,
  array(select r from unnest(%s::text[]) r
    where has_function_privilege('outbox_' || r, p.oid, 'execute')) as roles
from pg_proc p
where p.pronamespace = 'outbox'::regnamespace
  and exists (select from unnest(%s::text[]) r where has_function_privilege('outbox_' || r, p.oid, 'execute'))
order by p.proname
"""
_SHORT = {
    "timestamp with time zone": "timestamptz",
    "double precision": "float8",
    "character varying": "text",
    "integer": "int",
    "outbox.": "",
}


def signatures(conn: psycopg.Connection[Any]) -> str:
    """The section, with a row for each granted verb."""
    roles = list(ROLES)
    found = conn.execute(_VERBS, [roles, roles]).fetchall()
    rows = [
        f"| `{name}` | {_takes(takes)} | {_gives(gives)} | {', '.join(granted)} |\n"
        for name, takes, gives, granted in found
        if name not in CALLED_BY_VIEWS
    ]
    return HEAD + "".join(rows)


def write(dsn: str) -> None:
    """Puts the section as it is now into sql/README.md, at its end."""
    text = FILE.read_text().partition("## Signatures")[0].rstrip() + "\n\n"
    with psycopg.connect(dsn) as conn:
        FILE.write_text(text + signatures(conn))


def _takes(arguments: str) -> str:
    """`p_rate numeric DEFAULT 10` is `rate numeric = 10`."""
    short = re.sub(r"::[a-z ]+(?:\[\])?", "", _short(arguments)).replace(" DEFAULT ", " = ")
    return re.sub(r"\bp_(\w+)", r"\1", short).replace("NULL", "null") or "–"


def _gives(result: str) -> str:
    short = _short(result)
    table = re.fullmatch(r"TABLE\((.*)\)", short)
    return table[1] if table else short.replace("SETOF ", "rows of ").replace("void", "–")


def _short(text: str) -> str:
    for long, short in _SHORT.items():
        text = text.replace(long, short)
    return text
