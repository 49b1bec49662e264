"""What a crash leaves of the queue: SQLite databases in memory, never synced but where a turn asks for it.

A kill loses what was not committed, a power failure also the last commits that were not synced; it
is never torn. An installed snapshot is a file of its own, and the raft disk says which one is in use
(storage/queue_store.py). Next: snapshots.py, which makes and installs them.
"""

import sqlite3
from collections import deque
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import NamedTuple, Protocol

from glassraft.jobqueue import schema
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.jobqueue.rules import QueueRules
from glassraft.raft.configuration import Configuration, configuration_text
from glassraft.raft.messages import EMPTY_LOG, Entry, LogPosition
from glassraft.replica import environment
from glassraft.simulation.disks import FIRST_QUEUE_FILE, Disk, Effect

COMMITS_AT_RISK = 12
"""So many commits that were not synced may be lost at a power failure: in time a system syncs by itself."""

SMALL_PAGES = 1_024
"""Bytes of a page of the database in memory: its images are small, and quick to take."""


class QueueFile(environment.Queue, Protocol):
    """A node's queue, over all its lives."""

    connection: sqlite3.Connection

    def open(self) -> None:
        """A new machine on what is there."""

    def stop(self, random: Random, *, power: bool) -> None:
        """The process is gone; `power`: so are perhaps its last commits."""


class Image(NamedTuple):
    """A queue as it was committed after an entry."""

    last: LogPosition
    data: bytes


@cache
def empty_queue(first: Configuration) -> bytes:
    """The image of an empty queue: making the tables anew for each node takes longer than a run may."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"PRAGMA page_size = {SMALL_PAGES}")
    schema.create(connection)
    connection.execute("UPDATE applied SET configuration = ?", (configuration_text(first, {}, 0),))
    image = connection.serialize()
    connection.close()
    return image


class QueueDisk:
    """The queue's files in memory: storage.QueueStore's rules for transactions."""

    def __init__(self, effect: Effect, rules: QueueRules, disk: Disk, first: Configuration) -> None:
        self._effect = effect
        self._rules = rules
        self._disk = disk
        self._placed: dict[str, Image] = {}
        self._load(FIRST_QUEUE_FILE, Image(EMPTY_LOG, empty_queue(first)))

    def _load(self, file: str, image: Image) -> None:
        self._file = file
        self._images = deque([image], maxlen=COMMITS_AT_RISK)
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self.connection.deserialize(image.data)

    @property
    def committed(self) -> Image:
        """What readers see, and snapshots are made of."""
        return self._images[-1]

    def open(self) -> None:
        """A new machine on the file that is in use."""
        if (
            self._disk.queue_file != self._file
        ):  # a snapshot was installed, and the process ended before it went on
            self.connection.close()
            self._load(self._disk.queue_file, self._placed[self._disk.queue_file])
        self.machine = Machine(self.connection, self._rules)

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Apply in order, a cut possible before; a transaction stays open until commit()."""
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN")
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
            last = LogPosition(self.machine.applied_term, self.machine.applied_index)
            self._images.append(Image(last, self.connection.serialize()))

    def sync(self) -> None:
        """What was committed survives a power failure, too."""
        last = self._images[-1]
        self._images.clear()
        self._images.append(last)

    def place(self, file: str, image: Image) -> None:
        """A checked snapshot gets its name, durably; nobody uses it yet."""
        self._placed[file] = image

    def go_on_from(self, file: str) -> None:
        """Be an installed snapshot from now on."""
        self.connection.close()
        self._load(file, self._placed[file])
        self.machine = Machine(self.connection, self._rules)

    def stop(self, random: Random, *, power: bool) -> None:
        """What was not committed is lost; at a power failure perhaps the last commits, too."""
        if self.connection.in_transaction:
            self.connection.rollback()
        if power:
            for _ in range(random.randrange(len(self._images))):
                self._images.pop()
            self.connection.close()
            self._load(self._file, self._images[-1])
