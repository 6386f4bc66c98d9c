"""The grammar as words: what may follow what. For whoever has to tell it in another language."""

import argparse
from collections.abc import Iterator

import msgspec


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    names: tuple[str, ...]
    """`--status`; the short ones too."""
    text: str
    takes_value: bool
    choices: tuple[str, ...]
    """The values there are; empty: any."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A noun or one of its verbs."""

    words: tuple[str, ...]
    text: str
    flags: tuple[Flag, ...]
    """None of a noun that only has verbs."""
    choices: tuple[str, ...]
    """What its first bare word may be, where that is one of a few."""
    below: tuple["Command", ...]
    """Its verbs."""

    @property
    def name(self) -> str:
        return self.words[-1]


def read(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), text: str = "") -> Command:
    below: list[Command] = []
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  argparse tells it nowhere else
            helps = {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001
            below += [
                read(each, (*words, name), helps.get(name, "")) for name, each in action.choices.items()
            ]
    return Command(
        words=words,
        text=text,
        flags=tuple(_flags(parser)),
        choices=_choices(parser),
        below=tuple(below),
    )


def _flags(parser: argparse.ArgumentParser) -> Iterator[Flag]:
    for action in _actions(parser):
        if action.option_strings:
            yield Flag(
                names=tuple(action.option_strings),
                text=action.help or "",
                takes_value=action.nargs != 0,
                choices=tuple(map(str, action.choices or ())),
            )


def _choices(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    bare = [action for action in _actions(parser) if not action.option_strings]
    first = next((action for action in bare if not isinstance(action, argparse._SubParsersAction)), None)  # noqa: SLF001
    return tuple(map(str, first.choices or ())) if first is not None else ()


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001  argparse tells it nowhere else
