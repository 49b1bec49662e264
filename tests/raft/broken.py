"""Servers that break one rule each, to show that the random test can fail.

Each is a classic misreading of the paper, or a bug that somebody really shipped. They run
without the servers' own assertions, so that a property checked from outside must catch them.
"""

from collections.abc import Collection, Iterable
from itertools import chain

from glassraft.raft.log import Log
from glassraft.raft.messages import AppendEntries, Entry, LogPosition, Message
from glassraft.raft.ready import Ready
from glassraft.raft.rules import Rules
from tests.raft.world import Node, World


class VotesTwice(Rules):
    """A vote for whoever asks, several in a term."""

    def may_grant_vote(self, voted_for: int | None, candidate: int) -> bool:
        return True


class VoteClearedInTheSameTerm(Rules):
    """Stepping down within a term forgets the vote."""

    def vote_kept_on_stepping_down(self, in_same_term: bool) -> bool:
        return False


class NoLogCheckOnVotes(Rules):
    """Any candidate's log will do."""

    def candidate_log_is_up_to_date(self, last: LogPosition, candidate: LogPosition) -> bool:
        return True


class LongerLogWins(Rules):
    """The candidate's log is judged by its length, not by its last term first."""

    def candidate_log_is_up_to_date(self, last: LogPosition, candidate: LogPosition) -> bool:
        return candidate.index >= last.index


class HalfIsAMajority(Rules):
    """Half of the members elect."""

    def is_majority(self, servers: Collection[int], members: Collection[int]) -> bool:
        return len(set(servers) & set(members)) >= len(members) // 2


class StaleTermsAccepted(Rules):
    """Requests and replies of older terms count."""

    def term_is_stale(self, term: int, current_term: int) -> bool:
        return False


class SameTermAgain(Rules):
    """A candidate does not begin a new term once there is one."""

    def next_term(self, current_term: int) -> int:
        return max(1, current_term)


class PreviousEntryByIndexAlone(Rules):
    """The check of the previous entry forgets the term."""

    def log_holds_previous_entry(self, log: Log, prev_log: LogPosition) -> bool:
        return prev_log.index <= log.last_index


class ConflictsKept(Rules):
    """A follower keeps what it has, conflicting or not."""

    def entry_conflicts(self, log: Log, entry: Entry) -> bool:
        return False


class EveryAppendTruncates(Rules):
    """A follower deletes everything after the previous entry, even if it agrees."""

    def entry_conflicts(self, log: Log, entry: Entry) -> bool:
        return entry.index <= log.last_index


class OlderTermsCommittedByCounting(Rules):
    """An entry of an older term on a majority is called committed (Figure 8)."""

    def commit_index_by_majority(
        self, log: Log, match_indexes: Iterable[int], commit_index: int, current_term: int
    ) -> int:
        ordered = sorted(match_indexes, reverse=True)
        return max(commit_index, ordered[len(ordered) // 2])


class CommittedByOneMore(Rules):
    """The leader and any one follower commit."""

    def commit_index_by_majority(
        self, log: Log, match_indexes: Iterable[int], commit_index: int, current_term: int
    ) -> int:
        index = sorted(match_indexes, reverse=True)[:2][-1]
        return index if index > commit_index and log.term_at(index) == current_term else commit_index


class CommitsBeyondWhatWasChecked(Rules):
    """A follower takes leaderCommit over for whatever its own log holds there."""

    def follower_commit_index(self, commit_index: int, request: AppendEntries) -> int:
        return max(commit_index, request.leader_commit)


class ReadsWithoutAQuorum(Rules):
    """Replies from before a read count for it."""

    def reply_confirms_read(self, reply_round: int, read_round: int) -> bool:
        return True


class ReadsBeforeTheFirstCommit(Rules):
    """A new leader answers reads before it has committed an entry of its own."""

    def read_may_start(self, log: Log, commit_index: int, current_term: int) -> bool:
        return True


class PreVoteTakesOverTheTerm(Rules):
    """A pre-vote's term counts like any other, so asking disturbs as much as standing."""

    def says_its_term(self, message: Message) -> bool:
        return True


class VotesAgainstALeaderThatItHears(Rules):
    """Whoever asks is considered, though a majority hears a leader."""

    def leader_is_alive(self, heard_at: float, now: float, shortest_s: float) -> bool:
        return False


class TwoChangesAtOnce(Rules):
    """The next change of membership does not wait for the one before it."""

    def no_change_is_under_way(self, newest_index: int, commit_index: int) -> bool:
        return True


class ChangesBeforeItsFirstCommit(Rules):
    """A new leader changes the membership before it has committed an entry of its own (the bug of 2015)."""

    def term_allows_change(self, log: Log, commit_index: int, current_term: int) -> bool:
        return True


class OverwrittenConfigurationKept(Rules):
    """A configuration counts on when its entry has been overwritten."""

    def truncation_undoes_configuration(self) -> bool:
        return False


class LeaseCountsFromTheAnswer(Rules):
    """A lease is counted from when the answer came, though its sender may have stood by longer."""

    def lease_counts_from(self, sent_at: float, answered_at: float) -> float:
        return answered_at


class ForgetsWhomItHeard(Rules):
    """With leases on, a server that starts anew votes at once."""

    def has_forgotten_whom_it_heard(self, lease_reads: bool) -> bool:
        return False


class LeaseKeptInATransfer(Rules):
    """A leader reads under its lease though it has told another to stand."""

    def lease_survives_transfer(self) -> bool:
        return True


class InstallsApartFromTheVote(Rules):
    """A snapshot takes the place of all that a server had, the vote that it cast with it."""

    def vote_survives_installation(self) -> bool:
        return False


class InstallsWhatIsBehind(Rules):
    """A snapshot is installed whatever the server has applied already."""

    def snapshot_is_ahead(self, last: LogPosition, applied_index: int) -> bool:
        return True


class CompactsWhatCouldBeLost(Rules):
    """Entries go from the log when they are applied, synced or not."""

    def highest_compactable(self, synced_index: int) -> int:
        return 1 << 60


class LongerLogThrownAway(Rules):
    """An installed snapshot is all that a server has: what follows it in its log goes, too."""

    def log_goes_on_after_snapshot(self, log: Log, last: LogPosition) -> bool:
        return False


RULES: tuple[type[Rules], ...] = (
    VotesTwice,
    VoteClearedInTheSameTerm,
    NoLogCheckOnVotes,
    LongerLogWins,
    HalfIsAMajority,
    StaleTermsAccepted,
    SameTermAgain,
    PreviousEntryByIndexAlone,
    ConflictsKept,
    EveryAppendTruncates,
    OlderTermsCommittedByCounting,
    CommittedByOneMore,
    CommitsBeyondWhatWasChecked,
    ReadsWithoutAQuorum,
    ReadsBeforeTheFirstCommit,
    PreVoteTakesOverTheTerm,
    VotesAgainstALeaderThatItHears,
    TwoChangesAtOnce,
    LeaseCountsFromTheAnswer,
    ForgetsWhomItHeard,
    LeaseKeptInATransfer,
    InstallsApartFromTheVote,
    InstallsWhatIsBehind,
    CompactsWhatCouldBeLost,
)

RARE: tuple[type[Rules], ...] = (
    ChangesBeforeItsFirstCommit,
    OverwrittenConfigurationKept,
    LongerLogThrownAway,
)
"""What random faults find too seldom: a transcript and a test of their own catch the first and the last.

Nothing catches the second yet: it needs a schedule that is aimed at it.
"""


class SendsBeforeWriting(World):
    """What depends on the disk goes out before the disk has it."""

    def persist(self, node: Node, ready: Ready) -> None:
        messages: list[Message] = list(chain(ready.messages_after))
        ready.messages_after.clear()
        self._send(node, messages)
        super().persist(node, ready)


class ForgetsItsVote(World):
    """The term is written, the vote is not."""

    def persist(self, node: Node, ready: Ready) -> None:
        super().persist(node, ready)
        node.disk.hard_state = node.disk.hard_state._replace(voted_for=None)


class LosesItsTail(World):
    """A crash takes the last entry with it."""

    def crash(self, id: int) -> None:
        super().crash(id)
        del self.nodes[id].disk.entries[-1:]


WORLDS: tuple[type[World], ...] = (SendsBeforeWriting, ForgetsItsVote, LosesItsTail)
