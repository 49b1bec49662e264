"""Raft's promises, checked from outside after every step: Figure 3's properties and what they stand on.

Each property is checked where it could first be broken, from messages, disks, logs and applied
entries, never from a server's own assertions: so servers with a broken rule are caught too.
Everything is incremental: a step costs what it changed. Next: queue_checks.py, the queue's own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassraft.raft.messages import (
    AppendEntriesReply,
    Entry,
    LogPosition,
    Message,
    RequestVote,
    RequestVoteReply,
)
from glassraft.raft.ready import HardState, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World


class Broken(AssertionError):
    """A property does not hold: its name, and what was seen."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.property = name
        self.text = text


Runs = list[tuple[int, int, int]]
"""A log's terms as (first index, last index, term)."""


def term_in(runs: Runs, index: int) -> int:
    """The term at this index, 0 where the log has none."""
    return next((term for first, last, term in reversed(runs) if first <= index <= last), 0)


@dataclass(slots=True)
class Seen:
    """A node as it was after its last turn in this life."""

    life: int
    term: int
    role: str
    last: LogPosition
    commit_index: int


class Checks:
    """Everything that was promised so far, and the check of each promise."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.leaders: dict[int, tuple[int, int]] = {}
        """Who led each term, as (node, which of its lives)."""
        self.elected_with: dict[int, Runs] = {}
        """The log with which each term's leader was elected."""
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        """Every entry that reached a disk, by (index, term), and the term of the one before it."""
        self.committed: dict[int, tuple[int, int]] = {}
        """By index: the entry's term, and the first term in which a leader called it committed."""
        self.commit_index = 0
        self.applied_entries: dict[int, Entry] = {}
        self.told_term: dict[int, int] = {}
        """The highest term that each node ever said in a message."""
        self.told_vote: dict[tuple[int, int], int] = {}
        """For whom a node said that it votes, by (node, term)."""
        self.begun_terms = {0}
        """Terms in which somebody stood for election."""
        self.wanted: set[tuple[int, int]] = set()
        """(candidate, term) of elections that a leader asked for (diss. §3.10)."""
        self._other_log: set[int] = set()
        """Nodes whose log, and perhaps their configuration, is not what it was before their turn."""
        self._seen: dict[int, Seen] = {}

    # What is said must be on disk: terms and votes never go back, over crashes too (§5.1, §5.2)

    def sent(self, node: "Node", message: Message) -> None:
        """A message goes out."""
        if getattr(message, "pre_vote", False):
            return  # it asks about a term that nobody has entered (diss. §9.6)
        on_disk = node.disk.hard_state
        if message.term < self.told_term.get(node.id, 0):
            raise Broken("Terms", f"n{node.id} says term {message.term} after {self.told_term[node.id]}")
        self.told_term[node.id] = message.term
        if on_disk.term < message.term:
            raise Broken("Terms", f"n{node.id} says term {message.term}, its disk has {on_disk.term}")
        if isinstance(message, RequestVote):
            if message.transfer:
                self.wanted.add((node.id, message.term))
            self._votes(node.id, node.id, message.term, on_disk)
        elif isinstance(message, RequestVoteReply) and message.vote_granted:
            self._votes(node.id, message.receiver, message.term, on_disk)
        elif isinstance(message, AppendEntriesReply) and message.success:
            self._holds(node, message)

    def _votes(self, node: int, candidate: int, term: int, on_disk: HardState) -> None:
        voted = self.told_vote.setdefault((node, term), candidate)
        if voted != candidate:
            raise Broken("One vote a term", f"n{node} votes for n{voted} and n{candidate} in term {term}")
        if on_disk.term == term and on_disk.voted_for != candidate:
            raise Broken(
                "Votes are durable", f"n{node} votes for n{candidate} in term {term}, its disk says {on_disk}"
            )

    def _holds(self, node: "Node", reply: AppendEntriesReply) -> None:
        """What is acknowledged is on disk (§5.3), unless a later leader has overwritten it."""
        disk = node.disk
        if reply.match_index > disk.last_index and disk.hard_state.term == reply.term:
            raise Broken(
                "Acknowledged entries are durable",
                f"n{node.id} acknowledges {reply.match_index}, its disk ends at {disk.last_index}",
            )

    def committed_on(self, node: "Node", first: int) -> LogPosition | None:
        """The last committed entry that this disk has at `first` or behind it."""
        disk = node.disk
        for index in range(min(disk.last_index, self.commit_index), first - 1, -1):
            term, _ = self.committed[index]
            if disk.term_at(index) == term:
                return LogPosition(term, index)
        return None

    def truncated(self, node: "Node", committed: LogPosition) -> None:
        """A log was cut, and written on; that had been its last committed entry (§5.4)."""
        if node.disk.term_at(committed.index) != committed.term:
            raise Broken(
                "Committed entries stay", f"n{node.id} no longer has {committed}, which is committed"
            )

    def saved(self, node: "Node", entries: "Sequence[Entry]") -> None:
        """Log Matching (§5.3): same index and term, same entry and, by induction, all before it."""
        for entry in entries:
            before = node.disk.term_at(entry.index - 1)
            place = (entry.index, entry.term)
            known = self.entries.get(place)
            if known is None:
                self.entries[place] = (entry, before)
            elif known[0] != entry or known[1] != before:
                raise Broken(
                    "Log Matching",
                    f"n{node.id} holds {entry} after one of term {before}, another holds {known[0]} after one "
                    f"of term {known[1]}",
                )

    def started(self, node: "Node") -> None:
        """A process begins: what it ever said of term and vote must be on its disk (§5.1)."""
        on_disk = node.disk.hard_state
        if on_disk.term < self.told_term.get(node.id, 0):
            raise Broken(
                "Terms", f"n{node.id} restarts in term {on_disk.term} after it said {self.told_term[node.id]}"
            )
        voted = self.told_vote.get((node.id, on_disk.term), on_disk.voted_for)
        if on_disk.voted_for != voted:
            raise Broken(
                "Votes are durable",
                f"n{node.id} restarts with {on_disk}, but said that it votes for n{voted}",
            )

    # Elections and commits, as the servers note them

    def noted(self, node: "Node", note: Note) -> None:
        """A server changed its role, or calls more committed."""
        if note.event == "role" and note.fields["role"] == "leader":
            self._leads(node, note.term)
        elif note.event == "role" and note.fields["role"] == "candidate":
            self.begun_terms.add(note.term)
        elif note.event in ("vote", "pre_vote") and note.fields["granted"]:
            self._stands_by_its_leader(node, note)
        elif note.event in ("truncate", "membership", "install"):
            self._other_log.add(node.id)
        elif note.event == "commit" and "holders" in note.fields:
            self._commits(node, note.fields["was"] + 1, note.fields["index"], note.term)
        elif note.event == "progress":
            self._counts_on(node, note.fields["peer"], note.fields["match"], note.term)

    def _stands_by_its_leader(self, node: "Node", note: Note) -> None:
        """Who has heard a leader within the shortest election timeout votes for no other (diss. §4.2.3, §9.6)."""
        raft, candidate = self._world.settings.raft, note.fields["candidate"]
        is_bound = raft.check_quorum or note.event == "pre_vote"
        if not is_bound or candidate == node.id or (candidate, note.term) in self.wanted:
            return
        heard_s = node.clock.monotonic() - node.server.leader_heard_at
        if heard_s < raft.election_shortest_s:
            raise Broken(
                "Voters stand by their leader",
                f"n{node.id} would have n{candidate}, {heard_s:.3f} s after it heard its leader",
            )

    def _leads(self, node: "Node", term: int) -> None:
        """Election Safety (§5.2), Leader Completeness (§5.4)."""
        leader = (node.id, node.life)
        first = self.leaders.setdefault(term, leader)
        if first != leader:
            raise Broken("Election Safety", f"n{first[0]} and n{node.id} are elected in term {term}")
        self._is_elected(node, term)
        log = node.server.log
        runs = self.elected_with[term] = list(log.terms)
        for index in range(log.first_index, self.commit_index + 1):
            entry_term, committed_in = self.committed.get(index, (0, term))
            if committed_in < term and term_in(runs, index) != entry_term:
                raise Broken(
                    "Leader Completeness", f"n{node.id} leads term {term} without {index}, which is committed"
                )

    def _is_elected(self, node: "Node", term: int) -> None:
        """A leader has the votes of a majority, as they were cast (§5.2)."""
        voters = self._world.voters(node)
        cast = [id for id in voters if id == node.id or self.told_vote.get((id, term)) == node.id]
        if len(cast) <= len(voters) // 2:
            raise Broken(
                "Elected by a majority",
                f"n{node.id} leads term {term}, in which of {voters} only {cast} voted for it",
            )

    def _counts_on(self, node: "Node", peer: int, match: int, term: int) -> None:
        """What a leader takes a follower to hold is on its disk (§5.3), unless a later leader has overwritten it."""
        disk, log = self._world.nodes[peer].disk, node.server.log
        own = log.term_at(match)
        if disk.hard_state.term == term and match > log.base.index and not disk.holds(match, own):
            raise Broken(
                "Acknowledged entries are durable",
                f"n{node.id} takes n{peer} to hold {match} of term {own}, which its disk does not",
            )

    def _commits(self, node: "Node", first: int, last: int, term: int) -> None:
        """What a leader calls committed must be on a majority's disks, and in later leaders' logs."""
        log = node.server.log
        for index in range(first, last + 1):
            entry_term = log.term_at(index)
            known, committed_in = self.committed.get(index, (entry_term, term))
            if known != entry_term:
                raise Broken(
                    "State Machine Safety",
                    f"{index} is committed with term {entry_term} and with term {known}",
                )
            self.committed[index] = (entry_term, min(committed_in, term))
            self._later_leaders_have(index, entry_term, term)
        # The last one says it of all before it, by Log Matching.
        self._is_on_majority(node, last, log.term_at(last))
        self.commit_index = max(self.commit_index, last)

    def _is_on_majority(self, node: "Node", index: int, term: int) -> None:
        voters = self._world.voters(node)
        holders = [id for id in voters if self._world.nodes[id].disk.holds(index, term)]
        if len(holders) <= len(voters) // 2:
            raise Broken(
                "Committed entries are on a majority of disks",
                f"n{node.id} calls {index} of term {term} committed, but it is on disk at {holders} of {voters} alone",
            )

    def _later_leaders_have(self, index: int, entry_term: int, term: int) -> None:
        for later, runs in self.elected_with.items():
            if later > term and runs and index >= runs[0][0] and term_in(runs, index) != entry_term:
                raise Broken("Leader Completeness", f"the leader of term {later} was elected without {index}")

    # Reads (§8)

    def read(self, node: "Node", committed_before: int) -> None:
        """A read shows nothing older than what was committed when it was asked for (§8, diss. §6.4)."""
        if node.machine.applied_index < committed_before:
            raise Broken(
                "Reads are not stale",
                f"n{node.id} answers from {node.machine.applied_index}, {committed_before} was committed before",
            )

    # What each node applies, and how it changes from turn to turn

    def applied(self, node: "Node", entry: Entry) -> None:
        """State Machine Safety (§5.4): what is applied at an index is the same everywhere, committed and on disk."""
        first = self.applied_entries.setdefault(entry.index, entry)
        if first is not entry and first != entry:
            raise Broken("State Machine Safety", f"n{node.id} applies {entry}, another applied {first}")
        if entry.index > self.commit_index or self.committed[entry.index][0] != entry.term:
            raise Broken(
                "Only what is committed is applied", f"n{node.id} applies {entry}, which nobody committed"
            )
        if node.disk.term_at(entry.index) != entry.term:
            raise Broken(
                "Only what is durable is applied",
                f"n{node.id} applies {entry.index}, which its disk does not have",
            )

    def installed(self, node: "Node", applied_before: int) -> None:
        """A snapshot took the queue's place: lastApplied only rises (Figure 2, §7)."""
        if node.machine.applied_index < applied_before:
            raise Broken(
                "Applied never goes back",
                f"n{node.id} had applied {applied_before} and goes on from a snapshot of "
                f"{node.machine.applied_index}",
            )

    def settled(self, node: "Node") -> None:
        """After a turn: terms and commit indexes rise, and a leader only appends (§5.1, §5.3)."""
        server = node.server
        if node.id in self._other_log:
            self._other_log.discard(node.id)
            self._newest_configuration_counts(node)
        last = server.log.last
        now = Seen(node.life, server.current_term, server.role, last, server.commit_index)
        was = self._seen.get(node.id)
        self._seen[node.id] = now
        if now.term not in self.begun_terms:
            raise Broken(
                "Somebody stands in each term", f"n{node.id} is in term {now.term}, in which nobody stood"
            )
        if was is None or was.life != now.life:
            return
        if now.term < was.term:
            raise Broken("Terms", f"n{node.id} goes back from term {was.term} to {now.term}")
        if now.commit_index < was.commit_index:
            raise Broken(
                "Commit never goes back",
                f"n{node.id} goes back from {was.commit_index} to {now.commit_index}",
            )
        if now.role == was.role == "leader" and now.term == was.term and not server.log.matches(was.last):
            raise Broken("Leader Append-Only", f"n{node.id} no longer has {was.last}")

    def _newest_configuration_counts(self, node: "Node") -> None:
        """A server uses the newest configuration in its log, committed or not (diss. §4.1)."""
        index, newest = node.disk.history(self._world.first_configuration(node.id))[-1]
        if node.server.configuration != newest:
            raise Broken(
                "The newest configuration counts",
                f"n{node.id} goes by {node.server.configuration}, its log has {newest} at {index}",
            )
