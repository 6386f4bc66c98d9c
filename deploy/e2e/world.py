"""What the steps share: the stage, the project and its keys, what was acknowledged and should come of it."""

import json
import time
from collections import Counter
from typing import Any, NamedTuple, Protocol

from deploy.e2e.stream import Follower
from deploy.e2e.talk import Talk, Unmet, expect

BATCH = 100
_PATIENCE = 60.0


class Size(NamedTuple):
    queued: int
    """Events that wait when api and worker are killed."""
    shared: int
    """Jobs for two workers."""


class Stage(Protocol):
    """Where the processes run: on this machine, or in containers."""

    url: str
    host: str
    """What the workers call this machine."""
    listens: str
    """Where this machine has to listen for them."""

    def cli(self, *words: str) -> str: ...
    def refused(self, **environ: str) -> tuple[int, str]: ...
    def start(self, *names: str) -> None: ...
    def kill(self, *names: str) -> None: ...
    def stop(self, name: str, limit: float) -> tuple[int, float]: ...
    def metrics(self, name: str) -> str: ...
    def logs(self) -> str: ...
    def close(self) -> None: ...


class World:
    follower: Follower
    admin: Talk

    def __init__(self, stage: Stage, size: Size) -> None:
        self.stage, self.size = stage, size
        self.project = ""
        self.accepted: list[str] = []
        """Ids of all events that were acknowledged."""
        self.deeds: dict[str, str] = {}
        """File → event, of those that are to be observed, once each."""

    def make_project(self) -> None:
        """Not the default one: a database that is given may have been used before."""
        name = f"e2e-{time.time_ns()}"
        team = json.loads(self.stage.cli("teams", "create", name, "--json"))
        project = json.loads(self.stage.cli("projects", "create", name, "--team", team["id"], "--json"))
        self.project = project["id"]
        # Deeds are alike but for their file, and each is to be observed.
        self.stage.cli("projects", "set", self.project, "dedupe.enabled=false")
        words = ("keys", "create", "--project", self.project, "--scope", "admin", "--json")
        self.admin = Talk(self.stage.url, json.loads(self.stage.cli(*words))["key"])

    def mint(self, *scopes: str) -> Any:
        """The reply that tells a new key of the project."""
        return self.admin.posted("/v1/keys", {"projectId": self.project, "label": "e2e", "scopes": scopes})

    def key(self, *scopes: str) -> str:
        """Its secret."""
        return str(self.mint(*scopes)["apiKey"])

    def deed(self, name: str, number: int = 0) -> dict[str, Any]:
        """Something that an agent did, with a file of its own, which its observation names."""
        file = _file(name, number)
        return {
            "eventType": "tool_use",
            "payload": {
                "tool_name": "Read",
                "tool_input": {"file_path": file},
                "tool_response": {"type": "text", "file": {"filePath": file, "content": "x"}},
            },
        }

    def publish(self, name: str, count: int) -> None:
        """In batches; all of them are acknowledged when it returns."""
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            told = self.admin.posted("/v1/events/batch", [self.deed(name, number) for number in numbers])
            ids = [each["event"]["id"] for each in told["events"]]
            self.accepted += ids
            self.deeds |= {_file(name, number): each for number, each in zip(numbers, ids, strict=True)}

    def until_observed(self) -> None:
        """Each deed has been observed, and none twice."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            seen = self._observed()
            twice = [file for file, count in seen.items() if count > 1]
            expect(not twice, f"{len(twice)} were observed twice, such as {twice[:1]}")
            missing = set(self.deeds) - set(seen)
            if not missing:
                return
            if time.monotonic() > deadline:
                one = min(missing)
                story = self.stage.cli("events", "show", self.deeds[one])
                raise Unmet(f"{len(missing)} of {len(self.deeds)} were not observed, such as {one}:\n{story}")
            time.sleep(0.2)

    def _observed(self) -> Counter[str]:
        """File → observations of it."""
        seen: Counter[str] = Counter()
        asked: dict[str, Any] = {"limit": BATCH, "projectId": self.project}
        while True:
            page = self.admin.got("/v1/memories", **asked)
            seen.update(file for each in page["memories"] for file in each["metadata"].get("files_read", ()))
            if not page["nextCursor"]:
                return seen
            asked["cursor"] = page["nextCursor"]


def _file(name: str, number: int) -> str:
    return f"/srv/{name}-{number:04d}.py"
