"""JSON as RFC 8259 and jsonb both take it, decoded once.

msgspec decodes straight into structs and leaves payloads untouched. What it lets through there and
we do not (invalid UTF-8, U+0000, lone surrogates, numbers beyond a double, deep nesting) has marks
in the bytes; only a body that shows one is looked at closely.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from outboxd.errors import BadJson, Invalid, Issue

T = TypeVar("T")
Path = tuple[str, ...]

DEEPEST = 128
_MARKS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|[0-9.][eE]\+?[0-9]{3}|(?<![0-9])[0-9]{309}")
_ESCAPES = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_LARGE = re.compile(rb"(?<![0-9.])(?:[0-9.]+[eE]\+?[0-9]{3,}|[0-9]{309,})")
_BRACKET = re.compile(rb"[\[\]{}]")
_ROUND = bytes.maketrans(b"[]{}", b"()()")
_OTHER = bytes(set(range(256)) - set(b"[]{}"))
_WRONG = re.compile("[\x00\ud800-\udfff]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_AT = re.compile(r" - at `(key in )?\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)
_QUOTED = re.compile(r"(?<=^Invalid enum value) .*", re.DOTALL)
"""What was sent is not sent back: it may be long, and it may be what should be told to nobody."""
_LONGEST_NAME = 100
_CODES = {"missing required": "required", "contains unknown": "unrecognized_keys"}


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Raises BadJson (member `offset`, in bytes) or Invalid with pointers."""
    if not body.isascii():
        _utf8(body)
    marked = _MARKS.search(body) is not None or body.count(b"[") + body.count(b"{") > DEEPEST
    try:
        decoded = decoder.decode(body)
    except msgspec.ValidationError as wrong:
        if marked:
            _look_closely(body)
        raise invalid(wrong) from None
    except (msgspec.DecodeError, RecursionError) as wrong:
        if marked:
            _look_closely(body)
        raise _malformed(wrong, body) from None
    if marked:
        _look_closely(body)
    return decoded


def invalid(wrong: msgspec.ValidationError, prefix: Path = ()) -> Invalid:
    """What msgspec found, as one issue with its path."""
    said = str(wrong)
    at = _AT.search(said)
    path = prefix + (tuple(_steps(at[2])) if at else ())
    said = _QUOTED.sub("", said[: at.start()] if at else said)
    field = _FIELD.match(said)
    if field is None:
        return refused(said, path)
    code = _CODES[field[1]]
    message = "Required" if code == "required" else "Unrecognized key"
    return refused(message, (*path, field[2][:_LONGEST_NAME]), code)


def refused(message: str, path: Path, code: str = "invalid_type") -> Invalid:
    issue = Issue(path=path, code=code, message=message)
    return Invalid("Invalid request", (issue,))


@contextmanager
def named(**names: str) -> Iterator[None]:
    """A field that the database refused, by the name that the body has for it."""
    try:
        yield
    except Invalid as wrong:
        for issue in wrong.issues:
            if (name := names.get(issue.path[0])) is not None:
                raise refused(issue.message, (name,), issue.code) from wrong
        raise


def _steps(path: str) -> Iterator[str]:
    for found in _STEP.finditer(path):
        yield (found[1] or found[2])[:_LONGEST_NAME]


def _utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        raise BadJson("the body is not valid UTF-8", offset=wrong.start) from None


def _malformed(wrong: Exception, body: bytes) -> BadJson:
    said = str(wrong)
    at = _BYTE.search(said)
    # Of what follows the end msgspec tells the place after its first character.
    past = 1 if "trailing characters" in said else 0
    return BadJson("the body is not valid JSON", offset=int(at[1]) - past if at else len(body))


def _look_closely(body: bytes) -> None:
    # Strings become blanks of their length, so that offsets stay right.
    bare = _STRING.sub(lambda found: b" " * len(found[0]), body)
    _depth(bare)
    for number in _LARGE.finditer(bare):
        if _infinite(number[0]):
            raise BadJson("a number does not fit a double", offset=number.start())
    if _ESCAPES.search(body):
        _texts(body)


def _depth(bare: bytes) -> None:
    """Taking away all innermost pairs lowers every depth by one."""
    left = bare.translate(_ROUND, _OTHER)
    for _ in range(DEEPEST):
        if not left:
            return
        left = left.replace(b"()", b"")
    depth = 0
    for found in _BRACKET.finditer(bare) if left else ():
        depth += 1 if found[0] in b"[{" else -1
        if depth > DEEPEST:
            raise BadJson(f"nested deeper than {DEEPEST}", offset=found.start())


def _infinite(number: bytes) -> bool:
    try:
        return math.isinf(float(number))
    except ValueError:
        return False


def _texts(body: bytes) -> None:
    """Python's own parser keeps a lone surrogate, so it can be found where it stands."""
    try:
        decoded = json.loads(body)
    except ValueError:
        return
    for path, message in _wrong_texts(decoded, ()):
        raise refused(message, path, "invalid_string")


def _wrong_texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            found = _WRONG.search(value)
            if found:
                yield path, "U+0000 cannot be stored" if found[0] == "\x00" else "a lone surrogate"
        case dict():
            for key, member in value.items():
                shown = _WRONG.sub("\ufffd", key)
                if shown != key:
                    yield (*path, shown), "a key with U+0000 or a lone surrogate"
                yield from _wrong_texts(member, (*path, shown))
        case list():
            for index, member in enumerate(value):
                yield from _wrong_texts(member, (*path, str(index)))
