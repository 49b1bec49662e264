"""A process that installs snapshots for ever, step by step; to be killed by test_kill.py.

    python -m tests.storage.installer FOLDER SEED [STEP]

With a STEP it kills itself right after that step of its second installation.
Each line is "begins INDEX" before an installation and "has INDEX" after it. Beside it a second connection
has the queue's file open, as a user with sqlite3 has. What it installs are snapshots of a second node in
the same folder, of which there is the queue alone.
"""

import os
import signal
import sqlite3
import sys
from pathlib import Path
from random import Random

from glassraft.raft.configuration import Configuration
from glassraft.raft.messages import SnapshotMeta
from glassraft.raft.ready import Chunk, HardState, Installation
from glassraft.replica.snapshots import SnapshotKeeper
from glassraft.storage import node_files, snapshot_file
from glassraft.storage.node_files import SnapshotNames
from glassraft.storage.queue_store import QueueStore
from tests.storage.samples import IDENTITY, but, submissions

STEPS = ("written", "checked", "placed", "committing", "installed", "opened", "removed")


class Killer:
    """Kills this process, as by kill -9, at one step of the second installation."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._left = 2

    def reached(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, seed: str, step: str) -> None:
    """Until somebody kills this process."""
    killer = Killer(step)
    random = Random(seed)
    source = QueueStore(folder / "node-2.queue.db", but(node_id=2))
    files = node_files.open_files(folder / "node-1.raft.db", IDENTITY)
    raft_file = folder / "node-1.raft.db"
    names = SnapshotNames(raft_file)
    keeper = SnapshotKeeper(names, files.raft.identity, files.queue, lambda work: None)
    files.raft.connection.set_trace_callback(
        lambda statement: killer.reached("committing") if statement == "COMMIT" else None
    )
    term = files.raft.hard_state.term
    print("ready", flush=True)
    while True:
        applied = source.machine.applied_index
        source.apply(submissions(applied + 1, applied + random.randrange(1, 30)))
        source.commit()
        copy = folder / "copy.db"
        made = snapshot_file.make(source.path, copy)
        snapshot = SnapshotMeta(made.last, "s", made.size, made.sha256, Configuration((1, 2, 3)), 0)
        watching = sqlite3.connect(files.queue.path)
        watching.execute("SELECT count(*) FROM jobs").fetchone()
        print("begins", made.last.index, flush=True)
        for offset in range(0, made.size, 40_000):
            keeper.write(Chunk(snapshot, offset, snapshot_file.read_chunk(copy, offset, 40_000)))
        killer.reached("written")
        incoming = keeper._the_incoming(snapshot)
        incoming.configuration = snapshot_file.check(incoming.path, snapshot, files.raft.identity)
        killer.reached("checked")
        file, configuration = keeper.put_in_place(snapshot)
        killer.reached("placed")
        term += 1
        files.raft.install(HardState(term, 1), None, [], Installation(snapshot, False), file, configuration)
        print("has", made.last.index, flush=True)
        killer.reached("installed")
        files.queue.go_on_from(file)
        killer.reached("opened")
        files.queue.remove_left()
        killer.reached("removed")
        watching.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
