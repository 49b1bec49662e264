"""Log replication (§5.3), and which entries a leader may call committed (§5.4.2)."""

from typing import TYPE_CHECKING

from glassraft.raft import election, membership, reads, snapshot, transfer
from glassraft.raft.messages import AppendEntries, AppendEntriesReply, Entry

if TYPE_CHECKING:
    from glassraft.raft.ready import Progress, Propose, Undelivered
    from glassraft.raft.server import Server


# The leader's side


def on_propose(server: "Server", event: "Propose") -> None:
    """A client's command: append it to the leader's log (§5.3)."""
    if server.role != "leader":
        return server.refuse(event.ticket, "not_leader")
    if server.hand_over is not None:
        return server.refuse(event.ticket, "transferring")
    if server.log.last_index - server.commit_index >= server.settings.uncommitted_entries:
        return server.refuse(event.ticket, "full")
    index = server.log.last_index + 1
    server.append(Entry(index, server.current_term, "command", event.command))
    server.place(event.ticket, index)


def heartbeat(server: "Server") -> None:
    """Tell every follower that this leader lives, and try again what was lost (§5.2, §5.3)."""
    server.heartbeat_due = server.now + server.settings.heartbeat_s
    transfer.tell_again(server)
    membership.give_up_leavers(server)
    for _, progress in server.followers():
        progress.must_send = True
        progress.waits_for_heartbeat = False
        if server.now - progress.sent_at >= server.settings.election_shortest_s:
            progress.round_under_way = None
        snapshot.give_up_silent(server, progress)


def send_what_is_due(server: "Server") -> None:
    """An AppendEntries to each follower that lacks entries or is due a heartbeat, one under way at a time.

    Who needs a snapshot first gets heartbeats alone, beside its chunks.
    """
    for peer, progress in server.followers():
        with_entries = (
            progress.next_index <= server.log.last_index
            and progress.round_under_way is None
            and not progress.waits_for_heartbeat
            and not server.rules.needs_snapshot(server.log, progress.next_index)
        )
        if with_entries or progress.must_send:
            _send_append_entries(server, peer, progress, with_entries)
        if progress.transfer is not None:
            snapshot.send_what_is_due(server, peer, progress.transfer)


def _send_append_entries(server: "Server", peer: int, progress: "Progress", with_entries: bool) -> None:
    entries: tuple[Entry, ...] = ()
    server.round += 1
    if with_entries:
        entries = server.log.slice(
            progress.next_index,
            max_entries=server.settings.batch_entries,
            max_bytes=server.settings.batch_bytes,
        )
        progress.round_under_way = server.round
        progress.sent_at = server.now
    progress.must_send = False
    reads.note_sent(server, progress, server.round)
    request = AppendEntries(
        sender=server.id,
        receiver=peer,
        term=server.current_term,
        prev_log=server.log.position(max(progress.next_index - 1, server.log.base.index)),
        entries=entries,
        leader_commit=server.commit_index,
        round=server.round,
    )
    server.send(request)
    if peer in server.leavers:
        membership.tell_leaver(server, request)


def on_append_entries_reply(server: "Server", reply: AppendEntriesReply) -> None:
    """A follower agrees up to some index, or says where to go on (§5.3)."""
    if server.role != "leader" or not server.rules.acknowledgement_counts(reply.term, server.current_term):
        return
    progress = server.progress_of(reply.sender)
    if progress is None or server.rules.refuses_a_stale_request(reply):
        return  # such a refusal was sent before this term: it says nothing of this leader's rounds
    progress.heard_at = server.now
    reads.note_answered(server, progress, reply.round)
    if progress.round_under_way == reply.round:
        progress.round_under_way = None
    before = (progress.next_index, progress.match_index)
    if reply.success:
        progress.match_index = max(progress.match_index, reply.match_index)
        progress.next_index = max(progress.next_index, progress.match_index + 1)
        snapshot.end_if_needless(server, progress)
    else:
        progress.next_index = server.rules.next_index_after_refusal(
            server.log, reply, progress.next_index, progress.match_index
        )
        if reply.conflict_index and not server.rules.leader_only_appends():
            _give_way(server, reply.conflict_index)
        snapshot.begin_or_go_on(server, progress)
    if reply.sender in server.leavers:
        return membership.hear_leaver(server, reply)
    if (progress.next_index, progress.match_index) != before:
        server.note(
            "progress", reply.why, peer=reply.sender, next=progress.next_index, match=progress.match_index
        )
    for read in server.waiting_reads:
        if server.rules.reply_confirms_read(reply.round, read.round):
            read.confirmed_by.add(reply.sender)
    advance_commit_index(server)
    membership.hear_learner(server, reply.sender)


def _give_way(server: "Server", first: int) -> None:
    """What no leader does, and a broken rule makes it do: its own entries go where a follower's differ."""
    first = max(first, server.commit_index + 1)
    if first <= server.log.last_index:
        server.truncate(first, "leader_only_appends")


def on_undelivered(server: "Server", event: "Undelivered") -> None:
    """The transport gave up on a round: what it carried goes out again with the next heartbeat."""
    progress = server.progress_of(event.peer)
    if progress is None:
        return
    if progress.round_under_way == event.round:
        progress.round_under_way = None
        progress.waits_for_heartbeat = True
    snapshot.undelivered(progress, event.round)


def advance_commit_index(server: "Server") -> None:
    """Commit what a majority holds, if it is of this leader's own term (§5.3, §5.4.2)."""
    durable = {peer: progress.match_index for peer, progress in server.progress.items()}
    durable[server.id] = server.durable_index
    match_indexes = {voter: durable[voter] for voter in server.rules.electorate(server.configuration)}
    index = server.rules.commit_index_by_majority(
        server.log, match_indexes.values(), server.commit_index, server.current_term
    )
    if index > server.commit_index:
        holders = sorted(id for id, match_index in match_indexes.items() if match_index >= index)
        server.commit(index, "commit_index_by_majority", holders)
        membership.tell_leavers_soon(server)


# The follower's side


def on_append_entries(server: "Server", request: AppendEntries) -> None:
    """The leader's entries, or its heartbeat (Figure 2: AppendEntries RPC)."""
    if server.rules.term_is_stale(request.term, server.current_term):
        return _refuse(server, request, "term_is_stale")
    server.assertions.one_leader_a_term(server.role == "leader", request.term, request.sender)
    election.hear_leader(server, request.term, request.sender)
    if not server.rules.log_holds_previous_entry(server.log, request.prev_log):
        return _refuse(server, request, "log_holds_previous_entry")
    _take_over(server, request.entries)
    commit_index = server.rules.follower_commit_index(server.commit_index, request)
    if commit_index > server.commit_index:
        server.commit(commit_index, "follower_commit_index")
    server.send(
        AppendEntriesReply(
            sender=server.id,
            receiver=request.sender,
            term=server.current_term,
            success=True,
            round=request.round,
            # What a snapshot stands for was committed, so this leader has it too (§5.4).
            match_index=max(request.prev_log.index + len(request.entries), server.log.base.index),
        )
    )


def _take_over(server: "Server", entries: tuple[Entry, ...]) -> None:
    """Delete a conflicting entry and all that follow it, then append what is new (§5.3)."""
    for entry in entries:
        if server.rules.entry_conflicts(server.log, entry):
            server.truncate(entry.index, "entry_conflicts")
            break
    new = [entry for entry in entries if entry.index > server.log.last_index]
    if new:
        server.append(*new)


def _refuse(server: "Server", request: AppendEntries, why: str) -> None:
    lacks_previous = why == "log_holds_previous_entry"
    conflict = server.rules.conflict(server.log, request.prev_log) if lacks_previous else None
    server.send(
        AppendEntriesReply(
            sender=server.id,
            receiver=request.sender,
            term=server.current_term,
            success=False,
            round=request.round,
            conflict_term=conflict.term if conflict else 0,
            conflict_index=conflict.index if conflict else 0,
            why=why,
        )
    )
