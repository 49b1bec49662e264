"""The raft file's log is cut, and a snapshot takes its place: in one transaction, and found so at a start."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassraft.raft.configuration import Configuration
from glassraft.raft.messages import EMPTY_LOG, Entry, LogPosition, SnapshotMeta
from glassraft.raft.ready import HardState, Installation
from glassraft.storage import node_files
from glassraft.storage.identity import DamagedFile, WrongFile
from glassraft.storage.raft_store import RaftStore
from tests.storage.conftest import Place
from tests.storage.samples import IDENTITY, save, submissions

CONFIGURATION = IDENTITY.configuration_text()


def installation(index: int, term: int, *, keeps_log: bool) -> Installation:
    snapshot = SnapshotMeta(LogPosition(term, index), "s", 1, "", Configuration((1, 2, 3)), 0)
    return Installation(snapshot, keeps_log)


def test_a_compacted_log_begins_after_its_base(made: Place) -> None:
    store = made.open_raft()
    save(store, submissions(1, 10))
    save(store, submissions(11, 20, term=2))
    store.compact(LogPosition(1, 7))
    store.close()
    again = made.open_raft()
    log = again.load_log()
    assert (log.base, log.last) == (LogPosition(1, 7), LogPosition(2, 20))
    assert log.terms == [(8, 10, 1), (11, 20, 2)]
    assert again.read(1, 100) == submissions(8, 10) + submissions(11, 20, term=2)


def test_a_log_compacted_to_its_end_knows_where_it_ended(made: Place) -> None:
    store = made.open_raft()
    save(store, submissions(1, 10, term=3))
    store.compact(LogPosition(3, 10))
    log = store.load_log()
    assert (log.base, log.last, log.terms) == (LogPosition(3, 10), LogPosition(3, 10), [])
    save(store, submissions(11, 12, term=3))
    assert store.load_log().terms == [(11, 12, 3)]


def test_a_log_that_does_not_go_on_from_its_base_is_refused(made: Place) -> None:
    store = made.open_raft()
    save(store, submissions(1, 10))
    store.connection.execute("DELETE FROM log WHERE idx <= 4")
    store.close()
    with pytest.raises(DamagedFile, match="its log begins at 5"):
        made.open_raft()


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=10)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_compacting_and_appending_is_what_it_is_for_a_list(steps: list[tuple[int, int, int]]) -> None:
    """Each step appends so many entries, then compacts so many; the term rises by so much."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "node-1.raft.db"
        RaftStore.create(path, IDENTITY, "node-1.queue.db")
        store = RaftStore(path, IDENTITY)
        store.connection.execute("PRAGMA synchronous = OFF")
        model: list[Entry] = []
        base, term = 0, 1
        try:
            for count, compacted, rise in steps:
                term += rise
                new = [Entry(len(model) + 1 + at, term, "command", "x") for at in range(count)]
                model += new
                store.save(None, None, new)
                to = min(len(model), base + compacted)
                if to > base:
                    base = to
                    store.compact(LogPosition(model[base - 1].term, base))
                log = store.load_log()
                assert log.base.index == base
                assert [log.term_at(entry.index) for entry in model[base:]] == [
                    entry.term for entry in model[base:]
                ]
                assert store.read(1, 1000) == model[base:]
        finally:
            store.close()


def test_an_installed_snapshot_takes_the_whole_logs_place(made: Place) -> None:
    store = made.open_raft()
    save(store, submissions(1, 10))
    store.install(
        HardState(5, 2), None, [], installation(50, 4, keeps_log=False), "node-1.queue.50.db", CONFIGURATION
    )
    store.close()
    again = made.open_raft()
    assert again.hard_state == HardState(5, 2)
    assert again.queue_file == "node-1.queue.50.db"
    log = again.load_log()
    assert (log.base, log.last) == (LogPosition(4, 50), LogPosition(4, 50))
    assert again.load_history() == [(0, Configuration((1, 2, 3)))]


def test_what_follows_an_installed_snapshot_is_kept_truncated_and_saved_in_the_same_transaction(
    made: Place,
) -> None:
    store = made.open_raft()
    save(store, submissions(1, 10))
    store.install(
        None,
        8,
        submissions(8, 9, term=2),
        installation(5, 1, keeps_log=True),
        "node-1.queue.5.db",
        CONFIGURATION,
    )
    assert store.read(1, 100) == submissions(6, 7) + submissions(8, 9, term=2)
    assert store.load_log().terms == [(6, 7, 1), (8, 9, 2)]


def test_a_failing_installation_changes_nothing(made: Place) -> None:
    store = made.open_raft()
    save(store, submissions(1, 10))
    has_it_already = submissions(10, 10)
    with pytest.raises(DamagedFile, match="UNIQUE"):
        store.install(
            HardState(5, 2), None, has_it_already, installation(5, 1, keeps_log=True), "new.db", CONFIGURATION
        )
    assert store.base == EMPTY_LOG
    assert store.read(1, 10) == submissions(1, 10)
    store.close()
    again = made.open_raft()
    assert (again.hard_state, again.queue_file) == (HardState(), "node-1.queue.db")


def test_without_its_queue_file_a_compacted_node_is_refused(made: Place) -> None:
    files = made.open()
    save(files.raft, submissions(1, 10))
    files.queue.apply(submissions(1, 10))
    files.queue.commit()
    files.raft.compact(LogPosition(1, 5))
    made.close()
    made.queue.unlink()
    with pytest.raises(WrongFile, match="the log begins after entry 5"):
        made.open()


def test_an_older_copy_of_the_queue_is_refused(made: Place) -> None:
    files = made.open()
    save(files.raft, submissions(1, 10))
    files.queue.apply(submissions(1, 4))
    files.queue.commit()
    files.raft.compact(LogPosition(1, 5))
    made.close()
    with pytest.raises(WrongFile, match="it is an older copy"):
        made.open()


def test_a_start_removes_what_snapshots_left(made: Place) -> None:
    leftovers = ["snapshot.db", "snapshot.db-journal", "incoming.3.db", "queue.7.db", "queue.7.db-wal"]
    for name in leftovers:
        (made.raft.parent / f"node-1.{name}").write_bytes(b"x")
    others = made.raft.parent / "node-11.snapshot.db"
    others.write_bytes(b"x")
    made.open()
    names = {path.name for path in made.raft.parent.iterdir()}
    assert not names & {f"node-1.{name}" for name in leftovers}
    assert others.exists()
    assert made.queue.exists()
    assert node_files.SnapshotNames(made.raft).installed(7).name == "node-1.queue.7.db"
