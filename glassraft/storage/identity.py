"""Whose files these are: which cluster, which node, and the members that the cluster was made of.

config.json makes a new cluster and no more. What it said then is stored in each node's
files; a start that differs is refused here, because a quorum changed by hand loses what
was committed.
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassraft.errors import StorageError
from glassraft.raft.configuration import Address, Configuration, addresses_in, configuration_text

APPLICATION_ID = 0x676C7266  # "glrf", in the header of each file
FORMAT_VERSION = 1


class DamagedFile(StorageError):
    """The file is not a database, or its contents contradict each other."""


class WrongFile(StorageError):
    """The file is sound, but of another node, cluster, list of members or version."""


class DiskFailed(StorageError):
    """The disk refused to read or write: full, failing, or not permitted."""


class FileInUse(DiskFailed):
    """Another process has the file open: its node runs already."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`members` maps each node's id to its "host:port", as config.json has them for a new cluster.

    A file's own are empty where config.json has no say (any longer): where the node joined a cluster that
    was there, or the cluster has changed its members since. The configuration in the log counts then.
    """

    cluster_id: str
    cluster: str
    node_id: int
    members: Mapping[int, str]

    def members_text(self) -> str:
        """The members as canonical JSON, as the files store them."""
        return json.dumps({str(id): self.members[id] for id in sorted(self.members)}, separators=(",", ":"))

    def configuration_text(self) -> str:
        """The configuration that the cluster was made with, as its log's entries spell later ones."""
        addresses = {}
        for id, address in self.members.items():
            host, _, port = address.rpartition(":")
            addresses[id] = (host, int(port))
        return configuration_text(Configuration(tuple(sorted(addresses))), addresses, 0)

    def check(self, stored: "Identity", path: Path) -> None:
        """Compare what config.json says with what the file says; `self.cluster_id` may be "" for any.

        Raises WrongFile with what differs and what to do.
        """
        if stored.node_id != self.node_id:
            raise WrongFile(
                f"{path} belongs to n{stored.node_id}, not to n{self.node_id}: give each node its own files"
            )
        if stored.cluster != self.cluster:
            raise WrongFile(
                f'{path} belongs to the cluster "{stored.cluster}", and config.json describes "{self.cluster}": '
                "use that cluster's config.json, another data folder, or --fresh to begin anew without its data"
            )
        if stored.members and dict(stored.members) != dict(self.members):
            raise WrongFile(
                f"{path} was made for {describe_members(stored.members)}, and now "
                f"{describe_members(self.members)} are configured: a quorum changed by hand loses what was committed. "
                "Start with the old list, and change the members with python cluster.py add and remove; or start "
                "with --fresh to begin anew without its data"
            )
        if self.cluster_id and stored.cluster_id != self.cluster_id:
            raise WrongFile(
                f"{path} belongs to another cluster of the same name (id {stored.cluster_id}, not {self.cluster_id}): "
                "use its own data folder, or --fresh to begin anew without its data"
            )


def describe_members(members: Mapping[int, str]) -> str:
    """The members in a few words, for a message."""
    return f"{len(members)} nodes (" + ", ".join(f"n{id} at {members[id]}" for id in sorted(members)) + ")"


def members_from_text(text: str) -> dict[int, str]:
    """The inverse of Identity.members_text."""
    return {int(id): str(address) for id, address in json.loads(text).items()}


def read_identity(raft_file: Path) -> Identity | None:
    """Whose this raft file is; None where there is no such file.

    Raises StorageError when it cannot be read, and FileInUse while its node has it open.
    """
    if not raft_file.exists():
        return None
    with closing(connect(raft_file)) as connection, translated_errors(raft_file):
        check_header(connection, raft_file)
        return load_identity(connection, raft_file)


def load_identity(connection: sqlite3.Connection, path: Path) -> Identity:
    """The identity that an open raft file holds."""
    row = the_row(connection, path, "SELECT cluster_id, cluster, node_id, members FROM identity")
    (newest,) = the_row(connection, path, "SELECT max(idx) FROM membership")
    return Identity(row[0], row[1], row[2], {} if newest else members_from_text(row[3]))


def read_newest_members(raft_file: Path) -> tuple[int, dict[int, Address]]:
    """The members of the newest configuration that a node's file holds, and the index of its entry.

    Raises StorageError when it cannot be read, and FileInUse while its node has it open.
    """
    with closing(connect(raft_file)) as connection, translated_errors(raft_file):
        check_header(connection, raft_file)
        query = "SELECT idx, configuration FROM membership ORDER BY idx DESC LIMIT 1"
        index, text = the_row(connection, raft_file, query)
    return index, addresses_in(text)


def the_row(connection: sqlite3.Connection, path: Path, query: str) -> tuple[Any, ...]:
    """The one row that a table must have. Raises DamagedFile where it has none."""
    row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    if row is None:
        raise DamagedFile(f"{path} is damaged ({query} finds nothing): {WHAT_TO_DO_WITH_DAMAGE}")
    return row


def connect(path: Path) -> sqlite3.Connection:
    """A connection without Python's own transactions, usable from whichever thread drives."""
    with translated_errors(path):
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)


def check_header(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not ours, or that a newer Glassraft wrote."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise WrongFile(f"{path} is not a Glassraft file: move it away, or use another data folder")
    if version > FORMAT_VERSION:
        raise WrongFile(
            f"{path} was written by a newer Glassraft (format {version}, this one reads {FORMAT_VERSION}): "
            "start it with that version"
        )


def stamp_header(connection: sqlite3.Connection) -> None:
    """Mark a new file as ours, in the format of this version."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def check_soundness(connection: sqlite3.Connection, path: Path) -> None:
    """SQLite's own quick check of a file's structure."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        in_one_line = " ".join(verdict.split())
        raise DamagedFile(f"{path} is damaged ({in_one_line}): {WHAT_TO_DO_WITH_DAMAGE}")


WHAT_TO_DO_WITH_DAMAGE = (
    "keep a copy, then replace this server by a new one, or restore both of its files from one moment's copy"
)


class translated_errors:
    """Turn sqlite3's errors into StorageErrors that name the file and say what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise self._disk_failed(error.strerror or str(error)) from error
        if not isinstance(error, sqlite3.Error):
            return
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            return  # not SQLite's, but Python's complaint about how it was called: a bug
        if code & PRIMARY_CODE in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise FileInUse(f"{self.path} is in use by another process: stop that node first") from error
        if code & PRIMARY_CODE in DISK_REFUSES:
            raise self._disk_failed(str(error)) from error
        raise DamagedFile(f"{self.path} is damaged ({error}): {WHAT_TO_DO_WITH_DAMAGE}") from error

    def _disk_failed(self, text: str) -> DiskFailed:
        return DiskFailed(
            f"{self.path}: {text}: check the disk's space and permissions, then start the node again"
        )


PRIMARY_CODE = 0xFF
"""SQLite's extended error codes carry the primary one in their lowest byte."""

DISK_REFUSES = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)
"""What says nothing against the file. Everything else, a missing table for one, is damage."""
