"""The two disks of a node as real SQLite files, in a folder for the run: what crashes leave is what SQLite finds.

A kill leaves the files as they are, with their write-ahead logs; a power failure also tears the last
save that was not synced, at any byte, and cuts off what was not synced of the queue's write-ahead
log. What the raft file holds is compared at each start with what was saved. Next: disks.py and
queue_disk.py, the same in memory.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.raft.configuration import Configuration
from glassraft.raft.log import Log
from glassraft.raft.messages import Entry, LogPosition, SnapshotMeta
from glassraft.raft.ready import Chunk, HardState, Installation, Persisted
from glassraft.replica.snapshots import SnapshotKeeper
from glassraft.simulation.checks import Broken
from glassraft.simulation.disks import Contents, Effect, RaftDisk
from glassraft.simulation.snapshots import OwnTime
from glassraft.storage import node_files
from glassraft.storage.identity import Identity

if TYPE_CHECKING:
    from glassraft.simulation.node import Node

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
        self.folder = folder
        self.raft_file = folder / f"node-{identity.node_id}.raft.db"
        first_queue_file = folder / f"node-{identity.node_id}.queue.db"
        node_files.create(self.raft_file, first_queue_file, identity)
        self._copy = RaftDisk(_nothing)
        self._copy.contents.queue_file = first_queue_file.name
        self._before_save: tuple[Image, Contents] | None = None

    @property
    def hard_state(self) -> HardState:
        """Term and vote on disk."""
        return self._copy.hard_state

    @property
    def queue_file(self) -> str:
        """Which of the queue's files is in use."""
        return self._copy.queue_file

    @property
    def last_index(self) -> int:
        """Where the log on disk ends."""
        return self._copy.last_index

    def term_at(self, index: int) -> int:
        """The term of the entry on disk at this index; 0 where there is none."""
        return self._copy.term_at(index)

    def holds(self, index: int, term: int) -> bool:
        """Whether this entry is on disk, or a queue that came of it."""
        return self._copy.holds(index, term)

    def open(self) -> Log:
        """Open both files; the raft file must hold what was saved, or what was there before the save that was torn."""
        self.files = node_files.open_files(self.raft_file, self._identity)
        expected = [self._copy.contents] + ([self._before_save[1]] if self._before_save else [])
        found = [contents for contents in expected if self._is_on_disk(contents)]
        if not found:
            raise Broken(
                "What was saved is on disk",
                f"{self.raft_file.name} holds {self.files.raft.hard_state} and a log up to "
                f"{self.files.log.last_index}, saved was {self.hard_state} and one up to {self.last_index}",
            )
        self._before_save = None
        self._copy.contents = found[0]
        return self.files.log

    def _is_on_disk(self, contents: Contents) -> bool:
        store = self.files.raft
        return (store.hard_state, store.base, store.queue_file) == (
            contents.hard_state,
            contents.base,
            contents.queue_file,
        ) and store.read(1, self.files.log.last_index) == contents.entries

    def history(self, first: Configuration) -> list[tuple[int, Configuration]]:
        """The configurations that the file has; the first one, too."""
        return self.files.raft.load_history()

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """The store's own transaction; a cut comes before it is known to be synced."""
        self._remember()
        self.files.raft.save(hard_state, truncate_from, entries)
        self._copy.write(hard_state, truncate_from, entries)
        self._synced()

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        """The store's own transaction, too."""
        self._remember()
        what = (hard_state, truncate_from, entries, installation, queue_file, configuration)
        self.files.raft.install(*what)
        self._copy.install(*what)
        self._synced()

    def compact(self, base: LogPosition) -> None:
        """And this."""
        self._remember()
        self.files.raft.compact(base)
        self._copy.compact(base)
        self._synced()

    def _remember(self) -> None:
        """What is there before a save that may be cut."""
        if self._may_be_cut():
            contents = replace(self._copy.contents, entries=list(self._copy.contents.entries))
            self._before_save = (_image(self.raft_file), contents)

    def _synced(self) -> None:
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
        self._synced_bytes: dict[Path, int] = {}
        """How much of each file's write-ahead log every power failure leaves, over all lives of the process."""

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

    def sync(self) -> None:
        """What was committed survives a power failure, too."""
        self._disk.files.queue.sync()
        self._synced_bytes[self.path] = len(_image(self.path)[1])

    @property
    def path(self) -> Path:
        """The file that is in use."""
        return self._disk.files.queue.path

    def remove_left(self) -> None:
        """Remove the files that an installed snapshot took the place of."""
        self._disk.files.queue.remove_left()

    def go_on_from(self, file: str) -> None:
        """Be an installed snapshot from now on."""
        self._disk.files.queue.go_on_from(file)
        self.open()

    def stop(self, random: Random, *, power: bool) -> None:
        """What was not committed is lost; at a power failure what was not synced of the log, too."""
        store = self._disk.files.queue
        database, log = _image(store.path)
        self.connection.close()
        if power:
            synced = min(self._synced_bytes.get(store.path, 0), len(log))
            log = log[: random.randint(synced, len(log))]
            self._synced_bytes[store.path] = len(log)
        _put_back(store.path, (database, log))


class FileSnapshots(SnapshotKeeper):
    """Those of one life of a node: a real one's, whose own time is simulated, and which is cut between its effects."""

    def __init__(self, node: "Node", disk: FileDisk, queue: FileQueue) -> None:
        names = node_files.SnapshotNames(disk.raft_file)
        super().__init__(names, disk.files.raft.identity, queue, OwnTime(node).later)
        self._node = node

    def write(self, chunk: Chunk) -> None:
        """As a real one does, a cut possible before."""
        self._node.world.chunk_comes(self._node)
        super().write(chunk)

    def put_in_place(self, snapshot: SnapshotMeta) -> tuple[str, str]:
        """As a real one does, a cut possible before and after."""
        self._node.effect("place")
        placed = super().put_in_place(snapshot)
        self._node.effect("install")
        return placed


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
