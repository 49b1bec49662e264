"""Whether a history of calls can be explained by calls that happened one at a time: linearizability.

Each operation must seem to happen at one instant between its call and its answer; one that was
never answered may happen at any later instant, or never. The search is Wing and Gong's in Lowe's
just-in-time form: the calls and answers are gone through in order of time, and all that may have
happened so far is kept as a set of (what has happened already, state), so that nothing is tried
twice. An operation is made to happen only when an answer cannot be explained without it. Each key
has a history of its own, which keeps them short (Herlihy and Wing's locality).

Only the search lives here. Next: job_model.py, what a job answers when calls come one at a time.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar

EVERY_KEY: Final = None
"""The key of an unanswered operation of which nobody knows what it touched: perhaps every key."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call as its client saw it. Times in seconds, from the same clock for all clients.

    `return_at` is None where no answer came: whatever was asked may have happened, at any time
    after the call, or may happen yet, or never; `result` says nothing then.
    """

    client: str
    call_at: float
    return_at: float | None
    kind: str
    key: Hashable
    argument: Any = None
    result: Any = None

    @property
    def is_answered(self) -> bool:
        """Whether its client knows that it happened, and with what result."""
        return self.return_at is not None


State = TypeVar("State", bound=Hashable)


class Model(Protocol[State]):
    """What one key does when its operations come one at a time."""

    initial: State

    def apply(self, state: State, operation: Operation) -> Iterable[State]:
        """The states that may follow if the operation happens in `state` with the result that it had.

        None at all if it cannot have that result. An unanswered operation may have any result, so
        at least what follows each of its results may follow it.
        """


@dataclass(frozen=True, slots=True)
class Violation:
    """Operations on one key that no order explains; without any one of the answers there would be one."""

    key: Hashable
    part: tuple[Operation, ...]
    """As few as possible, in the order of their calls."""
    culprit: Operation
    """At whose answer it shows."""
    possible: tuple[Any, ...]
    """The states in which the key may have been then, were it not for that answer."""
    left_out: int
    """Answered operations on the key that make no difference."""

    def __str__(self) -> str:
        states = " or ".join(sorted(str(state) for state in self.possible))
        lines = [f"no order explains what the clients of {self.key} were told:"]
        lines += [f"  {describe(operation)}" for operation in self.part]
        lines.append(
            f"when {self.culprit.client}'s {self.culprit.kind} was answered it can only have been: {states}"
        )
        if self.left_out:
            lines.append(f"({self.left_out} other operations on it make no difference)")
        return "\n".join(lines)


def describe(operation: Operation) -> str:
    """One operation in a line: when, who, what, and what came of it."""
    argument = "" if operation.argument is None else f" {operation.argument}"
    when, came = f"{operation.call_at:8.3f}          ", "never answered"
    if operation.return_at is not None:
        when, came = f"{operation.call_at:8.3f} to {operation.return_at:.3f}", f"{operation.result}"
    return f"{when}  {operation.client}: {operation.kind}{argument} -> {came}"


def check(history: Iterable[Operation], model: Model[State]) -> Violation | None:
    """The first key's operations that cannot be explained; None if all can."""
    for key, operations in by_key(history).items():
        violation = check_key(key, operations, model)
        if violation is not None:
            return violation
    return None


def by_key(history: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
    """Each key's operations, in the order of their calls; those on every key are with each of them."""
    parts: dict[Hashable, list[Operation]] = defaultdict(list)
    for operation in history:
        parts[operation.key].append(operation)
    everywhere = parts.pop(EVERY_KEY, [])
    return {key: sorted(part + everywhere, key=attrgetter("call_at")) for key, part in parts.items()}


def check_key(key: Hashable, operations: Sequence[Operation], model: Model[State]) -> Violation | None:
    """The part of one key's operations that cannot be explained; None if all can."""
    if first_unexplained(operations, model) is None:
        return None
    part = _shortest_part(operations, model)
    unexplained = first_unexplained(part, model)
    assert unexplained is not None, "what was left out made a difference"
    told = tuple(operation for operation in part if operation.is_answered)
    return Violation(
        key=key,
        part=told,
        culprit=unexplained.operation,
        possible=tuple(unexplained.possible),
        left_out=sum(operation.is_answered for operation in operations) - len(told),
    )


@dataclass(frozen=True, slots=True)
class Unexplained:
    """An operation that cannot have been answered as it was, and the states possible just before its answer."""

    operation: Operation
    possible: frozenset[Any]


Configuration = tuple[int, State]
"""What may be true: the operations that happened and whose answer is still to come, as bits, and the state."""


def first_unexplained(operations: Sequence[Operation], model: Model[State]) -> Unexplained | None:
    """The first answer after which no order of what happened so far is left; None if there is none."""
    configurations: set[Configuration[State]] = {(0, model.initial)}
    called: list[int] = []
    for number, is_answer in _events(operations):
        if not is_answer:
            called.append(number)
            continue
        may_precede = _Choices(operations, [other for other in called if other != number])
        explained, reached = _explain(number, configurations, may_precede, model)
        if not explained:
            return Unexplained(operations[number], frozenset(state for _, state in reached))
        configurations = explained
        called.remove(number)
    return None


def _events(operations: Sequence[Operation]) -> list[tuple[int, bool]]:
    """Calls and answers as (operation's number, is an answer), in order of time; where it is the same, calls first."""
    calls = [(operation.call_at, False, number) for number, operation in enumerate(operations)]
    answers = [
        (operation.return_at, True, number)
        for number, operation in enumerate(operations)
        if operation.return_at is not None
    ]
    return [(number, is_answer) for _, is_answer, number in sorted(calls + answers)]


class _Choices:
    """Operations that may happen before an answer is given: called, and not answered themselves."""

    def __init__(self, operations: Sequence[Operation], open_: Sequence[int]) -> None:
        self.operations = operations
        alike = groupby(sorted(open_, key=self._likeness), key=self._likeness)
        self._groups = [list(numbers) for _, numbers in alike]

    def _likeness(self, number: int) -> tuple[str, int]:
        operation = self.operations[number]
        if operation.is_answered:
            return "", number
        return f"{operation.kind} {operation.argument!r}", -1

    def after(self, happened: int) -> Iterable[int]:
        """Those that may happen next. Of unanswered ones that ask for the same, one stands for all."""
        for group in self._groups:
            for number in group:
                if not happened >> number & 1:
                    yield number
                    break


def _explain(
    number: int, configurations: set[Configuration[State]], choices: _Choices, model: Model[State]
) -> tuple[set[Configuration[State]], set[Configuration[State]]]:
    """What may be true once operation `number` is answered, others perhaps before it; and just before it."""
    operation = choices.operations[number]
    explained: set[Configuration[State]] = set()
    tried = set(configurations)
    to_try = list(configurations)
    while to_try:
        happened, state = to_try.pop()
        if happened >> number & 1:
            explained.add((happened & ~(1 << number), state))
            continue
        explained.update((happened, after) for after in model.apply(state, operation))
        for other in choices.after(happened):
            for after in model.apply(state, choices.operations[other]):
                configuration = (happened | 1 << other, after)
                changes_nothing = after == state and not choices.operations[other].is_answered
                if not changes_nothing and configuration not in tried:
                    tried.add(configuration)
                    to_try.append(configuration)
    return explained, tried


def _shortest_part(operations: Sequence[Operation], model: Model[State]) -> list[Operation]:
    """The operations with as few answers as still contradict each other.

    An answer that is left out counts as never given, so its operation may still have happened: what
    remains is a contradiction in itself, and never one that leaving out has made. Later ones are
    left out first: what people look for is mostly the change, and not who saw it too.
    """
    part = list(operations)
    for number, operation in reversed(list(enumerate(part))):
        if operation.is_answered:
            part[number] = replace(operation, return_at=None, result=None)
            if first_unexplained(part, model) is None:
                part[number] = operation
    return part
