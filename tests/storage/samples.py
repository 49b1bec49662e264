"""What the storage's tests write: an identity, and entries whose commands the queue's machine can apply."""

from collections.abc import Sequence
from dataclasses import replace

from glassraft.jobqueue import commands
from glassraft.raft.messages import Entry, LogPosition
from glassraft.storage.identity import Identity
from glassraft.storage.raft_store import RaftStore

IDENTITY = Identity("c0ffee", "test", 1, {1: "127.0.0.1:7401", 2: "127.0.0.1:7402", 3: "127.0.0.1:7403"})
START_MS = 1_700_000_000_000


def but(**changes: object) -> Identity:
    """The identity with something else in it."""
    return replace(IDENTITY, **changes)  # type: ignore[arg-type]


def submission(index: int, term: int = 1, text: str = "x") -> Entry:
    """An entry that submits one job."""
    arguments = commands.check_submit([{"task": "nothing", "args": [index, text]}])
    return Entry(index, term, "command", commands.envelope("Submit", arguments, START_MS + index))


def submissions(first: int, last: int, term: int = 1, text: str = "x") -> list[Entry]:
    """Entries first..last, both included."""
    return [submission(index, term, text) for index in range(first, last + 1)]


def take(index: int, count: int = 1, term: int = 1) -> Entry:
    """An entry that leases jobs."""
    arguments = commands.check_take("w1", ["default"], count, 30_000)
    return Entry(index, term, "command", commands.envelope("Take", arguments, START_MS + index))


def save(store: RaftStore, entries: Sequence[Entry], truncate_from: int | None = None) -> None:
    """Save entries alone."""
    store.save(None, truncate_from, entries)


def end(store: RaftStore) -> LogPosition:
    """Where the stored log ends."""
    return store.load_log().last
