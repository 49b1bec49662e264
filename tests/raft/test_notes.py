"""The notes are complete: folding them gives the server's state at every moment."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from glassraft.raft.messages import Entry, Message
from glassraft.raft.ready import Note, Propose
from glassraft.raft.rules import Rules
from tests.raft.chaos import Chaos
from tests.raft.single import Single, append_entries, entries, leader, ok, request_vote, vote
from tests.raft.world import Node


@dataclass
class Fold:
    """A server as its notes tell it."""

    term: int
    voted_for: int | None
    log: list[Entry | None]
    """None for what a snapshot stands for."""
    commit_index: int
    role: str = "follower"
    leader_id: int | None = None
    progress: dict[int, tuple[int, int]] = field(default_factory=dict)

    def take(self, note: Note, peers: tuple[int, ...]) -> None:
        fields: dict[str, Any] = note.fields
        if note.event == "term":
            assert fields["was"] == self.term
            self.term, self.voted_for, self.leader_id = note.term, None, None
        elif note.event == "role":
            assert fields["was"] == self.role
            self.role, self.leader_id = fields["role"], fields["leader_id"]
            start = (len(self.log) + 1, 0)
            self.progress = dict.fromkeys(peers, start) if self.role == "leader" else {}
        elif note.event == "leader":
            self.leader_id = fields["leader_id"]
        elif note.event == "vote" and fields["granted"]:
            self.voted_for = fields["candidate"]
        elif note.event == "append":
            self.log += fields["entries"]
        elif note.event == "truncate":
            assert fields["last"] == len(self.log)
            del self.log[fields["first"] - 1 :]
        elif note.event == "install":
            if not fields["keeps_log"]:
                self.log = [None] * fields["index"]
            self.commit_index = max(self.commit_index, fields["index"])
        elif note.event == "commit":
            assert fields["was"] == self.commit_index
            self.commit_index = fields["index"]
        elif note.event == "progress":
            self.progress[fields["peer"]] = (fields["next"], fields["match"])
        elif note.event == "membership" and self.role == "leader":
            start = (len(self.log) + 1, 0)
            self.progress = {peer: self.progress.get(peer, start) for peer in peers}
        assert note.term == self.term


class FoldedChaos(Chaos):
    """A run with faults in which each node's notes are folded and compared with the node."""

    folds: dict[int, Fold]

    def started(self, node: Node) -> None:
        super().started(node)
        if not hasattr(self, "folds"):
            self.folds = {}
        state = node.disk.hard_state
        self.folds[node.id] = Fold(state.term, state.voted_for, list(node.disk.entries), len(node.applied))

    def noted(self, node: Node, note: Note) -> None:
        self.folds[node.id].take(note, node.up.peers)
        super().noted(node, note)

    def settled(self, node: Node) -> None:
        super().settled(node)
        server, fold = node.up, self.folds[node.id]
        assert (fold.term, fold.voted_for, fold.role) == (server.current_term, server.voted_for, server.role)
        assert (fold.leader_id, fold.commit_index) == (server.leader_id, server.commit_index)
        first = node.disk.base.index
        assert len(fold.log) == len(node.disk.entries)
        assert fold.log[first:] == node.disk.entries[first:]
        progress = {peer: (known.next_index, known.match_index) for peer, known in server.progress.items()}
        assert fold.progress == progress


@pytest.mark.parametrize("seed", range(20))
def test_folding_the_notes_gives_the_state(seed: int) -> None:
    FoldedChaos(seed).run()


def names(notes: list[Note]) -> list[str]:
    return [note.event for note in notes if note.event != "timer"]


def test_an_election_in_notes() -> None:
    single = Single(3)
    done = single.time_out()
    assert names(done.notes) == ["term", "role", "vote", "votes"]
    done = single.step(vote(2))
    assert names(done.notes) == ["votes", "role", "append"]
    tally = done.notes[0].fields
    assert (tally["granted"], tally["refused"], tally["needed"]) == ([1, 2], [], 2)


def test_a_commit_names_who_holds_the_entry() -> None:
    single = leader(5)
    single.step(Propose("t", "a"))
    done = single.step(ok(2, 1, 2, 5), ok(4, 1, 2, 7))
    (commit,) = (note for note in done.notes if note.event == "commit")
    assert commit.fields == {"index": 2, "was": 1, "holders": [1, 2, 4]}


@pytest.mark.parametrize(
    ("message", "event", "why"),
    [
        (request_vote(term=1), "vote", "term_is_stale"),
        (request_vote(term=2, last=(1, 1)), "vote", "may_grant_vote"),
        (request_vote(term=3), "vote", "candidate_log_is_up_to_date"),
        (request_vote(term=3), "term", "term_is_newer"),
        (append_entries(term=2, entries=entries(2)), "truncate", "entry_conflicts"),
        (append_entries(term=2), "leader", "heard_leader_of_its_term"),
        (append_entries(term=2, prev=(1, 1), commit=1), "commit", "follower_commit_index"),
    ],
)
def test_notes_name_the_rule_that_decided(message: Message, event: str, why: str) -> None:
    done = Single(terms=[1], term=2, voted_for=3).step(message)
    assert why in [note.why for note in done.notes if note.event == event]


def test_reasons_in_answers_are_names_of_rules() -> None:
    for request in (
        request_vote(term=1),
        request_vote(term=3),
        append_entries(term=1),
        append_entries(term=2, prev=(5, 1)),
    ):
        (answer,) = Single(terms=[1], term=2, voted_for=3).step(request).messages
        assert hasattr(Rules, answer.why)  # type: ignore[union-attr]


def test_the_empty_entry_comes_from_outside_with_the_leaders_time() -> None:
    single = Single(1)
    single.server.opening = lambda now: f"opened at {now:.1f}"
    single.now = 7.0
    single.time_out()
    assert single.disk.entries == [Entry(1, 1, "noop", "opened at 7.0")]
