"""Killed at any moment: what save() returned for is there, whole, and the queue fits the log."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from glassraft.raft.messages import EMPTY_LOG, LogPosition
from tests.storage.conftest import Place

ROOT = Path(__file__).parents[2]
SAVES = 60


def saves_until_killed(folder: Path, seed: str, kill_after: int) -> list[tuple[int, int, int]]:
    """(term, vote, last index) of each save that returned before the process was killed.

    It is killed once it has said so many; what it does at that moment is chance.
    """
    command = [sys.executable, "-m", "tests.storage.saver", str(folder), seed]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        said = [process.stdout.readline() for _ in range(kill_after)]
        process.kill()
        said += [line for line in process.stdout if line.endswith("\n")]
    saves = [tuple(map(int, line.split())) for line in said]
    assert len(saves) >= kill_after
    return [(term, vote, last) for term, vote, last in saves]


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_what_was_saved_is_there_after_a_kill(made: Place, tmp_path: Path, seed: str) -> None:
    random = Random(seed)
    for life in range(3):
        term, vote, last = saves_until_killed(tmp_path, f"{seed} {life}", random.randrange(1, SAVES))[-1]
        files = made.open()
        hard_state, log = files.raft.hard_state, files.log
        if (hard_state.term, hard_state.voted_for or 0, log.last_index) != (term, vote, last):
            # The next save was on disk and not said yet.
            assert hard_state.term >= term
            assert log.last.term == hard_state.term
        else:
            assert log.last == LogPosition(term, last)
        check_whole(files.raft.read(1, log.last_index), log.last)
        machine = files.queue.machine
        assert log.matches(LogPosition(machine.applied_term, machine.applied_index))
        files.queue.apply(files.raft.read(machine.applied_index + 1, log.last_index))
        files.queue.connection.rollback()
        made.close()


def check_whole(entries: list, end: LogPosition) -> None:  # type: ignore[type-arg]
    """Indexes without a gap, terms that never fall, up to the log's end."""
    assert [entry.index for entry in entries] == list(range(1, len(entries) + 1))
    assert all(before.term <= after.term for before, after in pairwise(entries))
    last = entries[-1] if entries else None
    assert end == (LogPosition(last.term, last.index) if last else EMPTY_LOG)
