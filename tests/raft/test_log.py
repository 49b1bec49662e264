"""The log against a plain list: terms, truncation, the tail in memory, and older entries from a reader."""

from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from glassraft.raft.log import Log
from glassraft.raft.messages import EMPTY_LOG, Entry, LogPosition
from tests.raft.single import entries, entry

EVERYTHING = {"max_entries": 1 << 30, "max_bytes": 1 << 30}


def make(*terms: int) -> Log:
    log = Log()
    for each in entries(*terms):
        log.append(each)
    return log


class LogMachine(RuleBasedStateMachine):
    """Whatever is done to a log, it reads like a list of entries; the disk has a prefix of it."""

    @initialize(
        max_entries=st.integers(1, 6),
        max_bytes=st.integers(1, 40),
        terms=st.lists(st.integers(1, 4), max_size=12).map(sorted),
        in_memory=st.integers(0, 12),
    )
    def start(self, max_entries: int, max_bytes: int, terms: list[int], in_memory: int) -> None:
        self.model = list(entries(*terms))
        self.base = 0
        self.disk = list(self.model)
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.log = Log(
            terms=[(term, terms.index(term) + 1) for term in sorted(set(terms))],
            tail=self.disk[len(self.disk) - min(in_memory, len(self.disk)) :],
            last_index=len(self.disk),
            read=self.read,
            tail_entries=max_entries,
            tail_bytes=max_bytes,
        )

    def read(self, first: int, last: int) -> Sequence[Entry]:
        assert self.base < first <= last <= len(self.disk), "only what is on disk is read from it"
        return self.disk[first - 1 : last]

    @property
    def last_term(self) -> int:
        return self.model[-1].term if self.model else 0

    @rule(newer_by=st.integers(0, 2), size=st.integers(0, 15))
    def append(self, newer_by: int, size: int) -> None:
        each = entry(len(self.model) + 1, max(1, self.last_term + newer_by), "x" * size)
        self.log.append(each)
        self.model.append(each)

    @precondition(lambda self: len(self.disk) > self.base)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        self.base = data.draw(st.integers(self.base + 1, len(self.disk)))
        self.log.compact(self.base)

    @precondition(lambda self: len(self.model) > self.base)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(self.base + 1, len(self.model)))
        self.log.truncate(first)
        del self.model[first - 1 :]
        del self.disk[first - 1 :]

    @rule()
    def persist_and_release(self) -> None:
        self.disk = list(self.model)
        self.log.release(len(self.disk))

    @rule()
    def release_what_is_on_disk(self) -> None:
        self.log.release(len(self.disk))

    @rule(data=st.data())
    def slice(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(self.base + 1, len(self.model) + 1))
        max_entries, max_bytes = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 40))
        got = self.log.slice(first, max_entries=max_entries, max_bytes=max_bytes)
        rest = self.model[first - 1 :]
        assert list(got) == rest[: len(got)]
        assert len(got) <= max_entries
        assert bool(got) == bool(rest)
        assert len(got) == 1 or sum(len(each.command) for each in got) <= max_bytes

    @invariant()
    def ends_like_the_list(self) -> None:
        last = LogPosition(self.last_term, len(self.model)) if self.model else EMPTY_LOG
        assert (self.log.last, self.log.last_index) == (last, len(self.model))

    @invariant()
    def has_the_lists_terms(self) -> None:
        terms = [each.term for each in self.model]
        known = [0] * self.base + [0, *terms, 0][self.base :]
        known[self.base] = terms[self.base - 1] if self.base else 0
        assert [self.log.term_at(index) for index in range(len(terms) + 2)] == known
        held = terms[self.base :]
        assert [term for first, last, term in self.log.terms for _ in range(first, last + 1)] == held
        assert self.log.first_index == self.base + 1
        for index, term in enumerate(held, self.base + 1):
            assert self.log.first_of_run(index) == self.base + held.index(term) + 1
            assert self.log.last_index_of_term(term) == len(terms) - terms[::-1].index(term)

    @invariant()
    def finds_no_term_that_it_lacks(self) -> None:
        present = {each.term for each in self.model[max(0, self.base - 1) :]}
        for term in range(1, self.last_term + 3):
            assert term in present or self.log.last_index_of_term(term) == 0

    @invariant()
    def matches_what_it_holds(self) -> None:
        assert self.log.matches(EMPTY_LOG)
        for index in range(1, len(self.model) + 2):
            for term in range(1, self.last_term + 2):
                is_known = self.base <= index <= len(self.model)
                held = is_known and self.model[index - 1].term == term
                assert self.log.matches(LogPosition(term, index)) == held


TestLog = LogMachine.TestCase


def test_a_log_that_begins_after_a_snapshot() -> None:
    log = make(1, 1, 2)
    log.reset(LogPosition(3, 10))
    assert (log.last, log.last_index, log.first_index, log.terms) == (LogPosition(3, 10), 10, 11, [])
    assert log.slice(11, **EVERYTHING) == ()
    with pytest.raises(LookupError, match="entry 10 is gone"):
        log.slice(10, **EVERYTHING)
    log.append(entry(11, 3))
    assert log.terms == [(11, 11, 3)]
    assert log.last_index_of_term(3) == 11


def test_an_empty_log() -> None:
    log = Log()
    assert (log.last, log.last_index, log.first_index, log.terms) == (EMPTY_LOG, 0, 1, [])
    assert log.slice(1, **EVERYTHING) == ()


@pytest.mark.parametrize("index", [0, 2, 4, 5])
def test_an_entry_follows_the_last_one(index: int) -> None:
    with pytest.raises(ValueError, match=f"entry {index} cannot follow entry 2"):
        make(1, 1).append(entry(index, 1))


def test_the_runs_of_a_log() -> None:
    log = make(1, 1, 4, 4, 4, 6)
    assert log.terms == [(1, 2, 1), (3, 5, 4), (6, 6, 6)]
    log.truncate(4)
    assert log.terms == [(1, 2, 1), (3, 3, 4)]
    log.append(entry(4, 4))
    assert log.terms == [(1, 2, 1), (3, 4, 4)]
    log.truncate(1)
    assert log.terms == []


def in_memory(log: Log) -> int:
    """How many entries do not come from the reader."""
    return len(log._tail)


def test_the_tail_in_memory_stays_bounded_in_entries() -> None:
    log = Log(tail_entries=8)
    for each in entries(*[1] * 1000):
        log.append(each)
        log.release(each.index)
        assert in_memory(log) <= 10  # a stride of a quarter over
    assert in_memory(log) >= 8


def test_the_tail_in_memory_stays_bounded_in_bytes() -> None:
    log = Log(tail_bytes=100)
    for index in range(1, 200):
        log.append(entry(index, 1, "x" * 10))
        log.release(index)
        assert in_memory(log) <= 12


def test_what_is_not_on_disk_stays_in_memory() -> None:
    log = Log(tail_entries=2)
    for each in entries(*[1] * 50):
        log.append(each)
    log.release(durable_index=10)
    assert in_memory(log) == 40
    assert [each.index for each in log.slice(11, **EVERYTHING)] == list(range(11, 51))


def test_a_log_without_a_reader_says_what_it_lacks() -> None:
    log = Log(tail_entries=2)
    for each in entries(*[1] * 10):
        log.append(each)
    log.release(10)
    with pytest.raises(LookupError, match="entries 1 to 8 are not in memory"):
        log.slice(1, **EVERYTHING)


def test_a_million_terms_are_found_quickly_where_they_are() -> None:
    log = Log(terms=[(term, term * 10 - 9) for term in range(1, 100_001)], last_index=1_000_000)
    assert log.term_at(555_555) == 55_556
    assert log.last == LogPosition(100_000, 1_000_000)
    assert log.last_index_of_term(99_999) == 999_990
