"""A process that saves for ever and says after each save that it has returned; to be killed by test_kill.py.

    python -m tests.storage.saver FOLDER SEED

Each line is `term voted_for last_index`, what the file must hold from then on. It truncates now
and then, and applies what is old enough to be committed, as a node does.
"""

import sys
from pathlib import Path
from random import Random

from glassraft.raft.ready import HardState
from glassraft.storage import node_files
from tests.storage.samples import IDENTITY, submission

COMMITTED_BEHIND = 20
"""Entries so far from the log's end are never truncated."""


def main(folder: Path, seed: str) -> None:
    """Until somebody kills this process."""
    random = Random(seed)
    files = node_files.open_files(folder / "node-1.raft.db", IDENTITY)
    last = files.log.last
    term, length = files.raft.hard_state.term + 1, last.index
    applied = files.queue.machine.applied_index
    print("ready", flush=True)
    while True:
        truncate_from = None
        if random.random() < 0.2 and length - COMMITTED_BEHIND > applied:
            truncate_from = length - random.randrange(COMMITTED_BEHIND) + 1
            length = truncate_from - 1
            term += 1
        count = random.randrange(1, 6)
        entries = [submission(length + offset, term) for offset in range(1, count + 1)]
        length += count
        hard_state = HardState(term, random.choice([None, 1, 2, 3]))
        files.raft.save(hard_state, truncate_from, entries)
        print(term, hard_state.voted_for or 0, length, flush=True)
        committed = length - COMMITTED_BEHIND
        if committed > applied:
            files.queue.apply(files.raft.read(applied + 1, committed))
            applied = committed
            if random.random() < 0.3:
                files.queue.commit()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
