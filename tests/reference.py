"""`python -m tests.reference` writes deploy/REFERENCE.md and deploy/outboxd.env from the code.

Tests compare them with what the code says now, so they cannot fall behind.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from outboxd import telemetry
from outboxd.api.described import summary
from outboxd.api.exchange import Operation
from outboxd.api.routes import ROUTES
from outboxd.cli import frame
from outboxd.config import show
from outboxd.db import scripts

FILE = Path(__file__).parents[1] / "deploy" / "REFERENCE.md"
EXAMPLE = FILE.with_name("outboxd.env")

_HEAD = """\
# Reference

Written by `make reference` from the code itself; edit the code, not this page. How to run outboxd, with
reasons and examples: [README.md](README.md) beside this file. What each SQL function and view promises:
[sql/README.md](../sql/README.md). Shapes of requests and replies: `GET /openapi.json`, or `outboxd openapi`.

- [Commands](#commands)
- [Settings](#settings)
- [HTTP routes](#http-routes)
- [Metrics](#metrics)
- [Views](#views)
"""


def text() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_commands(), *_settings(), *_routes(), *_metrics(), *_views()]) + "\n"


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "A noun alone is its `list`. Every command has `--help` and `--env-file FILE`; those that answer"
    yield "have `--json` and `--jsonl`; lists have `--limit` and `--watch`.\n"
    yield "| command | does | options |\n|---|---|---|"
    for words, parser in _leaves(frame.nouns().parser):
        shown = " ".join([f"outboxd {words}", *_positionals(parser)])
        yield f"| `{_cell(shown)}` | {_cell(parser.description or '')} | {_options(parser)} |"
    yield ""


_EVERYWHERE = frozenset({"--help", "--env-file", "--json", "--jsonl", "--limit", "--watch"})


def _leaves(
    parser: argparse.ArgumentParser, words: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command and verb, in the order of `--help`."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield words, parser
    for action in inner:
        for name, below in action.choices.items():
            yield from _leaves(below, f"{words} {name}".strip())


def _positionals(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if not action.option_strings:
            name = str(action.metavar or action.dest).upper()
            name = f"{name}…" if action.nargs in {"+", "*"} else name
            yield f"[{name}]" if action.nargs in {"?", "*"} else name


def _options(parser: argparse.ArgumentParser) -> str:
    named = (action for action in parser._actions if action.option_strings)
    own = (action for action in named if action.option_strings[-1] not in _EVERYWHERE)
    return "<br>".join(f"`{_flag(action)}` {_cell(action.help or '')}".rstrip() for action in own)


def _flag(action: argparse.Action) -> str:
    if action.nargs == 0:
        return action.option_strings[-1]
    choices = "|".join(map(str, action.choices)) if action.choices else None
    value = str(action.metavar or choices or action.dest.removeprefix("OUTBOXD_").upper())
    return _cell(f"{action.option_strings[-1]} {value}")


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield "Read once, from the environment and `--env-file`; an unknown `OUTBOXD_…` name ends the boot, and"
    yield "so does each wrong value, all at once. `s`: a secret, which `NAME_FILE` reads from a file.\n"
    yield show.markdown()


def _routes() -> Iterator[str]:
    yield "## HTTP routes\n"
    yield "Scopes: one of those named suffices; `–`: any valid key, or none where that is said.\n"
    yield "| route | scope | does |\n|---|---|---|"
    for path, methods in ROUTES.items():
        for method, operation in methods.items():
            yield f"| {method} `{path}` | {_scope(operation)} | {_cell(summary(operation))} |"
    yield ""


def _scope(operation: Operation) -> str:
    if operation.auth == "none":
        return "no key"
    named = " or ".join(f"`{scope}`" for scope in operation.scopes)
    held = {"operator": "operator key", "team": "team key"}.get(operation.holder, "")
    return ", ".join(word for word in (named, held) if word) or "–"


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield "`/metrics`, Prometheus text. † is about the shared database: every process reports the same, so"
    yield "take `max`.\n"
    yield "| metric | kind | labels | says |\n|---|---|---|---|"
    shared = {metric._name for metric in telemetry.SHARED}
    for metric in _defined():
        name = f"{metric._name}_total" if metric._type == "counter" else metric._name
        labels = ", ".join(metric._labelnames) or "–"
        mark = " †" if metric._name in shared else ""
        yield f"| `{name}`{mark} | {metric._type} | {labels} | {_cell(metric._documentation)} |"
    yield "\nAnd `process_*`, as the Prometheus client library has them.\n"


def _defined() -> Iterator[MetricWrapperBase]:
    for value in vars(telemetry).values():
        if isinstance(value, MetricWrapperBase):
            yield value


_HEADER = re.compile(r"^-- ?(.*)$")


def _views() -> Iterator[str]:
    yield "## Views\n"
    yield "For psql, in the schema `outbox`; columns, functions and roles: sql/README.md, or"
    yield "`outboxd sql VIEW`.\n"
    yield "| view | question |\n|---|---|"
    for script in scripts.read(scripts.here()).views:
        yield f"| `outbox.{script.name}` | {_cell(_first(script.body.decode()))} |"
    yield ""


def _first(text: str) -> str:
    """The first sentence of the comment that a file opens with."""
    lines = []
    for line in text.splitlines():
        found = _HEADER.match(line)
        if found is None or not found[1]:
            break
        lines.append(found[1])
    return " ".join(lines).rstrip(".")


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ").rstrip(".")


if __name__ == "__main__":
    FILE.write_text(text())
    EXAMPLE.write_text(show.example())
