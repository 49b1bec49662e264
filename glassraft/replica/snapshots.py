"""Snapshots of one node, and what else takes its time with the queue's file.

What is long (syncing, making, checking, removing) is done on a thread of its own, one piece after
the other, while turns go on; whatever comes of it is brought to the driver like anything else that
arrives. What is short (a chunk read, a chunk written, a name given) is done within the turn.
Next: turn.py, which asks for it; storage/snapshot_file.py, which does it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from glassraft.raft.messages import SnapshotMeta
from glassraft.raft.ready import Chunk
from glassraft.replica.arrivals import (
    Arrival,
    QueueSynced,
    SnapshotChecked,
    SnapshotTaken,
    SnapshotUnmade,
    SnapshotUnsound,
    WorkFailed,
)
from glassraft.storage import snapshot_file
from glassraft.storage.identity import DamagedFile, DiskFailed, Identity
from glassraft.storage.node_files import SnapshotNames

STOP_S = 5.0
"""How long a stopping node waits for the work under way; what is left of it does no harm."""


@dataclass(slots=True)
class _Incoming:
    """A snapshot that is being received into this file; its configuration once it is checked."""

    snapshot: SnapshotMeta
    path: Path
    configuration: str = ""


Work = Callable[[], Arrival | None]
"""A piece of work beside the turns; what it comes to arrives at the node."""


class OwnThread:
    """The thread of a node that goes through such work; from it `bring` is called with what arrives."""

    def __init__(self, bring: Callable[[Arrival], None]) -> None:
        self._bring = bring
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._go_through, name="snapshots", daemon=True)

    def later(self, work: Work) -> None:
        """Do this after all that was asked for before. Never blocks."""
        self._work.put(work)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way and end the thread. Call it when no more turns run."""
        self._work.put(None)
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _go_through(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                arrival = work()
            except BaseException as error:
                arrival = WorkFailed(error)
            if arrival is not None:
                self._bring(arrival)


class KeptQueue(Protocol):
    """The queue's file that snapshots are made of: storage.QueueStore, or a simulated node's."""

    @property
    def path(self) -> Path:
        """Where it is."""

    def sync(self) -> None:
        """Make durable what was committed."""

    def remove_left(self) -> None:
        """Remove the files before it."""


class SnapshotKeeper:
    """One node's, beside its driver; `later` takes work that is not for the turn: OwnThread.later, or a simulator's."""

    def __init__(
        self, names: SnapshotNames, identity: Identity, queue: KeptQueue, later: Callable[[Work], None]
    ) -> None:
        self._names = names
        self._identity = identity
        self._queue = queue
        self._later = later
        self._incoming: _Incoming | None = None
        self._received = 0

    # In its own time

    def sync(self, index: int) -> None:
        """Make durable what the queue has committed, up to `index`; brings QueueSynced."""

        def sync() -> Arrival:
            self._queue.sync()
            return QueueSynced(index)

        self._later(sync)

    def make(self) -> None:
        """Make a snapshot of what the queue has committed; brings SnapshotTaken, or SnapshotUnmade."""

        def make() -> Arrival:
            try:
                made = snapshot_file.make(self._queue.path, self._names.made)
            except DiskFailed:  # no room for a copy is no reason to end the node
                return SnapshotUnmade()
            return SnapshotTaken(made.last, made.size, made.sha256)

        self._later(make)

    def drop(self) -> None:
        """Remove the snapshot that was made."""
        self._later(lambda: snapshot_file.remove(self._names.made))

    def check(self, snapshot: SnapshotMeta) -> None:
        """See whether what was received is this snapshot; brings SnapshotChecked, or SnapshotUnsound."""
        incoming = self._the_incoming(snapshot)

        def check() -> Arrival | None:
            try:
                incoming.configuration = snapshot_file.check(incoming.path, snapshot, self._identity)
            except DamagedFile:
                return SnapshotUnsound(snapshot)
            # Where another was begun meanwhile, what became of this one is nothing to go by.
            return SnapshotChecked(snapshot) if self._incoming is incoming else None

        self._later(check)

    def remove_left(self) -> None:
        """Remove the queue's files that an installed snapshot took the place of."""
        self._later(self._queue.remove_left)

    # Within the turn

    def read(self, snapshot: SnapshotMeta, offset: int, size: int) -> bytes:
        """Bytes of the snapshot that was made."""
        return snapshot_file.read_chunk(self._names.made, offset, size)

    def write(self, chunk: Chunk) -> None:
        """Write a piece of a snapshot that is being received. Another snapshot's first piece ends the one before."""
        if self._incoming is None or self._incoming.snapshot != chunk.snapshot or chunk.offset == 0:
            self._forget_incoming()
            self._received += 1
            self._incoming = _Incoming(chunk.snapshot, self._names.incoming(self._received))
        snapshot_file.write_chunk(self._incoming.path, chunk.offset, chunk.data)

    def put_in_place(self, snapshot: SnapshotMeta) -> tuple[str, str]:
        """Give the checked snapshot its name as the queue's file: that name, and its configuration's text."""
        incoming = self._the_incoming(snapshot)
        assert incoming.configuration, "only what was checked is installed"
        target = self._names.installed(snapshot.last.index)
        assert target != self._queue.path, "never rename over a file that is open"
        snapshot_file.remove(target)
        snapshot_file.put_in_place(incoming.path, target)
        self._incoming = None
        return target.name, incoming.configuration

    def _the_incoming(self, snapshot: SnapshotMeta) -> _Incoming:
        incoming = self._incoming
        assert incoming is not None, "only what was received is installed"
        assert incoming.snapshot == snapshot, "chunks of two snapshots never mix"
        return incoming

    def _forget_incoming(self) -> None:
        if self._incoming is not None:
            path = self._incoming.path
            self._later(lambda: snapshot_file.remove(path))
            self._incoming = None
