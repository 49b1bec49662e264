"""Both files of a node together: made for a new one, opened for one that comes back.

A node without files starts only as a new one. Coming back as an empty voter, its vote and its
copies forgotten, it would break what was promised.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from glassraft.raft.log import Log
from glassraft.storage.identity import DiskFailed, Identity, WrongFile
from glassraft.storage.queue_store import QueueStore
from glassraft.storage.raft_store import RaftStore
from glassraft.storage.snapshot_file import remove


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """An open node's files, checked against each other, and its log."""

    raft: RaftStore
    queue: QueueStore
    log: Log

    def close(self) -> None:
        """Close both."""
        self.queue.close()
        self.raft.close()


def create(raft_file: Path, queue_file: Path, identity: Identity) -> None:
    """Make a new node's files. The raft file comes last: without it, a node was never made.

    Raises WrongFile where there is a raft file already, DiskFailed where the folder cannot be written.
    """
    if raft_file.exists():
        raise WrongFile(f"{raft_file} exists: a new node must not write over it. Start it without --new")
    try:
        raft_file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskFailed(f"{raft_file.parent}: {error.strerror}: choose another data folder") from error
    QueueStore.create(queue_file, identity)
    RaftStore.create(raft_file, identity, queue_file.name)


@dataclass(frozen=True, slots=True)
class SnapshotNames:
    """Where a node keeps its snapshots, beside its raft file."""

    raft_file: Path

    @property
    def stem(self) -> str:
        """What the names of all files of this node begin with."""
        return self.raft_file.name.removesuffix(".raft.db")

    def _beside(self, ending: str) -> Path:
        return self.raft_file.with_name(f"{self.stem}.{ending}.db")

    @property
    def made(self) -> Path:
        """The snapshot that is sent to others."""
        return self._beside("snapshot")

    def incoming(self, number: int) -> Path:
        """One that is being received, the so manyeth since the node started."""
        return self._beside(f"incoming.{number}")

    def installed(self, index: int) -> Path:
        """The queue's file that begins with a snapshot which ends at this index."""
        return self._beside(f"queue.{index}")


def remove_leftovers(raft_file: Path, queue_file: str) -> None:
    """Remove snapshots that were being made, sent or received, and queue files that others took the place of.

    For a start alone: nobody may have them open.
    """
    names = SnapshotNames(raft_file)
    for pattern in ("snapshot.db", "incoming.*.db", "queue.db", "queue.*.db"):
        for path in raft_file.parent.glob(f"{names.stem}.{pattern}"):
            if path.name != queue_file:
                remove(path)


def open_files(raft_file: Path, identity: Identity) -> NodeFiles:
    """Open a node's files; `identity` is what it is configured to be, its cluster_id "" for any.

    Raises WrongFile, DamagedFile or DiskFailed, each saying what to do.
    """
    if not raft_file.exists():
        raise WrongFile(
            f"{raft_file} is not there. If n{identity.node_id} has never run, start it with --new. If it has, its vote "
            "and its copies of the log are gone, and it must not come back under its old id: restore its files"
        )
    raft = RaftStore(raft_file, identity)
    try:
        log = raft.load_log()
        queue_file = raft_file.parent / raft.queue_file
        stored = replace(identity, cluster_id=raft.identity.cluster_id)
        if not queue_file.exists():
            if log.base.index:
                raise WrongFile(
                    f"{queue_file} is not there, and the log begins after entry {log.base.index}: what came before is "
                    "in that file alone. Restore it, or replace this server by a new one"
                )
            # Nothing was compacted, so the log alone leads to the same queue again.
            QueueStore.create(queue_file, stored)
        queue = QueueStore(queue_file, stored)
        try:
            queue.check_against(log)
            remove_leftovers(raft_file, raft.queue_file)
        except BaseException:
            queue.close()
            raise
    except BaseException:
        raft.close()
        raise
    return NodeFiles(raft, queue, log)
