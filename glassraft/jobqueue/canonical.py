"""JSON in one spelling: equal values give equal text, on every node and in every version of Python.

Arguments, results and answers are put into this form by the client and by the node that
receives them, before they are proposed; the machine keeps the text and never looks inside.
Next: commands.py, which puts checked input into command texts.
"""

import json
from typing import Any

from glassraft.errors import BadArgument
from glassraft.json_encoder import make_encoder

MAX_NESTING = 100
"""Deeper values are refused, so that no reader runs out of stack on what another accepted."""

_encode = make_encoder(sort_keys=True)


def canonical(value: Any, max_nesting: int = MAX_NESTING) -> str:
    """The canonical JSON of `value`: keys sorted, no spaces, ASCII with escapes.

    Takes None, bool, int, float, str, lists, tuples (written as lists) and dicts whose keys are
    all str. Integers of any size keep every digit (readers in other languages may round those
    beyond 2^53). Raises BadArgument for anything else, for NaN and infinities, and for values
    nested deeper than `max_nesting` levels.
    """
    try:
        text = _encode(value)
    except RecursionError:
        raise BadArgument(f"nested deeper than {max_nesting} levels") from None
    except (TypeError, ValueError) as error:
        raise BadArgument(f"not a JSON value: {error}") from None
    _refuse_deep(text, max_nesting)
    if "{" in text:
        _refuse_other_keys(value)
    return text


def parse(text: str) -> Any:
    """The value of a JSON text. Raises BadArgument when it is not one (NaN and Infinity are not JSON)."""
    try:
        _refuse_deep(text, MAX_NESTING)
        return _decode(text)
    except RecursionError:
        raise BadArgument(f"nested deeper than {MAX_NESTING} levels") from None
    except ValueError as error:
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise BadArgument(f"not JSON: {shown!r} ({error})") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _refuse_other_keys(value: Any) -> None:
    """json writes the keys 1 and "1" alike, so two different values would get one text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise BadArgument(f"not a JSON value: the key {key!r} is not a string")
            _refuse_other_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_other_keys(inner)


def _refuse_deep(text: str, max_nesting: int) -> None:
    if text.count("[") + text.count("{") <= max_nesting:
        return
    depth = 0
    in_string = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif in_string:
            escaped = character == "\\"
            in_string = character != '"'
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > max_nesting:
                raise BadArgument(f"nested deeper than {max_nesting} levels")
        elif character in "]}":
            depth -= 1
