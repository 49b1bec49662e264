"""The queue's file: behind the log, never torn; a power failure makes it older, and the log goes on from there."""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids
from glassraft.jobqueue.machine import UnknownCommand
from glassraft.raft.messages import Entry
from glassraft.storage.identity import DiskFailed
from glassraft.storage.queue_store import IDLE_READERS, QueueStore
from tests.storage.conftest import Place
from tests.storage.samples import IDENTITY, save, submission, submissions, take

BATCH = 7


def applied_to_the_end(place: Place, entries: list[Entry], batch: int = BATCH) -> str:
    """The digest once everything in the log is applied, from wherever the queue is."""
    store = QueueStore(place.queue, IDENTITY)
    try:
        rest = entries[store.machine.applied_index :]
        for first in range(0, len(rest), batch):
            store.apply(rest[first : first + batch])
            store.commit()
        assert store.machine.applied_index == len(entries)
        return store.machine.digest
    finally:
        store.close()


def busy_log(length: int) -> list[Entry]:
    """Submissions and Takes, mixed."""
    return [take(index, 2) if index % 5 == 0 else submission(index) for index in range(1, length + 1)]


def test_what_is_applied_is_read_after_commit(made: Place) -> None:
    store = made.open().queue
    store.apply(submissions(1, 3))
    with store.reading() as reader:
        assert reader.stats()["applied_index"] == 0
    assert store.own_reader().stats()["applied_index"] == 0, "the applied row is written by commit"
    assert store.own_reader().get(ids.to_text(ids.number(2, 0))) is not None
    store.commit()
    with store.reading() as reader:
        assert reader.stats()["applied_index"] == 3


def test_close_commits_what_was_applied(made: Place) -> None:
    files = made.open()
    entries = submissions(1, 3)
    save(files.raft, entries)
    files.queue.apply(entries)
    digest = files.queue.machine.digest
    files.close()
    machine = made.open().queue.machine
    assert (machine.applied_index, machine.digest) == (3, digest)


def apply_and_commit(store: QueueStore, entries: Sequence[Entry]) -> None:
    """Some rows reach the tables at once, others wait for the commit."""
    store.apply(entries)
    store.commit()


def test_a_command_that_fails_in_the_middle_leaves_nothing_of_it(made: Place) -> None:
    """Not even when the node closes its files on its way out: half a command would differ for ever."""
    entries = busy_log(40)
    files = made.open()
    save(files.raft, entries)
    store = files.queue
    store.apply(entries[:20])
    store.commit()
    history_writes = 0

    def fail_in_the_middle(action: int, table: str | None, *_: object) -> int:
        nonlocal history_writes
        if action == sqlite3.SQLITE_INSERT and table == "history":
            history_writes += 1
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    # The table's rows are written after the jobs' own: what fails is the middle of a command.
    store.connection.set_authorizer(fail_in_the_middle)
    store.connection.execute("SELECT 1").fetchone()
    new_statements = [Entry(21, 1, "command", entries[20].command)]
    with pytest.raises(Exception, match=r"prohibited|authorized|damaged"):
        apply_and_commit(store, new_statements)
    store.connection.set_authorizer(None)
    assert history_writes
    files.close()
    assert made.open().queue.machine.applied_index == 20
    made.close()
    digest = applied_to_the_end(made, entries)
    made.queue.unlink()
    QueueStore.create(made.queue, IDENTITY)
    assert applied_to_the_end(made, entries) == digest


def test_a_command_that_the_machine_does_not_know_leaves_the_queue_as_it_was(made: Place) -> None:
    files = made.open()
    entries = submissions(1, 5)
    save(files.raft, entries)
    files.queue.apply(entries[:3])
    files.queue.commit()
    with pytest.raises(UnknownCommand):
        files.queue.apply([entries[3], Entry(5, 1, "command", '{"op":"Fly","t":1,"v":1}')])
    files.close()
    machine = made.open().queue.machine
    assert machine.applied_index == 3


def test_a_full_disk_while_applying_is_told_and_harmless(made: Place) -> None:
    files = made.open()
    entries = [submission(index, text="x" * 2000) for index in range(1, 101)]
    save(files.raft, entries)
    files.queue.apply(entries[:10])
    files.queue.commit()
    pages = files.queue.connection.execute("PRAGMA page_count").fetchone()[0]
    files.queue.connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(DiskFailed, match=r"queue\.db: database or disk is full: check the disk's space"):
        apply_and_commit(files.queue, entries[10:])
    files.close()
    assert made.open().queue.machine.applied_index == 10
    made.close()
    applied_to_the_end(made, entries)


def test_a_disk_that_does_not_take_the_last_commit_does_not_keep_the_node_from_closing(
    made: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = made.open()
    entries = submissions(1, 3)
    save(files.raft, entries)
    files.queue.apply(entries)

    def fails() -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(files.queue.machine, "flush", fails)
    with pytest.raises(DiskFailed, match="disk I/O error"):
        files.queue.commit()
    files.close()
    assert made.open().queue.machine.applied_index == 0


# Power failure: the queue's commits are not synced, so any tail of its -wal may be gone


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.fixture
def before_the_failure(made: Place, tmp_path: Path) -> tuple[Path, bytes, bytes, list[Entry], str]:
    """A queue's file and its -wal as they were while its node ran, the log, and the digest at its end."""
    entries = busy_log(60)
    store = QueueStore(made.queue, IDENTITY)
    for first in range(0, 60, BATCH):
        store.apply(entries[first : first + BATCH])
        store.commit()
        if first == 2 * BATCH:
            store.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    digest = store.machine.digest
    file, wal = made.queue.read_bytes(), wal_of(made.queue).read_bytes()
    store.close()
    for name in ("", "-wal", "-shm"):
        made.queue.with_name(made.queue.name + name).unlink(missing_ok=True)
    return made.queue, file, wal, entries, digest


def test_a_queue_that_lost_any_tail_of_its_wal_is_older_and_sound(
    before_the_failure: tuple[Path, bytes, bytes, list[Entry], str], made: Place
) -> None:
    path, file, wal, entries, digest = before_the_failure
    random = Random(7)
    lengths = [
        0,
        31,
        32,
        33,
        len(wal) // 2,
        len(wal) - 1,
        len(wal),
        *(random.randrange(len(wal)) for _ in range(20)),
    ]
    found = set()
    for length in lengths:
        path.write_bytes(file)
        wal_of(path).write_bytes(wal[:length])
        store = QueueStore(path, IDENTITY)
        found.add(store.machine.applied_index)
        store.close()
        path.write_bytes(file)
        wal_of(path).write_bytes(wal[:length])
        assert applied_to_the_end(made, entries) == digest
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert found <= {0, *range(BATCH, 60, BATCH), 60}, "never between two commits"
    assert len(found) > 4, "the cuts were meant to differ"


def test_a_queue_without_its_wal_goes_on_from_the_log(
    before_the_failure: tuple[Path, bytes, bytes, list[Entry], str], made: Place
) -> None:
    path, file, _, entries, digest = before_the_failure
    path.write_bytes(file)
    store = QueueStore(path, IDENTITY)
    assert 0 < store.machine.applied_index < 60
    store.close()
    assert applied_to_the_end(made, entries, batch=1) == digest


def test_a_wal_whose_pages_did_not_all_reach_the_disk_is_cut_there(
    before_the_failure: tuple[Path, bytes, bytes, list[Entry], str], made: Place
) -> None:
    """Without a sync, a disk may write later pages and not earlier ones."""
    path, file, wal, entries, digest = before_the_failure
    random = Random(11)
    for _ in range(10):
        hole = random.randrange(32, len(wal) - 4096)
        path.write_bytes(file)
        wal_of(path).write_bytes(wal[:hole] + bytes(4096) + wal[hole + 4096 :])
        assert applied_to_the_end(made, entries) == digest


# Readers


def test_readers_never_wait_for_the_writer_nor_the_writer_for_them(made: Place) -> None:
    store = made.open().queue
    store.apply(submissions(1, 3))
    store.commit()
    with store.reading() as reader:
        reader._connection.execute("BEGIN")
        assert reader.stats()["applied_index"] == 3
        store.apply(submissions(4, 6))
        store.commit()
        assert reader.stats()["applied_index"] == 3, "a reader sees one moment"
        reader._connection.execute("COMMIT")
        assert reader.stats()["applied_index"] == 6


def test_a_readers_connection_is_used_again_also_after_an_error(made: Place) -> None:
    store = made.open().queue
    with store.reading() as reader:
        first = reader._connection
    with pytest.raises(BadArgument), store.reading() as reader:
        reader.list(state="nonsense")
    with store.reading() as reader:
        assert reader._connection is first


def test_no_more_idle_readers_are_kept_than_a_few(made: Place) -> None:
    store = made.open().queue
    together = threading.Barrier(3 * IDLE_READERS)

    def read() -> None:
        with store.reading() as reader:
            reader.stats()
            together.wait(20)

    threads = [threading.Thread(target=read) for _ in range(3 * IDLE_READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store._readers._idle) == IDLE_READERS


def test_a_reader_cannot_write(made: Place) -> None:
    store = made.open().queue
    with pytest.raises(DiskFailed, match="readonly"), store.reading() as reader:
        reader._connection.execute("DELETE FROM jobs")


def test_the_file_can_be_read_with_plain_sqlite_while_it_is_written(made: Place) -> None:
    store = made.open().queue
    store.apply(submissions(1, 4))
    store.commit()
    store.apply(submissions(5, 6))
    with closing(sqlite3.connect(made.queue)) as connection:
        assert connection.execute("SELECT count(*), min(state) FROM jobs").fetchone() == (4, "ready")
