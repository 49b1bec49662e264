"""Making a new database file so that it is there whole or not at all.

A process that is killed while it makes its files must be able to make them again. So a file
gets its name only when all of it is on disk. Next: node_files.py, which files a node has.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from glassraft.storage.identity import connect, stamp_header, translated_errors


@contextmanager
def new_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Fill a new file in one transaction; then it is synced together with its name.

    What an older file of that name left beside it is removed first: SQLite would read an old
    -wal into the new file. Raises DiskFailed.
    """
    unfinished = path.with_name(path.name + ".new")
    with translated_errors(path):
        for leftover in path.parent.glob(path.name + "*"):
            leftover.unlink()
        with closing(connect(unfinished)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN")
            yield connection
            stamp_header(connection)
            connection.execute("COMMIT")
        unfinished.replace(path)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a new file's name durable too. Windows has no such call, and its file systems journal names."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
