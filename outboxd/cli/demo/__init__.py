"""`outboxd demo`: what outboxd does, shown and asserted, on a machine that has nothing.

    place      a temporary directory, its Postgres and our processes, gone at the end
    stage      how a step looks while it runs and when it is over
    receiver   a webhook target that fails some calls on purpose
    subscriber   one that follows a live stream
    shop       the business whose events they are: tables, a SQL producer, a SQL handler
    app        Python handlers of the worker processes
    sight      what the database says of jobs and workers
    story      the steps, in order; each asserts what it says
    beginning, work, trouble, live, asking, owed, agent   what each of them does
    coding   what the agent did

A step that does not see what it should within 20 s ends the demo with exit 1 and what was missing.
"""

from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns

if TYPE_CHECKING:
    from outboxd.config import Config


def add(nouns: Nouns) -> None:
    text = "what outboxd does, shown and asserted in 30 s, in a temporary directory; needs nothing"
    parser = nouns.process("demo", text, demo)
    parser.add_argument("--exit", action="store_true", help="end after the last step, also on a terminal")


def demo(args: Args, config: "Config") -> int:
    from outboxd.cli.demo.story import tell

    return tell(args, config)
