"""What a model answered, read with tolerance and in time proportional to its length.

    <observation><type/><title/><subtitle/><narrative/><facts><fact/>…</facts><concepts><concept/>…</concepts>
      <files_read><file/>…</files_read><files_modified><file/>…</files_modified><sources>1,3</sources></observation>
    <summary><request/><investigated/><learned/><completed/><next_steps/><notes/></summary>
    <skip_summary reason="…"/>

What stands around blocks is ignored. A block that never closes is dropped, since it was cut. A field that
never closes ends at the next tag. Inside a closed field tags are text, so an answer may quote this page.
Too much is cut, never refused.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import ClassVar, Literal

import msgspec

from outboxd.errors import Unavailable
from outboxd.handlers.memory.markup import Tags, unescaped

TYPES = (
    "bugfix", "feature", "refactor", "change", "discovery", "decision",
    "security_alert", "security_note", "sensitive",
)  # fmt: skip
MOST_OBSERVATIONS = 20
SUMMARY_FIELDS = ("request", "investigated", "learned", "completed", "next_steps", "notes")

_BLOCKS = ("observation", "summary")
_SKIP = "skip_summary"
_ITEMS = {"facts": "fact", "concepts": "concept", "files_read": "file", "files_modified": "file"}
_FIELDS = ("type", "title", "subtitle", "narrative", "sources", *SUMMARY_FIELDS)
_OUTER = frozenset((*_FIELDS, *_ITEMS))
_LEAVES = frozenset((*_FIELDS, *_ITEMS.values()))
_NAMES = (*_BLOCKS, _SKIP, *_FIELDS, *_ITEMS, *dict.fromkeys(_ITEMS.values()))
_LONGEST = {"title": 300, "subtitle": 500, "narrative": 8_000, **dict.fromkeys(SUMMARY_FIELDS, 4_000)}
_MOST = {"facts": (50, 1_000), "concepts": (20, 100), "files_read": (100, 512), "files_modified": (100, 512)}
_TYPE = re.compile(r"[a-z0-9_-]{1,40}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_REASON = re.compile(r"reason\s*+=\s*+(?:\"([^\"]*+)|'([^']*+))", re.IGNORECASE)
_LONGEST_REASON = 300
_MOST_SOURCES = 100


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    title: str | None = None
    subtitle: str | None = None
    narrative: str | None = None
    facts: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    files_read: tuple[str, ...] = ()
    files_modified: tuple[str, ...] = ()
    sources: tuple[int, ...] = ()
    """Numbers of events, from 1; empty: all of the call."""

    @property
    def survives(self) -> bool:
        return bool(self.title or self.narrative or self.facts or self.concepts)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    request: str | None = None
    investigated: str | None = None
    learned: str | None = None
    completed: str | None = None
    next_steps: str | None = None
    notes: str | None = None

    @property
    def survives(self) -> bool:
        """Notes alone summarise nothing."""
        return bool(self.request or self.investigated or self.learned or self.completed or self.next_steps)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    observations: tuple[Observation, ...] = ()
    summary: Summary | None = None
    skip: str | None = None
    """Why there is nothing, "" if no reason was given; only where there is indeed nothing."""


class Unreadable(Unavailable):
    """The reply holds nothing that was asked for. Its text is never in the error."""

    kind: ClassVar[Literal["parse_error", "truncated"]] = "parse_error"


class ParseError(Unreadable):
    def __init__(self) -> None:
        super().__init__("the model's reply has no block that can be read")


class Truncated(Unreadable):
    kind = "truncated"

    def __init__(self) -> None:
        super().__init__("the model's reply was cut before its first block was complete")


def observations(text: str, stop: str, types: Sequence[str], events: int) -> Answer:
    """What an `observe` call gave; summaries in it are ignored. Raises ParseError, Truncated.

    `types` are those allowed, the first is the default; `events` is how many there were to name.
    """
    found, _, skip = _read(text, types, events)
    return Answer(observations=found) if found else _nothing(skip, stop)


def summary(text: str, stop: str, types: Sequence[str]) -> Answer:
    """What a `summarize` call gave: its first summary, else its observations folded into one.

    Raises ParseError, Truncated.
    """
    found, summarized, skip = _read(text, types, 0)
    if summarized is None and found:
        summarized = _folded(found)
    return Answer(summary=summarized) if summarized else _nothing(skip, stop)


def _nothing(skip: str | None, stop: str) -> Answer:
    if skip is not None:
        return Answer(skip=skip)
    raise Truncated if stop == "length" else ParseError


class _Block(msgspec.Struct, frozen=True):
    name: str
    fields: dict[str, str]
    items: dict[str, list[str]]


def _read(
    text: str, types: Sequence[str], events: int
) -> tuple[tuple[Observation, ...], Summary | None, str | None]:
    tags = Tags(text, _NAMES, _LEAVES)
    types = types or TYPES
    found: list[Observation] = []
    summarized: Summary | None = None
    skip: str | None = None
    at = 0
    while at < len(tags.all):
        tag = tags.all[at]
        if tag.name in _BLOCKS and not tag.closing and not tag.empty:
            block, at = _block(tags, at)
            if block is None:
                continue
            if block.name == "observation" and len(found) < MOST_OBSERVATIONS:
                made = _observation(block, types, events)
                found += [made] if made.survives else []
            elif block.name == "summary" and summarized is None:
                summarized = _summary(block)
            continue
        if tag.name == _SKIP and not tag.closing and skip is None:
            skip = _reason(tag.said)
        at += 1
    return tuple(found), summarized, skip


def _block(tags: Tags, opening: int) -> tuple[_Block | None, int]:
    """The block, if it closes, and the tag to go on with."""
    block = _Block(tags.all[opening].name, {}, {})
    wanted = SUMMARY_FIELDS if block.name == "summary" else (*_FIELDS[:5], *_ITEMS)
    at = opening + 1
    while at < len(tags.all):
        tag = tags.all[at]
        if tag.name == block.name and tag.closing:
            return block, at + 1
        if tag.name in _BLOCKS and not tag.closing:
            return None, at
        if tag.closing or tag.empty or tag.name not in wanted:
            at += 1
        elif tag.name in _ITEMS:
            items, at = _items(tags, at, block.name)
            if not block.items.get(tag.name):
                block.items[tag.name] = items
        else:
            until = _end(tags, at, block.name)
            if not block.fields.get(tag.name):
                block.fields[tag.name] = tags.text(at, until)
            at = until
    return None, at


def _end(tags: Tags, opening: int, block: str) -> int:
    """The tag that ends a field: its own closing one, else, as it has none, whatever tag comes next."""
    name = tags.all[opening].name
    own = tags.closing(name, opening)
    # Behind the block's end it is still ours if no other field of the name opens before: the block's end
    # was quoted.
    if own < tags.closing(block, opening) or own < tags.opening(name, opening + 1):
        return own
    return opening + 1


def _items(tags: Tags, opening: int, block: str) -> tuple[list[str], int]:
    """The items of a list, and the tag to go on with: its closing one, or the one that shows it has none."""
    name = tags.all[opening].name
    item = _ITEMS[name]
    limit = tags.closing(block, opening)
    items: list[str] = []
    at = opening + 1
    while at < len(tags.all):
        tag = tags.all[at]
        if tag.name == item and not tag.closing and not tag.empty:
            own = tags.closing(item, at)
            until = own if own < min(tags.opening(item, at + 1), limit) else at + 1
            items.append(tags.text(at, until))
            at = until
        elif tag.name in _BLOCKS or tag.name == name or (not tag.closing and tag.name in _OUTER):
            break
        else:
            at += 1
    return items, at


def _observation(block: _Block, types: Sequence[str], events: int) -> Observation:
    said = block.fields.get("type", "").lower()
    type_ = said if said in types or _TYPE.fullmatch(said) else types[0]
    concepts = (text.partition(":")[0].strip() for text in block.items.get("concepts", ()))
    return Observation(
        type=type_,
        title=_text(block, "title"),
        subtitle=_text(block, "subtitle"),
        narrative=_text(block, "narrative"),
        facts=_texts("facts", block.items.get("facts", ())),
        concepts=_texts("concepts", dict.fromkeys(each for each in concepts if each != type_)),
        files_read=_texts("files_read", block.items.get("files_read", ())),
        files_modified=_texts("files_modified", block.items.get("files_modified", ())),
        sources=_sources(block.fields.get("sources", ""), events),
    )


def _summary(block: _Block) -> Summary | None:
    made = Summary(**{name: _text(block, name) for name in SUMMARY_FIELDS})
    return made if made.survives else None


def _text(block: _Block, name: str) -> str | None:
    return block.fields.get(name, "")[: _LONGEST[name]].strip() or None


def _texts(name: str, texts: Iterable[str]) -> tuple[str, ...]:
    most, longest = _MOST[name]
    return tuple(text[:longest].strip() for text in texts if text)[:most]


def _sources(text: str, events: int) -> tuple[int, ...]:
    numbers = (int(found[0]) for found in islice(_NUMBER.finditer(text), _MOST_SOURCES))
    return tuple(dict.fromkeys(number for number in numbers if 1 <= number <= events))


def _folded(found: Sequence[Observation]) -> Summary:
    """A summary out of observations: what was done is what they are called, what was learned their facts."""
    done = [each.title or each.narrative or "" for each in found]
    learned = [fact for each in found for fact in each.facts]
    longest = _LONGEST["completed"]
    concepts = [concept for each in found for concept in each.concepts]
    return Summary(
        completed="\n".join(text for text in done if text)[:longest].strip() or None,
        learned="\n".join(learned or concepts)[:longest].strip() or None,
    )


def _reason(said: str) -> str:
    found = _REASON.search(said)
    return unescaped(found[1] or found[2] or "")[:_LONGEST_REASON].strip() if found else ""
