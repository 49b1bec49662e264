"""A snapshot's file: made while the queue goes on, checked, and put in its place."""

import hashlib
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from glassraft.raft.configuration import Configuration
from glassraft.raft.messages import LogPosition, SnapshotMeta
from glassraft.storage import snapshot_file
from glassraft.storage.identity import DamagedFile, DiskFailed
from glassraft.storage.node_files import NodeFiles
from glassraft.storage.queue_store import QueueStore
from tests.storage.conftest import Place
from tests.storage.samples import IDENTITY, but, submissions

VOTERS = Configuration((1, 2, 3))


def filled(place: Place, count: int = 20) -> NodeFiles:
    """A node with so many entries in its log, all applied."""
    files = place.open()
    files.raft.save(None, None, submissions(1, count))
    files.queue.apply(submissions(1, count))
    files.queue.commit()
    return files


def snapshot_of(place: Place, target: Path) -> SnapshotMeta:
    made = snapshot_file.make(place.queue, target)
    return SnapshotMeta(made.last, "s", made.size, made.sha256, VOTERS, 0)


def test_a_snapshot_is_what_was_committed_while_the_writer_goes_on(made: Place, tmp_path: Path) -> None:
    files = filled(made)
    files.queue.apply(submissions(21, 25))  # not committed
    snapshot = snapshot_file.make(made.queue, tmp_path / "s.db")
    files.queue.apply(submissions(26, 30))
    assert snapshot.last == LogPosition(1, 20)
    assert snapshot.size == (tmp_path / "s.db").stat().st_size
    assert snapshot.sha256 == hashlib.sha256((tmp_path / "s.db").read_bytes()).hexdigest()


def test_a_snapshot_says_nothing_of_its_makers_log_or_vote(made: Place, tmp_path: Path) -> None:
    filled(made)
    snapshot_file.make(made.queue, tmp_path / "s.db")
    with sqlite3.connect(tmp_path / "s.db") as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    connection.close()
    assert not tables & {"hard_state", "log", "terms", "membership"}


def test_a_checked_snapshot_is_another_nodes_queue(made: Place, tmp_path: Path) -> None:
    files = filled(made)
    target = tmp_path / "s.db"
    snapshot = snapshot_of(made, target)
    other = but(node_id=2)
    assert snapshot_file.check(target, snapshot, other) == IDENTITY.configuration_text()
    placed = tmp_path / "node-2.queue.20.db"
    snapshot_file.put_in_place(target, placed)
    queue = QueueStore(placed, other)
    try:
        assert queue.machine.digest == files.queue.machine.digest
        assert queue.machine.applied_index == 20
        assert not target.exists()
    finally:
        queue.close()


@pytest.mark.parametrize("at", [0.0, 0.5, 0.999])
def test_one_wrong_byte_is_found(made: Place, tmp_path: Path, at: float) -> None:
    filled(made)
    target = tmp_path / "s.db"
    snapshot = snapshot_of(made, target)
    data = bytearray(target.read_bytes())
    data[int(at * len(data))] ^= 1
    target.write_bytes(data)
    with pytest.raises(DamagedFile, match="SHA-256"):
        snapshot_file.check(target, snapshot, IDENTITY)


def test_a_snapshot_that_lies_is_found(made: Place, tmp_path: Path) -> None:
    filled(made)
    target = tmp_path / "s.db"
    snapshot = snapshot_of(made, target)
    for lie in (
        replace(snapshot, last=LogPosition(1, 21)),
        replace(snapshot, size=snapshot.size + 1),
        replace(snapshot, configuration=Configuration((1, 2))),
    ):
        with pytest.raises(DamagedFile):
            snapshot_file.check(target, lie, IDENTITY)
    with pytest.raises(DamagedFile):
        snapshot_file.check(target, snapshot, but(cluster_id="another"))


def test_damage_that_its_maker_has_not_seen_is_found(made: Place, tmp_path: Path) -> None:
    filled(made, 200)
    target = tmp_path / "s.db"
    snapshot_file.make(made.queue, target)
    data = bytearray(target.read_bytes())
    for offset in range(4096 * 3, len(data), 4096):
        data[offset : offset + 64] = b"\xff" * 64
    target.write_bytes(data)
    bad = SnapshotMeta(LogPosition(1, 200), "s", len(data), hashlib.sha256(data).hexdigest(), VOTERS, 0)
    with pytest.raises(DamagedFile):
        snapshot_file.check(target, bad, IDENTITY)


def test_chunks_come_together_to_the_same_file(made: Place, tmp_path: Path) -> None:
    filled(made)
    source, target = tmp_path / "s.db", tmp_path / "t.db"
    size = snapshot_of(made, source).size
    for offset in range(0, size, 1000):
        snapshot_file.write_chunk(target, offset, snapshot_file.read_chunk(source, offset, 1000))
    assert target.read_bytes() == source.read_bytes()


def test_no_room_for_a_snapshot_leaves_none(made: Place, tmp_path: Path) -> None:
    filled(made)
    with pytest.raises(DiskFailed):
        snapshot_file.make(made.queue, tmp_path / "nowhere" / "s.db")


def test_a_queue_goes_on_from_a_snapshot_while_somebody_reads_the_old_file(
    made: Place, tmp_path: Path
) -> None:
    files = filled(made)
    target = tmp_path / "node-1.queue.20.db"
    snapshot = snapshot_of(made, target)
    snapshot_file.check(target, snapshot, IDENTITY)
    files.queue.apply(submissions(21, 22))
    removal = threading.Thread(target=files.queue.remove_left)
    with files.queue.reading() as reader:
        files.queue.go_on_from(target.name)
        removal.start()
        assert len(reader.list()["jobs"]) == 20, "who reads the old file reads on"
        assert made.queue.exists()
    removal.join()
    assert files.queue.machine.applied_index == 20
    assert not made.queue.exists()
    files.queue.apply(submissions(21, 23))
    files.queue.commit()
    with files.queue.reading() as reader:
        assert len(reader.list()["jobs"]) == 23


def test_what_was_synced_was_committed(made: Place) -> None:
    files = filled(made)
    files.queue.sync()
    made.close()
    assert made.open().queue.machine.applied_index == 20
