"""Times as replies show them."""

from datetime import datetime

Epoch = int
"""Milliseconds since 1970-01-01 UTC."""


def epoch(when: datetime) -> Epoch:
    return round(when.timestamp() * 1000)
