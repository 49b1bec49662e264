"""What servers say to each other: the paper's RPCs as frozen values (Figure 2).

They are named tuples, since some come thousands of times a second: a frozen dataclass takes over twice as long to make.
Only data lives here. A message knows its sender and receiver, because `Server` hands back
messages for several peers at once; ids, clocks and addresses belong to the transport.
Next: rules.py, the conditions; server.py, who sends these and when.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from glassraft.raft.configuration import Configuration

EntryKind = Literal["noop", "command", "configuration"]


class LogPosition(NamedTuple):
    """Where a log ends, or the entry before the new ones. (0, 0) is the empty log's end."""

    term: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody wants of it


EMPTY_LOG = LogPosition(term=0, index=0)


class Entry(NamedTuple):
    """One log entry: a command for the state machine and the term when the leader received it."""

    index: int  # type: ignore[assignment]  # as above
    term: int
    kind: EntryKind
    command: str


class RequestVote(NamedTuple):
    """A candidate asks for a vote (§5.2), or a follower whether it would get one (`pre_vote`, diss. §9.6).

    A pre-vote's `term` is the one that its sender would stand in; `round` counts its sender's
    pre-votes, and the reply echoes it, so that a late one counts for nothing. A vote marked
    `transfer` is asked for at the leader's own wish (diss. §3.10).
    """

    sender: int
    receiver: int
    term: int
    last_log: LogPosition
    pre_vote: bool = False
    transfer: bool = False
    round: int = 0


class RequestVoteReply(NamedTuple):
    """The answer to RequestVote, or to a pre-vote. `term` is the voter's; `why` names the rule that decided."""

    sender: int
    receiver: int
    term: int
    vote_granted: bool
    why: str = ""
    pre_vote: bool = False
    round: int = 0


class AppendEntries(NamedTuple):
    """A leader replicates entries, or says that it is alive (§5.3).

    `round` counts this leader's sends to this peer; the reply echoes it, so that a late or
    doubled reply counts for nothing that it did not see.
    """

    sender: int
    receiver: int
    term: int
    prev_log: LogPosition
    entries: tuple[Entry, ...]
    leader_commit: int
    round: int


class AppendEntriesReply(NamedTuple):
    """The answer to AppendEntries.

    On success, `match_index` is the last index known to agree with the leader's log. On a
    refusal, `conflict_term` and `conflict_index` say where to go on (§5.3, end): the term of
    the entry that conflicts and the first index of that term; or, where the log is too short,
    term 0 and the index after its last entry. Both are 0 where the request's term was stale.
    """

    sender: int
    receiver: int
    term: int
    success: bool
    round: int
    match_index: int = 0
    conflict_term: int = 0
    conflict_index: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """What a snapshot is: the last entry that it stands for, and which bytes it consists of (§7).

    `id` names it, `size` is in bytes. `configuration` is the one in use at its last entry, and
    `configuration_index` where that one's own entry was.
    """

    last: LogPosition
    id: str
    size: int
    sha256: str
    configuration: Configuration
    configuration_index: int


class InstallSnapshot(NamedTuple):
    """A leader sends a follower a chunk of a snapshot, the bytes from `offset` on (§7).

    It says nothing of the leader's own vote or log. `round` is as in AppendEntries.
    """

    sender: int
    receiver: int
    term: int
    snapshot: SnapshotMeta
    offset: int
    data: bytes
    done: bool
    round: int


class InstallSnapshotReply(NamedTuple):
    """The answer to InstallSnapshot: from which byte on the follower wants it, or that it has it."""

    sender: int
    receiver: int
    term: int
    round: int
    offset: int
    installed: bool
    why: str = ""


class TimeoutNow(NamedTuple):
    """A leader tells the server of its choice to stand for election at once (diss. §3.10)."""

    sender: int
    receiver: int
    term: int


class TimeoutNowReply(NamedTuple):
    """The answer to TimeoutNow. `term` is the one in which the target stands now, if it does."""

    sender: int
    receiver: int
    term: int


Message = (
    RequestVote
    | RequestVoteReply
    | AppendEntries
    | AppendEntriesReply
    | InstallSnapshot
    | InstallSnapshotReply
    | TimeoutNow
    | TimeoutNowReply
)
