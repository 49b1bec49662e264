"""The two disks of a node as real SQLite files, in a folder for the run: what crashes leave is what SQLite finds.

A kill leaves the files as they are, with their write-ahead logs; a power failure also tears the last
save that was not synced, at any byte, and cuts the end off the queue's write-ahead log. What the raft
file holds is compared at each start with what was saved. Next: disks.py, the same in memory.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.raft.configuration import Configuration
from glassraft.raft.log import Log
from glassraft.raft.messages import Entry, LogPosition
from glassraft.raft.ready import HardState, Persisted
from glassraft.simulation.checks import Broken
from glassraft.simulation.disks import Effect, RaftDisk
from glassraft.storage import node_files
from glassraft.storage.identity import Identity

MEMORY_FOLDER = Path("/dev/shm")
"""Files that nobody syncs for real are quick here."""

Image = tuple[bytes, bytes]
"""A database's file, and its write-ahead log."""


def run_folder() -> Path:
    """A new folder for a run's files; whoever asks for it removes it."""
    place = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="glassraft-", dir=place))


def remove(folder: Path) -> None:
    """The run is over."""
    shutil.rmtree(folder, ignore_errors=True)


def _nothing(name: str) -> None:
    """The copy in memory is not cut by itself."""


class FileDisk:
    """storage.RaftStore, with a copy in memory of what must be on it."""

    def __init__(
        self, folder: Path, identity: Identity, effect: Effect, may_be_cut: Callable[[], bool]
    ) -> None:
        self._effect = effect
        self._may_be_cut = may_be_cut
        self._identity = identity
        self.raft_file = folder / f"node-{identity.node_id}.raft.db"
        self.queue_file = folder / f"node-{identity.node_id}.queue.db"
        node_files.create(self.raft_file, self.queue_file, identity)
        self._copy = RaftDisk(_nothing)
        self._before_save: tuple[Image, HardState, list[Entry]] | None = None

    @property
    def hard_state(self) -> HardState:
        """Term and vote on disk."""
        return self._copy.hard_state

    @property
    def last_index(self) -> int:
        """Where the log on disk ends."""
        return self._copy.last_index

    def term_at(self, index: int) -> int:
        """The term of the entry on disk at this index; 0 where there is none."""
        return self._copy.term_at(index)

    def open(self) -> Log:
        """Open both files; the raft file must hold what was saved, or what was there before the save that was torn."""
        self.files = node_files.open_files(self.raft_file, self._identity)
        store = self.files.raft
        found = (store.hard_state, store.read(1, self.files.log.last_index))
        expected = [(self._copy.hard_state, self._copy.entries)]
        if self._before_save is not None:
            expected.append(self._before_save[1:])
        if found not in expected:
            raise Broken(
                "What was saved is on disk",
                f"{self.raft_file.name} holds {found[0]} and a log up to {len(found[1])}, saved was "
                f"{expected[0][0]} and one up to {len(expected[0][1])}",
            )
        self._before_save = None
        self._copy.hard_state, self._copy.entries = found
        return self.files.log

    def history(self, first: Configuration) -> list[tuple[int, Configuration]]:
        """The configurations that the file has; the first one, too."""
        return self.files.raft.load_history()

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """The store's own transaction; a cut comes before it is known to be synced."""
        if self._may_be_cut():
            self._before_save = (_image(self.raft_file), self._copy.hard_state, list(self._copy.entries))
        self.files.raft.save(hard_state, truncate_from, entries)
        self._copy.write(hard_state, truncate_from, entries)
        self._effect("sync")
        self._before_save = None

    def persisted(self, last_log: LogPosition) -> Persisted:
        """What the server is told once save() has returned."""
        return self.files.raft.persisted(last_log)

    def stop(self, random: Random, *, power: bool) -> None:
        """The process is gone: nothing is checkpointed on the way out, and at a power failure the last save is torn."""
        image = _image(self.raft_file)
        self.files.raft.connection.close()
        if power and self._before_save is not None and self._before_save[0][0] == image[0]:
            before, after = self._before_save[0][1], image[1]
            written = random.randrange(len(after) + 1)
            image = (image[0], after[:written] + before[written:])
        else:
            self._before_save = None
        _put_back(self.raft_file, image)


class FileQueue:
    """storage.QueueStore."""

    def __init__(self, disk: FileDisk, effect: Effect) -> None:
        self._disk = disk
        self._effect = effect

    def open(self) -> None:
        """The disk has opened both files."""
        self.machine: Machine = self._disk.files.queue.machine
        self.connection: sqlite3.Connection = self._disk.files.queue.connection

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        """One by one, a cut possible before each."""
        outcomes = []
        for entry in entries:
            self._effect("apply")
            outcomes += self._disk.files.queue.apply([entry])
        return outcomes

    def commit(self) -> None:
        """Readers see what was applied."""
        if self.connection.in_transaction:
            self._effect("commit")
        self._disk.files.queue.commit()

    def stop(self, random: Random, *, power: bool) -> None:
        """What was not committed is lost; at a power failure the end of the write-ahead log, too."""
        database, log = _image(self._disk.queue_file)
        self.connection.close()
        if power:
            log = log[: random.randrange(len(log) + 1)]
        _put_back(self._disk.queue_file, (database, log))


def _image(path: Path) -> Image:
    wal = _wal(path)
    return path.read_bytes(), wal.read_bytes() if wal.exists() else b""


def _put_back(path: Path, image: Image) -> None:
    """The files as a kill leaves them: closing the connection had tidied them up."""
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    path.write_bytes(image[0])
    _wal(path).write_bytes(image[1])


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
