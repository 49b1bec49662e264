"""The state machine that the log drives: the same commands give the same queue on every node.

`apply` reads the command, the tables and the constants of the machine's version, and nothing
else: no clock, option, environment, `hash()` or time zone. A command first moves time on by a
bounded step (due.py, sessions.py, pruning.py), then its session is asked whether it was answered before, then
its operation is run (submitting.py, running.py, by_hand.py); book.py writes and keeps the digest.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from glassraft.errors import GlassraftError
from glassraft.jobqueue import by_hand, commands, due, pruning, running, schedules, sessions, submitting
from glassraft.jobqueue.book import Book, Refusal, ScheduleEvent
from glassraft.jobqueue.queues import may_start, set_queue
from glassraft.jobqueue.rules import QueueRules
from glassraft.jobqueue.schedules import Schedule

LEASE_TICK_MS: Final = 1_000
"""While jobs are leased, so long may pass without a command: less than a change of leader takes anyway."""

VERSION: Final = 1
"""The version of the machine: what it does with a command. A leader uses only what every member knows."""


class UnknownCommand(GlassraftError):
    """The log holds a command that this version cannot apply. The node must stop, not skip it."""


class WrongOrder(GlassraftError):
    """An entry was to be applied that is not the next one: a bug, which must stop the node."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an entry: an answer or a refusal for who proposed it, and the jobs that moved.

    The answers' shapes are in the docstrings of the operations. A transition is (job's number,
    from, to), in the order they happened; "" is where a job is before it is submitted.
    What became of schedules is told as book.ScheduleEvent says.
    """

    answer: dict[str, Any] | None
    refusal: Refusal | None
    transitions: list[tuple[int, str, str]]
    schedule_events: Sequence[ScheduleEvent] = ()


def _tick(_book: Book, _arguments: dict[str, Any]) -> dict[str, Any]:
    """Time has advanced already. Answers {}."""
    return {}


_Operation = Callable[[Book, dict[str, Any]], "dict[str, Any] | Refusal"]

OPERATIONS: Final[Mapping[str, _Operation]] = {
    "Submit": submitting.submit,
    "Take": running.take,
    "Extend": running.extend,
    "Complete": running.complete,
    "Fail": running.fail,
    "Release": running.release,
    "Cancel": by_hand.cancel,
    "Retry": by_hand.retry,
    "Purge": by_hand.purge,
    "Update": by_hand.update,
    "SetQueue": set_queue,
    "SetSchedule": schedules.set_schedule,
    "DropSchedule": schedules.drop_schedule,
    "RunSchedule": schedules.run_schedule,
    "FireSchedule": schedules.fire_schedule,
    "Tick": _tick,
}


class Machine:
    """The queue of one node, in the tables behind `connection`.

    The caller owns the transactions: any number of `apply`, then `flush`, then commit. All that
    is kept in memory is read from the tables here, so a restart is just a new Machine. After an
    error, or a transaction that was rolled back, make a new one.
    """

    def __init__(self, connection: sqlite3.Connection, rules: QueueRules | None = None) -> None:
        self._book = Book(connection, rules or QueueRules())

    @property
    def applied_index(self) -> int:
        """The index of the last entry applied; 0 in the beginning."""
        return self._book.index

    @property
    def applied_term(self) -> int:
        """The term of the last entry applied."""
        return self._book.term

    @property
    def digest(self) -> str:
        """The chain of SHA-256 over all that was written, in hex; "" in the beginning."""
        return self._book.digest

    @property
    def now_ms(self) -> int:
        """Cluster time: the last stamp, UTC in ms. It never goes back."""
        return self._book.now_ms

    @property
    def lease_now_ms(self) -> int:
        """Lease time: cluster time less the gaps at changes of leader."""
        return self._book.lease_now_ms

    def apply(self, index: int, term: int, kind: str, command: str) -> Outcome:
        """Applies the next entry. Raises UnknownCommand, WrongOrder: then the node must stop."""
        [outcome] = self.apply_all([(index, term, kind, command)])
        return outcome

    def apply_all(self, entries: Iterable[tuple[int, int, str, str]]) -> list[Outcome]:
        """Applies the next entries, (index, term, kind, command) each, as `apply` does one after another.

        Their rows may wait for others, which is cheaper and lets an answer go out before they are
        written: the tables hold them after `drain`, or `flush`.
        """
        outcomes = [self._apply(*entry) for entry in entries]
        self._book.drain_if_many()
        return outcomes

    def drain(self) -> None:
        """Brings the rows that wait into the tables, for whoever reads them beside the machine."""
        self._book.drain()

    def _apply(self, index: int, term: int, kind: str, command: str) -> Outcome:
        book = self._book
        if index != book.index + 1:
            raise WrongOrder(f"entry {index} cannot be applied: the last one applied is {book.index}")
        book.begin(index, term)
        if kind == "noop":
            self._open_term(commands.stamp_of(command))
            answer: dict[str, Any] | Refusal | None = None
        elif kind == "configuration":
            # Who belongs to the cluster is Raft's; a snapshot of the queue carries it along.
            book.now_ms = max(book.now_ms, commands.stamp_of(command))
            book.keep_configuration(command)
            answer = None
        elif kind == "command":
            answer = self._run(_read(index, command))
        else:
            raise UnknownCommand(f"entry {index} is of the unknown kind {kind!r}: update this node's program")
        book.seal()
        if isinstance(answer, Refusal):
            return Outcome(None, answer, book.transitions, book.schedule_events)
        return Outcome(answer, None, book.transitions, book.schedule_events)

    def flush(self) -> None:
        """Writes what is kept in memory to the tables: once a transaction, before it is committed."""
        self._book.flush()

    # What the leader asks

    def ready_count(self, queues: Sequence[str]) -> int:
        """How many jobs of these queues could be taken now."""
        return sum(may_start(self._book, queue) for queue in queues)

    def counts(self) -> dict[str, int]:
        """Each state with its number of jobs."""
        return self._book.counts.by_state()

    def was_answered(self, session: str, number: int) -> bool:
        """Whether a command of this session would be answered, or refused, without being run."""
        return sessions.is_settled(self._book, session, number)

    def next_firing_ms(self) -> int | None:
        """The cluster time at which a schedule is due; None where none will be."""
        return self._book.first_schedule_ms()

    def due_schedules(self, now_ms: int, limit: int) -> list[Schedule]:
        """The schedules that are due by `now_ms`, the earliest first."""
        return schedules.due(self._book, now_ms, limit)

    def next_due_ms(self) -> int | None:
        """The cluster time at which something comes due; None where nothing will."""
        return self._book.first_due_ms()

    def next_tick_ms(self) -> int | None:
        """The cluster time at which a Tick is wanted, if nothing else comes by; None where none is.

        When something comes due; and while jobs are leased, soon after the last command in any case:
        lease time leaves out what passed between the last stamp and a new leader's first, so without
        stamps a lease would not run out under leaders that change all the time.
        """
        due_ms = self.next_due_ms()
        if not self._book.counts.running:
            return due_ms
        soon_ms = self.now_ms + LEASE_TICK_MS
        return soon_ms if due_ms is None else min(due_ms, soon_ms)

    def wants_tick(self, now_ms: int) -> bool:
        """Whether a Tick is wanted by `now_ms`."""
        next_ms = self.next_tick_ms()
        return next_ms is not None and next_ms <= now_ms

    # Applying

    def _open_term(self, stamp_ms: int) -> None:
        """A term's empty entry moves time on, but not lease time: without a leader no lease grows old."""
        book = self._book
        if stamp_ms > book.now_ms:
            if book.now_ms:
                book.add_lease_gap(stamp_ms - book.now_ms)
            book.now_ms = stamp_ms

    def _run(self, command: dict[str, Any]) -> dict[str, Any] | Refusal:
        book = self._book
        book.now_ms = max(book.now_ms, command["t"])
        due.advance(book)
        sessions.expire(book)
        op, session = command["op"], command["s"]
        pruning.prune(book, len(command["a"]["jobs"]) if op == "Submit" else 0)
        if not session:
            return OPERATIONS[op](book, command["a"])
        known = sessions.recall(book, op, session, command["n"], command["low"])
        if known is not None:
            return known
        answer = OPERATIONS[op](book, command["a"])
        sessions.remember(book, op, session, command["n"], answer)
        return answer


def _read(index: int, text: str) -> dict[str, Any]:
    try:
        command: dict[str, Any] = json.loads(text)
        op, version = command["op"], command["v"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownCommand(f"entry {index} holds no command: {text[:60]!r} ({error!r})") from None
    if op not in OPERATIONS or version != VERSION:
        raise UnknownCommand(
            f"entry {index} holds {op!r} version {version}, and this program applies {', '.join(OPERATIONS)}"
            f" version {VERSION}: update this node's program; it must not go on without this command"
        )
    return command
