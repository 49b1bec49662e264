"""Snapshots around the turn: in which order a turn installs one, and what the keeper does beside the turns."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from glassraft.jobqueue.machine import Machine
from glassraft.raft.configuration import Configuration
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    LogPosition,
    SnapshotMeta,
)
from glassraft.raft.ready import Chunk, Settings
from glassraft.replica.arrivals import (
    Arrival,
    QueueSynced,
    SnapshotChecked,
    SnapshotTaken,
    SnapshotUnmade,
    SnapshotUnsound,
    WorkFailed,
)
from glassraft.replica.snapshots import OwnThread, SnapshotKeeper
from glassraft.storage import node_files, snapshot_file
from glassraft.storage.identity import DamagedFile, DiskFailed, Identity
from glassraft.storage.node_files import NodeFiles, SnapshotNames
from glassraft.storage.raft_store import RaftStore
from tests.replica.parts import SETTINGS, Bench, submission

IDENTITY = Identity("c0ffee", "test", 1, {1: "127.0.0.1:7401", 2: "127.0.0.1:7402", 3: "127.0.0.1:7403"})
VOTERS = Configuration((1, 2, 3))
META = SnapshotMeta(LogPosition(2, 9), "s", 8, "", VOTERS, 0)
QUICK: Settings = replace(SETTINGS, kept_entries=2, compact_entries=1)


def chunk(offset: int, data: bytes) -> InstallSnapshot:
    return InstallSnapshot(2, 1, 3, META, offset, data, offset + len(data) == META.size, 1)


def test_a_snapshot_is_written_checked_and_installed_in_this_order() -> None:
    bench = Bench()
    assert bench.did(bench.arrives(chunk(0, b"0123"))) == [
        "save (3, None) []",
        "write 0..4",
        "send InstallSnapshotReply n2",
    ]
    assert bench.did(bench.arrives(chunk(4, b"4567"))) == [
        "write 4..8",
        "send InstallSnapshotReply n2",
        "check s",
    ]
    bench.queue.machine = _at(bench.queue.machine, 9)
    assert bench.did(SnapshotChecked(META)) == [
        "put in place s",
        "install s.db None",
        "go on from s.db",
        "remove left",
    ]
    assert bench.server.log.base == META.last


def test_a_later_snapshot_that_begins_just_then_does_not_take_the_place_of_the_one_that_is_installed() -> (
    None
):
    """Both in one Ready: written first, the piece of the later one would end the other before it is installed."""
    bench = Bench()
    bench.turn(bench.arrives(chunk(0, b"01234567")))
    bench.queue.machine = _at(bench.queue.machine, 9)
    later = SnapshotMeta(LogPosition(3, 15), "later", 8, "", VOTERS, 0)
    begins = InstallSnapshot(3, 1, 4, later, 0, b"abcd", False, 1)
    did = bench.did(SnapshotChecked(META), bench.arrives(begins))
    assert did.index("put in place s") < did.index("write 0..4")
    assert bench.server.log.base == META.last


def test_who_waits_for_a_job_looks_again_when_a_snapshot_was_installed() -> None:
    bench = Bench()
    bench.turn(bench.arrives(chunk(0, b"01234567")))
    with bench.finished.watching([1]) as finished:
        bench.turn(SnapshotChecked(META))
        assert finished.is_set()


def test_the_log_is_cut_when_the_queue_is_synced_and_not_before() -> None:
    bench = Bench(settings=QUICK)
    bench.become_leader()
    effects = []
    for _ in range(4):
        bench.submit()
        effects += [effect for effect in bench.effects if effect.startswith(("sync", "compact"))]
        bench.effects.clear()
    assert effects == ["sync 2"]
    bench.pass_time(0.01)
    assert "compact 1" in bench.did(QueueSynced(2))


def test_a_snapshot_is_asked_for_of_what_readers_can_see_and_for_a_follower_that_answers() -> None:
    bench = Bench(settings=QUICK)
    bench.become_leader()
    for _ in range(4):
        bench.submit()
    bench.server.progress[3].match_index = 0
    bench.pass_time(0.01)
    bench.turn(QueueSynced(4))
    bench.pass_time(0.2)
    assert "make snapshot" not in bench.did(), "nobody has asked for it"
    [heartbeat] = bench.network.take(AppendEntries, 3)[-1:]
    lacks_all = AppendEntriesReply(3, 1, heartbeat.term, False, heartbeat.round, conflict_index=1)
    did = bench.did(bench.arrives(lacks_all))
    assert did[-2:] == [f"commit {bench.server.last_applied}", "make snapshot"]


def test_what_fails_beside_the_turns_ends_the_node() -> None:
    bench = Bench()
    with pytest.raises(DiskFailed):
        bench.turn(WorkFailed(DiskFailed("no")))


def _at(machine: Machine, index: int) -> Machine:
    machine._book.index = index
    return machine


# The keeper


class Kept:
    """A node's files and the keeper beside them; what it brings is taken one by one."""

    def __init__(self, folder: Path) -> None:
        self.raft_file = folder / "node-1.raft.db"
        node_files.create(self.raft_file, folder / "node-1.queue.db", IDENTITY)
        self.files: NodeFiles = node_files.open_files(self.raft_file, IDENTITY)
        self.names = SnapshotNames(self.raft_file)
        self.brought: SimpleQueue[Arrival] = SimpleQueue()
        self.thread = OwnThread(self.brought.put)
        self.keeper = SnapshotKeeper(self.names, IDENTITY, self.files.queue, self.thread.later)
        self.thread.start()
        self.files.queue.apply([submission(index, 1) for index in range(1, 10)])
        self.files.queue.commit()

    def next(self) -> Arrival:
        return self.brought.get(timeout=20)

    def make(self) -> SnapshotMeta:
        self.keeper.make()
        taken = self.next()
        assert isinstance(taken, SnapshotTaken)
        return SnapshotMeta(taken.last, "s", taken.size, taken.sha256, VOTERS, 0)

    def receive(self, snapshot: SnapshotMeta) -> None:
        """Its own snapshot comes back in chunks."""
        for offset in range(0, snapshot.size, 10_000):
            data = self.keeper.read(snapshot, offset, 10_000)
            self.keeper.write(Chunk(snapshot, offset, data))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(RaftStore, "_lengthen_wal", lambda store: None)
    made = Kept(tmp_path)
    yield made
    made.thread.stop()
    made.files.close()


def test_a_sync_says_up_to_where(kept: Kept) -> None:
    kept.keeper.sync(9)
    assert kept.next() == QueueSynced(9)


def test_a_snapshot_is_made_read_received_checked_and_placed(kept: Kept) -> None:
    snapshot = kept.make()
    assert snapshot.last == LogPosition(1, 9)
    kept.receive(snapshot)
    kept.keeper.check(snapshot)
    assert kept.next() == SnapshotChecked(snapshot)
    assert kept.keeper.put_in_place(snapshot) == ("node-1.queue.9.db", IDENTITY.configuration_text())
    kept.files.queue.go_on_from("node-1.queue.9.db")
    kept.keeper.remove_left()
    kept.keeper.drop()
    kept.keeper.sync(9)
    assert kept.next() == QueueSynced(9)
    names = {path.name for path in kept.raft_file.parent.glob("*.db")}
    assert names == {"node-1.raft.db", "node-1.queue.9.db"}


def test_a_snapshot_that_is_not_what_it_should_be_is_unsound(kept: Kept) -> None:
    snapshot = kept.make()
    kept.receive(snapshot)
    other = replace(snapshot, sha256="0" * 64)
    for offset in range(0, snapshot.size, 10_000):
        kept.keeper.write(Chunk(other, offset, kept.keeper.read(snapshot, offset, 10_000)))
    kept.keeper.check(other)
    assert kept.next() == SnapshotUnsound(other)


def test_what_was_begun_anew_meanwhile_is_not_taken_for_checked(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = kept.make()
    kept.receive(snapshot)
    check = snapshot_file.check

    def slowly(path: Path, meta: SnapshotMeta, identity: Identity) -> str:
        configuration = check(path, meta, identity)
        kept.receive(snapshot)
        return configuration

    monkeypatch.setattr(snapshot_file, "check", slowly)
    kept.keeper.check(snapshot)
    kept.keeper.sync(9)
    assert kept.next() == QueueSynced(9), "and not SnapshotChecked"
    with pytest.raises(AssertionError, match="only what was checked"):
        kept.keeper.put_in_place(snapshot)


def test_no_room_for_a_snapshot_does_not_end_the_node(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise DiskFailed("full")

    monkeypatch.setattr(snapshot_file, "make", full)
    kept.keeper.make()
    assert kept.next() == SnapshotUnmade()


def test_a_node_whose_queue_is_damaged_ends_and_sends_no_snapshot_of_it(kept: Kept) -> None:
    """Somebody else will lead, whose queue is whole."""
    kept.files.queue.apply([submission(index, 1) for index in range(10, 500)])
    kept.files.queue.commit()
    kept.files.queue.sync()
    path = kept.files.queue.path
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    for offset in range(4096 * 3, len(data), 4096):
        data[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(data)
    kept.keeper.make()
    arrival = kept.next()
    assert isinstance(arrival, WorkFailed)
    assert isinstance(arrival.error, DamagedFile)
    assert not kept.names.made.exists()


def test_a_sync_that_fails_is_told(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise DiskFailed("broken")

    monkeypatch.setattr(kept.files.queue, "sync", broken)
    kept.keeper.sync(9)
    assert isinstance(kept.next(), WorkFailed)
