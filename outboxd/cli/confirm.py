"""Asking before something is destroyed."""

import sys
from typing import TextIO

from outboxd.cli.parser import Args
from outboxd.errors import ConfigError, Refused


def confirm(args: Args, question: str, *, answer: TextIO = sys.stdin, to: TextIO = sys.stderr) -> None:
    """Returns if the person, or `--yes`, agrees.

    Raises Refused when they do not, ConfigError when there is nobody to ask.
    """
    if args.yes:
        return
    if not answer.isatty():
        raise ConfigError([f"{question} Say --yes where there is no terminal to ask on"])
    if _asked(f"{question} [y/N] ", answer, to).lower() not in {"y", "yes"}:
        raise Refused("nothing was done")


def typed(
    args: Args, question: str, name: str, *, answer: TextIO = sys.stdin, to: TextIO = sys.stderr
) -> None:
    """As `confirm`, for what cannot be undone: the person types the name of what it is about."""
    if args.yes:
        return
    if not answer.isatty():
        raise ConfigError([f"{question} Say --yes where there is no terminal to type its name on"])
    if _asked(f"{question} Type its name, {name}: ", answer, to) != name:
        raise Refused("that is not its name: nothing was done")


def _asked(question: str, answer: TextIO, to: TextIO) -> str:
    to.write(question)
    to.flush()
    return answer.readline().strip()
