"""Sees the interesting situations of a run and counts them: coverage.py says which there are."""

from typing import TYPE_CHECKING

from glassraft.jobqueue import states
from glassraft.jobqueue.commands import op_of
from glassraft.jobqueue.machine import Outcome
from glassraft.raft.messages import Entry, InstallSnapshot, InstallSnapshotReply, SnapshotMeta
from glassraft.raft.ready import Note

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

CUT_BEFORE = {
    "save": "cut_before_saving",
    "sync": "cut_while_syncing",
    "saved": "cut_after_saving",
    "send": "cut_before_sending",
    "apply": "cut_before_applying",
    "commit": "cut_before_queue_commit",
    "answer": "cut_before_answering",
    "elected": "cut_when_elected",
    "first_commit": "cut_at_first_commit",
    "chunk": "cut_before_a_chunk",
    "place": "cut_before_installing",
    "install": "cut_before_installing",
    "installed": "cut_after_installing",
    "compact": "cut_before_compacting",
}


class Situations:
    """Watches one run."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._saw = world.coverage.saw
        self._campaigns: dict[int, int] = {}
        """How many candidates each term had."""
        self._elected: set[int] = set()
        self._applied_up_to = 0
        self._applied_before: dict[int, int] = {}
        """What each node had applied when its last life ended."""

    def noted(self, node: "Node", note: Note) -> None:
        """A server noted something."""
        see = _NOTES.get(note.event)
        if see is not None:
            see(self, node, note)

    def _role(self, node: "Node", note: Note) -> None:
        role = note.fields["role"]
        if role == "leader":
            self._leads(node, note.term)
        elif role == "candidate":
            self._campaigns[note.term] = self._campaigns.get(note.term, 0) + 1
        elif note.fields["was"] == "leader":
            self._saw("leaders_deposed")
            if note.why == "leads_until":
                self._saw("leaders_without_quorum")
            if node.server.log.last_index > node.server.commit_index:
                self._saw("leaders_deposed_with_uncommitted")

    def _leads(self, node: "Node", term: int) -> None:
        self._saw("elections")
        self._elected.add(term)
        world = self._world
        if world.network.cut_links or len(world.running) < len(world.members):
            self._saw("elections_won_after_a_fault")
        if len(world.leaders) > 1:
            self._saw("two_leaders_at_once")
        if node.server.log.last_index > world.checks.commit_index:
            self._saw("leaders_with_older_entries")

    def _commit(self, node: "Node", note: Note) -> None:
        if "holders" in note.fields:
            first = note.fields["was"] + 1
            if node.server.log.term_at(first) < note.term and note.fields["index"] > first:
                self._saw("older_entries_committed")

    def _vote(self, node: "Node", note: Note) -> None:
        if note.why == "candidate_log_is_up_to_date" and not note.fields["granted"]:
            self._saw("refused_votes_for_the_log")

    def _pre_vote(self, node: "Node", note: Note) -> None:
        if note.fields["granted"]:
            return
        if note.why == "leader_is_alive":
            self._saw("pre_votes_refused_for_a_leader")
        elif note.why == "candidate_log_is_up_to_date":
            self._saw("pre_votes_refused_for_the_log")

    def _membership(self, node: "Node", note: Note) -> None:
        if note.why == "entry_conflicts":
            self._saw("configurations_truncated")

    def _compact(self, node: "Node", note: Note) -> None:
        self._saw("strides_compacted")

    def _snapshot(self, node: "Node", note: Note) -> None:
        self._saw("snapshots_made")

    def _install(self, node: "Node", note: Note) -> None:
        self._saw("snapshots_installed")
        if note.fields["keeps_log"]:
            self._saw("snapshots_with_log_kept")

    def _truncate(self, node: "Node", note: Note) -> None:
        self._saw("logs_repaired")
        self._saw("entries_truncated", note.fields["last"] - note.fields["first"] + 1)

    def _progress(self, node: "Node", note: Note) -> None:
        if note.why == "log_holds_previous_entry":
            self._saw("refused_appends")

    def chunk_answered(self, node: "Node", request: InstallSnapshot, reply: InstallSnapshotReply) -> None:
        """A node took a chunk of a snapshot, or says that it needs none of it."""
        if not reply.installed:
            self._saw("chunks_received")
        elif node.server.log.base != request.snapshot.last:
            self._saw("snapshots_overtaken")

    def snapshot_checked(self, node: "Node", snapshot: SnapshotMeta) -> None:
        """All of a snapshot is there and sound; meanwhile its node may have applied what it holds."""
        if snapshot.last.index <= node.server.last_applied:
            self._saw("snapshots_overtaken")

    def cut(self, node: "Node") -> None:
        """A process is cut between two effects."""
        self._saw(CUT_BEFORE[node.last_cut_at])

    def ends(self, node: "Node", power: bool) -> None:
        """A process ends."""
        self._saw("crashes")
        if power:
            self._saw("power_failures")
        self._applied_before[node.id] = node.machine.applied_index
        if len(self._world.running) - 1 == len(self._world.members) // 2:
            self._saw("clusters_without_quorum")

    def started(self, node: "Node") -> None:
        """A process begins."""
        if node.machine.applied_index < self._applied_before.get(node.id, 0):
            self._saw("queues_behind_at_a_start")

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        """An entry was applied; the first time counts."""
        if entry.index <= self._applied_up_to:
            return
        self._applied_up_to = entry.index
        if op_of(entry.command) == "Tick":
            self._saw("ticks")
        for _, _, state in outcome.transitions:
            if state == states.DEAD:
                self._saw("jobs_dead")
            elif state == states.SUCCEEDED:
                self._saw("jobs_succeeded")

    def at_the_end(self) -> None:
        """What can be counted only now."""
        world = self._world
        self._saw("votes_split", sum(1 for term in self._campaigns if term not in self._elected))
        self._saw("leases_expired", world.queue_checks.expired)
        self._saw("answered_from_the_session", world.queue_checks.answered_again)
        fired = world.queue_checks.schedules.events
        self._saw("schedules_fired", fired["fired"])
        self._saw("schedules_skipped", fired["skipped"])
        self._saw("schedules_caught_up", fired["caught_up"])
        self._saw("firings_too_late", fired["late"])
        self._saw("messages_lost", world.network.lost)
        self._saw("messages_doubled", world.network.doubled)


_NOTES = {
    "role": Situations._role,
    "commit": Situations._commit,
    "vote": Situations._vote,
    "pre_vote": Situations._pre_vote,
    "membership": Situations._membership,
    "compact": Situations._compact,
    "snapshot": Situations._snapshot,
    "install": Situations._install,
    "truncate": Situations._truncate,
    "progress": Situations._progress,
}
