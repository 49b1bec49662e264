"""Snapshots of a simulated node: made, kept, received in chunks, checked and put in place, all in memory.

What a real node does on a thread of its own (replica/snapshots.py) takes a while here, too, one
piece after the other, and ends with the process. Next: queue_disk.py, whose images they are.
"""

import hashlib
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glassraft.raft.messages import LogPosition, SnapshotMeta
from glassraft.raft.ready import Chunk
from glassraft.replica.arrivals import Arrival, QueueSynced, SnapshotChecked, SnapshotTaken, SnapshotUnsound
from glassraft.simulation.queue_disk import Image, QueueDisk

if TYPE_CHECKING:
    from glassraft.simulation.node import Node

LONGEST_S = 0.15
"""How long a piece of work takes at most."""

STANDS_S = 0.01
"""How often work looks whether a disk that stood still goes on."""


@dataclass(slots=True)
class _Incoming:
    """A snapshot that is being received."""

    snapshot: SnapshotMeta
    data: bytearray = field(default_factory=bytearray)
    configuration: str = ""


class OwnTime:
    """Work of one life of a node beside its turns: one piece after the other, each in its own time."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self._life = node.life
        self._waiting: deque[Callable[[], Arrival | None]] = deque()
        """The piece under way, and those after it."""

    def later(self, work: Callable[[], Arrival | None]) -> None:
        """What it comes to arrives at the node, if its process still runs."""
        self._waiting.append(work)
        if len(self._waiting) == 1:
            self._begin()

    def _begin(self) -> None:
        node = self.node
        node.world.at(node.clock.now + node.random.uniform(0.0, LONGEST_S), self._end)

    def _end(self) -> None:
        """The piece under way is done, unless the disk stands still or the process is gone."""
        node = self.node
        if node.replica is None or node.life != self._life:
            return
        if node.queue_stands:
            return node.world.after(STANDS_S, self._end)
        arrival = self._waiting[0]()
        self._waiting.popleft()
        if self._waiting:
            self._begin()
        if isinstance(arrival, SnapshotChecked):
            node.world.situations.snapshot_checked(node, arrival.snapshot)
        if arrival is not None:
            node.arrive(arrival)


class MemorySnapshots(OwnTime):
    """Those of one life of a node."""

    def __init__(self, node: "Node", queue: QueueDisk) -> None:
        super().__init__(node)
        self._queue = queue
        self._made = Image(LogPosition(0, 0), b"")
        self._incoming: _Incoming | None = None

    # In its own time

    def sync(self, index: int) -> None:
        """Make durable what the queue has committed, up to `index`."""

        def sync() -> Arrival:
            self._queue.sync()
            return QueueSynced(index)

        self.later(sync)

    def make(self) -> None:
        """Make a snapshot of what the queue has committed."""

        def make() -> Arrival:
            self._made = self._queue.committed
            return SnapshotTaken(self._made.last, len(self._made.data), _sha256(self._made.data))

        self.later(make)

    def drop(self) -> None:
        """The one that was made is read no more."""

    def check(self, snapshot: SnapshotMeta) -> None:
        """See whether what was received is this snapshot."""
        incoming = self._the_incoming(snapshot)

        def check() -> Arrival | None:
            data = bytes(incoming.data)
            if len(data) != snapshot.size or _sha256(data) != snapshot.sha256:
                return SnapshotUnsound(snapshot)
            incoming.configuration = _configuration_in(data)
            return SnapshotChecked(snapshot) if self._incoming is incoming else None

        self.later(check)

    def remove_left(self) -> None:
        """The file before takes no room in memory once nobody uses it."""

    # Within the turn

    def read(self, snapshot: SnapshotMeta, offset: int, size: int) -> bytes:
        """Bytes of the snapshot that was made."""
        return self._made.data[offset : offset + size]

    def write(self, chunk: Chunk) -> None:
        """Another snapshot's first piece ends the one before."""
        self.node.world.chunk_comes(self.node)
        incoming = self._incoming
        if incoming is None or incoming.snapshot != chunk.snapshot or chunk.offset == 0:
            incoming = self._incoming = _Incoming(chunk.snapshot)
        incoming.data[chunk.offset : chunk.offset + len(chunk.data)] = chunk.data

    def put_in_place(self, snapshot: SnapshotMeta) -> tuple[str, str]:
        """The checked snapshot gets its name as the queue's file."""
        self.node.effect("place")
        incoming = self._the_incoming(snapshot)
        file = f"queue.{snapshot.last.index}.{self.node.life}"
        self._queue.place(file, Image(snapshot.last, bytes(incoming.data)))
        self._incoming = None
        self.node.effect("install")
        return file, incoming.configuration

    def _the_incoming(self, snapshot: SnapshotMeta) -> _Incoming:
        incoming = self._incoming
        if incoming is None or incoming.snapshot != snapshot:
            raise LookupError(f"n{self.node.id} has not received the snapshot {snapshot.id}")
        return incoming


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _configuration_in(image: bytes) -> str:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(image)
        return str(connection.execute("SELECT configuration FROM applied").fetchone()[0])
