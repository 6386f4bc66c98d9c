"""What a client says it takes (`Accept`)."""

import re

_ZERO = re.compile(rb"q\s*=\s*0(?:\.0*)?\s*$", re.IGNORECASE)


def accepts(accept: bytes, media: bytes) -> bool:
    """Whether the header names that type, by itself or by a range."""
    ranges = (media, media.partition(b"/")[0] + b"/*", b"*/*")
    for offered in accept.lower().split(b","):
        essence, _, parameters = offered.partition(b";")
        if essence.strip() in ranges and not _ZERO.search(parameters):
            return True
    return False
