"""`outboxd sql`: the contract of the database, for whoever asks it with psql."""

import re

from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Record, Reply, Text
from outboxd.errors import NotFound

_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_BLOCK = re.compile(r"^```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)


def add(nouns: Nouns) -> None:
    text = "views and functions for operators; of one view its question, columns and an example"
    parser = nouns.command("sql", text, show, needs="nothing")
    parser.add_argument("view", nargs="?", help="one of the views")


async def show(args: Args) -> Reply:
    from outboxd.db import scripts

    contract = (scripts.here() / "README.md").read_text()
    if args.view is None:
        return Text(text=contract, document={"contract": contract})
    name = args.view.removeprefix("outbox.")
    questions = {view: (question, columns) for view, question, columns in _ROW.findall(contract)}
    views = sorted(script.name for script in scripts.read(scripts.here()).views)
    if name not in questions or name not in views:
        raise NotFound(f"no view {name}: there are {', '.join(views)}")
    question, columns = questions[name]
    return Record(
        fields={
            "view": f"outbox.{name}",
            "question": question.strip(),
            "columns": [column.strip() for column in columns.split(",")],
            "example": _example(contract, name),
        }
    )


def _example(contract: str, view: str) -> str:
    """The first of the contract that asks it."""
    lines = "\n".join(_BLOCK.findall(contract)).splitlines()
    asking = (line.partition("--")[0].strip() for line in lines if f"outbox.{view} " in line)
    return next((line for line in asking if line.endswith(";")), f"select * from outbox.{view} limit 20;")
