"""`outboxd <noun> <verb>` in argparse, and the options that many verbs share.

A noun alone is its `list`. Usage errors are ConfigErrors, so that they end as all errors do.
"""

import argparse
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from outboxd.cli.reply import Reply
from outboxd.errors import ConfigError

Verb = Callable[..., Awaitable[Reply]]
Process = Callable[..., int]
Needs = Literal["nothing", "config", "database", "process"]
"""What a verb gets besides its arguments: nothing, the Config, or an opened Database; a process gets the
Config, makes its own event loop, prints what it likes, and returns its exit status."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError([f"{message} (see {self.prog} --help)"])


class Nouns:
    """The top of the grammar; each noun's module adds itself."""

    def __init__(self, description: str) -> None:
        self.parser = Parser(prog="outboxd", description=description, allow_abbrev=False)
        self._all = self.parser.add_subparsers(dest="noun", metavar="<command>", required=True)
        self._lists: set[str] = set()

    def noun(self, name: str, text: str) -> "Noun":
        parser = self._all.add_parser(name, help=text, description=text, allow_abbrev=False)
        return Noun(parser, lambda: self._lists.add(name))

    def command(
        self, name: str, text: str, run: Verb, *, needs: Needs = "database", forms: bool = True
    ) -> Parser:
        """A noun that is a verb itself, such as `migrate`. Without `forms` it is always read by people, and
        `--json` may be an option of its own."""
        parser = self._all.add_parser(name, help=text, description=text, allow_abbrev=False)
        return _finished(parser, run, needs, forms=forms)

    def process(self, name: str, text: str, run: Process, *, forms: bool = True) -> Parser:
        """A command that stays. Options whose `dest` is the name of a setting win over the environment."""
        parser = self._all.add_parser(name, help=text, description=text, allow_abbrev=False)
        return _finished(parser, run, "process", forms=forms)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Raises ConfigError for a usage error, SystemExit for `--help`."""
        return self.parser.parse_args(self._with_list(argv))

    def _with_list(self, argv: Sequence[str]) -> list[str]:
        noun, rest = argv[:1], argv[1:]
        bare = not rest or (rest[0].startswith("-") and rest[0] not in {"-h", "--help"})
        return [*noun, "list", *rest] if noun and noun[0] in self._lists and bare else list(argv)


class Noun:
    def __init__(self, parser: Parser, has_list: Callable[[], object]) -> None:
        self._verbs = parser.add_subparsers(dest="verb", metavar="<verb>", required=True)
        self._has_list = has_list

    def verb(self, name: str, text: str, run: Verb, *, needs: Needs = "database") -> Parser:
        if name == "list":
            self._has_list()
        parser = self._verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        return _finished(parser, run, needs)


def _finished(parser: Parser, run: Verb | Process, needs: Needs, *, forms: bool = True) -> Parser:
    parser.set_defaults(run=run, needs=needs, watch=None, json=False, jsonl=False)
    if forms:
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="one JSON document")
        form.add_argument("--jsonl", action="store_true", help="one JSON row a line")
    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="settings as KEY=value lines; the environment wins"
    )
    return parser


def listed(parser: Parser) -> Parser:
    """Options of every list."""
    parser.add_argument("--limit", type=between(1, 10_000), default=50, help="at most so many rows (50)")
    parser.add_argument(
        "--watch", type=between(1, 3600), nargs="?", const=2, metavar="SECONDS", help="draw again (each 2 s)"
    )
    return parser


def risky(parser: Parser) -> Parser:
    """Options of whatever destroys, or touches many rows."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")
    return parser


def owned(parser: Parser, names: Iterable[str] = ("team", "project")) -> Parser:
    for name in names:
        parser.add_argument(f"--{name}", metavar="ID|NAME", help=f"of this {name}, by id or name")
    return parser


def between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low:,} to {high:,}")
        return int(text)

    return parse


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE`, as `set` takes them."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return name, value


Args = Any
"""What a verb finds its arguments in: argparse's namespace, whose fields are its own options."""
