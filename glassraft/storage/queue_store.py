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

IDLE_READERS = 8
"""So many connections of readers are kept for the next ones; each has a cache of its own."""


class Readers:
    """Connections of those who read one file, kept for the next ones. For any number of threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False

    def take(self) -> sqlite3.Connection:
        """A connection for one thread, until it is given back."""
        with suppress(IndexError):
            return self._idle.pop()
        connection = connect(self.path)
        connection.execute("PRAGMA query_only = 1")
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Somebody has read what they wanted."""
        if len(self._idle) < IDLE_READERS and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()
        if self._is_closed:  # perhaps in between
            self.close()

    def close(self) -> None:
        """Close what is idle, and later what is given back."""
        self._is_closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


class QueueStore:
    """The open queue file of one node. `apply` belongs to one thread at a time; readers have their own connections."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open an existing file. Raises WrongFile, DamagedFile or DiskFailed, each saying what to do."""
        self._identity = identity
        self._left: list[tuple[Path, sqlite3.Connection]] = []
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
                self.own_reader = QueueReader(self.connection)
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
        """Apply in order; one outcome each. What is written is seen here at once, elsewhere after commit().

        Raises DiskFailed or DamagedFile, and what the machine raises: then the file is as it was
        at the last commit(), and the node must stop and open it anew.
        """
        with translated_errors(self.path):
            if not self.connection.in_transaction:
                self.connection.execute("BEGIN IMMEDIATE")
            try:
                return self.machine.apply_all(
                    (entry.index, entry.term, entry.kind, entry.command) for entry in entries
                )
            except BaseException:
                # Half a command must never be committed, not even on the way out; the log has it whole.
                self.connection.rollback()
                raise

    def commit(self) -> None:
        """Let readers, and the file, have what was applied. Not synced, and nobody's answer waits for it.

        Many applies share one commit: a node that is killed before it applies them again, from the log.
        """
        if self.connection.in_transaction:
            with translated_errors(self.path):
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
        self._left.append((self.path, self.connection))
        self._readers.close()
        self._open(self.path.parent / file)

    def remove_left(self) -> None:
        """Close and remove the files that this store went on from. From any one thread."""
        while self._left:
            path, connection = self._left.pop()
            with suppress(sqlite3.Error):  # nobody needs what it holds
                connection.close()
            remove(path)

    @contextmanager
    def reading(self) -> Iterator[QueueReader]:
        """A view of what is applied, for one thread at a time; the writer and it never wait for each other."""
        readers = self._readers
        with translated_errors(readers.path):
            connection = readers.take()
            try:
                yield QueueReader(connection)
            finally:
                readers.give_back(connection)

    def close(self) -> None:
        """Close the file and all idle readers. What a failing disk does not take now, the log brings again."""
        self._readers.close()
        self.remove_left()
        with suppress(DiskFailed):
            self.commit()
        with translated_errors(self.path):
            self.connection.close()
