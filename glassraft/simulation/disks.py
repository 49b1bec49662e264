"""What a crash leaves: one disk for term, vote and log, another for the queue, each with its own rule.

The raft disk is synced by each save, all or nothing; a save that was cut while it was being synced is
there after a kill, and there or not after a power failure. The queue's disk is never synced: a
kill loses what was not committed, a power failure also the last commits, but it is never torn.
Both are in memory. Next: files.py, the same on the real SQLite files.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Protocol

from glassraft.jobqueue import schema
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.jobqueue.rules import QueueRules
from glassraft.raft.configuration import Configuration, parse_configuration
from glassraft.raft.log import Log
from glassraft.raft.messages import Entry, LogPosition
from glassraft.raft.ready import NEVER_STARTED, HardState, Persisted

COMMITS_AT_RISK = 4
"""So many of the queue's last commits may be lost at a power failure: the operating system syncs by itself in time."""

SMALL_PAGES = 1_024
"""Bytes of a page of the queue's database in memory: its images are small, and quick to take."""

Effect = Callable[[str], None]
"""Called between two effects with the name of the next one; raises where the node is to be cut."""


class Disk(Protocol):
    """A node's raft disk, over all its lives."""

    @property
    def hard_state(self) -> HardState:
        """Term and vote on disk."""

    def open(self) -> Log:
        """What a starting node finds; `hard_state` is the other part of it."""

    def history(self, first: Configuration) -> list[tuple[int, Configuration]]:
        """The configurations on disk, each with its entry's index; `first` is what the cluster was made of."""

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """Durable when it returns."""

    def persisted(self, last_log: LogPosition) -> Persisted:
        """What the server is told then."""

    def stop(self, random: Random, *, power: bool) -> None:
        """The process is gone; `power`: so is everything that was not synced."""

    def term_at(self, index: int) -> int:
        """The term of the entry on disk at this index; 0 where there is none."""

    @property
    def last_index(self) -> int:
        """Where the log on disk ends."""


class QueueFile(Protocol):
    """A node's queue, over all its lives."""

    machine: Machine
    connection: sqlite3.Connection

    def open(self) -> None:
        """A new machine on what is there."""

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Apply in order; one outcome each."""

    def commit(self) -> None:
        """Let readers have what was applied."""

    def stop(self, random: Random, *, power: bool) -> None:
        """The process is gone; `power`: so are perhaps its last commits."""


class RaftDisk:
    """Figure 2's persistent state in memory."""

    def __init__(self, effect: Effect) -> None:
        self.hard_state: HardState = NEVER_STARTED
        self.entries: list[Entry] = []
        self._effect = effect
        self._before: tuple[HardState, int, list[Entry]] | None = None

    @property
    def last_index(self) -> int:
        """Where the log on disk ends."""
        return len(self.entries)

    def open(self) -> Log:
        """The log as a starting server finds it."""
        terms: list[tuple[int, int]] = []
        for entry in self.entries:
            if not terms or terms[-1][0] != entry.term:
                terms.append((entry.term, entry.index))
        return Log(terms=terms, tail=self.entries, last_index=len(self.entries))

    def history(self, first: Configuration) -> list[tuple[int, Configuration]]:
        """The configurations that the log holds, after the first one."""
        later = [
            (entry.index, parse_configuration(entry.command))
            for entry in self.entries
            if entry.kind == "configuration"
        ]
        return [(0, first), *later]

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """Write, then sync: until it is synced, a power failure may undo all of it, never a part."""
        first = entries[0].index if entries else self.last_index + 1
        first = first if truncate_from is None else min(first, truncate_from)
        self._before = (self.hard_state, first, self.entries[first - 1 :])
        self.write(hard_state, truncate_from, entries)
        self._effect("sync")
        self._before = None

    def write(
        self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]
    ) -> None:
        """What the transaction does."""
        if hard_state is not None:
            self.hard_state = hard_state
        if truncate_from is not None:
            del self.entries[truncate_from - 1 :]
        if entries:
            if entries[0].index != self.last_index + 1:
                raise ValueError(f"entry {entries[0].index} cannot follow {self.last_index} on disk")
            self.entries.extend(entries)

    def persisted(self, last_log: LogPosition) -> Persisted:
        """What the server is told once save() has returned."""
        return Persisted(self.hard_state, last_log)

    def stop(self, random: Random, *, power: bool) -> None:
        """A transaction that was being synced is there or not."""
        if self._before is not None and power and random.random() < 0.5:
            self.hard_state, first, removed = self._before
            del self.entries[first - 1 :]
            self.entries.extend(removed)
        self._before = None

    def term_at(self, index: int) -> int:
        """The term of the entry on disk at this index; 0 where there is none."""
        return self.entries[index - 1].term if 0 < index <= len(self.entries) else 0


@cache
def _empty_queue() -> bytes:
    """The image of an empty queue: making the tables anew for each node takes longer than a run may."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"PRAGMA page_size = {SMALL_PAGES}")
    schema.create(connection)
    image = connection.serialize()
    connection.close()
    return image


class QueueDisk:
    """The queue's tables in an SQLite database in memory: storage.QueueStore's rules for transactions."""

    def __init__(self, effect: Effect, rules: QueueRules) -> None:
        self._effect = effect
        self._rules = rules
        self._images: deque[bytes] = deque([_empty_queue()], maxlen=COMMITS_AT_RISK)
        self._load(self._images[0])

    def _load(self, image: bytes) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self.connection.deserialize(image)

    def open(self) -> None:
        """A new machine on what is there."""
        self.machine = Machine(self.connection, self._rules)

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Apply in order, a cut possible before each; a transaction stays open until commit()."""
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN")
        if len(entries) == 1:
            return self._apply(entries)
        outcomes = []
        for entry in entries:
            outcomes += self._apply([entry])
        return outcomes

    def _apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        self._effect("apply")
        return self.machine.apply_all(
            (entry.index, entry.term, entry.kind, entry.command) for entry in entries
        )

    def commit(self) -> None:
        """Readers see what was applied."""
        if self.connection.in_transaction:
            self._effect("commit")
            self.machine.flush()
            self.connection.execute("COMMIT")
            self._images.append(self.connection.serialize())

    def stop(self, random: Random, *, power: bool) -> None:
        """What was not committed is lost; at a power failure perhaps the last commits, too."""
        if self.connection.in_transaction:
            self.connection.rollback()
        if power:
            for _ in range(random.randrange(len(self._images))):
                self._images.pop()
            self.connection.close()
            self._load(self._images[-1])
