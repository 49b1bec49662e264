"""The checker of histories against histories known to be good or bad, and against trying all orders."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassraft.simulation.linearizability import EVERY_KEY, Operation, check, check_key, first_unexplained


class Register:
    """One cell that is read, written and swapped; "toss" leaves 0 or 1 and tells nobody."""

    initial = 0

    def apply(self, state: int, operation: Operation) -> Iterable[int]:
        argument, result = operation.argument, operation.result
        if operation.kind == "write":
            return [argument]
        if operation.kind == "toss":
            return [0, 1]
        if operation.kind == "swap":  # swap argument[0] for argument[1]; answers whether it did
            does = state == argument[0]
            after = argument[1] if does else state
            return [after] if not operation.is_answered or result == does else []
        return [state] if not operation.is_answered or result == state else []


def op(
    client: str, call: float, ret: float | None, kind: str, argument: object = None, result: object = None
):
    return Operation(client, call, ret, kind, "x", argument, result)


GOOD = {
    "one after the other": [op("a", 0, 1, "write", 1), op("b", 2, 3, "read", result=1)],
    "a read beside a write sees the new": [op("a", 0, 9, "write", 1), op("b", 2, 3, "read", result=1)],
    "a read beside a write sees the old": [op("a", 0, 9, "write", 1), op("b", 2, 3, "read", result=0)],
    "an answer in the instant of a call": [op("a", 0, 2, "write", 1), op("b", 2, 3, "read", result=0)],
    "a write without an answer happens late": [
        op("a", 0, None, "write", 1),
        op("b", 5, 6, "read", result=0),
        op("b", 7, 8, "read", result=1),
    ],
    "a write without an answer never happens": [
        op("a", 0, None, "write", 1),
        op("b", 5, 6, "read", result=0),
    ],
    "two writes beside each other, either last": [
        op("a", 0, 5, "write", 1),
        op("b", 0, 5, "write", 2),
        op("c", 6, 7, "read", result=1),
    ],
    "of unanswered writes that are alike each may happen": [
        op("a", 0, None, "write", 1),
        op("b", 0, None, "write", 1),
        op("c", 1, 2, "read", result=1),
        op("c", 3, 4, "write", 0),
        op("c", 5, 6, "read", result=1),
    ],
    "a read that tells nothing": [op("a", 0, None, "read", result=7)],
    "a toss may fall either way, and is kept": [
        op("a", 0, 1, "toss"),
        op("b", 2, 3, "read", result=1),
        op("b", 4, 5, "read", result=1),
    ],
}

BAD = {
    "a stale read": [
        op("a", 0, 1, "write", 1),
        op("b", 2, 3, "read", result=0),
    ],
    "a read from before after one from behind": [
        op("a", 0, 9, "write", 1),
        op("b", 1, 2, "read", result=1),
        op("c", 3, 4, "read", result=0),
    ],
    "a lost update: both swaps found the old value": [
        op("a", 0, 5, "swap", (0, 1), True),
        op("b", 0, 5, "swap", (0, 2), True),
    ],
    "a write that happened before it was asked for": [
        op("b", 0, 1, "read", result=1),
        op("a", 2, None, "write", 1),
    ],
    "an unanswered write happens once": [
        op("a", 0, None, "write", 1),
        op("c", 1, 2, "read", result=1),
        op("c", 3, 4, "write", 0),
        op("c", 5, 6, "read", result=1),
    ],
    "a toss that changes its mind": [
        op("a", 0, 1, "toss"),
        op("b", 2, 3, "read", result=1),
        op("b", 4, 5, "read", result=0),
    ],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_good_histories_are_explained(history: list[Operation]) -> None:
    assert check(history, Register()) is None


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_bad_histories_are_not(history: list[Operation]) -> None:
    violation = check(history, Register())
    assert violation is not None
    assert violation.culprit in violation.part


def test_a_violation_shows_only_what_contradicts() -> None:
    history = [
        *(op("d", number, number + 0.5, "write", number) for number in range(3, 10)),
        op("a", 11, 12, "write", 1),
        op("c", 12, 13, "read", result=1),
        op("b", 14, 15, "read", result=4),
        op("c", 16, 17, "read", result=4),
    ]
    violation = check(history, Register())
    assert violation is not None
    assert violation.culprit == history[-2]
    assert str(violation).splitlines() == [
        "no order explains what the clients of x were told:",
        "     4.000 to 4.500  d: write 4 -> None",
        "     5.000 to 5.500  d: write 5 -> None",
        "    14.000 to 15.000  b: read -> 4",
        "when b's read was answered it can only have been: 1 or 3 or 5 or 6 or 7 or 8 or 9",
        "(8 other operations on it make no difference)",
    ]


def test_keys_are_apart_and_an_unknown_key_is_any() -> None:
    lost = Operation("a", 0, None, "write", EVERY_KEY, 5)
    reads = [Operation("b", 1, 2, "read", key, None, 5) for key in ("x", "y")]
    assert check([lost, *reads], Register()) is None
    violation = check([*reads, Operation("a", 9, None, "write", EVERY_KEY, 5)], Register())
    assert violation is not None
    assert violation.key == "x"


def test_many_operations_are_checked_fast() -> None:
    """Six clients side by side for a thousand rounds: nothing grows with the history's length."""
    history = [
        op(f"c{client}", 10 * turn, 10 * turn + 5, "write", client)
        for turn in range(1000)
        for client in range(6)
    ]
    assert check(history, Register()) is None


# Against trying everything


def explained_by_trying_all(history: Sequence[Operation]) -> bool:
    """Every order of the answered operations and of any of the others that keeps to the times."""
    answered = [number for number, operation in enumerate(history) if operation.is_answered]
    for count in range(len(answered), len(history) + 1):
        for order in permutations(range(len(history)), count):
            if set(answered) <= set(order) and keeps_time(history, order) and has_results(history, order):
                return True
    return False


def keeps_time(history: Sequence[Operation], order: Sequence[int]) -> bool:
    """Nothing that was answered before another was called comes after it."""
    for place, later in enumerate(order):
        for earlier in order[:place]:
            answered_at = history[later].return_at
            if answered_at is not None and answered_at < history[earlier].call_at:
                return False
    return True


def has_results(history: Sequence[Operation], order: Sequence[int]) -> bool:
    states = {Register.initial}
    for number in order:
        states = {after for state in states for after in Register().apply(state, history[number])}
    return bool(states)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    kind = draw(st.sampled_from(["write", "read", "read", "swap", "toss"]))
    call = draw(st.integers(0, 8))
    ret = draw(st.one_of(st.none(), st.integers(0, 6).map(lambda length: call + length)))
    value = st.integers(0, 2)
    argument = {"write": value, "swap": st.tuples(value, value)}.get(kind, st.none())
    result = {"read": value, "swap": st.booleans()}.get(kind, st.none())
    return op(draw(st.sampled_from("ab")), call, ret, kind, draw(argument), draw(result))


@settings(max_examples=400, deadline=None)
@given(st.lists(operations(), max_size=5))
def test_the_same_verdict_as_trying_all(history: list[Operation]) -> None:
    violation = check(history, Register())
    assert (violation is None) == explained_by_trying_all(history)
    if violation is not None:
        assert violation.culprit in violation.part


@settings(max_examples=200, deadline=None)
@given(st.lists(operations(), max_size=6))
def test_the_part_shown_is_as_short_as_it_can_be(history: list[Operation]) -> None:
    history = [replace(operation, client=f"c{number}") for number, operation in enumerate(history)]
    violation = check_key("x", history, Register())
    if violation is None:
        return
    told = [operation if operation in violation.part else unanswered(operation) for operation in history]
    assert first_unexplained(told, Register()) is not None
    for operation in violation.part:
        without = [unanswered(other) if other is operation else other for other in told]
        assert first_unexplained(without, Register()) is None


def unanswered(operation: Operation) -> Operation:
    return replace(operation, return_at=None, result=None)
