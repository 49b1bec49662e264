"""Compaction and snapshots in simulated nodes: none, because simulated runs keep their whole log.

The settings' kept tail is longer than any run's log, so nothing of this is ever asked for.
"""

from collections.abc import Sequence
from typing import NoReturn

from glassraft.raft.messages import Entry, LogPosition, SnapshotMeta
from glassraft.raft.ready import Chunk, HardState, Installation


def _never() -> NoReturn:
    raise AssertionError("a simulated node compacts nothing")


class WholeLog:
    """What a turn asks of its disk, its queue and its snapshots when a log is compacted."""

    def compact(self, base: LogPosition) -> None:
        """Of the disk."""
        _never()

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        """Of the disk."""
        _never()

    def go_on_from(self, file: str) -> None:
        """Of the queue."""
        _never()

    def sync(self, index: int) -> None:
        """Of the snapshots, like all that follows."""
        _never()

    def make(self) -> None:
        """Of what is applied."""
        _never()

    def drop(self) -> None:
        """The one that was made."""
        _never()

    def write(self, chunk: Chunk) -> None:
        """Of one that is received."""
        _never()

    def check(self, snapshot: SnapshotMeta) -> None:
        """All of it."""
        _never()

    def put_in_place(self, snapshot: SnapshotMeta) -> tuple[str, str]:
        """Once it is checked."""
        _never()

    def remove_left(self) -> None:
        """What it took the place of."""
        _never()
