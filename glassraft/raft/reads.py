"""Linearizable reads without a log entry: ReadIndex (dissertation §6.4).

A leader notes its commit index when a read comes in, makes sure that it still leads by a
round of heartbeats that went out afterwards, and lets the read go once that index is applied.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassraft.raft.ready import Read
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


def on_read(server: "Server", event: "Read") -> None:
    """A client wants to read what is committed now."""
    if server.role != "leader":
        return server.refuse(event.ticket, "not_leader")
    server.waiting_reads.append(WaitingRead(event.ticket, server.round, confirmed_by={server.id}))
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
            and server.rules.read_is_confirmed(
                read.confirmed_by, server.rules.electorate(server.configuration)
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
