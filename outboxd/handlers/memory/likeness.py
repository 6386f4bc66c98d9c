"""Whether two texts say nearly the same: a hash of the normalised text, and a 64-bit SimHash of its word
triples (Charikar 2002), whose Hamming distance grows with the share of triples that differ.

A short text has few triples, so one changed word moves it far: near-duplicates are long texts with a
small difference, or equal ones.
"""

import hashlib

import msgspec

NEAR = 3
"""Bits that near-duplicates differ by at most."""

_BITS = 64
_WORDS = 3
# Eight counters side by side in one number: adding a byte's entry counts all its bits at once.
_LANE = 32
_SPREAD = tuple(sum(((byte >> bit) & 1) << (_LANE * bit) for bit in range(8)) for byte in range(256))
_MASK = (1 << _LANE) - 1


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    hash: bytes
    """SHA-256 of the normalised text."""
    simhash: int
    """As Postgres has it: a signed bigint."""

    def near(self, other: "Likeness") -> bool:
        return self.hash == other.hash or distance(self.simhash, other.simhash) <= NEAR


def of(text: str) -> Likeness:
    normal = normalised(text)
    return Likeness(hash=hashlib.sha256(normal.encode()).digest(), simhash=simhash(normal))


def normalised(text: str) -> str:
    """In lower case, blanks collapsed. Digits stay: another number is another fact."""
    return " ".join(text.lower().split())


def simhash(normal: str) -> int:
    words = normal.split(" ")
    triples = [" ".join(words[at : at + _WORDS]) for at in range(max(len(words) - _WORDS + 1, 1))]
    counts = [0] * (_BITS // 8)
    for triple in triples:
        digest = hashlib.blake2b(triple.encode(), digest_size=_BITS // 8).digest()
        for place, byte in enumerate(digest):
            counts[place] += _SPREAD[byte]
    bits = 0
    for place, count in enumerate(counts):
        for bit in range(8):
            in_most = 2 * ((count >> (_LANE * bit)) & _MASK) > len(triples)
            bits |= in_most << (8 * place + bit)
    return bits - (1 << _BITS) if bits >> (_BITS - 1) else bits


def distance(one: int, other: int) -> int:
    """How many of the 64 bits differ; signed or not."""
    return ((one ^ other) & ((1 << _BITS) - 1)).bit_count()
