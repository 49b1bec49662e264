"""The paper's conditions, one small named function a sentence (Figure 2).

Handlers ask a rule by name and never inline a condition of the paper. A `Rules` object is
passed to each server, so that a run can have exactly one of them broken.
"""

from collections.abc import Collection, Iterable
from random import Random

from glassraft.raft.configuration import Configuration
from glassraft.raft.log import Log
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    LogPosition,
    Message,
    RequestVote,
    SnapshotMeta,
)

CLOCK_DRIFT = 1.1
"""By how much one server's clock may run faster than another's before leases break a promise: far more than
clocks of sound machines do, and little enough to leave nine tenths of a lease."""


class Rules:
    """Raft as printed. Override one method to see what it was for."""

    # Terms (§5.1)

    def term_is_stale(self, term: int, current_term: int) -> bool:
        """A request with an older term number is refused; a reply with one is ignored (§5.1)."""
        return term < current_term

    def term_is_newer(self, term: int, current_term: int) -> bool:
        """A server that sees a larger term takes it over and becomes a follower (§5.1)."""
        return term > current_term

    # Elections (§5.2, §5.4.1)

    def election_timeout_s(self, shortest_s: float, longest_s: float, random: Random) -> float:
        """Election timeouts are chosen at random from a fixed interval (§5.2)."""
        return random.uniform(shortest_s, longest_s)

    def next_term(self, current_term: int) -> int:
        """To begin an election, a follower increments its current term (§5.2)."""
        return current_term + 1

    def may_grant_vote(self, voted_for: int | None, candidate: int) -> bool:
        """A server votes for at most one candidate in a term, first come, first served (§5.2)."""
        return voted_for is None or voted_for == candidate

    def candidate_log_is_up_to_date(self, last: LogPosition, candidate: LogPosition) -> bool:
        """A voter refuses a candidate whose log is less complete than its own (§5.4.1)."""
        return (candidate.term, candidate.index) >= (last.term, last.index)

    def vote_counts(self, term: int, current_term: int) -> bool:
        """A vote counts for the term in which it was asked for, and for no other (§5.2)."""
        return term == current_term

    def voter(self, sender: int, members: Collection[int], counted: Collection[int]) -> int:
        """A vote counts for the server that cast it, however often it arrives (§5.2)."""
        return sender

    def own_vote_is_saved(self) -> bool:
        """A candidate's vote for itself is a vote like any other: its disk has it first (Figure 2)."""
        return True

    def is_majority(self, servers: Collection[int], members: Collection[int]) -> bool:
        """More than half of the members: any two majorities share a server (§5.2)."""
        return len(set(servers) & set(members)) > len(members) // 2

    def vote_kept_on_stepping_down(self, in_same_term: bool) -> bool:
        """A vote is for a term: stepping down within it does not clear it (§5.2)."""
        return in_same_term

    def opens_term_with_empty_entry(self) -> bool:
        """A leader begins its term by committing an empty entry (§8)."""
        return True

    # Elections that disturb nobody (dissertation §4.2.3, §6.2, §9.6)

    def may_grant_pre_vote(self, term: int, current_term: int) -> bool:
        """A voter would vote only in a term that is still to come (diss. §9.6)."""
        return term > current_term

    def says_its_term(self, message: Message) -> bool:
        """A pre-vote's term is one that its sender is not in yet: it changes nobody's (diss. §9.6)."""
        return not (isinstance(message, RequestVote) and message.pre_vote)

    def leader_is_alive(self, heard_at: float, now: float, shortest_s: float) -> bool:
        """A voter that has heard a leader within the shortest election timeout wants no other (diss. §4.2.3)."""
        return now - heard_at < shortest_s

    def leader_wants_it(self, request: RequestVote) -> bool:
        """A vote that the leader itself has asked for disturbs nobody (diss. §3.10, §4.2.3)."""
        return request.transfer

    def time_of_majority(self, times: Iterable[float]) -> float:
        """The latest time that a majority reaches, of one time a member (§5.2)."""
        ordered = sorted(times, reverse=True)
        return ordered[len(ordered) // 2]

    def leads_until(self, heard_at: float, longest_s: float) -> float:
        """A leader whom no majority has answered for an election timeout leads no longer (diss. §6.2)."""
        return heard_at + longest_s

    # Leases (dissertation §6.4.1)

    def lease_counts_from(self, sent_at: float, answered_at: float) -> float:
        """A follower may have heard the leader as soon as the message was sent, so a lease counts from then."""
        return sent_at

    def lease_lasts_s(self, shortest_s: float) -> float:
        """A majority stands by its leader for the shortest election timeout, by clocks that may be faster."""
        return shortest_s / CLOCK_DRIFT

    def lease_survives_transfer(self) -> bool:
        """A leader that has told another to stand can be voted out at any moment, so its lease is gone."""
        return False

    def has_forgotten_whom_it_heard(self, lease_reads: bool) -> bool:
        """A server that has just started may have heard a leader right before, whose lease still counts on it."""
        return lease_reads

    # Leadership transfer (dissertation §3.10)

    def target_may_stand(self, match_index: int, last_index: int) -> bool:
        """The target is told to stand when it has every entry of the leader's log (diss. §3.10)."""
        return match_index == last_index

    # Replication (§5.3, §5.4.2)

    def log_holds_previous_entry(self, log: Log, prev_log: LogPosition) -> bool:
        """A follower refuses entries when it lacks the one before them (§5.3).

        What its log no longer holds was committed, so every leader has the same (§5.4, §7).
        """
        return prev_log.index < log.base.index or log.matches(prev_log)

    def entry_conflicts(self, log: Log, entry: Entry) -> bool:
        """An existing entry conflicts with a new one of the same index and another term (§5.3)."""
        is_held = log.base.index < entry.index <= log.last_index
        return is_held and log.term_at(entry.index) != entry.term

    def follower_commit_index(self, commit_index: int, request: AppendEntries) -> int:
        """A follower commits up to leaderCommit, but not beyond what was just checked (Figure 2)."""
        checked = request.prev_log.index + len(request.entries)
        return max(commit_index, min(request.leader_commit, checked))

    def conflict(self, log: Log, prev_log: LogPosition) -> LogPosition:
        """A refusal tells the conflicting term and its first index, or where the log ends (§5.3)."""
        if prev_log.index > log.last_index:
            return LogPosition(0, log.last_index + 1)
        return LogPosition(log.term_at(prev_log.index), log.first_of_run(prev_log.index))

    def refuses_a_stale_request(self, reply: AppendEntriesReply) -> bool:
        """Such a refusal tells its term and nothing else, even to who leads that term by now (§5.1)."""
        return not reply.success and reply.conflict_index == 0

    def next_index_after_refusal(
        self, log: Log, reply: AppendEntriesReply, next_index: int, match_index: int
    ) -> int:
        """The leader skips the conflicting term but for what it shares of it (§5.3), never below a match."""
        shared = log.last_index_of_term(reply.conflict_term) if reply.conflict_term else 0
        go_on_at = shared + 1 if shared else reply.conflict_index
        return max(match_index + 1, min(next_index, go_on_at))

    def acknowledgement_counts(self, term: int, current_term: int) -> bool:
        """What a follower acknowledged to the leader of an older term says nothing of this one (§5.3)."""
        return term == current_term

    def leader_only_appends(self) -> bool:
        """A leader never overwrites or deletes its entries: the follower's are those that go (§5.3)."""
        return True

    def may_apply_up_to(self, commit_index: int, durable_index: int) -> int:
        """A server applies what is committed, and what its own disk has (§5.3)."""
        return min(commit_index, durable_index)

    def commit_index_by_majority(
        self, log: Log, match_indexes: Iterable[int], commit_index: int, current_term: int
    ) -> int:
        """The highest index on a majority, if its entry is of the leader's own term (§5.3, §5.4.2)."""
        ordered = sorted(match_indexes, reverse=True)
        on_majority = ordered[len(ordered) // 2]
        if on_majority > commit_index and log.term_at(on_majority) == current_term:
            return on_majority
        return commit_index

    # Membership (dissertation §4)

    def electorate(self, configuration: Configuration) -> tuple[int, ...]:
        """Voters elect and commit; a learner counts for no majority (diss. §4.2.1)."""
        return configuration.voters

    def truncation_undoes_configuration(self) -> bool:
        """A server whose log loses a configuration goes back to the one before it (diss. §4.1)."""
        return True

    def no_change_is_under_way(self, newest_index: int, commit_index: int) -> bool:
        """The next change begins only after the one before it is committed (diss. §4.1)."""
        return newest_index <= commit_index

    def term_allows_change(self, log: Log, commit_index: int, current_term: int) -> bool:
        """A leader changes the membership only after committing an entry of its own term (correction of 2015)."""
        return log.term_at(commit_index) == current_term

    def learner_has_caught_up(self, round_s: float, election_timeout_s: float) -> bool:
        """A learner may vote when it gets a round's entries within an election timeout (diss. §4.2.1)."""
        return round_s < election_timeout_s

    def may_campaign(self, server: int, newest: Configuration, committed: Configuration) -> bool:
        """Voters stand for election; one that is being removed must, for as long as that is not committed.

        Its log may be the only one that holds the removal (diss. §4.2.2).
        """
        return server in newest.voters or server in committed.voters

    def serves_servers_outside(self) -> bool:
        """Requests are answered whoever sends them: its configuration may be newer than ours (diss. §4.2.2)."""
        return True

    def removed_leader_steps_down(self, server: int, newest: Configuration, is_committed: bool) -> bool:
        """A leader that is no voter steps down once the configuration without it is committed (diss. §4.2.2)."""
        return is_committed and server not in newest.voters

    # Compaction (§7)

    def highest_compactable(self, synced_index: int) -> int:
        """Only what the state machine's own disk holds may go from the log (§7)."""
        return synced_index

    # Snapshots (§7)

    def needs_snapshot(self, log: Log, next_index: int) -> bool:
        """A leader sends a snapshot when it has discarded the next entry that a follower needs (§7)."""
        return next_index <= log.base.index

    def chunk_is_of(self, incoming: SnapshotMeta, snapshot: SnapshotMeta) -> bool:
        """Chunks of two snapshots never mix, though they end at the same entry (§7)."""
        return incoming == snapshot

    def snapshot_is_doubted(self, sent: int, size: int, wanted: int) -> bool:
        """Who had all of a snapshot and wants it from its beginning has found it damaged, or was restarted (§7)."""
        return sent >= size and wanted == 0

    def chunk_follows(self, received: int, offset: int) -> bool:
        """A chunk is written at its offset (§7), each once and in order."""
        return offset == received

    def snapshot_is_ahead(self, last: LogPosition, applied_index: int) -> bool:
        """A snapshot that holds nothing new is not installed: the state never goes back (§7)."""
        return last.index > applied_index

    def vote_survives_installation(self) -> bool:
        """A snapshot holds nothing of a vote: who installs one keeps the vote it cast in this term (§5.2, §7)."""
        return True

    def log_goes_on_after_snapshot(self, log: Log, last: LogPosition) -> bool:
        """If the log has the snapshot's last entry, the entries that follow it are kept (§7)."""
        return log.matches(last)

    # Reads (dissertation §6.4)

    def read_may_start(self, log: Log, commit_index: int, current_term: int) -> bool:
        """A leader knows what is committed only after committing an entry of its own term (§8)."""
        return log.term_at(commit_index) == current_term

    def read_is_confirmed(self, confirmed_by: Collection[int], members: Collection[int]) -> bool:
        """A leader answers a read only once a majority has shown that nobody leads a later term (§8)."""
        return self.is_majority(confirmed_by, members)

    def reply_confirms_read(self, reply_round: int, read_round: int) -> bool:
        """Only a reply to a request that went out after the read came in proves leadership (diss. §6.4)."""
        return reply_round > read_round
