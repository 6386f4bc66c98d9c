"""What tokens cost: a file with a line a model, `name in out`, in micro-dollars per million tokens.

# micro-dollars per million tokens: in, out
claude-sonnet-5    3000000  15000000
meta/llama-3.3:free      0         0
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from outboxd.errors import ConfigError

_MILLION = 1_000_000
_MOST = 10**12
_MOST_MODELS = 10_000


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-dollars per million tokens."""

    tokens_in: int
    tokens_out: int


class Prices:
    def __init__(self, by_model: Mapping[str, Price]) -> None:
        self._by_model = by_model

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> int | None:
        """Micro-dollars, rounded up, so that many small calls are not free; None: nobody told the price."""
        price = self._by_model.get(model)
        if price is None:
            return None
        return -(-(tokens_in * price.tokens_in + tokens_out * price.tokens_out) // _MILLION)


def read(path: Path | None) -> Prices:
    """Raises ConfigError with every bad line's number."""
    if path is None:
        return Prices({})
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError([f"OUTBOXD_PRICES: {path} cannot be read"]) from None
    said = [(number, line.split()) for number, line in enumerate(lines, 1) if _says(line)]
    bad = [number for number, words in said if _price(words) is None]
    if bad or len(said) > _MOST_MODELS:
        raise ConfigError(
            f"OUTBOXD_PRICES: line {number} of {path} is not a model and its micro-dollars per million "
            "tokens in, and out"
            for number in bad or [_MOST_MODELS + 1]
        )
    return Prices({words[0]: price for _, words in said if (price := _price(words)) is not None})


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _price(words: list[str]) -> Price | None:
    if len(words) != 3 or not all(word.isascii() and word.isdigit() for word in words[1:]):
        return None
    tokens_in, tokens_out = int(words[1][:20]), int(words[2][:20])
    return Price(tokens_in=tokens_in, tokens_out=tokens_out) if max(tokens_in, tokens_out) <= _MOST else None
