"""node-N.queue.db: the queue's tables, applied behind the log and never waited for.

Its commits are not synced, because the log has it all: after a power failure it may be a
little older, never torn, and the log goes on from there. Users may open it with `sqlite3`.
Next: jobqueue/machine.py, which says what applying means.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition

from glassraft.jobqueue import schema
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.jobqueue.reader import QueueReader
from glassraft.raft.log import Log
from glassraft.raft.messages import Entry, LogPosition
from glassraft.storage.creation import new_database, sync_folder
from glassraft.storage.identity import (
    DiskFailed,
    Identity,
    WrongFile,
    check_header,
    connect,
    the_row,
    translated_errors,
)
from glassraft.storage.snapshot_file import remove

CHECKPOINT_PAGES = 4_000

READING_S = 10.0
"""An old file is removed under who still reads it after so long: far longer than an answer takes."""

IDLE_READERS = 8
"""So many connections of readers are kept for the next ones; each has a cache of its own."""


class Readers:
    """Connections of those who read one file, kept for the next ones. For any number of threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._in_use = 0
        self._is_closed = False
        self._changed = Condition()

    def take(self) -> sqlite3.Connection | None:
        """A connection for one thread, until it is given back; None once this is closed."""
        with self._changed:
            if self._is_closed:
                return None
            self._in_use += 1
            if self._idle:
                return self._idle.pop()
        try:
            connection = connect(self.path)
            connection.execute("PRAGMA query_only = 1")
        except BaseException:
            self._one_less()
            raise
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Somebody has read what they wanted."""
        with self._changed:
            is_kept = len(self._idle) < IDLE_READERS and not self._is_closed
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.close()
        self._one_less()

    def _one_less(self) -> None:
        with self._changed:
            self._in_use -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Close what is idle now, and the rest when it is given back."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def wait_until_unused(self, timeout_s: float) -> None:
        """Returns when nobody reads this file any longer, or after so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_use, timeout_s)


class QueueStore:
    """The open queue file of one node. `apply` belongs to one thread at a time; readers have their own connections."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open an existing file. Raises WrongFile, DamagedFile or DiskFailed, each saying what to do."""
        self._identity = identity
        self._left: list[tuple[Readers, sqlite3.Connection]] = []
        self._open(path)

    def _open(self, path: Path) -> None:
        identity = self._identity
        self.path = path
        self.connection = connect(path)
        self._readers = Readers(path)
        try:
            with translated_errors(path):
                check_header(self.connection, path)
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute("PRAGMA synchronous = NORMAL")
                self.connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
                cluster_id, node_id, format = the_row(
                    self.connection, path, "SELECT cluster_id, node_id, format FROM applied"
                )
                if format != schema.FORMAT:
                    raise WrongFile(
                        f"{path} has tables of format {format}, and this Glassraft reads format {schema.FORMAT}: "
                        "go on with the version that wrote it, or make a new cluster in another data folder"
                    )
                if (cluster_id, node_id) != (identity.cluster_id, identity.node_id):
                    raise WrongFile(
                        f"{path} belongs to n{node_id} of the cluster {cluster_id}, and the raft file beside it to "
                        f"n{identity.node_id} of {identity.cluster_id}: put back the file that belongs there"
                    )
                self.machine = Machine(self.connection)
        except BaseException:
            self.connection.close()
            raise

    @classmethod
    def create(cls, path: Path, identity: Identity) -> None:
        """Make an empty queue's file, synced together with its folder."""
        with new_database(path) as connection:
            schema.create(connection, identity.cluster_id, identity.node_id)
            connection.execute("UPDATE applied SET configuration = ?", (identity.configuration_text(),))

    def check_against(self, log: Log) -> None:
        """The queue must be what this log leads to. Raises WrongFile when it is ahead of it, or beside it."""
        applied = LogPosition(self.machine.applied_term, self.machine.applied_index)
        if applied.index < log.base.index:
            raise WrongFile(
                f"{self.path} has applied entries up to {applied.index}, and the log beside it begins after "
                f"{log.base.index}: it is an older copy. Put back the two files that belong together"
            )
        if not log.matches(applied):
            raise WrongFile(
                f"{self.path} has applied entry {applied.index} of term {applied.term}, which the raft file beside it "
                f"does not hold (its log ends at {log.last.index}): put back the two files that belong together"
            )

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Apply in order; one outcome each. own_reader() sees what came of it at once, others after commit().

        Raises DiskFailed or DamagedFile, and what the machine raises: then the file is as it was
        at the last commit(), and the node must stop and open it anew.
        """
        with self._all_or_nothing():
            if not self.connection.in_transaction:
                self.connection.execute("BEGIN IMMEDIATE")
            return self.machine.apply_all(
                (entry.index, entry.term, entry.kind, entry.command) for entry in entries
            )

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Half a command must never be committed, not even on the way out; the log has it whole."""
        with translated_errors(self.path):
            try:
                yield
            except BaseException:
                self.connection.rollback()
                raise

    def commit(self) -> None:
        """Let readers, and the file, have what was applied. Not synced, and nobody's answer waits for it.

        Many applies share one commit: a node that is killed before it applies them again, from the log.
        """
        if self.connection.in_transaction:
            with self._all_or_nothing():
                self.machine.flush()
                self.connection.execute("COMMIT")

    def sync(self) -> None:
        """Make durable what was committed before. From any thread; takes as long as the disk does.

        A commit writes SQLite's write-ahead log, and what is copied from there into the file is synced
        by SQLite itself. The file must not be opened here: closing it would drop SQLite's locks on it.
        """
        with translated_errors(self.path):
            with suppress(FileNotFoundError):  # all of it is in the file already
                descriptor = os.open(self.path.with_name(self.path.name + "-wal"), os.O_RDWR)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            sync_folder(self.path.parent)

    def go_on_from(self, file: str) -> None:
        """Serve another file of the same folder from now on: a snapshot's, which holds all of this one and more.

        Who reads the old one just now reads on. remove_left() closes and removes it, in its own time.
        """
        readers, connection = self._readers, self.connection
        self._open(self.path.parent / file)
        readers.close()
        self._left.append((readers, connection))

    def remove_left(self) -> None:
        """Close and remove the files that this store went on from, once nobody reads them. From any one thread."""
        while self._left:
            readers, connection = self._left.pop()
            with suppress(sqlite3.Error):  # nobody needs what it holds
                connection.close()
            readers.wait_until_unused(READING_S)
            remove(readers.path)

    def own_reader(self) -> QueueReader:
        """A view of what is applied, committed or not, for the thread that applies."""
        with self._all_or_nothing():
            self.machine.drain()
        return QueueReader(self.connection)

    @contextmanager
    def reading(self) -> Iterator[QueueReader]:
        """A view of what is applied, for one thread at a time; the writer and it never wait for each other."""
        with translated_errors(self.path):
            readers, connection = self._take_reader()
            try:
                yield QueueReader(connection)
            finally:
                readers.give_back(connection)

    def _take_reader(self) -> tuple[Readers, sqlite3.Connection]:
        while True:
            readers = self._readers
            connection = readers.take()
            if connection is not None:
                return readers, connection
            if readers is self._readers:  # else another file took its place in between
                raise DiskFailed(f"{self.path} is closed: this node stops")

    def close(self) -> None:
        """Close the file and all idle readers. What a failing disk does not take now, the log brings again."""
        self._readers.close()
        self.remove_left()
        with suppress(DiskFailed):
            self.commit()
        with translated_errors(self.path):
            self.connection.close()
