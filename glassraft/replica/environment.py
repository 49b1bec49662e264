"""What a turn is given: its disk, its queue, its network, its clock, and those who watch.

A real node has them from storage/ and from the modules beside this one, a simulated one from
simulation/. Only what the turn calls stands here. Next: turn.py, which calls it.
"""

from collections.abc import Sequence
from threading import Event
from typing import Protocol

from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.raft.messages import Entry, LogPosition, Message, SnapshotMeta
from glassraft.raft.ready import Chunk, HardState, Installation, Persisted
from glassraft.replica.arrivals import MessageArrived, Origin


class Disk(Protocol):
    """What keeps term, vote and log: storage.RaftStore, or a simulated disk."""

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """Durable when it returns."""

    def persisted(self, last_log: LogPosition) -> Persisted:
        """What the server is told then."""

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        """save(), and a snapshot takes the log's place: all of it is durable when it returns, or nothing."""

    def compact(self, base: LogPosition) -> None:
        """The entries up to `base` are gone when it returns; the queue's file holds what came of them, durably."""


class Queue(Protocol):
    """What commands are applied to: storage.QueueStore, or a simulated one."""

    machine: Machine

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Apply in order; one outcome each. Readers see it after commit()."""

    def commit(self) -> None:
        """Let readers have what was applied. Nobody's answer waits for it to be durable: the log is."""

    def go_on_from(self, file: str) -> None:
        """Be an installed snapshot from now on: `machine` is another."""


class Snapshots(Protocol):
    """What takes its time with the queue's file, away from the turn: replica.SnapshotKeeper, or a simulated one."""

    def sync(self, index: int) -> None:
        """Make durable what the queue has committed, up to `index`; then QueueSynced arrives. Never blocks."""

    def make(self) -> None:
        """Make a snapshot of what the queue has committed; then SnapshotTaken or SnapshotUnmade arrives.

        Never blocks.
        """

    def drop(self) -> None:
        """The snapshot that was made is not needed any longer. Never blocks."""

    def write(self, chunk: Chunk) -> None:
        """Keep a piece of a snapshot that is being received."""

    def check(self, snapshot: SnapshotMeta) -> None:
        """All of it is there; then SnapshotChecked or SnapshotUnsound arrives. Never blocks."""

    def put_in_place(self, snapshot: SnapshotMeta) -> tuple[str, str]:
        """A checked snapshot gets its name as the queue's file, durably: that name, and its configuration's text."""

    def remove_left(self) -> None:
        """The queue's file before the installed one is not needed any longer. Never blocks."""


class Network(Protocol):
    """What carries messages: replica.PeerNetwork, or a simulated one."""

    def expect_reply(self, arrived: MessageArrived) -> None:
        """A request is about to be stepped; its reply will be handed to send()."""

    def send(self, message: Message, origin: Origin) -> None:
        """Take a message on its way. Never blocks; what cannot be delivered comes back as MessageLost."""


class Clock(Protocol):
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds, from anywhere, never back."""

    def wall_ms(self) -> int:
        """UTC in whole milliseconds, as this machine believes."""


class Watchers(Protocol):
    """Those who wait for jobs to finish: replica.FinishedJobs, or nobody."""

    def waiting_for(self, outcomes: Sequence[Outcome]) -> Sequence[Event]:
        """Whom to wake, because of what was applied, once readers can see it."""

    def look_again(self) -> None:
        """Wake everybody: a snapshot was installed, and nobody tells what was applied on the way there."""
