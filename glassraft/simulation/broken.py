"""The zoo: clusters that break one rule each, to prove that the checks can see.

Each is a classic misreading of the paper, or a bug that somebody really shipped, as one small
override of a rule that production code asks by name: of raft/rules.py, replica/rules.py,
jobqueue/rules.py, or of the disk. Next: misreading.py, what is kept of each; hunt.py, which looks for
the seeds that catch it.
"""

from collections.abc import Collection, Iterable, Mapping
from random import Random
from typing import Final

from glassraft.jobqueue.rules import QueueRules
from glassraft.raft.configuration import Configuration
from glassraft.raft.log import Log
from glassraft.raft.messages import AppendEntries, Entry, LogPosition, Message
from glassraft.raft.rules import Rules
from glassraft.replica.rules import TurnRules
from glassraft.simulation.coups import elections, leases, membership, reading, replication, snapshots
from glassraft.simulation.disks import RaftDisk
from glassraft.simulation.misreading import ALL, BrokenRule, Where, misreading
from glassraft.simulation.schedule import (
    add_server,
    aimed,
    isolate,
    remove_server,
    silence,
    split,
)

DISTURBED: Final = {"pre_vote": False, "check_quorum": False, "lease_reads": False}
"""Elections as in the paper, which depose leaders oftener."""

QUICK: Final = {"election_shortest_s": 0.15, "election_longest_s": 0.3, "heartbeat_s": 0.06}
"""Elections of which several find room in a storm."""

MANNERLY: Final = {"pre_vote": True}
"""Where servers may be removed."""

SHORT_LOG: Final = {"kept_entries": 4, "kept_for_snapshot": 30, "compact_entries": 3}
"""Whoever was away for a second needs a snapshot."""

CHANGES: Final = (add_server, remove_server, split, isolate)
"""Members come and go while links are cut."""


# Terms (§5.1)


@misreading("§5.1", "Election Safety")
class StaleTermsAccepted(Rules):
    """Requests of older terms are served: a leader that was deposed is obeyed."""

    def term_is_stale(self, term: int, current_term: int) -> bool:
        return False


@misreading("§5.1", "Terms")
class NewerTermsIgnored(Rules):
    """Nobody steps down for a larger term, nor takes it over."""

    def term_is_newer(self, term: int, current_term: int) -> bool:
        return False


@misreading("Figure 2", "Terms")
class TermForgottenAtACrash(RaftDisk):
    """The current term is kept in memory alone."""

    def stop(self, random: Random, *, power: bool) -> None:
        super().stop(random, power=power)
        self.contents.hard_state = self.hard_state._replace(term=0)


# Elections (§5.2)


@misreading("§5.2", "One vote a term")
class VotesTwice(Rules):
    """A vote for whoever asks, several in a term."""

    def may_grant_vote(self, voted_for: int | None, candidate: int) -> bool:
        return True


@misreading("Figure 2", "Votes are durable")
class VoteForgottenAtACrash(RaftDisk):
    """The vote is kept in memory alone: after a restart another one is given in the same term."""

    def stop(self, random: Random, *, power: bool) -> None:
        super().stop(random, power=power)
        self.contents.hard_state = self.hard_state._replace(voted_for=None)


@misreading("Figure 2", "Votes are durable")
class OwnVoteNotSaved(Rules):
    """Only votes for others are saved: a candidate surely knows for whom it has voted."""

    def own_vote_is_saved(self) -> bool:
        return False


@misreading("§5.2", "One vote a term")
class VoteClearedInTheSameTerm(Rules):
    """Stepping down within a term forgets the vote."""

    def vote_kept_on_stepping_down(self, in_same_term: bool) -> bool:
        return False


@misreading(
    "§5.2", "Elected by a majority", Where(raft=DISTURBED, faults=(aimed(elections.late_votes),), only=True)
)
class OldVotesCount(Rules):
    """A vote that was given in an older term counts in this one."""

    def vote_counts(self, term: int, current_term: int) -> bool:
        return True


@misreading(
    "§5.2", "Elected by a majority", Where(5, DISTURBED, (aimed(elections.doubled_votes),), only=True)
)
class VotesCountedTwice(Rules):
    """Votes are counted, not voters: a reply that arrives twice counts twice."""

    def voter(self, sender: int, members: Collection[int], counted: Collection[int]) -> int:
        return sender if sender not in counted else next((m for m in members if m not in counted), sender)


@misreading("§5.2", "Election Safety")
class CampaignsInTheSameTerm(Rules):
    """A candidate does not begin a new term once there is one."""

    def next_term(self, current_term: int) -> int:
        return max(1, current_term)


@misreading("§5.2", "Election Safety", Where(nodes=4))
class HalfIsAMajority(Rules):
    """Half of the members elect: two of four."""

    def is_majority(self, servers: Collection[int], members: Collection[int]) -> bool:
        return 2 * len(set(servers) & set(members)) >= len(members)


@misreading("§5.4.1", "Leader Completeness")
class NoLogCheckOnVotes(Rules):
    """Any candidate's log will do."""

    def candidate_log_is_up_to_date(self, last: LogPosition, candidate: LogPosition) -> bool:
        return True


@misreading(
    "§5.4.1",
    "Leader Completeness",
    Where(raft={**DISTURBED, **QUICK}, faults=(aimed(elections.longer_log),), only=True),
)
class LongerLogWins(Rules):
    """The candidate's log is judged by its length, not by its last term first."""

    def candidate_log_is_up_to_date(self, last: LogPosition, candidate: LogPosition) -> bool:
        return candidate.index >= last.index


# Elections that disturb nobody (diss. §4.2.3, §9.6)


@misreading("diss. §9.6", "Somebody stands in each term", Where(raft={"pre_vote": True}))
class PreVoteTakesOverTheTerm(Rules):
    """A pre-vote's term counts like any other, so asking disturbs as much as standing."""

    def says_its_term(self, message: Message) -> bool:
        return True


@misreading("diss. §4.2.3", "Voters stand by their leader", Where(raft={"check_quorum": True}))
class VotesAgainstALeaderThatItHears(Rules):
    """Whoever asks is considered, though a leader is heard."""

    def leader_is_alive(self, heard_at: float, now: float, shortest_s: float) -> bool:
        return False


# Replication (§5.3, §5.4.2)


@misreading("§5.3", "Log Matching")
class PreviousEntryNotChecked(Rules):
    """Entries are taken wherever they fit by their index: the previous entry's term is not asked for."""

    def log_holds_previous_entry(self, log: Log, prev_log: LogPosition) -> bool:
        return prev_log.index <= log.last_index


@misreading("§5.3", "Log Matching")
class ConflictsKept(Rules):
    """A follower keeps what it has, conflicting or not."""

    def entry_conflicts(self, log: Log, entry: Entry) -> bool:
        return False


@misreading("§5.3", "Committed entries stay", Where(faults=(aimed(replication.late_append),), only=True))
class EveryAppendTruncates(Rules):
    """A follower deletes everything after the previous entry, even if it agrees."""

    def entry_conflicts(self, log: Log, entry: Entry) -> bool:
        return entry.index <= log.last_index


@misreading("§5.3", "Leader Append-Only")
class LeaderGivesWay(Rules):
    """Where a follower's log differs, it is the leader who deletes."""

    def leader_only_appends(self) -> bool:
        return False


@misreading(
    "§5.3",
    "Acknowledged entries are durable",
    Where(5, {**DISTURBED, **QUICK}, (aimed(replication.late_acknowledgements),), only=True),
)
class OldAcknowledgementsCount(Rules):
    """What a follower held in an older term, it is taken to hold still."""

    def acknowledgement_counts(self, term: int, current_term: int) -> bool:
        return True


@misreading("§5.3", "Committed entries are on a majority of disks")
class CommittedByOneMore(Rules):
    """The leader and any one follower commit."""

    def commit_index_by_majority(
        self, log: Log, match_indexes: Iterable[int], commit_index: int, current_term: int
    ) -> int:
        index = sorted(match_indexes, reverse=True)[:2][-1]
        return index if index > commit_index and log.term_at(index) == current_term else commit_index


@misreading(
    "§5.4.2",
    "Leader Completeness",
    Where(5, {**DISTURBED, **QUICK, "batch_entries": 1}, (aimed(replication.figure_8),), only=True),
)
class OlderTermsCommittedByCounting(Rules):
    """An entry of an older term on a majority is called committed (Figure 8)."""

    def commit_index_by_majority(
        self, log: Log, match_indexes: Iterable[int], commit_index: int, current_term: int
    ) -> int:
        ordered = sorted(match_indexes, reverse=True)
        return max(commit_index, ordered[len(ordered) // 2])


@misreading("Figure 2", "Only what is committed is applied")
class CommitsBeyondWhatWasChecked(Rules):
    """A follower takes leaderCommit over for whatever its own log holds there."""

    def follower_commit_index(self, commit_index: int, request: AppendEntries) -> int:
        return max(commit_index, request.leader_commit)


@misreading("§5.3", "Only what is committed is applied")
class AppliesBeforeCommit(Rules):
    """What is on the own disk is applied."""

    def may_apply_up_to(self, commit_index: int, durable_index: int) -> int:
        return durable_index


# What must be on disk (Figure 2, diss. §10.2.1)


@misreading("Figure 2", "Votes are durable")
class AnswersBeforeSaving(TurnRules):
    """What depends on the disk is said before the disk has it."""

    def disk_before_messages(self) -> bool:
        return False


@misreading("diss. §10.2.1", "Committed entries are on a majority of disks", Where(nodes=1))
class CountsItselfBeforeSaving(TurnRules):
    """A server's own vote and entries count at once: with others beside it that hardly ever shows."""

    def disk_before_counting(self) -> bool:
        return False


@misreading("Figure 2", "Acknowledged entries are durable")
class TailLostAtACrash(RaftDisk):
    """Writes are not synced: a crash takes the last entry with it."""

    def stop(self, random: Random, *, power: bool) -> None:
        super().stop(random, power=power)
        del self.contents.entries[-1:]


# Membership (diss. §4) and snapshots (§7)


@misreading(
    "diss. §4.1",
    "Leader Completeness",
    Where(raft=MANNERLY, faults=(aimed(membership.several_removed_at_once),), only=True),
)
class TwoChangesAtOnce(Rules):
    """The next change of membership does not wait for the one before it."""

    def no_change_is_under_way(self, newest_index: int, commit_index: int) -> bool:
        return True


@misreading(
    "diss. §4.1, 2015",
    "Leader Completeness",
    Where(4, {**QUICK, **MANNERLY}, (aimed(membership.change_before_the_first_commit),), only=True),
)
class ChangesBeforeItsFirstCommit(Rules):
    """A new leader changes the membership before it has committed an entry of its own (the bug of 2015)."""

    def term_allows_change(self, log: Log, commit_index: int, current_term: int) -> bool:
        return True


@misreading(
    "diss. §4.1",
    "The newest configuration counts",
    Where(raft=MANNERLY, faults=(aimed(membership.lost_change),), only=True),
)
class OverwrittenConfigurationKept(Rules):
    """A configuration counts on when its entry has been overwritten."""

    def truncation_undoes_configuration(self) -> bool:
        return False


@misreading("diss. §4.2.1", "Elected by a majority", Where(faults=CHANGES))
class LearnersVote(Rules):
    """A server that is still catching up counts for majorities."""

    def electorate(self, configuration: Configuration) -> tuple[int, ...]:
        return configuration.members


@misreading(
    "§7",
    "Acknowledged entries are durable",
    Where(3, SHORT_LOG, (aimed(snapshots.overtaken_snapshot),), only=True),
)
class SnapshotThrowsTheLogAway(Rules):
    """A follower deletes its whole log for a snapshot, though what follows it there agrees."""

    def log_goes_on_after_snapshot(self, log: Log, last: LogPosition) -> bool:
        return False


@misreading(
    "§7",
    "Applied never goes back",
    Where(3, SHORT_LOG, (aimed(snapshots.overtaken_snapshot),), only=True),
)
class OldSnapshotInstalled(Rules):
    """A snapshot is installed though the server has applied more than it holds."""

    def snapshot_is_ahead(self, last: LogPosition, applied_index: int) -> bool:
        return True


@misreading(
    "§7",
    "Votes are durable",
    Where(3, {**DISTURBED, **SHORT_LOG}, (aimed(snapshots.cut_at_a_snapshot),), only=True),
)
class SnapshotForgetsTheVote(Rules):
    """What is installed replaces all that a server had, its vote too."""

    def vote_survives_installation(self) -> bool:
        return False


# Reads (§8, diss. §6.4)


@misreading("§8", "Reads are not stale")
class ReadsWithoutAQuorum(Rules):
    """A leader answers reads by itself, since it leads."""

    def read_is_confirmed(self, confirmed_by: Collection[int], members: Collection[int]) -> bool:
        return True


@misreading(
    "diss. §6.4",
    "Reads are not stale",
    Where(3, DISTURBED, (aimed(reading.earlier_rounds_answered),), only=True),
)
class ReadsConfirmedByEarlierRounds(Rules):
    """Replies to requests that were sent before a read came in count for it."""

    def reply_confirms_read(self, reply_round: int, read_round: int) -> bool:
        return True


@misreading(
    "§8", "Reads are not stale", Where(faults=(aimed(reading.read_before_the_first_commit),), only=True)
)
class ReadsBeforeTheFirstCommit(Rules):
    """A new leader answers reads before it has committed an entry of its own."""

    def read_may_start(self, log: Log, commit_index: int, current_term: int) -> bool:
        return True


# The queue (docs/queue.md, diss. §6.3)


@misreading("diss. §6.3", "Nothing acknowledged is doubled")
class SubmittedTwiceAfterALostAnswer(QueueRules):
    """A command that is repeated is run again."""

    def answer_is_kept(self) -> bool:
        return False


@misreading("docs/queue.md", "A stale token changes nothing")
class LeaseHonouredAfterItRanOut(QueueRules):
    """A worker that held the job once may end it, though another one has it now."""

    def token_is_valid(self, state: str, current_token: int, token: int) -> bool:
        return state == "running" and token <= current_token


@misreading("docs/queue.md", "Each due time fires once", Where(periodic=3))
class FiresWhatIsNotDueAnyMore(QueueRules):
    """A leader that finds a schedule due fires it, though the one before did so already."""

    def firing_is_due(self, kept: tuple[int, int | None], meant: tuple[int, int]) -> bool:
        return kept[0] == meant[0]


# Leases (diss. §6.4.1)

LEASED: Final = {"check_quorum": True, "lease_reads": True}


@misreading("diss. §6.4.1", "Reads are not stale", Where(3, LEASED, (aimed(leases.late_answers),), only=True))
class LeaseCountsFromTheAnswer(Rules):
    """A lease is counted from when the answer came, though its sender may have stood by for long by then."""

    def lease_counts_from(self, sent_at: float, answered_at: float) -> float:
        return answered_at


@misreading(
    "diss. §6.4.1", "Reads are not stale", Where(3, LEASED, (aimed(leases.hand_over_unheard),), only=True)
)
class LeaseKeptInATransfer(Rules):
    """A leader reads under its lease though it has told another to stand."""

    def lease_survives_transfer(self) -> bool:
        return True


@misreading(
    "diss. §6.4.1", "Reads are not stale", Where(3, LEASED, (aimed(leases.forgetful_voters),), only=True)
)
class ForgetsWhomItHeard(Rules):
    """With leases on, a server that starts anew votes at once."""

    def has_forgotten_whom_it_heard(self, lease_reads: bool) -> bool:
        return False


@misreading("diss. §6.4.1", "Reads are not stale", Where(3, LEASED, (silence, isolate, split)))
class LeaseLastsTooLong(Rules):
    """A leader reads by its lease for longer than its followers stand by it."""

    def lease_lasts_s(self, shortest_s: float) -> float:
        return 4 * shortest_s


ZOO: Final[Mapping[str, BrokenRule]] = ALL
"""By name, in the order of the paper."""
