"""Files that must not be used are refused, each with what is wrong and what to do."""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from glassraft.errors import StorageError
from glassraft.raft.ready import HardState
from glassraft.storage import creation, node_files
from glassraft.storage.identity import DamagedFile, DiskFailed, Identity, WrongFile, read_identity
from tests.storage.conftest import Place
from tests.storage.samples import IDENTITY, but, save, submissions


def change(path: Path, *statements: str) -> None:
    """Do something to a closed file behind the store's back."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def filled(place: Place, entries: int = 300) -> None:
    """A node's files with something in them, all of it in the files themselves and none in a -wal."""
    place.create()
    files = place.open()
    written = submissions(1, entries)
    save(files.raft, written)
    files.queue.apply(written)
    files.close()
    for path in (place.raft, place.queue):
        change(path, "PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_new_node_has_nothing_yet(made: Place) -> None:
    files = made.open()
    assert files.raft.hard_state == HardState(0, None)
    assert files.raft.identity == IDENTITY
    assert files.log.last_index == 0
    assert files.queue.machine.applied_index == 0


def test_the_identity_can_be_read_without_opening_the_store(made: Place, tmp_path: Path) -> None:
    assert read_identity(made.raft) == IDENTITY
    assert read_identity(tmp_path / "nothing.db") is None


@pytest.mark.parametrize(
    ("configured", "says"),
    [
        (but(node_id=2), "belongs to n1, not to n2: give each node its own files"),
        (but(cluster="other"), 'belongs to the cluster "test", and config.json describes "other"'),
        (
            but(members={1: "127.0.0.1:7401"}),
            r"was made for 3 nodes .* now 1 nodes .* quorum changed by hand",
        ),
        (but(members={**IDENTITY.members, 3: "127.0.0.1:9999"}), r"n3 at 127.0.0.1:7403\), and now .*9999"),
        (but(cluster_id="decaf"), r"another cluster of the same name \(id c0ffee, not decaf\)"),
    ],
)
def test_another_identity_is_refused_with_what_differs(made: Place, configured: Identity, says: str) -> None:
    with pytest.raises(WrongFile, match=says) as refused:
        made.open(configured)
    assert str(made.raft) in str(refused.value)


def test_without_a_cluster_id_any_incarnation_is_taken(made: Place) -> None:
    assert made.open(but(cluster_id="")).raft.identity.cluster_id == "c0ffee"


@pytest.mark.parametrize("which", ["raft", "queue"])
def test_a_newer_version_is_refused(made: Place, which: str) -> None:
    change(getattr(made, which), "PRAGMA user_version = 99")
    with pytest.raises(WrongFile, match=r"written by a newer Glassraft \(format 99, this one reads 1\)"):
        made.open()


def test_tables_of_another_format_are_refused(made: Place) -> None:
    change(made.queue, "UPDATE applied SET format = 1")
    with pytest.raises(
        WrongFile, match=r"format 1, and this Glassraft reads format \d+: go on with the version"
    ):
        made.open()


@pytest.mark.parametrize("which", ["raft", "queue"])
@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0"])
def test_a_file_of_nothing_is_no_file_of_ours(made: Place, which: str, content: bytes) -> None:
    getattr(made, which).write_bytes(content)
    with pytest.raises(StorageError, match=r"not a Glassraft file|damaged"):
        made.open()


@pytest.mark.parametrize("which", ["raft", "queue"])
def test_another_programs_database_is_refused(made: Place, which: str) -> None:
    path = getattr(made, which)
    path.unlink()
    change(path, "CREATE TABLE theirs (x)")
    with pytest.raises(WrongFile, match="is not a Glassraft file: move it away"):
        made.open()


@pytest.mark.parametrize("which", ["raft", "queue"])
def test_what_is_no_database_is_refused(made: Place, which: str) -> None:
    getattr(made, which).write_text("dear diary, " * 1000)
    with pytest.raises(DamagedFile, match=r"is damaged .*keep a copy"):
        made.open()


def test_damaged_pages_are_found_at_the_start(place: Place) -> None:
    filled(place)
    with place.raft.open("r+b") as file:
        for page in range(4, place.raft.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(64))
    with pytest.raises(DamagedFile, match=r"is damaged .*restore both of its files"):
        place.open()


@pytest.mark.parametrize("which", ["raft", "queue"])
@pytest.mark.parametrize("kept", [100, 4096, 0.5, 0.9])
def test_a_truncated_file_is_never_used(place: Place, which: str, kept: float) -> None:
    filled(place)
    path = getattr(place, which)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * kept) if isinstance(kept, float) else kept)
    with pytest.raises(StorageError, match=r"damaged|not a Glassraft file"):
        place.open()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE log",
        "DROP TABLE identity",
        "DELETE FROM identity",
        "DELETE FROM hard_state",
        "DELETE FROM snapshot",
    ],
)
def test_a_file_that_lacks_what_must_be_there_is_damaged(made: Place, statement: str) -> None:
    change(made.raft, statement)
    with pytest.raises(DamagedFile, match=r"is damaged .*keep a copy"):
        made.open()


@pytest.mark.parametrize("statement", ["DROP TABLE jobs", "DROP TABLE applied", "DELETE FROM applied"])
def test_a_queue_that_lacks_what_must_be_there_is_damaged(made: Place, statement: str) -> None:
    change(made.queue, statement)
    with pytest.raises(DamagedFile, match=r"is damaged .*keep a copy"):
        made.open()


def test_an_error_of_ours_is_not_called_damage(made: Place) -> None:
    store = made.open_raft()
    store.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        store.load_log()


def test_without_its_raft_file_a_node_does_not_start(made: Place) -> None:
    made.raft.unlink()
    with pytest.raises(WrongFile, match=r"is not there.*start it with --new.*must not come back"):
        made.open()
    assert not made.raft.exists()


def test_a_new_node_does_not_write_over_an_old_ones_files(made: Place) -> None:
    before = made.raft.read_bytes()
    with pytest.raises(WrongFile, match="must not write over it"):
        made.create()
    assert made.raft.read_bytes() == before


@pytest.mark.parametrize("files_done", [0, 1])
def test_a_node_half_made_can_be_made_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, files_done: int
) -> None:
    """Killed while it made its files: none has its name before it is whole."""
    stamp = creation.stamp_header
    calls = itertools.count()

    def stamp_or_die(connection: sqlite3.Connection) -> None:
        if next(calls) == files_done:
            raise KeyboardInterrupt
        stamp(connection)

    with monkeypatch.context() as patched:
        patched.setattr(creation, "stamp_header", stamp_or_die)
        with pytest.raises(KeyboardInterrupt):
            place.create()
    assert (place.queue.exists(), place.raft.exists()) == (files_done == 1, False)
    place.create()
    assert place.open().log.last_index == 0
    assert not list(place.raft.parent.glob("*.new"))


@pytest.mark.parametrize("leftover", ["raft", "queue"])
def test_what_an_older_life_left_behind_does_not_come_back(place: Place, leftover: str) -> None:
    """A -wal beside a file that was removed must not be read into a new one."""
    place.create()
    files = place.open()
    written = submissions(1, 50)
    save(files.raft, written)
    files.queue.apply(written)
    files.queue.commit()
    path = getattr(place, leftover)
    wal = path.with_name(path.name + "-wal").read_bytes()
    assert wal
    files.close()
    place.raft.unlink()
    path.unlink(missing_ok=True)
    path.with_name(path.name + "-wal").write_bytes(wal)
    place.create()
    again = place.open()
    assert (again.log.last_index, again.queue.machine.applied_index) == (0, 0)


def test_a_missing_queue_is_rebuilt_from_the_log(place: Place) -> None:
    filled(place, 20)
    place.queue.unlink()
    files = place.open()
    assert files.queue.machine.applied_index == 0
    files.queue.apply(files.log.slice(1, max_entries=100, max_bytes=1 << 20))
    assert files.queue.machine.applied_index == 20


def test_a_missing_queue_whose_wal_stayed_behind_is_rebuilt_too(place: Place) -> None:
    place.create()
    files = place.open()
    written = submissions(1, 20)
    save(files.raft, written)
    files.queue.apply(written)
    files.queue.commit()
    wal_path = place.queue.with_name(place.queue.name + "-wal")
    wal = wal_path.read_bytes()
    files.close()
    place.queue.unlink()
    wal_path.write_bytes(wal)
    assert place.open().queue.machine.applied_index == 0


def test_a_queue_ahead_of_its_log_is_refused(place: Place) -> None:
    filled(place, 10)
    change(place.raft, "DELETE FROM log WHERE idx > 5")
    with pytest.raises(
        WrongFile, match=r"has applied entry 10 of term 1, .*its log ends at 5.*belong together"
    ):
        place.open()


def test_a_queue_beside_its_log_is_refused(place: Place) -> None:
    """The log was cut and written anew by another leader, and an old queue was put beside it."""
    filled(place, 10)
    store = place.open_raft()
    save(store, submissions(5, 20, term=2), truncate_from=5)
    store.close()
    with pytest.raises(WrongFile, match="has applied entry 10 of term 1"):
        place.open()


def test_another_nodes_queue_is_refused(made: Place, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    node_files.create(theirs / "node-2.raft.db", theirs / "node-2.queue.db", but(node_id=2))
    shutil.copy(theirs / "node-2.queue.db", made.queue)
    with pytest.raises(
        WrongFile, match=r"belongs to n2 of the cluster c0ffee, .*put back the file that belongs"
    ):
        made.open()


def test_a_file_in_use_is_refused_within_this_process(made: Place) -> None:
    first = made.open()
    with pytest.raises(DiskFailed, match="is in use by another process: stop that node first"):
        made.open()
    with pytest.raises(DiskFailed, match="in use by another process"):
        read_identity(made.raft)
    save(first.raft, submissions(1, 1))
    assert first.raft.load_log().last_index == 1


def test_a_file_in_use_by_another_process_is_refused(made: Place) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from glassraft.storage.raft_store import RaftStore\n"
        "from tests.storage.samples import IDENTITY\n"
        "store = RaftStore(Path(sys.argv[1]), IDENTITY)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(made.raft)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline().strip() == b"open"
        with pytest.raises(DiskFailed, match="is in use by another process"):
            made.open()
        other.stdin.close()
    made.open()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Root may write anywhere, but not below what is a file."""
    (tmp_path / "data").write_text("not a folder")
    raft, queue = tmp_path / "data" / "node-1.raft.db", tmp_path / "data" / "node-1.queue.db"
    with pytest.raises(DiskFailed, match=r"data: .*: choose another data folder"):
        node_files.create(raft, queue, IDENTITY)


@pytest.mark.parametrize(
    "open_it",
    [lambda place: place.open(), lambda place: read_identity(place.raft)],
    ids=["open", "read_identity"],
)
def test_a_path_that_is_a_folder_is_told(place: Place, open_it: Callable[[Place], object]) -> None:
    place.raft.mkdir()
    with pytest.raises(DiskFailed, match="check the disk's space and permissions"):
        open_it(place)


def test_a_refused_file_is_left_closed(made: Place) -> None:
    """So that it can be moved away or opened rightly afterwards, on Windows too."""
    for _ in range(3):
        with pytest.raises(WrongFile):
            made.open(but(node_id=2))
    made.open()
