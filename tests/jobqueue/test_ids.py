"""Ids are short, sort like their numbers, and survive being typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids

numbers = st.builds(ids.number, st.integers(1, ids.MAX_INDEX), st.integers(0, ids.POSITIONS - 1))


def test_an_id_is_short() -> None:
    assert ids.to_text(ids.number(1, 0)) == "a100"
    assert ids.to_text(ids.number(1234, 0)) == "c16j00"


@given(numbers)
def test_an_id_makes_the_round_trip(number: int) -> None:
    assert ids.from_text(ids.to_text(number)) == number


@given(numbers, numbers)
def test_sorting_texts_sorts_numbers(one: int, other: int) -> None:
    assert (ids.to_text(one) < ids.to_text(other)) == (one < other)


@given(numbers)
def test_an_id_may_be_mistyped_a_little(number: int) -> None:
    text = ids.to_text(number)
    typed = text[0] + text[1:].replace("0", "O").replace("1", "l")
    assert ids.from_text(f" {typed.upper()} ") == number


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        number = ids.from_text(text)
    except BadArgument:
        return
    assert ids.from_text(ids.to_text(number)) == number


@pytest.mark.parametrize("text", ["", "a", "a1", "a10u", "b100", "a000", "i100", "m" + "z" * 13, "1234"])
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(BadArgument, match="not a job's id"):
        ids.from_text(text)


def test_no_text_is_no_id() -> None:
    with pytest.raises(BadArgument):
        ids.from_text(1024)  # type: ignore[arg-type]
