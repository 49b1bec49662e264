"""The raft file: one transaction a save, durable when it returns; a bounded tail; terms that follow truncation."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassraft.raft.log import TAIL_BYTES, TAIL_ENTRIES
from glassraft.raft.messages import EMPTY_LOG, Entry, LogPosition
from glassraft.raft.ready import HardState, Persisted
from glassraft.storage import raft_store as raft_stores
from glassraft.storage.identity import DiskFailed
from glassraft.storage.raft_store import CHECKPOINT_PAGES, PAGE_BYTES, READ_BYTES, RaftStore
from tests.storage.conftest import Place
from tests.storage.samples import IDENTITY, save, submissions


class FailingConnection:
    """A connection that fails where a statement begins with one of these words."""

    def __init__(self, connection: sqlite3.Connection, fails_at: str, error: BaseException) -> None:
        self._connection = connection
        self._fails_at = fails_at
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith(self._fails_at):
            raise self._error
        return self._connection.execute(statement, *values)

    def executemany(self, statement: str, rows: Sequence[Any]) -> sqlite3.Cursor:
        if statement.startswith(self._fails_at):
            self._connection.executemany(statement, rows[: len(rows) // 2])
            raise self._error
        return self._connection.executemany(statement, rows)


def error_of_sqlite(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def held_bytes(entries: Sequence[Entry]) -> int:
    return sum(len(entry.command) for entry in entries)


def test_term_and_vote_survive(made: Place) -> None:
    store = made.open_raft()
    store.save(HardState(7, 3), None, [])
    store.close()
    assert made.open_raft().hard_state == HardState(7, 3)


def test_a_term_without_a_vote_survives(made: Place) -> None:
    store = made.open_raft()
    store.save(HardState(7, 3), None, [])
    store.save(HardState(8, None), None, [])
    store.close()
    assert made.open_raft().hard_state == HardState(8, None)


def test_numbers_beyond_32_bits_survive(made: Place) -> None:
    store = made.open_raft()
    index, term = 2**31 + 5, 2**40
    store.connection.execute("UPDATE snapshot SET idx = ?, term = ?", (index - 2, term))
    store.connection.execute("INSERT INTO log VALUES (?, ?, 'noop', '')", (index - 1, term))
    store.connection.execute("INSERT INTO terms VALUES (?, ?)", (term, index - 1))
    store.save(HardState(term, 2), None, [Entry(index, term, "command", "x")])
    store.close()
    again = made.open_raft()
    assert again.load_log().last == LogPosition(term, index)
    assert again.read(index, index) == [Entry(index, term, "command", "x")]


def test_the_files_are_written_as_the_design_says(made: Place) -> None:
    files = made.open()
    full, normal = 2, 1

    def pragma(connection: sqlite3.Connection, name: str) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma(files.raft.connection, "journal_mode") == "wal"
    assert pragma(files.raft.connection, "synchronous") == full
    assert pragma(files.raft.connection, "locking_mode") == "exclusive"
    assert pragma(files.queue.connection, "journal_mode") == "wal"
    assert pragma(files.queue.connection, "synchronous") == normal
    assert pragma(files.queue.connection, "locking_mode") == "normal"


def test_a_save_is_one_transaction(made: Place) -> None:
    store = made.open_raft()
    statements: list[str] = []
    store.connection.set_trace_callback(statements.append)
    store.save(HardState(1, 1), 1, submissions(1, 100))
    store.connection.set_trace_callback(None)
    assert statements[0] == "BEGIN IMMEDIATE"
    assert statements.count("BEGIN IMMEDIATE") == 1
    assert [statement for statement in statements if statement == "COMMIT"] == [statements[-1]]


@pytest.mark.parametrize(
    "fails_at", ["UPDATE hard_state", "DELETE FROM log", "DELETE FROM terms", "INSERT", "COMMIT"]
)
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (error_of_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), DiskFailed),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["full", "interrupted"],
)
def test_an_error_in_the_middle_of_a_save_leaves_nothing_of_it(
    made: Place, fails_at: str, error: BaseException, raised: type[BaseException]
) -> None:
    store = made.open_raft()
    store.save(HardState(1, 2), None, submissions(1, 10))
    real = store.connection
    store.connection = FailingConnection(real, fails_at, error)  # type: ignore[assignment]
    with pytest.raises(raised):
        store.save(HardState(2, 3), 5, submissions(5, 20, term=2))
    store.connection = real
    assert not real.in_transaction
    assert store.hard_state == HardState(1, 2)
    assert store.persisted(LogPosition(1, 10)) == Persisted(HardState(1, 2), LogPosition(1, 10))
    store.close()
    again = made.open_raft()
    assert again.hard_state == HardState(1, 2)
    assert again.read(1, 100) == submissions(1, 10)
    assert again.load_log().terms == [(1, 10, 1)]


def test_a_full_disk_is_told_and_nothing_of_the_save_is_there(made: Place) -> None:
    store = made.open_raft()
    save(store, submissions(1, 10))
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(
        DiskFailed, match=r"node-1\.raft\.db: database or disk is full: check the disk's space"
    ):
        store.save(HardState(9, 1), None, submissions(11, 100, text="x" * 1000))
    store.close()
    again = made.open_raft()
    assert again.hard_state == HardState(0, None)
    assert again.read(1, 100) == submissions(1, 10)


# The write-ahead log at full length


@pytest.mark.usefixtures("full_length_wal")
def test_saves_write_over_a_wal_of_full_length(made: Place) -> None:
    store = made.open_raft()
    wal = made.raft.with_name(made.raft.name + "-wal")
    length = wal.stat().st_size
    assert length >= CHECKPOINT_PAGES * PAGE_BYTES
    for index in range(1, 200):
        save(store, submissions(index, index))
    assert wal.stat().st_size == length
    store.close()
    assert made.open_raft().read(1, 1000) == submissions(1, 199)


@pytest.mark.usefixtures("full_length_wal")
def test_what_the_wal_held_before_does_not_come_back(made: Place, tmp_path: Path) -> None:
    """The file as a power failure leaves it: new saves at the -wal's beginning, old bytes behind them."""
    store = made.open_raft()
    save(store, submissions(1, 3))
    store.save(HardState(4, 1), 2, submissions(2, 5, term=4))
    copy = tmp_path / "copy" / made.raft.name
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(
            made.raft.with_name(made.raft.name + suffix).read_bytes()
        )
    again = RaftStore(copy, IDENTITY)
    assert again.hard_state == HardState(4, 1)
    assert again.read(1, 100) == [*submissions(1, 1), *submissions(2, 5, term=4)]
    again.close()


@pytest.mark.usefixtures("full_length_wal")
def test_a_wal_that_finds_no_room_is_done_without(made: Place) -> None:
    connection = sqlite3.connect(made.raft)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    connect = raft_stores.connect

    def connect_to_a_small_disk(path: Path) -> sqlite3.Connection:
        opened = connect(path)
        opened.execute(f"PRAGMA max_page_count = {pages + 50}")
        return opened

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(raft_stores, "connect", connect_to_a_small_disk)
        store = made.open_raft()
    save(store, submissions(1, 5))
    assert store.load_log().last_index == 5


# The tail


def test_the_tail_in_memory_is_bounded_by_entries_and_older_ones_are_read(made: Place) -> None:
    store = made.open_raft()
    last = TAIL_ENTRIES + 500
    save(store, [Entry(index, 1, "command", str(index)) for index in range(1, last + 1)])
    reads: list[tuple[int, int]] = []
    log = store.load_log()
    log._read = lambda first, last: reads.append((first, last)) or store.read_some(first, last)  # type: ignore[func-returns-value]
    newest = log.slice(last - TAIL_ENTRIES + 1, max_entries=1 << 30, max_bytes=1 << 30)
    assert len(newest) == TAIL_ENTRIES
    assert not reads
    assert [entry.command for entry in log.slice(3, max_entries=4, max_bytes=1 << 30)] == ["3", "4", "5", "6"]
    assert reads == [(3, 6)]


def test_the_tail_in_memory_is_bounded_by_bytes(made: Place) -> None:
    store = made.open_raft()
    command = "x" * (1 << 20)
    fit = TAIL_BYTES // len(command)
    save(store, [Entry(index, 1, "command", command) for index in range(1, fit + 5)])
    log = store.load_log()
    assert log.last_index == fit + 4
    assert len(log._tail) == fit


def test_an_entry_larger_than_the_tail_is_read_from_the_disk(made: Place) -> None:
    store = made.open_raft()
    save(store, [Entry(1, 1, "command", "x" * (TAIL_BYTES + 1))])
    log = store.load_log()
    assert not log._tail
    assert held_bytes(log.slice(1, max_entries=10, max_bytes=10)) == TAIL_BYTES + 1


def test_reading_back_takes_bounded_memory(made: Place) -> None:
    """A follower far behind, and large commands: what one batch cannot carry is not read for it."""
    store = made.open_raft()
    command = "x" * (READ_BYTES // 4)
    save(store, [Entry(index, 1, "command", command) for index in range(1, 41)])
    found = store.read_some(1, 40)
    assert [entry.index for entry in found] == list(range(1, len(found) + 1))
    assert READ_BYTES <= held_bytes(found) < READ_BYTES + len(command)
    assert store.read_some(40, 40)[0].index == 40


def test_the_log_of_an_empty_file(made: Place) -> None:
    log = made.open_raft().load_log()
    assert (log.last, log.first_index, log.terms) == (EMPTY_LOG, 1, [])


# Truncation: what is stored against a plain list

terms_written = st.lists(st.integers(0, 2), max_size=6)
steps = st.lists(st.tuples(st.integers(0, 12), terms_written), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_truncating_and_appending_is_what_it_is_for_a_list(steps: list[tuple[int, list[int]]]) -> None:
    """Each step cuts so many entries off the end and appends entries whose terms rise by so much each."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "node-1.raft.db"
        RaftStore.create(path, IDENTITY, "node-1.queue.db")
        store = RaftStore(path, IDENTITY)
        store.connection.execute("PRAGMA synchronous = OFF")
        entries: list[Entry] = []
        term = 1
        try:
            for cut, rises in steps:
                keep = max(0, len(entries) - cut)
                truncate_from = keep + 1 if keep < len(entries) else None
                del entries[keep:]
                new = []
                for rise in rises:
                    term += rise
                    new.append(Entry(len(entries) + len(new) + 1, term, "command", f"{term}"))
                entries += new
                store.save(None, truncate_from, new)
                assert store.read(1, 1000) == entries
                check_log(store, entries)
        finally:
            store.close()


def check_log(store: RaftStore, entries: list[Entry]) -> None:
    """The loaded log says of every index what the list says."""
    log = store.load_log()
    assert log.last_index == len(entries)
    assert log.last == (LogPosition(entries[-1].term, len(entries)) if entries else EMPTY_LOG)
    assert [log.term_at(index) for index in range(1, len(entries) + 1)] == [entry.term for entry in entries]
    assert list(log.slice(1, max_entries=1000, max_bytes=1 << 20)) == entries
