"""The messages that travel thousands of times a second, each read by one regular expression.

A shape is a message whose types and names are always the same, as our own encoder writes it.
One expression reads it at a seventh of what a parser costs. The values are the same as
codec.py's, which takes every message that does not fit its shape: so a shape is a short cut,
and nothing else.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final


def _string(text: str) -> str:
    if "&" in text:
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return text


_KINDS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "int": (r"<value><(?=int>\d+</int>|i8>\d+</i8>)(?:int|i8)>(\d{1,18})</(?:int|i8)></value>", int),
    "boolean": ("<value><boolean>([01])</boolean></value>", "1".__eq__),
    "string": ("<value><string>([^<]*+)</string></value>", _string),
}

# Printable ASCII without < and >, and no reference but the three that our encoder writes: else the
# parser is asked.
_IS_PLAIN = re.compile(r"[ -%'-;=?-~]*+(?:&(?:amp|lt|gt);[ -%'-;=?-~]*+)*+").fullmatch


class Shape:
    """A message that holds plain values and, last, at most one struct."""

    def __init__(
        self, head: str, tail: str, plain: tuple[str, ...], struct: Mapping[str, str], item: str
    ) -> None:
        opening, closing = (f"<{item}>", f"</{item}>") if item else ("", "")
        pattern = re.escape(head)
        for kind in plain:
            pattern += opening + _KINDS[kind][0] + closing
        if struct:
            pattern += opening + "<value><struct>"
            for name, kind in struct.items():
                pattern += f"<member><name>{name}</name>{_KINDS[kind][0]}</member>"
            pattern += "</struct></value>" + closing
        kinds = [*plain, *struct.values()]
        self._match = re.compile(pattern + re.escape(tail), re.ASCII).fullmatch
        self._readers = [_KINDS[kind][1] for kind in kinds]
        self._strings = [number for number, kind in enumerate(kinds) if kind == "string"]
        self._plain = len(plain)
        self._names = tuple(struct)

    def read(self, text: str) -> list[Any] | None:
        """The values, the struct last; None where the text is not of this shape."""
        match = self._match(text)
        if match is None:
            return None
        groups = match.groups()
        for number in self._strings:
            if not _IS_PLAIN(groups[number]):
                return None
        values = [read(group) for read, group in zip(self._readers, groups, strict=True)]
        if self._names:
            values[self._plain :] = [dict(zip(self._names, values[self._plain :], strict=True))]
        return values


_XML = "<?xml version='1.0'?>"


def call_shape(method: str, *plain: str, struct: Mapping[str, str] | None = None) -> Shape:
    """The shape of a method's calls."""
    head = f"{_XML}<methodCall><methodName>{method}</methodName><params>"
    return Shape(head, "</params></methodCall>", plain, struct or {}, "param")


def reply_shape(**struct: str) -> Shape:
    """The shape of replies that hold one struct."""
    head = f"{_XML}<methodResponse><params><param>"
    return Shape(head, "</param></params></methodResponse>", (), struct, "")


_CONTEXT: Final = {"id": "string", "clock": "int", "wallMs": "int", "sender": "int", "cluster": "string"}
_APPEND: Final = ("int", "int", "int", "int", "string", "int")

CALLS: Final[Mapping[str, tuple[Shape, ...]]] = {
    "AppendEntries": (
        call_shape("AppendEntries", *_APPEND, struct={**_CONTEXT, "round": "int"}),
        call_shape(
            "AppendEntries",
            *_APPEND,
            struct={**_CONTEXT, "applied": "int", "digest": "string", "round": "int"},
        ),
    ),
    "Submit": (call_shape("Submit", "string", "int", "int", "string"),),
}
"""By method: the calls that make up nearly all traffic."""

REPLIES: Final[Mapping[str, tuple[Shape, ...]]] = {
    "id": (
        reply_shape(**_CONTEXT, term="int", why="string", success="boolean", round="int", matchIndex="int"),
    ),
    "job": (reply_shape(job="string", index="int"),),
}
"""By the name of their struct's first member."""

_CALLED = re.compile(rf"{re.escape(_XML)}<methodCall><methodName>(\w+)</methodName>").match
_REPLIED = re.compile(
    rf"{re.escape(_XML)}<methodResponse><params><param><value><struct><member><name>(\w+)</name>"
).match


def read_call(text: str) -> tuple[str, list[Any]] | None:
    """The method and parameters of a call that fits a shape."""
    called = _CALLED(text)
    for shape in CALLS.get(called[1], ()) if called else ():
        values = shape.read(text)
        if values is not None and called:
            return called[1], values
    return None


def read_reply(text: str) -> dict[str, Any] | None:
    """The struct of a reply that fits a shape."""
    replied = _REPLIED(text)
    for shape in REPLIES.get(replied[1], ()) if replied else ():
        values = shape.read(text)
        if values is not None:
            struct: dict[str, Any] = values[0]
            return struct
    return None
