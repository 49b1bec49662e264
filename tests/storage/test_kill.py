"""Killed at any moment: what save() returned for is there, whole, and the queue fits the log."""

import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from glassraft.raft.messages import EMPTY_LOG, LogPosition
from glassraft.storage.node_files import NodeFiles
from glassraft.storage.queue_store import QueueStore
from tests.storage.conftest import Place
from tests.storage.installer import STEPS
from tests.storage.samples import but

ROOT = Path(__file__).parents[2]
SAVES = 60


def lines_until_killed(program: str, folder: Path, seed: str, kill_after: int) -> list[str]:
    """What the program said before it was killed: once it has said so many lines, wherever it is then."""
    command = [sys.executable, "-m", f"tests.storage.{program}", str(folder), seed]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        said = [process.stdout.readline() for _ in range(kill_after)]
        process.kill()
        said += [line for line in process.stdout if line.endswith("\n")]
    assert len(said) >= kill_after
    return said


def saves_until_killed(folder: Path, seed: str, kill_after: int) -> list[tuple[int, int, int]]:
    """(term, vote, last index) of each save that returned before the process was killed."""
    saves = [tuple(map(int, line.split())) for line in lines_until_killed("saver", folder, seed, kill_after)]
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


def check_installed(files: NodeFiles, folder: Path, expected: int) -> None:
    """The node has the snapshot that ends at this index, all of it and nothing else."""
    assert files.log.base.index == expected
    assert files.queue.machine.applied_index == expected, "the queue is what the raft file says"
    assert files.queue.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert files.queue.connection.execute("SELECT count(*) FROM jobs").fetchone() == (expected,)
    names = {path.name for path in folder.glob("node-1.*.db")}
    assert names == {"node-1.raft.db", files.raft.queue_file}, "what the kill left is removed"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("step", STEPS)
def test_an_installation_is_done_or_not_done_wherever_it_is_killed(
    made: Place, tmp_path: Path, step: str
) -> None:
    """With a second connection open on the old file."""
    QueueStore.create(tmp_path / "node-2.queue.db", but(node_id=2))
    command = [sys.executable, "-m", "tests.storage.installer", str(tmp_path), "seed", step]
    killed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    begun = [int(line.split()[1]) for line in killed.stdout.splitlines() if line.startswith("begins")]
    assert len(begun) == 2
    is_done = STEPS.index(step) > STEPS.index("committing")
    check_installed(made.open(), tmp_path, begun[1] if is_done else begun[0])


@pytest.mark.parametrize("seed", ["a", "b"])
def test_an_installation_is_done_or_not_done_after_a_kill(made: Place, tmp_path: Path, seed: str) -> None:
    """At any moment, not only between two steps."""
    QueueStore.create(tmp_path / "node-2.queue.db", but(node_id=2))
    random = Random(seed)
    before = 0
    for life in range(2):
        said = lines_until_killed("installer", tmp_path, f"{seed} {life}", random.randrange(1, 9))
        has = [int(line.split()[1]) for line in said if line.startswith("has")]
        begun = int(said[-1].split()[1])
        files = made.open()
        assert files.log.base.index in {begun, has[-1] if has else before}
        before = files.log.base.index
        check_installed(files, tmp_path, before)
        made.close()
