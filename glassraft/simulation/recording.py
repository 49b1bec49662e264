"""A node's recorder in a simulation: real event files, or nothing at all, which is much cheaper.

Either way the world is told what the server noted, and the run is the same. Next: node.py.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from glassraft.events.writer import EventWriter
from glassraft.jobqueue.machine import Outcome
from glassraft.raft.messages import Entry, Message
from glassraft.raft.ready import Note
from glassraft.replica.arrivals import Origin
from glassraft.replica.recorder import Recorder

FILE_BYTES = 64 * 1024 * 1024
"""Larger than any run's file, so that a recorded run is one file a node."""

TellNotes = Callable[[Sequence[Note]], None]


class SilentWriter(EventWriter):
    """An event log that nobody will read."""

    def __init__(self) -> None:
        self.dropped = 0

    @property
    def clock(self) -> int:
        """No Lamport clock is kept where there is nothing to order."""
        return 0

    @property
    def seq(self) -> int:
        """Nothing was written."""
        return 0

    def heard(self, clock: int) -> None: ...
    def write(self, event: str, term: int, /, why: str = "", **fields: object) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class WatchedRecorder(Recorder):
    """Records, and tells the world what the server noted."""

    def __init__(
        self, node: int, writer: EventWriter, term: Callable[[], int], life: str, tell: TellNotes
    ) -> None:
        super().__init__(node, writer, term, life)
        self._tell = tell

    def notes(self, notes: Iterable[Note]) -> None:
        """What the server noted since the last call."""
        noted = list(notes)
        super().notes(noted)
        self._tell(noted)


class SilentRecorder(WatchedRecorder):
    """Tells the world, and writes nothing."""

    def next_message_id(self) -> str:
        """Nobody will read it."""
        return ""

    def sent(self, message: Message, id: str) -> None: ...
    def received(self, message: Message, origin: Origin) -> None: ...
    def lost(self, message: Message, id: str, why: str) -> None: ...
    def applied(self, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None: ...
    def notes(self, notes: Iterable[Note]) -> None:
        """What the server noted since the last call."""
        self._tell(list(notes))


def event_writer(
    folder: Path | None,
    node: int,
    whole_state: Callable[[], dict[str, object]],
    now: Callable[[], float],
    mono: Callable[[], float],
) -> EventWriter:
    """The writer of node-N.jsonl in this folder, by the node's own clocks; a silent one without a folder."""
    if folder is None:
        return SilentWriter()
    return EventWriter(
        node,
        folder / f"node-{node}.jsonl",
        max_bytes=FILE_BYTES,
        keep=0,
        ring=1 << 16,
        whole_state=whole_state,
        now=now,
        mono=mono,
    )
