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
    to.write(f"{question} [y/N] ")
    to.flush()
    if answer.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("nothing was done")
