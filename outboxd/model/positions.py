"""Where a reader of a feed stands: `<epoch>-<number>`. Number k of an epoch means one event for ever."""

import re

PATTERN = r"^[0-9a-f]{8}-(0|[1-9][0-9]{0,18})$"
WORDS = frozenset({"earliest", "latest"})

_WELL_FORMED = re.compile(PATTERN.rstrip("$") + r"\Z")


def said(epoch: str, seq: int) -> str:
    return f"{epoch}-{seq}"


def well_formed(given: str) -> bool:
    """Whether it is one at all, or a word that stands for one."""
    return given in WORDS or _WELL_FORMED.match(given) is not None
