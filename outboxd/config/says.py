"""What stands beside a setting in the table."""

import msgspec

from outboxd.config import kinds
from outboxd.config.kinds import Kind


class Says(msgspec.Struct, frozen=True):
    kind: Kind
    text: str
    default: str | None = None
    """Told in place of the default, where that depends on something."""
    secret: bool = False
    unit: str = ""
    """Ends the setting's name where the field, whose type knows the unit, leaves it out."""
    elsewhere: str = ""
    """A name without our prefix that is looked at when ours is not set."""
    only_for: str = ""
    """The command that looks there; empty: all."""


def hidden(
    kind: Kind, text: str, default: str | None = None, *, elsewhere: str = "", only_for: str = ""
) -> Says:
    """A secret: never shown, and readable from a file."""
    return Says(kind, text, default, secret=True, elsewhere=elsewhere, only_for=only_for)


def in_days(text: str, low: int = 1, high: int = 3650) -> Says:
    return Says(kinds.days(low, high), text)
