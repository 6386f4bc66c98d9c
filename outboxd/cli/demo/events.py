"""Events that we made up, in the manner of a code host."""

from typing import Any

_REPOSITORIES = ("octo/spoon", "octo/kettle", "ada/engine", "grace/compiler")
_PEOPLE = ("ada", "grace", "linus", "margaret", "edsger")
_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("github.push", {"ref": "refs/heads/main", "commits": 3}),
    ("github.pull_request.opened", {"title": "Let the kettle whistle", "draft": False}),
    ("github.issue_comment.created", {"body": "Works on my machine — 再現できません 🙂"}),
    ("github.star.created", {"stars": 1912}),
)


def activity(number: int) -> dict[str, Any]:
    """The `number`-th event, as `POST /v1/events` takes it."""
    kind, said = _KINDS[number % len(_KINDS)]
    payload = {
        "number": number,
        "repository": _REPOSITORIES[number % len(_REPOSITORIES)],
        "sender": _PEOPLE[number % len(_PEOPLE)],
        **said,
    }
    return {"eventType": kind, "payload": payload, "idempotencyKey": f"activity-{number}"}


def build(number: int) -> dict[str, Any]:
    return {"eventType": "ci.build", "payload": {"number": number, "repository": _REPOSITORIES[0]}}


def kettle(celsius: int) -> dict[str, Any]:
    """Nobody has to do anything about it: who wants to know follows the stream."""
    return {
        "eventType": "kettle.heating" if celsius < 100 else "kettle.whistled",
        "payload": {"celsius": celsius},
    }


def deploy() -> dict[str, Any]:
    return {"eventType": "ci.deploy", "payload": {"version": "1.9.12", "sender": _PEOPLE[0]}}
