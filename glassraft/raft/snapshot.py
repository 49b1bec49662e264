"""Snapshots on their way to followers whose next entry is gone from the leader's log (§7).

A leader sends one snapshot in chunks, one under way a follower, and goes on where the follower
says. A follower has the chunks written, then the whole checked, then installs it in one step. No
disk is touched here: `Ready` says what is to be made, written, checked and installed.
Next: compaction.py, why an entry can be gone; Server.install, what installing does to the log.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassraft.raft import election
from glassraft.raft.messages import InstallSnapshot, InstallSnapshotReply, SnapshotMeta
from glassraft.raft.ready import Chunk, SnapshotTransfer

if TYPE_CHECKING:
    from glassraft.raft.ready import Progress, SnapshotDamaged, SnapshotFailed, SnapshotMade, SnapshotVerified
    from glassraft.raft.server import Server


# The leader's side


def begin_or_go_on(server: "Server", progress: "Progress") -> None:
    """A follower that is there refused: if its next entry is gone, it gets a snapshot (§7)."""
    if not server.rules.needs_snapshot(server.log, progress.next_index):
        return
    if progress.transfer is None:
        progress.transfer = SnapshotTransfer()
    progress.transfer.may_send = True


def end_if_needless(server: "Server", progress: "Progress") -> None:
    """A follower agrees: it has the snapshot, or never needed it. What it lacks then must stay in the log."""
    if progress.transfer is not None and not server.rules.needs_snapshot(server.log, progress.next_index):
        progress.transfer = None
        progress.needs_after = progress.match_index
    if (
        progress.needs_after is not None
        and server.log.last_index - progress.match_index <= server.settings.kept_entries // 2
    ):
        progress.needs_after = None


def needed_after(server: "Server") -> int | None:
    """Entries after this index are needed because of a snapshot; None where there is none."""
    needed = [progress.needs_after for _, progress in server.followers() if progress.needs_after is not None]
    if server.making_snapshot_after is not None:
        needed.append(server.making_snapshot_after)
    if server.snapshot is not None:
        needed.append(server.snapshot.last.index)
    return min(needed, default=None)


def send_what_is_due(server: "Server", peer: int, transfer: SnapshotTransfer) -> None:
    """The next chunk to a follower that waits for one; a new snapshot is asked for where there is none."""
    if not transfer.may_send or transfer.round_under_way is not None:
        return
    if _usable(server) is None:
        _want(server)
    else:
        _send_chunk(server, peer, transfer)


def drop_if_needless(server: "Server") -> bool:
    """Whether the snapshot that was made may go: nobody waits for it, or the log no longer goes on from it."""
    if server.snapshot is None:
        return False
    if _usable(server) and any(progress.transfer for _, progress in server.followers()):
        return False
    server.snapshot = None
    return True


def _usable(server: "Server") -> SnapshotMeta | None:
    """The snapshot at hand, if the log still has what follows it, and nobody found it damaged."""
    snapshot = server.snapshot
    if snapshot is None or snapshot == server.doubted_snapshot:
        return None
    return snapshot if snapshot.last.index >= server.log.base.index else None


def _want(server: "Server") -> None:
    if server.making_snapshot_after is None and server.now >= server.next_snapshot_at:
        server.making_snapshot_after = server.last_applied
        server.want_snapshot()


def _send_chunk(server: "Server", peer: int, transfer: SnapshotTransfer) -> None:
    snapshot = server.snapshot
    assert snapshot is not None
    if transfer.snapshot != snapshot:
        transfer.snapshot, transfer.offset = snapshot, 0
    data = server.read_chunk(snapshot, transfer.offset, server.settings.chunk_bytes)
    server.round += 1
    transfer.round_under_way = server.round
    transfer.sent_at = server.now
    server.send(
        InstallSnapshot(
            sender=server.id,
            receiver=peer,
            term=server.current_term,
            snapshot=snapshot,
            offset=transfer.offset,
            data=data,
            done=transfer.offset + len(data) >= snapshot.size,
            round=server.round,
        )
    )


def on_install_snapshot_reply(server: "Server", reply: InstallSnapshotReply) -> None:
    """A follower says from where on it wants the snapshot, or that it has it."""
    if server.role != "leader" or server.rules.term_is_stale(reply.term, server.current_term):
        return
    progress = server.progress_of(reply.sender)
    transfer = progress.transfer if progress else None
    if progress is None or transfer is None or transfer.round_under_way != reply.round:
        return
    transfer.round_under_way = None
    assert transfer.snapshot is not None
    if reply.installed:
        # Whether it agrees up to there, and beyond, its answer to the next AppendEntries tells.
        progress.next_index = max(progress.next_index, transfer.snapshot.last.index + 1)
        progress.must_send = True
        server.note(
            "progress",
            reply.why,
            peer=reply.sender,
            next=progress.next_index,
            match=progress.match_index,
        )
    else:
        if server.rules.snapshot_is_doubted(transfer.offset, transfer.snapshot.size, reply.offset):
            _doubt(server, transfer.snapshot)
        transfer.offset = min(reply.offset, transfer.snapshot.size)
        # With all of it, the follower checks and installs: its answers to heartbeats tell when to ask.
        transfer.may_send = transfer.offset < transfer.snapshot.size


def _doubt(server: "Server", snapshot: SnapshotMeta) -> None:
    """A snapshot that may be damaged is not sent for ever: another is made, but not at once."""
    if snapshot == server.snapshot and snapshot != server.doubted_snapshot:
        server.doubted_snapshot = snapshot
        server.next_snapshot_at = server.now + server.settings.snapshot_again_s
        _note(server, "doubt", "snapshot_is_doubted", snapshot)


def give_up_silent(server: "Server", progress: "Progress") -> None:
    """A chunk without an answer for so long is lost; the follower's next answer to a heartbeat goes on.

    A follower that has been silent for much longer is not waited for: it gets another snapshot if it comes back.
    """
    if server.now - progress.heard_at >= server.settings.silent_given_up_s:
        progress.transfer = progress.needs_after = None
    transfer = progress.transfer
    if transfer and server.now - transfer.sent_at >= server.settings.election_shortest_s:
        transfer.round_under_way = None


def undelivered(progress: "Progress", round: int) -> None:
    """The transport lost a chunk: go on when the follower is heard again."""
    transfer = progress.transfer
    if transfer and transfer.round_under_way == round:
        transfer.round_under_way = None
        transfer.may_send = False


# On the server that makes one


def on_snapshot_made(server: "Server", event: "SnapshotMade") -> None:
    """The state machine's snapshot is on disk. It is not doubted, even if it is like the one before to the byte."""
    server.making_snapshot_after = None
    server.snapshot, server.doubted_snapshot = event.snapshot, None
    _note(server, "snapshot", "needs_snapshot", event.snapshot)


def on_snapshot_failed(server: "Server", event: "SnapshotFailed") -> None:
    """It could not be made: try again later, not at once."""
    server.making_snapshot_after = None
    server.next_snapshot_at = server.now + server.settings.snapshot_again_s


# The follower's side


@dataclass(slots=True)
class Incoming:
    """A snapshot that is being received, and then checked."""

    snapshot: SnapshotMeta
    offset: int = 0
    """How much of it there is."""
    is_checked: bool = False
    """All of it is there, and it is being checked."""


def on_install_snapshot(server: "Server", request: InstallSnapshot) -> None:
    """A chunk of a snapshot (§7: InstallSnapshot RPC)."""
    if server.rules.term_is_stale(request.term, server.current_term):
        return _answer(server, request, 0, "term_is_stale")
    server.assertions.one_leader_a_term(server.role == "leader", request.term, request.sender)
    election.hear_leader(server, request.term, request.sender)
    snapshot = request.snapshot
    if not server.rules.snapshot_is_ahead(snapshot.last, server.commit_index):
        return _answer(server, request, snapshot.size, "snapshot_is_ahead", installed=True)
    incoming = server.incoming
    if incoming is None or not server.rules.chunk_is_of(incoming.snapshot, snapshot):
        incoming = server.incoming = Incoming(snapshot)
    if request.data and server.rules.chunk_follows(incoming.offset, request.offset):
        server.keep_chunk(Chunk(snapshot, request.offset, request.data))
        incoming.offset += len(request.data)
    if incoming.offset >= snapshot.size and not incoming.is_checked:
        incoming.is_checked = True
        server.check_snapshot(snapshot)
    _answer(server, request, incoming.offset, "chunk_follows")


def _answer(
    server: "Server", request: InstallSnapshot, offset: int, why: str, installed: bool = False
) -> None:
    server.send(
        InstallSnapshotReply(
            sender=server.id,
            receiver=request.sender,
            term=server.current_term,
            round=request.round,
            offset=offset,
            installed=installed,
            why=why,
        )
    )


def on_snapshot_verified(server: "Server", event: "SnapshotVerified") -> None:
    """It is whole and sound: install it, if it is still ahead of what is applied (§7)."""
    incoming = server.incoming
    if incoming is None or incoming.snapshot != event.snapshot or not incoming.is_checked:
        return  # another was begun meanwhile, or the same one anew
    server.incoming = None
    if server.rules.snapshot_is_ahead(event.snapshot.last, server.last_applied):
        server.install(event.snapshot)


def on_snapshot_damaged(server: "Server", event: "SnapshotDamaged") -> None:
    """It is not what its leader said that it is: receive it anew."""
    if server.incoming is not None and server.incoming.snapshot == event.snapshot:
        server.incoming = None


def _note(server: "Server", event: str, why: str, snapshot: SnapshotMeta) -> None:
    last = snapshot.last
    server.note(event, why, index=last.index, base_term=last.term, id=snapshot.id, size=snapshot.size)
