"""What a tool was given. Its errors are sentences for a model, which may then ask better."""

import math
from collections.abc import Mapping
from typing import Any


class ToolFailure(Exception):  # noqa: N818  said as the others of ours are
    """The text of a result that is an error."""


class Arguments:
    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def needed(self, name: str) -> str:
        """Raises ToolFailure unless it is a text that is not blank."""
        found = self.text(name)
        if found is None:
            raise ToolFailure(f'"{name}" is required')
        return found

    def text(self, name: str) -> str | None:
        """None when it is absent, null or blank."""
        found = self.given.get(name)
        if found is None:
            return None
        if not isinstance(found, str):
            raise ToolFailure(f'"{name}" must be a string')
        return found if found.strip() else None

    def texts(self, name: str, most: int) -> list[str]:
        found = self.given.get(name)
        if not isinstance(found, list) or not found:
            raise ToolFailure(f'"{name}" is required')
        if len(found) > most or not all(isinstance(each, str) for each in found):
            raise ToolFailure(f'"{name}" must be at most {most} strings')
        return found

    def number(self, name: str, low: int, high: int, default: int) -> int:
        """Brought into its limits; what is no number is as absent."""
        found = self.given.get(name)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            return default
        return min(max(low, int(found)), high)

    def record(self, name: str) -> dict[str, Any] | None:
        found = self.given.get(name)
        if found is None or isinstance(found, dict):
            return found
        raise ToolFailure(f'"{name}" must be an object')

    def flag(self, name: str) -> bool | None:
        found = self.given.get(name)
        if found is None or isinstance(found, bool):
            return found
        raise ToolFailure(f'"{name}" must be true or false')
