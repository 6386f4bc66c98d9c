"""One thing that `outboxd check` has to say."""

from typing import Literal

import msgspec

Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    level: Level
    subject: str
    finding: str
    cure: str | None = None
