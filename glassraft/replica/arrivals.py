"""What can arrive at a node, and how whoever brought it gets its answer.

Anybody's thread puts arrivals into the driver's inbox; the turn steps them. A `Ticket` is
where a client's thread waits; a simulator passes an object with the same `settle`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from glassraft.jobqueue.machine import Outcome
from glassraft.raft.configuration import Address
from glassraft.raft.messages import LogPosition, Message, SnapshotMeta

if TYPE_CHECKING:
    from glassraft.replica.turn import Replica


class Applied(NamedTuple):
    """The command was committed at this index, and this came of it."""

    index: int  # type: ignore[assignment]  # as in LogPosition
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Unserved:
    """It was not served. `why`:

    not_leader      another node leads; nothing was done
    full            too many commands wait for a majority; nothing was done
    deposed         this node lost its leadership while the command was under way: its fate is unknown
                    (and what raft.ready.Refused lists of changes of membership)
    no_quorum       no majority answered in time: the command's fate is unknown
    shutting_down   the node stops; the fate of what was under way is unknown

    transferring    this leader hands its place over; nothing was done
    transfer_under_way, not_voter, no_target, transfer_failed
                    a transfer did not happen (raft.ready.Refused says more)
    """

    why: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A read may be answered from what is applied now, up to this index."""

    index: int


@dataclass(frozen=True, slots=True)
class NothingReady:
    """A Take waited as long as it wanted, and there was no job."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A transfer is over: who leads now, in which term."""

    leader_id: int
    term: int


Result = Applied | Unserved | Confirmed | NothingReady | HandedOver


class Settles(Protocol):
    """Somebody waits for a result."""

    def settle(self, result: Result) -> None:
        """Called once, from within the turn; must not block."""


class Ticket:
    """Where one thread waits for one result."""

    __slots__ = ("_lock", "result")

    def __init__(self) -> None:
        self.result: Result | None = None
        self._lock = Lock()
        self._lock.acquire()

    def settle(self, result: Result) -> None:
        """Let the waiting thread go on with this result."""
        if self.result is None:
            self.result = result
            self._lock.release()

    def wait(self, timeout_s: float) -> Result | None:
        """The result; None when there is none after `timeout_s` seconds."""
        self._lock.acquire(timeout=timeout_s)
        return self.result


class Origin(NamedTuple):
    """Where and when a message was sent: its id, the sender's Lamport and wall clock, and the sender's queue.

    `applied` and `digest` say what the sender's queue was like; 0 and "" where it said nothing.
    """

    id: str
    clock: int
    wall_ms: int
    applied: int = 0
    digest: str = ""


class MessageArrived(NamedTuple):
    """A peer's message. A request has `respond`, to which the network hands the one reply."""

    message: Message
    origin: Origin
    respond: Callable[[Message, Origin], None] | None = None


class MessageLost(NamedTuple):
    """The network gave up on a message of this node's, and why."""

    message: Message
    id: str
    why: str


class CommandArrived(NamedTuple):
    """A client's command, checked: the turn stamps it and proposes it."""

    op: str
    arguments: str
    ticket: Settles
    session: str = ""
    number: int = 0
    low: int = 0


@dataclass(slots=True)
class TakeArrived:
    """A worker asks for jobs, and waits for them until `until` (monotonic seconds)."""

    command: CommandArrived
    queues: tuple[str, ...]
    count: int
    until: float
    is_alive: Callable[[], bool] = field(default=lambda: True)


class ReadArrived(NamedTuple):
    """A client wants to read what is committed now."""

    ticket: Settles


@dataclass(frozen=True, slots=True)
class QueueSynced:
    """The queue's file holds, durably, what came of all entries up to this index."""

    index: int


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A snapshot of the queue was made: its last entry, its size in bytes and its SHA-256."""

    last: LogPosition
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SnapshotUnmade:
    """There was no room for a snapshot."""


@dataclass(frozen=True, slots=True)
class SnapshotChecked:
    """A received snapshot is whole, sound and on disk."""

    snapshot: SnapshotMeta


@dataclass(frozen=True, slots=True)
class SnapshotUnsound:
    """A received snapshot is not what its leader said."""

    snapshot: SnapshotMeta


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """What was done beside the turns could not be: the node ends with this error."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class ChangeArrived:
    """An operator adds a server, which is served at `address`, or removes one."""

    change: Literal["add", "remove"]
    server: int
    ticket: Settles
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class TransferArrived:
    """Another node should lead: the `target`, or any."""

    ticket: Settles
    target: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody wants to see the node between two turns. `see` must be quick, and must not change it."""

    see: Callable[["Replica"], Any]


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A deadline came."""


@dataclass(frozen=True, slots=True)
class ShutDown:
    """The node stops: whoever waits is told."""


Arrival = (
    MessageArrived
    | MessageLost
    | CommandArrived
    | TakeArrived
    | ReadArrived
    | QueueSynced
    | SnapshotTaken
    | SnapshotUnmade
    | SnapshotChecked
    | SnapshotUnsound
    | WorkFailed
    | ChangeArrived
    | TransferArrived
    | Look
    | TimePassed
    | ShutDown
)
