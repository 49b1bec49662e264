"""Raft's promises, checked from outside while a world runs: Figure 3's properties and what they stand on.

`Properties` watches a world and raises `Broken` at the first step after which one of them does
not hold. It looks at messages, disks, logs and applied entries, never at a server's own
assertions, so that it also catches servers whose rules were broken on purpose.
Next: chaos.py, which makes the faults.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from glassraft.raft.configuration import Configuration, parse_configuration
from glassraft.raft.messages import (
    AppendEntriesReply,
    Entry,
    LogPosition,
    Message,
    RequestVote,
    RequestVoteReply,
)
from glassraft.raft.ready import HardState, Installation, Note, Ready, Refused
from tests.raft.world import Node, Watcher


class Broken(AssertionError):
    """A property does not hold."""


Runs = list[tuple[int, int, int]]
"""A log's terms as (first index, last index, term)."""


def term_in(runs: Runs, index: int) -> int:
    """The term at this index, 0 where the log has none."""
    return next((term for first, last, term in reversed(runs) if first <= index <= last), 0)


def runs_of(node: Node) -> Runs:
    """A node's log as it is in memory, and before it what was compacted, as the disk once had it."""
    log = node.up.log
    runs: Runs = []
    for entry in node.disk.entries[: log.base.index]:
        if not runs or runs[-1][2] != entry.term:
            runs.append((entry.index, entry.index, entry.term))
        runs[-1] = (runs[-1][0], entry.index, entry.term)
    return runs + log.terms


@dataclass(slots=True)
class Seen:
    """A node as it was after its last step in this life."""

    life: int
    term: int
    role: str
    last: LogPosition
    commit_index: int


class Heard(NamedTuple):
    """A leader's message that a node answered, in one of its lives, at a time by its own clock."""

    leader: int
    term: int
    life: int
    clock: float


def configurations_in(entries: Iterable[Entry]) -> list[tuple[int, Configuration]]:
    """The configurations among these entries, with their indexes."""
    return [
        (entry.index, parse_configuration(entry.command))
        for entry in entries
        if entry.kind == "configuration"
    ]


class Properties(Watcher):
    """Everything promised so far, and the check of each promise where it could first be broken."""

    def __init__(self) -> None:
        self.leaders: dict[int, tuple[int, int]] = {}
        """Who led each term, as (node, which of its lives)."""
        self.elected_with: dict[int, Runs] = {}
        """The log with which each term's leader was elected."""
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        """Every entry ever written, by (index, term), and the term of the one before it."""
        self.committed: dict[int, tuple[int, int]] = {}
        """By index: the entry's term, and the term in which a leader called it committed."""
        self.commit_index = 0
        self.applied_entries: dict[int, Entry] = {}
        self.told_term: dict[int, int] = {}
        """The highest term that each node ever said in a message."""
        self.told_vote: dict[tuple[int, int], int] = {}
        """For whom a node said that it votes, by (node, term)."""
        self.read_floor: dict[Any, int] = {}
        """What was committed when each read was asked."""
        self.answered_reads = 0
        self.begun_terms = {0}
        """Terms in which some server stood for election."""
        self.heard: dict[int, Heard] = {}
        """From which leader each node heard last."""
        self.wanted_by_leader: set[tuple[int, int]] = set()
        """(candidate, term) of elections that a leader asked for."""
        self.cluster: Configuration | None = None
        """The newest configuration that is committed; None until there is one beside the first."""
        self._configurations: dict[int, list[tuple[int, Configuration]]] = {}
        """The configurations in each node's log as its notes tell, oldest first, by their entries' indexes."""
        self._seen: dict[int, Seen] = {}

    # What is said must be on disk: terms and votes never go back, over crashes too (§5.1, §5.2)

    def sent(self, message: Message) -> None:
        node = message.sender
        disk = self.world.nodes[node].disk
        if isinstance(message, RequestVote) and message.pre_vote:
            message = message._replace(term=message.term - 1)  # it names the term that would be next
        if message.term < self.told_term.get(node, 0):
            raise Broken(f"n{node} says term {message.term} after {self.told_term[node]}")
        self.told_term[node] = message.term
        if disk.hard_state.term < message.term:
            raise Broken(f"n{node} says term {message.term}, its disk has {disk.hard_state.term}")
        if isinstance(message, RequestVote | RequestVoteReply) and message.pre_vote:
            return
        if isinstance(message, RequestVote):
            if message.transfer:
                self.wanted_by_leader.add((node, message.term))
            self._votes(node, node, message.term, disk.hard_state)
        elif isinstance(message, RequestVoteReply) and message.vote_granted:
            self._votes(node, message.receiver, message.term, disk.hard_state)
        elif isinstance(message, AppendEntriesReply):
            if message.success:
                self._holds(node, message)
            if message.success or message.conflict_index:
                self._hears(node, message)

    def _hears(self, node: int, reply: AppendEntriesReply) -> None:
        at = self.world.nodes[node]
        self.heard[node] = Heard(reply.receiver, reply.term, at.lives, at.clock)

    def _votes(self, node: int, candidate: int, term: int, hard_state: HardState) -> None:
        voted = self.told_vote.setdefault((node, term), candidate)
        if voted != candidate:
            raise Broken(f"n{node} votes for n{voted} and n{candidate} in term {term}")
        if hard_state.term == term and hard_state.voted_for != candidate:
            raise Broken(f"n{node} votes for n{candidate} in term {term}, its disk says {hard_state}")

    def _holds(self, node: int, reply: AppendEntriesReply) -> None:
        """What is acknowledged is on disk (§5.3), unless a later leader has overwritten it."""
        disk = self.world.nodes[node].disk
        if reply.match_index > len(disk.entries) and disk.hard_state.term == reply.term:
            raise Broken(f"n{node} acknowledges {reply.match_index}, its disk ends at {len(disk.entries)}")

    # Log Matching: same index and term, then same entry and same log before it (§5.3)

    def persisted(self, node: Node, ready: Ready) -> None:
        for entry in ready.entries:
            before = node.disk.term_at(entry.index - 1)
            known = self.entries.setdefault((entry.index, entry.term), (entry, before))
            if known != (entry, before):
                raise Broken(f"Log Matching: n{node.id} writes {entry} after term {before}, others {known}")

    # State Machine Safety (§5.4.3)

    def applied(self, node: Node, entry: Entry) -> None:
        if entry.index != len(node.applied):
            raise Broken(f"n{node.id} applies {entry.index} out of order")
        if node.disk.term_at(entry.index) != entry.term:
            raise Broken(f"n{node.id} applies {entry.index}, which its disk does not have")
        first = self.applied_entries.setdefault(entry.index, entry)
        if first != entry:
            raise Broken(f"State Machine Safety: n{node.id} applies {entry}, another applied {first}")

    def installed(self, node: Node, installation: Installation) -> None:
        """A snapshot is a state that was reached by applying what is committed (§7)."""
        for entry in node.applied:
            if self.applied_entries.get(entry.index) != entry:
                raise Broken(f"State Machine Safety: n{node.id} installs {entry}, which nobody applied")
        self._configurations[node.id] = self.world.history(node)
        last = installation.snapshot.last
        if LogPosition(node.applied[-1].term, len(node.applied)) != last:
            raise Broken(f"n{node.id} installs a snapshot that ends at {len(node.applied)} and says {last}")

    def compacted(self, node: Node) -> None:
        """What is gone from the log is in the state machine, and cannot be lost there (§7)."""
        if node.synced < node.disk.base.index:
            raise Broken(f"n{node.id} compacts up to {node.disk.base.index}, {node.synced} is synced")

    # Reads (§8): nothing older than what was committed when they were asked

    def asked(self, ticket: Any) -> None:
        """A read is about to be asked for."""
        self.read_floor[ticket] = self.commit_index

    def refused(self, node: Node, refused: Refused) -> None:
        self.read_floor.pop(refused.ticket, None)

    def answered(self, node: Node, ticket: Any) -> None:
        self.answered_reads += 1
        floor = self.read_floor.pop(ticket)
        if len(node.applied) < floor:
            raise Broken(f"stale read: n{node.id} answers from {len(node.applied)}, {floor} was committed")

    # Everything else, after each step of a node

    def noted(self, node: Node, note: Note) -> None:
        if note.event == "append":
            self._configurations[node.id] += configurations_in(note.fields["entries"])
        elif note.event == "truncate":
            rows = self._configurations[node.id]
            self._configurations[node.id] = [row for row in rows if row[0] < note.fields["first"]]
        elif note.event == "role" and note.fields["role"] == "candidate":
            self.begun_terms.add(note.term)
        elif note.event == "role" and note.fields["role"] == "leader":
            self._leads(node, note.term)
            if self.world.settings.check_quorum and (node.id, note.term) not in self.wanted_by_leader:
                self._disturbs_nobody(node, note.term)
        elif note.event == "commit" and "holders" in note.fields:
            self._commits(node, note.fields["was"] + 1, note.fields["index"], note.term)

    def voters(self, node: Node) -> tuple[int, ...]:
        """Who votes and counts by the newest configuration in this node's log (diss. §4.1)."""
        return self._configurations[node.id][-1][1].voters

    def _leads(self, node: Node, term: int) -> None:
        """Election Safety (§5.2), Leader Completeness (§5.4)."""
        voters = self.voters(node)
        voted = [id for id in voters if self._voted_for(id, term) == node.id]
        if len(voted) <= len(voters) // 2:
            raise Broken(f"n{node.id} leads term {term} by the votes of {voted}, of the voters {voters}")
        leader = (node.id, node.lives)
        first = self.leaders.setdefault(term, leader)
        if first != leader:
            raise Broken(f"Election Safety: n{first[0]} and n{node.id} are elected in term {term}")
        runs = self.elected_with[term] = runs_of(node)
        for index, (entry_term, committed_in) in self.committed.items():
            if committed_in < term and term_in(runs, index) != entry_term:
                raise Broken(f"Leader Completeness: n{node.id} leads term {term} without committed {index}")

    def _disturbs_nobody(self, node: Node, term: int) -> None:
        """Nobody is elected while another leads whom a majority still hears (diss. §4.2.3, §9.6)."""
        nodes = self.world.nodes
        for other in self.world.running:
            if other.up.role != "leader" or other.up.current_term >= term:
                continue
            hear_it = {id for id, heard in self.heard.items() if self._still_hears(nodes[id], heard, other)}
            voters = self.voters(other)
            if len((hear_it | {other.id}) & {*voters}) > len(voters) // 2:
                raise Broken(f"n{node.id} is elected in term {term}, but {sorted(hear_it)} hear n{other.id}")

    def _still_hears(self, node: Node, heard: Heard, leader: Node) -> bool:
        return (
            (heard.leader, heard.term) == (leader.id, leader.up.current_term)
            and heard.life == node.lives
            and node.clock - heard.clock < self.world.settings.election_shortest_s
        )

    def _voted_for(self, id: int, term: int) -> int | None:
        """Whom a node voted for: a candidate's own vote is told to nobody, but on its disk."""
        disk = self.world.nodes[id].disk.hard_state
        return self.told_vote.get((id, term), disk.voted_for if disk.term == term else None)

    def _commits(self, node: Node, first: int, last: int, term: int) -> None:
        """What a leader calls committed must be on a majority's disks, and in later leaders' logs."""
        for index in range(first, last + 1):
            entry_term = node.up.log.term_at(index)
            self._is_on_majority(node, index, entry_term)
            known, committed_in = self.committed.get(index, (entry_term, term))
            if known != entry_term:
                raise Broken(f"{index} is committed with term {entry_term} and with term {known}")
            self.committed[index] = (entry_term, min(committed_in, term))
            self._later_leaders_have(index, entry_term, term)
            entry, _ = self.entries[index, entry_term]
            if entry.kind == "configuration" and index > self.commit_index:
                self.cluster = parse_configuration(entry.command)
        self.commit_index = max(self.commit_index, last)

    def _is_on_majority(self, leader: Node, index: int, term: int) -> None:
        voters = self.voters(leader)
        holders = [id for id in voters if self.world.nodes[id].disk.term_at(index) == term]
        if len(holders) <= len(voters) // 2:
            raise Broken(f"{index} of term {term} is called committed, but on disk at {holders} alone")

    def _later_leaders_have(self, index: int, entry_term: int, term: int) -> None:
        for later, runs in self.elected_with.items():
            if later > term and term_in(runs, index) != entry_term:
                raise Broken(f"Leader Completeness: the leader of term {later} was elected without {index}")

    def settled(self, node: Node) -> None:
        server = node.up
        now = Seen(node.lives, server.current_term, server.role, server.log.last, server.commit_index)
        was = self._seen.get(node.id)
        self._seen[node.id] = now
        if now.term not in self.begun_terms:
            raise Broken(f"n{node.id} is in term {now.term}, in which nobody stood")
        if was is None or was.life != now.life:
            return
        if now.term < was.term:
            raise Broken(f"n{node.id} goes back from term {was.term} to {now.term}")
        if now.commit_index < was.commit_index:
            raise Broken(f"n{node.id} goes back from commit index {was.commit_index} to {now.commit_index}")
        is_gone = was.last.index > server.log.base.index and not server.log.matches(was.last)
        if now.role == was.role == "leader" and now.term == was.term and is_gone:
            raise Broken(f"Leader Append-Only: n{node.id} no longer has {was.last}")

    def started(self, node: Node) -> None:
        self._configurations[node.id] = self.world.history(node)
        disk = node.disk.hard_state
        if disk.term < self.told_term.get(node.id, 0):
            raise Broken(f"n{node.id} restarts in term {disk.term} after it said {self.told_term[node.id]}")
        voted = self.told_vote.get((node.id, disk.term), disk.voted_for)
        if disk.voted_for != voted:
            raise Broken(f"n{node.id} restarts with {disk}, but said that it votes for n{voted}")
