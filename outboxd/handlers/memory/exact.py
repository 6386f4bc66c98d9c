"""JSON as Python values whose numbers stay as they were written: `1.10`, twenty digits, `1e400`."""

import json
from typing import Any

import msgspec
from msgspec import Raw

_encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> Any:
    """Numbers come as `Raw`. Raises ValueError, and RecursionError for some thousand levels."""
    return json.loads(raw, parse_int=_number, parse_float=_number)


def encode(value: Any) -> bytes:
    return _encode(value)


def indented(value: Any) -> str:
    """With two blanks a level."""
    return msgspec.json.format(_encode(value), indent=2).decode()


def _number(text: str) -> Raw:
    return Raw(text.encode())
