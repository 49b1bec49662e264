"""Equal values have equal canonical text, and the text gives the value back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.errors import BadArgument
from glassraft.jobqueue.canonical import MAX_NESTING, canonical, parse

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=25,
)


@given(json_values)
def test_a_value_makes_the_round_trip(value: object) -> None:
    text = canonical(value)
    assert parse(text) == value
    assert canonical(parse(text)) == text
    assert text.isascii()


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_makes_no_difference(value: dict[str, int]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        b"bytes",
        {1: "a key that is no text"},
        [{"deep": [{None: 1}]}],
        {1, 2},
        object(),
    ],
)
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(BadArgument):
        canonical(value)


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_nesting_is_bounded() -> None:
    assert parse(canonical(nested(MAX_NESTING))) == nested(MAX_NESTING)
    with pytest.raises(BadArgument, match="nested"):
        canonical(nested(MAX_NESTING + 1))
    with pytest.raises(BadArgument, match="nested"):
        parse("[" * 100_000)
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(BadArgument, match="nested"):
        canonical(endless)


def test_brackets_inside_strings_are_not_nesting() -> None:
    value = ["[{" * 500, 'a quote " and a backslash \\', "[" * 200]
    assert parse(canonical(value)) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "nul", "{'a': 1}", "1 2", "1" * 5_000])
def test_what_is_not_json_text_is_refused(text: str) -> None:
    with pytest.raises(BadArgument):
        parse(text)
