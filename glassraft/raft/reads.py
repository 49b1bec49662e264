"""Linearizable reads without a log entry: ReadIndex, and leases as an option (dissertation §6.4, §6.4.1).

A leader notes its commit index when a read comes in, makes sure that it still leads by a
round of heartbeats that went out afterwards, and lets the read go once that index is applied.

With leases it need not ask again for a while: a follower that has heard it votes for nobody else for
the shortest election timeout, so a majority that answered lets it lead alone until that has passed
since the sending. This trusts the clocks to run alike (rules.CLOCK_DRIFT). Two things would break it:
a voter that starts anew and has forgotten whom it heard, so it votes for nobody at first; and a
transfer, in which voters do not wait, so a leader gives its lease up before TimeoutNow.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassraft.raft.ready import Progress, Read
    from glassraft.raft.server import Server


@dataclass(slots=True)
class WaitingRead:
    """A read that waits for a majority to confirm the leader, and for its index to be applied."""

    ticket: Any
    round: int
    """Replies to this round or an earlier one prove nothing about this read."""
    read_index: int | None = None
    """None until this leader has committed an entry of its own term."""
    confirmed_by: set[int] = field(default_factory=set)
    by_lease: bool = False
    """The leader had a lease when the read came in: no other led then."""


def on_read(server: "Server", event: "Read") -> None:
    """A client wants to read what is committed now."""
    if server.role != "leader":
        return server.refuse(event.ticket, "not_leader")
    read = WaitingRead(event.ticket, server.round, confirmed_by={server.id}, by_lease=has_lease(server))
    server.waiting_reads.append(read)
    if read.by_lease:
        return
    for progress in server.progress.values():
        progress.must_send = True


def release_confirmed(server: "Server") -> None:
    """Let go the reads that a majority has confirmed and whose index is applied."""
    if not server.waiting_reads:
        return
    still_waiting = []
    for read in server.waiting_reads:
        if read.read_index is None and server.rules.read_may_start(
            server.log, server.commit_index, server.current_term
        ):
            read.read_index = server.commit_index
        if (
            read.read_index is not None
            and server.last_applied >= read.read_index
            and (
                read.by_lease
                or server.rules.read_is_confirmed(
                    read.confirmed_by, server.rules.electorate(server.configuration)
                )
            )
        ):
            server.release_read(read.ticket)
        else:
            still_waiting.append(read)
    server.waiting_reads = still_waiting


def refuse_all(server: "Server") -> None:
    """This server leads no longer: its reads must be asked elsewhere."""
    for read in server.waiting_reads:
        server.refuse(read.ticket, "not_leader")
    server.waiting_reads = []


# Leases


def note_sent(server: "Server", progress: "Progress", round: int) -> None:
    """A round goes out now: if it is answered, its receiver stands by this leader from now on."""
    if server.settings.lease_reads:
        too_old = server.now - server.settings.election_shortest_s
        while progress.unanswered and progress.unanswered[0][1] < too_old:
            progress.unanswered.popleft()
        progress.unanswered.append((round, server.now))


def note_answered(server: "Server", progress: "Progress", round: int) -> None:
    """The receiver of this round has heard it."""
    while progress.unanswered and progress.unanswered[0][0] <= round:
        answered, sent_at = progress.unanswered.popleft()
        if answered == round:
            progress.stands_by_since = server.rules.lease_counts_from(sent_at, server.now)


def has_lease(server: "Server") -> bool:
    """Whether nobody else can lead now, as far as clocks can be trusted (diss. §6.4.1)."""
    if not server.settings.lease_reads or server.gave_lease_up:
        return False
    since = server.rules.time_of_majority(
        float("inf") if voter == server.id else server.progress[voter].stands_by_since
        for voter in server.configuration.voters
    )
    return server.now < since + server.rules.lease_lasts_s(server.settings.election_shortest_s)
