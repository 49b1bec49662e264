"""Servers that break one rule each, to show that the random test can fail.

Most are the simulator's own zoo (glassraft/simulation/broken.py); here are those that only the bare
core shows, and worlds that break what is no rule. They run without the servers' own assertions, so
that a property checked from outside must catch them.
"""

from collections.abc import Collection
from itertools import chain

from glassraft.raft.messages import Message
from glassraft.raft.ready import Ready
from glassraft.raft.rules import Rules
from glassraft.simulation.broken import (
    CampaignsInTheSameTerm,
    ChangesBeforeItsFirstCommit,
    CommitsBeyondWhatWasChecked,
    CommittedByOneMore,
    ConflictsKept,
    EveryAppendTruncates,
    ForgetsWhomItHeard,
    LeaseCountsFromTheAnswer,
    LeaseKeptInATransfer,
    LongerLogWins,
    NoLogCheckOnVotes,
    OlderTermsCommittedByCounting,
    OldSnapshotInstalled,
    OverwrittenConfigurationKept,
    PreviousEntryNotChecked,
    PreVoteTakesOverTheTerm,
    ReadsBeforeTheFirstCommit,
    ReadsConfirmedByEarlierRounds,
    SnapshotForgetsTheVote,
    SnapshotThrowsTheLogAway,
    StaleTermsAccepted,
    TwoChangesAtOnce,
    VoteClearedInTheSameTerm,
    VotesAgainstALeaderThatItHears,
    VotesTwice,
)
from tests.raft.world import Node, World


class HalfIsAMajority(Rules):
    """Half of the members elect."""

    def is_majority(self, servers: Collection[int], members: Collection[int]) -> bool:
        return len(set(servers) & set(members)) >= len(members) // 2


class CompactsWhatCouldBeLost(Rules):
    """Entries go from the log when they are applied, synced or not."""

    def highest_compactable(self, synced_index: int) -> int:
        return 1 << 60


RULES: tuple[type[Rules], ...] = (
    VotesTwice,
    VoteClearedInTheSameTerm,
    NoLogCheckOnVotes,
    LongerLogWins,
    HalfIsAMajority,
    StaleTermsAccepted,
    CampaignsInTheSameTerm,
    PreviousEntryNotChecked,
    ConflictsKept,
    EveryAppendTruncates,
    OlderTermsCommittedByCounting,
    CommittedByOneMore,
    CommitsBeyondWhatWasChecked,
    ReadsConfirmedByEarlierRounds,
    ReadsBeforeTheFirstCommit,
    PreVoteTakesOverTheTerm,
    VotesAgainstALeaderThatItHears,
    TwoChangesAtOnce,
    LeaseCountsFromTheAnswer,
    ForgetsWhomItHeard,
    LeaseKeptInATransfer,
    SnapshotForgetsTheVote,
    OldSnapshotInstalled,
    CompactsWhatCouldBeLost,
)

RARE: tuple[type[Rules], ...] = (
    ChangesBeforeItsFirstCommit,
    OverwrittenConfigurationKept,
    SnapshotThrowsTheLogAway,
)
"""What random faults find too seldom here: the simulator's coups catch the first two, a test of its own the last."""


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
