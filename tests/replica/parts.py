"""What a Replica is given, as fakes that record the order of effects and can be made to fail between any two.

Time stands still unless a test moves it. Next: world.py, several replicas on real files.
"""

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from glassraft.events.writer import EventWriter
from glassraft.jobqueue import commands, schema
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.jobqueue.reader import QueueReader
from glassraft.raft.configuration import configuration_text
from glassraft.raft.log import Log
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    LogPosition,
    Message,
    RequestVoteReply,
    SnapshotMeta,
)
from glassraft.raft.ready import NEVER_STARTED, Chunk, HardState, Installation, Persisted, Settings
from glassraft.raft.server import Server
from glassraft.replica.arrivals import (
    Arrival,
    CommandArrived,
    MessageArrived,
    Origin,
    Result,
    TakeArrived,
)
from glassraft.replica.cluster_clock import ClusterClock
from glassraft.replica.finished import FinishedJobs
from glassraft.replica.recorder import Recorder
from glassraft.replica.state import event_state
from glassraft.replica.turn import Replica, turn

WALL_MS = 1_700_000_000_000
SETTINGS = Settings(
    heartbeat_s=0.1, election_shortest_s=0.6, election_longest_s=1.2, pre_vote=False, check_quorum=False
)
"""Elections as the paper prints them: a test that plays the peers need not answer pre-votes and heartbeats."""


class Cut(BaseException):
    """The process is gone, between two effects."""


class Effects(list[str]):
    """What was done, in order. `before` is called before each; it may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], None] = lambda effect: None

    def do(self, effect: str) -> None:
        """An effect happens now."""
        self.before(effect)
        self.append(effect)


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now: float = 100.0, wall_ms: int = WALL_MS) -> None:
        self.now = now
        self._wall_ms = wall_ms - now * 1000

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self._wall_ms + self.now * 1000)


class RealClock(FakeClock):
    """The machine's own."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class MemoryDisk:
    """Term, vote and log, durable when save() has returned."""

    def __init__(self, effects: Effects, hard_state: HardState, entries: Sequence[Entry]) -> None:
        self.effects = effects
        self.hard_state = hard_state
        self.entries = list(entries)

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        self.effects.do(f"save {hard_state and tuple(hard_state)} {[entry.index for entry in entries]}")
        if hard_state is not None:
            self.hard_state = hard_state
        if truncate_from is not None:
            del self.entries[truncate_from - 1 :]
        assert [entry.index for entry in entries] == list(
            range(len(self.entries) + 1, len(self.entries) + len(entries) + 1)
        )
        self.entries += entries

    def persisted(self, last_log: LogPosition) -> Persisted:
        return Persisted(self.hard_state, last_log)

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        self.effects.do(f"install {queue_file} {hard_state and tuple(hard_state)}")
        if hard_state is not None:
            self.hard_state = hard_state

    def compact(self, base: LogPosition) -> None:
        self.effects.do(f"compact {base.index}")

    def log(self) -> Log:
        return Log(terms=runs(self.entries), tail=self.entries)


class MemoryQueue:
    """The queue in memory. `committed_index` is what readers can see."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        schema.create(self.connection)
        self.machine = Machine(self.connection)
        self.committed_index = 0
        self._committed = self.connection.serialize()

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        self.effects.do(f"apply {entries[0].index}..{entries[-1].index}")
        return [self.machine.apply(entry.index, entry.term, entry.kind, entry.command) for entry in entries]

    def commit(self) -> None:
        self.effects.do(f"commit {self.machine.applied_index}")
        self.machine.flush()
        self.committed_index = self.machine.applied_index
        self._committed = self.connection.serialize()

    def go_on_from(self, file: str) -> None:
        self.effects.do(f"go on from {file}")

    def own_reader(self) -> QueueReader:
        self.machine.drain()
        return QueueReader(self.connection)

    @contextmanager
    def reading(self) -> Iterator[QueueReader]:
        """For any thread: a connection of its own to what was committed."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.deserialize(self._committed)
            yield QueueReader(connection)


class RecordingSnapshots:
    """Does nothing by itself; the test brings what comes of it."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects

    def sync(self, index: int) -> None:
        self.effects.do(f"sync {index}")

    def make(self) -> None:
        self.effects.do("make snapshot")

    def drop(self) -> None:
        self.effects.do("drop snapshot")

    def write(self, chunk: Chunk) -> None:
        self.effects.do(f"write {chunk.offset}..{chunk.offset + len(chunk.data)}")

    def check(self, snapshot: SnapshotMeta) -> None:
        self.effects.do(f"check {snapshot.id}")

    def put_in_place(self, snapshot: SnapshotMeta) -> tuple[str, str]:
        self.effects.do(f"put in place {snapshot.id}")
        return f"{snapshot.id}.db", configuration_text(snapshot.configuration, {}, 0)

    def remove_left(self) -> None:
        self.effects.do("remove left")


class RecordingNetwork:
    """Keeps what is sent."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.sent: list[tuple[Message, Origin]] = []

    def expect_reply(self, arrived: MessageArrived) -> None: ...

    def send(self, message: Message, origin: Origin) -> None:
        self.effects.do(f"send {describe(message)}")
        self.sent.append((message, origin))

    def take(self, kind: type, receiver: int = 0) -> list[Any]:
        """The messages of one kind sent to this peer, or to any, and not taken before."""

        def wanted(message: Message) -> bool:
            return isinstance(message, kind) and receiver in (0, message.receiver)

        found = [message for message, _ in self.sent if wanted(message)]
        self.sent = [(message, origin) for message, origin in self.sent if not wanted(message)]
        return found


class Waiter:
    """A ticket that remembers its result, and that it came once."""

    def __init__(self, effects: Effects | None = None, name: str = "answer") -> None:
        self.effects = effects
        self.name = name
        self.result: Result | None = None

    def settle(self, result: Result) -> None:
        assert self.result is None, f"settled twice: {self.result} and {result}"
        if self.effects is not None:
            self.effects.do(self.name)
        self.result = result


@dataclass
class Bench:
    """One replica among fakes. `size` members; the others are played by the test."""

    size: int = 3
    id: int = 1
    hard_state: HardState = NEVER_STARTED
    entries: Sequence[Entry] = ()
    effects: Effects = field(default_factory=Effects)
    clock: FakeClock = field(default_factory=FakeClock)
    settings: Settings = SETTINGS

    def __post_init__(self) -> None:
        self.disk = MemoryDisk(self.effects, self.hard_state, self.entries)
        self.queue = MemoryQueue(self.effects)
        self.snapshots = RecordingSnapshots(self.effects)
        self.network = RecordingNetwork(self.effects)
        self.finished = FinishedJobs()
        members = tuple(range(1, self.size + 1))
        self.writer = EventWriter(
            self.id,
            None,
            max_bytes=1 << 30,
            keep=0,
            ring=4096,
            whole_state=lambda: event_state(self.replica),
        )
        self.replica = Replica(
            make_server=lambda opening: Server(
                self.id,
                members,
                random=Random(self.id),
                now=self.clock.now,
                hard_state=self.disk.hard_state,
                log=self.disk.log(),
                settings=self.settings,
                opening=opening,
            ),
            disk=self.disk,
            queue=self.queue,
            network=self.network,
            clock=self.clock,
            cluster_clock=ClusterClock(self.id, members, 1.5),
            make_recorder=lambda replica: Recorder(self.id, self.writer, lambda: replica.server.current_term),
            watchers=self.finished,
            snapshots=self.snapshots,
        )
        self._ids = itertools.count(1)

    @property
    def server(self) -> Server:
        return self.replica.server

    def turn(self, *arrivals: Arrival) -> bool:
        """One turn. What it did is in `effects`."""
        return turn(self.replica, arrivals)

    def did(self, *arrivals: Arrival) -> list[str]:
        """One turn, and what it did."""
        self.effects.clear()
        self.turn(*arrivals)
        return list(self.effects)

    def arrives(self, message: Message) -> MessageArrived:
        """A message from another node, whose clocks are right."""
        return MessageArrived(
            message, Origin(f"n{message.sender}-{next(self._ids)}", 1, self.clock.wall_ms())
        )

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def become_leader(self) -> None:
        """Elected by n2, and its empty entry committed."""
        self.clock.now = max(self.clock.now, self.server.next_deadline)
        self.turn()
        for voter in range(2, self.size // 2 + 2):
            self.turn(self.arrives(RequestVoteReply(voter, self.id, self.server.current_term, True)))
        assert self.server.role == "leader"
        self.acknowledge()

    def acknowledge(self, *peers: int) -> None:
        """These peers (all unless given) take what was sent to them, until there is nothing more."""
        wanted = peers or self.server.peers
        while requests := [request for peer in wanted for request in self.network.take(AppendEntries, peer)]:
            self.turn(*(self.arrives(accepted(request)) for request in requests))

    def command(self, name: str = "answer", **job: Any) -> tuple[CommandArrived, Waiter]:
        """A submission, and where its answer comes."""
        waiter = Waiter(self.effects, name)
        arguments = commands.check_submit([{"task": "nothing", **job}])
        return CommandArrived("Submit", arguments, waiter), waiter

    def submit(self, **job: Any) -> Waiter:
        """A job is submitted and committed."""
        arrival, waiter = self.command(**job)
        self.turn(arrival)
        self.acknowledge()
        return waiter

    def take(
        self,
        name: str = "take",
        *,
        wait_s: float = 10.0,
        count: int = 1,
        queue: str = "default",
        **other: Any,
    ) -> tuple[TakeArrived, Waiter]:
        """A worker that asks for jobs. `other`: session, number, low; is_alive."""
        waiter = Waiter(self.effects, name)
        is_alive = other.pop("is_alive", lambda: True)
        arguments = commands.check_take(name, [queue], count, 30_000)
        command = CommandArrived("Take", arguments, waiter, **other)
        return TakeArrived(command, (queue,), count, self.clock.now + wait_s, is_alive), waiter


def accepted(request: AppendEntries) -> AppendEntriesReply:
    """What a follower answers that took everything."""
    return AppendEntriesReply(
        request.receiver,
        request.sender,
        request.term,
        True,
        request.round,
        request.prev_log.index + len(request.entries),
    )


def describe(message: Message) -> str:
    """A message in a few words."""
    kind = type(message).__name__
    if isinstance(message, AppendEntries):
        return f"{kind} n{message.receiver} {[entry.index for entry in message.entries]}"
    return f"{kind} n{message.receiver}"


def runs(entries: Sequence[Entry]) -> list[tuple[int, int]]:
    """(term, first index) of each run."""
    found: list[tuple[int, int]] = []
    for entry in entries:
        if not found or found[-1][0] != entry.term:
            found.append((entry.term, entry.index))
    return found


def opening(index: int, term: int, stamp_ms: int = WALL_MS) -> Entry:
    """The empty entry of a term."""
    return Entry(index, term, "noop", commands.opening(stamp_ms))


def submission(index: int, term: int, stamp_ms: int = WALL_MS, **job: Any) -> Entry:
    """An entry that submits a job."""
    arguments = commands.check_submit([{"task": "nothing", **job}])
    return Entry(index, term, "command", commands.envelope("Submit", arguments, stamp_ms))


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for what another thread does, looking often."""
    done = threading.Event()
    for _ in range(int(timeout_s / 0.002)):
        if condition():
            return
        done.wait(0.002)
    raise AssertionError("it did not happen")
