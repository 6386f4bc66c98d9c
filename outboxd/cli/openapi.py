"""`outboxd openapi`"""

from pathlib import Path

from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Record, Reply, Text
from outboxd.errors import NotFound


def add(nouns: Nouns) -> None:
    text = "the document of /openapi.json: every route, what it asks and answers"
    parser = nouns.command("openapi", text, show, needs="nothing")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there")


async def show(args: Args) -> Reply:
    import json

    from outboxd.api import openapi
    from outboxd.api.routes import ROUTES

    document = openapi.build(ROUTES)
    text = json.dumps(document, indent=2)
    if args.out is None:
        return Text(text=text, document=document)
    try:
        args.out.write_text(text + "\n")
    except OSError as failed:
        raise NotFound(f"{args.out} cannot be written: {failed.strerror}") from None
    return Record(fields={"out": str(args.out), "paths": len(document["paths"])})
