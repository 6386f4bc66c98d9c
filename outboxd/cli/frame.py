"""One run of a command: what it needs is opened, its reply is printed, its failure told.

0 done · 1 refused or failed · 2 usage, configuration · 3 unreachable · 4 schema · 5 in use · 130 Ctrl-C
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from outboxd.cli import (
    audit,
    bench,
    check,
    completion,
    daemons,
    dead,
    demo,
    drill,
    endpoints,
    events,
    exports,
    handlers,
    health,
    imports,
    interactions,
    jobs,
    keys,
    mcp,
    migrate,
    openapi,
    projects,
    providers,
    queues,
    routes,
    schedules,
    secrets,
    sessions,
    settings,
    sheet,
    streams,
    teams,
    version,
    workers,
)
from outboxd.cli.output import Form, Output, say_error
from outboxd.cli.parser import Nouns, Process, Verb
from outboxd.cli.reply import Reply
from outboxd.errors import Error

if TYPE_CHECKING:
    from outboxd.config import Config

MODULES = (
    demo, daemons, migrate, check, health, settings, teams, projects, keys, routes, endpoints, schedules,
    secrets, handlers, events, sessions, interactions, jobs, dead, queues, streams, providers, workers,
    audit, sheet, mcp, bench, drill, exports, imports, openapi, completion, version,
)  # fmt: skip
"""Each adds its noun to the grammar; the order is that of `--help`."""


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what `argv` says and return the exit status. The only place where a failure becomes one."""
    machine = not {"--json", "--jsonl"}.isdisjoint(argv)
    try:
        args = nouns().parse(argv)
        return _work(args, environ)
    except Error as failed:
        say_error(failed, sys.stderr, json=machine)
        return failed.exit
    except SystemExit as helped:
        return int(helped.code or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def nouns() -> Nouns:
    grammar = Nouns("A transactional outbox daemon that needs nothing but Postgres.")
    for module in MODULES:
        module.add(grammar)
    return grammar


def _work(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    import asyncio

    _quiet_logs()
    if args.needs == "process":
        args.colour = sys.stdout.isatty() and not environ.get("NO_COLOR")
        process: Process = args.run
        return process(args, _configured(args, environ))
    output = _output(args, environ)
    return asyncio.run(_repeated(args, environ, output))


async def _repeated(args: argparse.Namespace, environ: Mapping[str, str], output: Output) -> int:
    import asyncio

    while True:
        reply = await _called(args, environ)
        if args.watch is not None:
            output.clear()
        output.show(reply)
        if args.watch is None:
            return reply.exit
        await asyncio.sleep(args.watch)


async def _called(args: argparse.Namespace, environ: Mapping[str, str]) -> Reply:
    run: Verb = args.run
    if args.needs == "nothing":
        return await run(args)
    config = _configured(args, environ)
    if args.needs == "config":
        return await run(args, config)
    from outboxd.cli import database

    async with database.opened(config) as db:
        return await run(args, db)


def _configured(args: argparse.Namespace, environ: Mapping[str, str]) -> "Config":
    from outboxd import config
    from outboxd.cli import database

    given = config.read_env_file(args.env_file) if args.env_file else {}
    said = {
        name: text for name, text in vars(args).items() if name.startswith("OUTBOXD_") and text is not None
    }
    settings = {**given, **environ, **said}
    return config.read({**settings, **database.joined(settings, args.noun)}, command=args.noun)


def _output(args: argparse.Namespace, environ: Mapping[str, str]) -> Output:
    form: Form = "json" if args.json else "jsonl" if args.jsonl else "table"
    tty = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if tty else None
    return Output(sys.stdout, form, width=width, colour=tty and not environ.get("NO_COLOR"))


def _quiet_logs() -> None:
    """A command's own words are its reply; what libraries and loops log matters from warnings on.

    Daemons set up their logs anew when they start.
    """
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        # Looked up for each logger: whoever replaces stderr gets what is logged from then on.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
