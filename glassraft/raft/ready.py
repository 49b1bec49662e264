"""What may happen to a server, and what it wants done: the vocabulary of `Server`.

    server.step(event, now)   a message arrived | time has come | a client proposes | the disk holds up to N
    ready = server.ready()    what must happen next, for everything stepped since the last call

Only data lives here. Next: server.py, which takes the one and hands out the other.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from glassraft.raft.messages import Entry, LogPosition, Message, SnapshotMeta

Role = Literal["follower", "candidate", "leader"]


class HardState(NamedTuple):
    """Figure 2's persistent state, less the log: on disk before anything that depends on it is said."""

    term: int = 0
    voted_for: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may tune. Times in seconds, sizes in bytes of commands."""

    heartbeat_s: float = 0.1
    election_shortest_s: float = 0.6
    election_longest_s: float = 1.2
    batch_entries: int = 512
    batch_bytes: int = 1024 * 1024
    uncommitted_entries: int = 10_000
    """A leader that cannot commit refuses proposals once so many wait."""
    pre_vote: bool = True
    """Ask whether an election could be won before it begins (diss. §9.6)."""
    check_quorum: bool = True
    """A leader that no majority answers steps down, and voters stand by one that they hear (diss. §6.2)."""
    kept_entries: int = 10_000
    """So many of the newest entries stay in the log when it is compacted (§7)."""
    kept_for_snapshot: int = 200_000
    """So many at most while a follower gets a snapshot, which must find what follows it when it has it."""
    compact_entries: int = 1_000
    """How many entries go from the log at a time."""
    chunk_bytes: int = 256 * 1024
    """So much of a snapshot goes in one message: far below what a slow link moves in an election timeout."""
    snapshot_again_s: float = 10.0
    """After so long a snapshot that could not be made is tried again, and one that may be damaged made anew."""
    silent_given_up_s: float = 60.0
    """What a follower needs after its snapshot is kept in the log no longer than this once it has gone silent."""
    lease_reads: bool = False
    """A leader answers reads without asking while voters must stand by it (diss. §6.4.1). It trusts that no
    clock runs faster than another by more than `rules.CLOCK_DRIFT`; all servers must have it alike."""

    def __post_init__(self) -> None:
        if self.lease_reads and not self.check_quorum:
            raise ValueError(
                "lease_reads needs check_quorum: a lease is the time that voters stand by their leader"
            )


# What can happen to a server, besides a Message.


@dataclass(frozen=True, slots=True)
class TimeIs:
    """The clock has moved: timers that are due go off."""


class Propose(NamedTuple):
    """A client's command for the log. The ticket comes back in Ready.placed or Ready.refused."""

    ticket: Any
    command: str


class Read(NamedTuple):
    """A linearizable read is asked for. The ticket comes back in Ready.reads or Ready.refused."""

    ticket: Any


@dataclass(frozen=True, slots=True)
class ChangeMembership:
    """An operator adds or removes a server (diss. §4).

    The ticket comes back in Ready.placed with the entry by whose commit it is done: for "add" that
    is the one that makes the server a voter, once it has caught up. Or it comes back in Ready.refused.
    """

    ticket: Any
    change: Literal["add", "remove"]
    server: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Another server should lead: `target`, or any. The ticket comes back in Ready.transferred or Ready.refused."""

    ticket: Any
    target: int | None = None


class Persisted(NamedTuple):
    """The disk holds this hard state, and the log up to this position."""

    hard_state: HardState
    last_log: LogPosition


@dataclass(frozen=True, slots=True)
class StateMachineSynced:
    """The state machine's disk holds what came of all entries up to this one."""

    index: int


@dataclass(frozen=True, slots=True)
class SnapshotMade:
    """The snapshot that Ready.snapshot_wanted asked for is there, of what was applied then or later."""

    snapshot: SnapshotMeta


@dataclass(frozen=True, slots=True)
class SnapshotFailed:
    """The snapshot that Ready.snapshot_wanted asked for could not be made."""


@dataclass(frozen=True, slots=True)
class SnapshotVerified:
    """A received snapshot is whole, sound and on disk."""

    snapshot: SnapshotMeta


@dataclass(frozen=True, slots=True)
class SnapshotDamaged:
    """A received snapshot is not what it should be, and is forgotten."""

    snapshot: SnapshotMeta


class Undelivered(NamedTuple):
    """The transport could not deliver the AppendEntries or InstallSnapshot of this round to this peer."""

    peer: int
    round: int


Event = (
    Message
    | TimeIs
    | Propose
    | Read
    | ChangeMembership
    | Transfer
    | Persisted
    | StateMachineSynced
    | SnapshotMade
    | SnapshotFailed
    | SnapshotVerified
    | SnapshotDamaged
    | Undelivered
)


class Note(NamedTuple):
    """Something happened, and the rule that decided: the raw material of the structured log."""

    event: str
    why: str
    fields: dict[str, Any]
    term: int


class Placed(NamedTuple):
    """A proposal has its place in the leader's log. It is committed only if this entry is."""

    ticket: Any
    index: int  # type: ignore[assignment]  # as in LogPosition
    term: int


class Refused(NamedTuple):
    """What this server cannot serve. `why`:

    not_leader           nothing was done
    full                 too many proposals wait for a majority; nothing was done
    term_not_committed   a leader changes no membership before it has committed an entry of its term
    change_under_way     the change of membership before this one is not committed
    already_member       the server to be added is a voter
    not_member           the server to be removed is none
    last_voter           without the server to be removed, nobody could elect or commit
    not_caught_up        the server to be added gets entries too slowly: it stays a learner
    removed              the server to be added was removed before it had caught up
    deposed              the leadership ended before the server to be added had caught up; it may stay a learner
    transferring         this leader is handing over: ask again in a moment
    transfer_under_way   a transfer, while another is
    not_voter            a transfer to a server that has no vote
    no_target            a transfer to anybody, while no other voter answers
    transfer_failed      nobody else led within an election timeout
    """

    ticket: Any
    why: str


class Chunk(NamedTuple):
    """A piece of a snapshot that was received: the bytes from `offset` on."""

    snapshot: SnapshotMeta
    offset: int
    data: bytes


class Installation(NamedTuple):
    """A snapshot takes the place of the log up to its last entry; `keeps_log`: what follows is kept (§7)."""

    snapshot: SnapshotMeta
    keeps_log: bool


@dataclass(frozen=True, slots=True)
class Transferred:
    """A transfer is over: who leads, and in which term."""

    ticket: Any
    leader_id: int
    term: int


@dataclass(slots=True)
class Ready:
    """What must happen next, in this order.

    1. `messages_now` may be sent at once: a leader's AppendEntries, and only when there is no
       new hard state (diss. §10.2.1: a leader writes its disk while its followers write theirs).
    2. `hard_state`, `truncate_from` and `entries` become durable, together; with them `install`, a
       verified snapshot, which is the state machine from then on. Then `chunks` are written, since
       those that come beside an `install` are of a later snapshot.
    3. `messages_after` may be sent: each depends on 2.
    4. `committed` entries are applied, in order; then `reads` may be answered.
    5. Entries up to `compact_to` may go from the disk, since they are gone from the log (§7).
    6. The rest takes its own time, and what comes of it is stepped: with `sync_wanted` the state
       machine's file is synced, with `snapshot_wanted` a snapshot is made, and `check` is verified.
       With `drop_snapshot`, the one that was made is not needed any longer.
    """

    messages_now: list[Message] = field(default_factory=list)
    hard_state: HardState | None = None
    truncate_from: int | None = None
    entries: tuple[Entry, ...] = ()
    messages_after: list[Message] = field(default_factory=list)
    committed: tuple[Entry, ...] = ()
    placed: list[Placed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    reads: list[Any] = field(default_factory=list)
    members_changed: bool = False
    """Other servers are spoken to from now on: before anything else, the network must know them."""
    compact_to: LogPosition | None = None
    sync_wanted: bool = False
    snapshot_wanted: bool = False
    drop_snapshot: bool = False
    chunks: list[Chunk] = field(default_factory=list)
    check: SnapshotMeta | None = None
    install: Installation | None = None
    transferred: list[Transferred] = field(default_factory=list)

    @property
    def must_persist(self) -> bool:
        """Whether the disk has anything to do."""
        return (
            self.hard_state is not None
            or self.truncate_from is not None
            or bool(self.entries)
            or self.install is not None
        )

    @property
    def leads_on(self) -> bool:
        """Whether the next Ready may ask for more, of what was persisted or applied for this one."""
        return self.must_persist or bool(self.committed)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do at all."""
        return not (
            self.must_persist
            or self.messages_now
            or self.messages_after
            or self.committed
            or self.placed
            or self.refused
            or self.reads
            or self.members_changed
            or self.compact_to
            or self.sync_wanted
            or self.snapshot_wanted
            or self.drop_snapshot
            or self.chunks
            or self.check
            or self.transferred
        )


@dataclass(slots=True)
class SnapshotTransfer:
    """A snapshot on its way to one follower."""

    snapshot: SnapshotMeta | None = None
    """None until there is one."""
    offset: int = 0
    """What the follower wants next."""
    round_under_way: int | None = None
    """The round of the chunk that waits for its answer; at most one at a time."""
    sent_at: float = 0.0
    may_send: bool = False
    """The follower was heard, and wants more."""


@dataclass(slots=True)
class Progress:
    """What a leader knows of one follower's log (Figure 2: nextIndex and matchIndex)."""

    next_index: int
    match_index: int = 0
    round_under_way: int | None = None
    """The round of the AppendEntries that waits for its answer; at most one at a time."""
    sent_at: float = 0.0
    must_send: bool = True
    """A heartbeat is due, or a read needs one."""
    waits_for_heartbeat: bool = False
    """The last one could not be delivered: try again with the next heartbeat, not at once."""
    heard_at: float = 0.0
    """When this follower last answered (monotonic seconds)."""
    transfer: SnapshotTransfer | None = None
    """Its next entry is gone from the log: it gets a snapshot (§7)."""
    needs_after: int | None = None
    """It has got a snapshot: what follows stays in the log until it has caught up."""
    unanswered: deque[tuple[int, float]] = field(default_factory=deque)
    """Rounds without an answer, and when each was sent; kept for leases alone."""
    stands_by_since: float = float("-inf")
    """From then on this follower wants no other leader, for the shortest election timeout."""


@dataclass(slots=True)
class PreVote:
    """What a follower has heard when it asked whether it could win an election (diss. §9.6)."""

    term: int
    """The one that it would stand in."""
    round: int
    votes: dict[int, bool] = field(default_factory=dict)


NEVER_STARTED = HardState()
DEFAULT_SETTINGS = Settings()
