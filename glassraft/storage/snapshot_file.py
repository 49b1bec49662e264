"""A snapshot as a file: made of a queue's file, received in chunks, checked, and put in its place (§7).

A snapshot is `VACUUM INTO`: a whole queue.db without free pages, as it was after one entry. It
holds nothing of its maker's vote or log. What stands here takes its time, but for `write_chunk`,
`read_chunk` and `put_in_place`; who calls what on which thread is replica/snapshots.py's business.
"""

import hashlib
import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from glassraft.raft.configuration import parse_configuration
from glassraft.raft.messages import LogPosition, SnapshotMeta
from glassraft.storage.creation import sync_folder
from glassraft.storage.identity import (
    DamagedFile,
    Identity,
    check_header,
    connect,
    the_row,
    translated_errors,
)

READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MadeSnapshot:
    """A snapshot that was made here: the last entry that it stands for, its size in bytes, and its SHA-256."""

    path: Path
    last: LogPosition
    size: int
    sha256: str


def make(queue_file: Path, target: Path) -> MadeSnapshot:
    """Write what `queue_file` has committed to a new file, while its writer goes on.

    Raises DiskFailed or DamagedFile; then there is no such file.
    """
    remove(target)
    try:
        with translated_errors(queue_file), closing(connect(queue_file)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        with translated_errors(target):
            with closing(connect(target)) as connection:
                row = the_row(connection, target, "SELECT applied_term, applied_index FROM applied")
            return MadeSnapshot(target, LogPosition(*row), target.stat().st_size, sha256_of(target))
    except BaseException:
        remove(target)
        raise


def read_chunk(path: Path, offset: int, size: int) -> bytes:
    """So many bytes from `offset` on, fewer at the end. Raises DiskFailed."""
    with translated_errors(path), path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def write_chunk(path: Path, offset: int, data: bytes) -> None:
    """Put these bytes where they belong; not synced, which check() does. Raises DiskFailed."""
    with translated_errors(path), path.open("r+b" if offset else "wb") as file:
        file.seek(offset)
        file.write(data)


def check(path: Path, snapshot: SnapshotMeta, identity: Identity) -> str:
    """Make sure that a received file is what `snapshot` says, whole and sound, and this node's from now on.

    Returns its configuration's text. It is on disk when this returns. Raises DamagedFile or DiskFailed.
    """
    with translated_errors(path):
        if path.stat().st_size != snapshot.size or sha256_of(path) != snapshot.sha256:
            raise DamagedFile(f"{path} is not the snapshot {snapshot.id}: its size or its SHA-256 differs")
        with closing(connect(path)) as connection:
            configuration = _check_contents(connection, path, snapshot, identity)
            # Synced with its commit, like everything before it in the file.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("UPDATE applied SET node_id = ?", (identity.node_id,))
        sync_file(path)
    return configuration


def _check_contents(
    connection: sqlite3.Connection, path: Path, snapshot: SnapshotMeta, identity: Identity
) -> str:
    check_header(connection, path)
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedFile(f"{path}, the snapshot {snapshot.id}, is damaged: {verdict}")
    term, index, cluster_id, configuration = the_row(
        connection, path, "SELECT applied_term, applied_index, cluster_id, configuration FROM applied"
    )
    if (LogPosition(term, index), cluster_id) != (snapshot.last, identity.cluster_id):
        raise DamagedFile(
            f"{path}, the snapshot {snapshot.id}, stands for entry {index} of term {term} of the cluster {cluster_id}"
        )
    text = str(configuration)
    try:
        if parse_configuration(text) == snapshot.configuration:
            return text
    except ValueError:
        pass
    raise DamagedFile(f"{path}, the snapshot {snapshot.id}, has another configuration: {text[:200]}")


def put_in_place(path: Path, target: Path) -> None:
    """Give a checked snapshot the name under which it will be opened, durably. Nobody may have that file open."""
    with translated_errors(path):
        path.replace(target)
        sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a queue's file or a snapshot's, and what SQLite left beside it. What cannot be removed stays."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):  # not there, or on Windows still open in a reader: the next start removes it
            path.with_name(path.name + suffix).unlink()


def sha256_of(path: Path) -> str:
    """Of the whole file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """Make a file's contents durable. Nobody else may have it open: closing it drops SQLite's locks."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
