"""A node's two files in the test's own folder."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from glassraft.storage import node_files
from glassraft.storage.identity import Identity
from glassraft.storage.node_files import NodeFiles
from glassraft.storage.raft_store import RaftStore
from tests.storage.samples import IDENTITY


class Place:
    """Where one node keeps its files. What was opened through it is closed after the test."""

    def __init__(self, folder: Path) -> None:
        self.raft = folder / "node-1.raft.db"
        self.queue = folder / "node-1.queue.db"
        self._opened: list[RaftStore | NodeFiles] = []

    def create(self, identity: Identity = IDENTITY) -> None:
        node_files.create(self.raft, self.queue, identity)

    def open(self, identity: Identity = IDENTITY) -> NodeFiles:
        files = node_files.open_files(self.raft, identity)
        self._opened.append(files)
        return files

    def open_raft(self, identity: Identity = IDENTITY) -> RaftStore:
        store = RaftStore(self.raft, identity)
        self._opened.append(store)
        return store

    def close(self) -> None:
        for opened in self._opened:
            with suppress(sqlite3.ProgrammingError):  # the test has closed it
                opened.close()


@pytest.fixture(autouse=True)
def short_wal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a file writes its write-ahead log to full length, 16 MiB: not in every test."""
    if "full_length_wal" not in request.fixturenames:
        monkeypatch.setattr(RaftStore, "_lengthen_wal", lambda store: None)


@pytest.fixture
def full_length_wal() -> None:
    """For a test that wants it as it is."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty folder for a node's files."""
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def made(place: Place) -> Place:
    """The same with a new node's files in it."""
    place.create()
    return place
