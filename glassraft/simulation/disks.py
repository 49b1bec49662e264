"""What a crash leaves of term, vote and log: a disk in memory that is synced by each save, all or nothing.

A save that was cut while it was being synced is there after a kill, and there or not after a power
failure. So is an installed snapshot, which is one save. Next: queue_disk.py, the queue's;
files.py, both as real SQLite files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from glassraft.raft.configuration import Configuration, parse_configuration
from glassraft.raft.log import Log
from glassraft.raft.messages import EMPTY_LOG, Entry, LogPosition
from glassraft.raft.ready import NEVER_STARTED, HardState, Installation, Persisted
from glassraft.replica import environment

FIRST_QUEUE_FILE = "queue"

Effect = Callable[[str], None]
"""Called between two effects with the name of the next one; raises where the node is to be cut."""


class Disk(environment.Disk, Protocol):
    """A node's raft disk, over all its lives."""

    @property
    def hard_state(self) -> HardState:
        """Term and vote on disk."""

    @property
    def queue_file(self) -> str:
        """Which of the queue's files is in use."""

    def open(self) -> Log:
        """What a starting node finds; `hard_state` is the other part of it."""

    def history(self, first: Configuration) -> list[tuple[int, Configuration]]:
        """The configurations on disk, each with its entry's index; `first` is what the cluster was made of."""

    def stop(self, random: Random, *, power: bool) -> None:
        """The process is gone; `power`: so is everything that was not synced."""

    def term_at(self, index: int) -> int:
        """The term of the entry on disk at this index; 0 where there is none."""

    def holds(self, index: int, term: int) -> bool:
        """Whether this entry is on disk, or a queue that came of it and those before it."""

    @property
    def last_index(self) -> int:
        """Where the log on disk ends."""


@dataclass(slots=True)
class Contents:
    """What is on a raft disk."""

    hard_state: HardState = NEVER_STARTED
    base: LogPosition = EMPTY_LOG
    base_configuration: tuple[int, Configuration] | None = None
    """The one that the base stands under, and its entry's index; None: what the cluster was made of."""
    queue_file: str = FIRST_QUEUE_FILE
    entries: list[Entry] = field(default_factory=list)


class RaftDisk:
    """Figure 2's persistent state in memory."""

    def __init__(self, effect: Effect) -> None:
        self.contents = Contents()
        self._effect = effect
        self._unsynced_over: Contents | None = None

    @property
    def hard_state(self) -> HardState:
        """Term and vote on disk."""
        return self.contents.hard_state

    @property
    def queue_file(self) -> str:
        """Which of the queue's files is in use."""
        return self.contents.queue_file

    @property
    def last_index(self) -> int:
        """Where the log on disk ends."""
        return self.contents.base.index + len(self.contents.entries)

    def open(self) -> Log:
        """The log as a starting server finds it."""
        terms: list[tuple[int, int]] = []
        for entry in self.contents.entries:
            if not terms or terms[-1][0] != entry.term:
                terms.append((entry.term, entry.index))
        contents = self.contents
        return Log(base=contents.base, terms=terms, tail=contents.entries, last_index=self.last_index)

    def history(self, first: Configuration) -> list[tuple[int, Configuration]]:
        """The configuration that the base stands under, and those that the log holds."""
        return [self.contents.base_configuration or (0, first), *_configurations(self.contents.entries)]

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """Write, then sync: until it is synced, a power failure may undo all of it, never a part."""
        self._begin()
        self.write(hard_state, truncate_from, entries)
        self._sync()

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        """All of it in one transaction (§7)."""
        self._begin()
        self.write(hard_state, truncate_from, ())
        snapshot = installation.snapshot
        if not installation.keeps_log:
            self.contents.entries.clear()
            self.contents.base = snapshot.last
        self._cut_below(snapshot.last)
        self.contents.base_configuration = (
            snapshot.configuration_index,
            parse_configuration(configuration),
        )
        self.contents.queue_file = queue_file
        self.write(None, None, entries)
        self._sync()

    def compact(self, base: LogPosition) -> None:
        """The entries up to `base` go; the queue's disk holds what came of them."""
        self._begin()
        self._cut_below(base)
        self._sync()

    def write(
        self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]
    ) -> None:
        """What a save's transaction does."""
        contents = self.contents
        if hard_state is not None:
            contents.hard_state = hard_state
        if truncate_from is not None:
            del contents.entries[max(0, truncate_from - contents.base.index - 1) :]
        if entries:
            if entries[0].index != self.last_index + 1:
                raise ValueError(f"entry {entries[0].index} cannot follow {self.last_index} on disk")
            contents.entries.extend(entries)

    def _cut_below(self, base: LogPosition) -> None:
        contents = self.contents
        gone = contents.entries[: base.index - contents.base.index]
        for place in _configurations(gone):
            contents.base_configuration = place
        del contents.entries[: len(gone)]
        contents.base = base

    def _begin(self) -> None:
        was = self.contents
        self._unsynced_over = Contents(
            was.hard_state, was.base, was.base_configuration, was.queue_file, list(was.entries)
        )

    def _sync(self) -> None:
        self._effect("sync")
        self._unsynced_over = None

    def persisted(self, last_log: LogPosition) -> Persisted:
        """What the server is told once save() has returned."""
        return Persisted(self.hard_state, last_log)

    def stop(self, random: Random, *, power: bool) -> None:
        """A transaction that was being synced is there or not."""
        if self._unsynced_over is not None and power and random.random() < 0.5:
            self.contents = self._unsynced_over
        self._unsynced_over = None

    def term_at(self, index: int) -> int:
        """The term of the entry on disk at this index, the base's too; 0 where there is none."""
        base = self.contents.base
        if index == base.index:
            return base.term
        place = index - base.index - 1
        return self.contents.entries[place].term if 0 <= place < len(self.contents.entries) else 0

    def holds(self, index: int, term: int) -> bool:
        """Whether this entry is on disk; what was compacted was committed, and is in the queue."""
        return index < self.contents.base.index or self.term_at(index) == term


def _configurations(entries: Sequence[Entry]) -> list[tuple[int, Configuration]]:
    return [
        (entry.index, parse_configuration(entry.command))
        for entry in entries
        if entry.kind == "configuration"
    ]
