"""The command line: parse, call, print.

    argv ─▶ parser ─▶ frame opens what the verb needs ─▶ verb(args, …) ─▶ reply ─▶ output
                                   └──── an error of ours ────▶ stderr and the exit status

A noun is a module here, a verb is a plain async function that returns what to print. It works on
the database through the same functions as the API, so it works while the API is down.
"""

import os
import sys

from outboxd.cli.frame import run


def main() -> int:
    return run(sys.argv[1:], os.environ)
