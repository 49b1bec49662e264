"""The state of one server (Figure 2), what may happen to it, and what it wants done.

`Server` is a state machine without I/O. It is given events and hands back what to do:

    server.step(event, now)   a message arrived | time has come | a client proposes | the disk holds up to N
    ready = server.ready()    what must happen next, for everything stepped since the last call

Only state, role changes and the dispatch live here; what a message means is in election.py
(§5.2, §5.4.1, diss. §9.6), replication.py (§5.3, §5.4.2), compaction.py and snapshot.py (§7),
reads.py (diss. §6.4), membership.py (diss. §4) and transfer.py (diss. §3.10); the paper's conditions
are in rules.py. `now` is monotonic seconds, from outside; so is all randomness.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from glassraft.raft import compaction, election, membership, reads, replication, snapshot, transfer
from glassraft.raft.assertions import Assertions
from glassraft.raft.configuration import (
    Configuration,
    ConfigurationHistory,
    configuration_text,
    parse_configuration,
)
from glassraft.raft.log import Log
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    RequestVote,
    RequestVoteReply,
    SnapshotMeta,
    TimeoutNow,
    TimeoutNowReply,
)
from glassraft.raft.ready import (
    DEFAULT_SETTINGS,
    NEVER_STARTED,
    ChangeMembership,
    Chunk,
    Event,
    HardState,
    Installation,
    Note,
    Persisted,
    Placed,
    PreVote,
    Progress,
    Propose,
    Read,
    Ready,
    Refused,
    Role,
    Settings,
    SnapshotDamaged,
    SnapshotFailed,
    SnapshotMade,
    SnapshotVerified,
    StateMachineSynced,
    TimeIs,
    Transfer,
    Transferred,
    Undelivered,
)
from glassraft.raft.rules import Rules

APPLY_BATCH_ENTRIES = 1_000  # so that a server far behind applies in steps, and answers in between
APPLY_BATCH_BYTES = 4 * 1024 * 1024


ChunkReader = Callable[[SnapshotMeta, int, int], bytes]
"""Reads the bytes of the snapshot that was made, from an offset on, at most so many."""


def _no_snapshot(snapshot: SnapshotMeta, offset: int, size: int) -> bytes:
    raise LookupError(f"the snapshot {snapshot.id} cannot be read: this server has no reader for one")


def _no_opening(now: float) -> str:
    return ""


def _without_addresses(configuration: Configuration, now: float) -> str:
    return configuration_text(configuration, {}, 0)


class Server:
    """One member of a cluster.

    `members` are the voters that its cluster was made of, its own id among them; `history` has the
    configurations that the log holds or a snapshot stands under, oldest first, each with its entry's
    index, and counts instead of `members` where it is given. `applied` is the index up to which the
    state machine has applied: commit starts there. `opening(now)` makes the command of the
    empty entry that begins a leader's term, `write_configuration` that of a new configuration's entry.
    """

    def __init__(
        self,
        id: int,
        members: Iterable[int],
        *,
        random: Random,
        now: float = 0.0,
        hard_state: HardState = NEVER_STARTED,
        log: Log | None = None,
        applied: int = 0,
        history: Iterable[tuple[int, Configuration]] = (),
        settings: Settings = DEFAULT_SETTINGS,
        rules: Rules | None = None,
        assertions: Assertions | None = None,
        opening: Callable[[float], str] = _no_opening,
        write_configuration: Callable[[Configuration, float], str] = _without_addresses,
        read_chunk: ChunkReader = _no_snapshot,
    ) -> None:
        self.id = id
        self.settings = settings
        self.rules = rules or Rules()
        self.assertions = assertions or Assertions()
        self.random = random
        self.opening = opening
        self.write_configuration = write_configuration
        self.read_chunk = read_chunk
        self.now = now

        # Persistent state on all servers (Figure 2).
        self.current_term = hard_state.term
        self.voted_for = hard_state.voted_for
        self.log = log or Log()
        self.configurations = ConfigurationHistory(history or [(0, Configuration(tuple(sorted(members))))])
        self.members = self.configuration.members
        self.peers = tuple(member for member in self.members if member != id)

        # Volatile state on all servers.
        self.commit_index = applied
        self.last_applied = applied
        self.role: Role = "follower"
        self.leader_id: int | None = None
        has_forgotten = self.rules.has_forgotten_whom_it_heard(settings.lease_reads)
        self.leader_heard_at = now if has_forgotten else float("-inf")
        self.pre_vote: PreVote | None = None
        self.pre_vote_round = 0

        # Volatile state on candidates and leaders.
        self.votes: dict[int, bool] = {}
        self.progress: dict[int, Progress] = {}
        self.round = 0
        self.heartbeat_due = 0.0
        self.quorum_due = 0.0
        self.waiting_reads: list[reads.WaitingRead] = []
        self.catch_ups: dict[int, membership.CatchUp] = {}
        self.leavers: dict[int, membership.Leaver] = {}
        self.waiting_adds: list[membership.WaitingAdd] = []
        self.hand_over: transfer.HandOver | None = None
        self.gave_lease_up = False

        # What the disk has, and what waits for the next ready().
        self.durable_state = hard_state
        self.durable_index = self.log.last_index
        self.synced_index = self.log.base.index
        """The state machine's own disk holds what came of all up to here (§7)."""
        self.sync_under_way = False
        self.compacted_at = float("-inf")

        # Snapshots (§7): the one made here, and the one being received.
        self.snapshot: SnapshotMeta | None = None
        self.doubted_snapshot: SnapshotMeta | None = None
        """One made here that a follower may have found damaged: it is not sent any more."""
        self.making_snapshot_after: int | None = None
        """What was applied when the one under way was asked for."""
        self.next_snapshot_at = float("-inf")
        self.incoming: snapshot.Incoming | None = None

        self._unsaved_from: int | None = None
        self._truncate_from: int | None = None
        self._outbox: list[Message] = []
        self._ready = Ready()
        self.notes: list[Note] = []
        """What happened since take_notes() was called, in order."""

        self.election_timeout_s = 0.0
        self.election_deadline = 0.0
        self._timer_noted_at = float("-inf")
        self.start_election_timer("started")

    # Who belongs to the cluster: whatever the newest configuration in the log says (diss. §4.1)

    @property
    def configuration(self) -> Configuration:
        """The newest in the log, committed or not."""
        return self.configurations.newest

    def configuration_at(self, index: int) -> tuple[int, Configuration]:
        """The configuration under which the entry at `index` stands, and the index of its own entry."""
        return self.configurations.at(index)

    @property
    def takes_proposals(self) -> bool:
        """Whether it leads, and is not about to hand over."""
        return self.role == "leader" and self.hand_over is None

    # Events in

    def step(self, event: Event, now: float) -> None:
        """Take in one event. `now` (monotonic seconds) never goes back."""
        if now > self.now:
            self.now = now
        HANDLERS[type(event)](self, event)

    @property
    def next_deadline(self) -> float:
        """When TimeIs must be stepped at the latest (monotonic seconds)."""
        if self.role == "leader":
            deadline = min(self.heartbeat_due, election.quorum_deadline(self))
        else:
            deadline = self.election_deadline
        return min(deadline, transfer.deadline(self))

    # What to do, out

    @property
    def hard_state(self) -> HardState:
        """Term and vote as the disk must have them."""
        is_saved = self.voted_for != self.id or self.rules.own_vote_is_saved()
        return HardState(self.current_term, self.voted_for if is_saved else None)

    def ready(self) -> Ready:
        """Hand over what must happen next; each thing is handed over once."""
        if self.role == "leader":
            is_removed = membership.is_removed(self)
            if is_removed:
                replication.heartbeat(self)  # the others learn from it that the removal is committed
            replication.send_what_is_due(self)
            transfer.tell_target(self)
            if is_removed:
                self.become_follower(self.current_term, None, "removed_leader_steps_down")
        committed = self._take_committed() if self.durable_index > self.last_applied else ()
        reads.release_confirmed(self)
        ready, self._ready = self._ready, Ready()
        ready.committed = committed
        hard_state = self.hard_state
        if hard_state != self.durable_state:
            ready.hard_state = hard_state
        if self._unsaved_from is not None:
            ready.entries = self.log.slice(self._unsaved_from, max_entries=1 << 62, max_bytes=1 << 62)
            self._unsaved_from = None
        ready.truncate_from, self._truncate_from = self._truncate_from, None
        for message in self._outbox:
            may_go_now = isinstance(message, AppendEntries) and ready.hard_state is None
            (ready.messages_now if may_go_now else ready.messages_after).append(message)
        self._outbox.clear()
        ready.compact_to = compaction.compact_a_stride(self)
        ready.sync_wanted = compaction.wants_sync(self)
        ready.drop_snapshot = snapshot.drop_if_needless(self)
        return ready

    def take_notes(self) -> list[Note]:
        """What happened since the last call, in order."""
        notes, self.notes = self.notes, []
        return notes

    def _take_committed(self) -> tuple[Entry, ...]:
        """Committed entries not yet handed out; only what this server's own disk has."""
        last = self.rules.may_apply_up_to(self.commit_index, self.durable_index)
        if last <= self.last_applied:
            return ()
        entries = self.log.slice(
            self.last_applied + 1,
            max_entries=min(last - self.last_applied, APPLY_BATCH_ENTRIES),
            max_bytes=APPLY_BATCH_BYTES,
        )
        self.last_applied = entries[-1].index
        return entries

    # Role changes: the only places that change role, term and vote

    def become_follower(self, term: int, leader_id: int | None, why: str) -> None:
        """Step down, or follow another: on a newer term, or on hearing this one's leader (§5.1, §5.2)."""
        self.assertions.term_never_goes_back(self.current_term, term)
        was, self.role = self.role, "follower"
        self.pre_vote = None
        self._enter_term(term, why)
        if self.leader_id != leader_id:
            self.leader_id = leader_id
            if leader_id is not None:
                self.note("leader", why, leader_id=leader_id)
                transfer.end(self)
        if was != "follower":
            self.votes.clear()
            self.progress.clear()
            self.catch_ups.clear()
            self.leavers.clear()
            membership.refuse_waiting_adds(self, "deposed")
            reads.refuse_all(self)
            self.note("role", why, role="follower", was=was, leader_id=leader_id)
            self.start_election_timer(why)

    def become_candidate(self, why: str) -> None:
        """Begin an election: a new term, a vote for itself, a new timer (§5.2)."""
        was, self.role = self.role, "candidate"
        self.leader_id = None
        self._enter_term(self.rules.next_term(self.current_term), why)
        self.votes = {}
        self.note("role", why, role="candidate", was=was, leader_id=None)
        self.vote_for(self.id, "votes_for_itself")
        self.start_election_timer(why)

    def become_leader(self, why: str) -> None:
        """Lead this term: nextIndex after the last entry, then the term's empty entry (§5.2, §8)."""
        transfer.give_up(self, "elected_again")
        self.role = "leader"
        self.leader_id = self.id
        self.votes = {}
        self.pre_vote = None
        self.progress = {peer: self.new_progress() for peer in self.peers}
        self.quorum_due = 0.0
        membership.watch_learners(self)
        self.gave_lease_up = False
        self.heartbeat_due = self.now + self.settings.heartbeat_s
        self.note("role", why, role="leader", was="candidate", leader_id=self.id)
        if self.rules.opens_term_with_empty_entry():
            self.append(Entry(self.log.last_index + 1, self.current_term, "noop", self.opening(self.now)))

    def new_progress(self) -> Progress:
        """What a leader assumes of a follower at first; it has an election timeout to answer."""
        return Progress(next_index=self.log.last_index + 1, heard_at=self.now)

    def lose_leader(self, why: str) -> None:
        """Nobody is heard any longer who leads this term."""
        if self.leader_id is not None:
            self.leader_id = None
            self.note("leader", why, leader_id=None)

    def vote_for(self, candidate: int, why: str) -> None:
        """Cast this term's vote. It counts, and is told, once it is on disk."""
        self.assertions.one_vote_a_term(self.voted_for, candidate, self.current_term)
        self.voted_for = candidate
        self.pre_vote = None
        self.note("vote", why, candidate=candidate, granted=True)

    def _enter_term(self, term: int, why: str) -> None:
        in_same_term = term == self.current_term
        if not self.rules.vote_kept_on_stepping_down(in_same_term):
            self.voted_for = None
        if not in_same_term:
            was, self.current_term = self.current_term, term
            self.note("term", why, was=was)

    # The log

    def append(self, *entries: Entry) -> None:
        """Put entries at the log's end; the disk gets them with the next ready()."""
        for entry in entries:
            self.log.append(entry)
        first = entries[0].index
        self._unsaved_from = first if self._unsaved_from is None else min(self._unsaved_from, first)
        if self.notes and self.notes[-1].event == "append":
            self.notes[-1].fields["entries"].extend(entries)
        else:
            self.note("append", "", entries=list(entries))
        for entry in entries:
            if entry.kind == "configuration":
                self.configurations.append(entry.index, parse_configuration(entry.command))
                self._use_newest_configuration("appended")

    def truncate(self, first: int, why: str) -> None:
        """Remove the entry at `first` and all that follow it (§5.3)."""
        self.assertions.leader_only_appends(self.role == "leader", first)
        self.assertions.committed_entries_stay(self.commit_index, first)
        self.note("truncate", why, first=first, last=self.log.last_index)
        self.log.truncate(first)
        self.durable_index = min(self.durable_index, first - 1)
        if self._unsaved_from is not None and self._unsaved_from >= first:
            self._unsaved_from = None
        if self.rules.truncation_undoes_configuration() and self.configurations.truncate(first):
            self._use_newest_configuration(why)
        self._truncate_from = first if self._truncate_from is None else min(self._truncate_from, first)

    def install(self, meta: SnapshotMeta) -> None:
        """A verified snapshot stands for everything up to its last entry (§7).

        If the log has that entry, what follows it is kept; else nothing of the log is.
        """
        last = meta.last
        keeps_log = self.rules.log_goes_on_after_snapshot(self.log, last)
        if keeps_log:
            self.log.compact(last.index)
            if self._unsaved_from is not None:
                first = max(self._unsaved_from, self.log.first_index)
                self._unsaved_from = first if first <= self.log.last_index else None
        else:
            self.assertions.leader_only_appends(self.role == "leader", self.log.first_index)
            self.log.reset(last)
            self._unsaved_from = self._truncate_from = None
            self.durable_index = last.index
        self.durable_index = max(self.durable_index, last.index)
        self.commit_index = max(self.commit_index, last.index)
        self.last_applied = self.synced_index = last.index
        if not self.rules.vote_survives_installation():
            self.voted_for = None
        self._ready.install = Installation(meta, keeps_log)
        self.note(
            "install",
            "log_goes_on_after_snapshot" if keeps_log else "snapshot_is_ahead",
            index=last.index,
            base_term=last.term,
            id=meta.id,
            size=meta.size,
            keeps_log=keeps_log,
        )
        self._take_over_configuration(meta, keeps_log)

    def _take_over_configuration(self, meta: SnapshotMeta, keeps_log: bool) -> None:
        if keeps_log:
            self.configurations.compact(meta.last.index)
        else:
            self.configurations.reset(meta.configuration_index, meta.configuration)
            self._use_newest_configuration("snapshot_is_ahead")

    def commit(self, index: int, why: str, holders: list[int] | None = None) -> None:
        """Everything up to `index` is committed."""
        self.assertions.commit_only_rises(self.commit_index, index, self.log.last_index)
        was, self.commit_index = self.commit_index, index
        fields: dict[str, Any] = {"index": index, "was": was}
        if holders is not None:
            fields["holders"] = holders
        self.note("commit", why, **fields)

    def _use_newest_configuration(self, why: str) -> None:
        membership.use_newest_configuration(self, why)
        self.speaks_to_others()

    def speaks_to_others(self) -> None:
        """From the next ready() on, other servers are spoken to than before."""
        self._ready.members_changed = True

    # Whom a leader sends entries

    def followers(self) -> Iterable[tuple[int, Progress]]:
        """All members but itself, and who was removed and does not know it yet."""
        if not self.leavers:
            return self.progress.items()
        return [*self.progress.items(), *((id, leaver.progress) for id, leaver in self.leavers.items())]

    def progress_of(self, peer: int) -> Progress | None:
        """What this leader knows of a follower's log; None where it is none of its followers."""
        if peer in self.leavers:
            return self.leavers[peer].progress
        return self.progress.get(peer)

    # Timers, messages, notes

    def start_election_timer(self, why: str) -> None:
        """Start waiting for a leader, with a newly drawn timeout (§5.2)."""
        self.election_timeout_s = self.rules.election_timeout_s(
            self.settings.election_shortest_s, self.settings.election_longest_s, self.random
        )
        self._timer_noted_at = self.now
        self.election_deadline = self.now + self.election_timeout_s
        self.note("timer", why, kind="election", duration=round(self.election_timeout_s, 4))

    def restart_election_timer(self, why: str) -> None:
        """The leader was heard, or a vote granted: start waiting anew (§5.2).

        Under load that is thousands of times a second, so within half a heartbeat of the last
        draw the deadline moves along with the same timeout, and nothing is noted.
        """
        if self.now - self._timer_noted_at >= self.settings.heartbeat_s / 2:
            self.start_election_timer(why)
        else:
            self.election_deadline = self.now + self.election_timeout_s

    def send(self, message: Message) -> None:
        """Hand a message to the next ready()."""
        self._outbox.append(message)

    def note(self, event: str, why: str, /, **fields: Any) -> None:
        """Record what happened and the rule that decided."""
        self.notes.append(Note(event, why, fields, self.current_term))

    def release_read(self, ticket: Any) -> None:
        """A read may be answered from what is applied now."""
        self._ready.reads.append(ticket)

    def refuse(self, ticket: Any, why: str) -> None:
        """A proposal or read cannot be served here."""
        self._ready.refused.append(Refused(ticket, why))

    def want_snapshot(self) -> None:
        """Somebody must make a snapshot of the state machine."""
        self._ready.snapshot_wanted = True

    def keep_chunk(self, chunk: Chunk) -> None:
        """A piece of a snapshot is to be written."""
        self._ready.chunks.append(chunk)

    def check_snapshot(self, meta: SnapshotMeta) -> None:
        """All of a snapshot is there: somebody must verify it."""
        self._ready.check = meta

    def transferred(self, ticket: Any) -> None:
        """A transfer is over: this term's leader is known."""
        assert self.leader_id is not None
        self._ready.transferred.append(Transferred(ticket, self.leader_id, self.current_term))

    def place(self, ticket: Any, index: int) -> None:
        """A proposal has got its place in the log."""
        self._ready.placed.append(Placed(ticket, index, self.current_term))


def on_time(server: Server, event: TimeIs) -> None:
    """A timer may be due (§5.2)."""
    if server.now >= transfer.deadline(server):
        transfer.give_up(server, "election_timeout_elapsed")
    if server.role != "leader":
        if server.now >= server.election_deadline:
            _election_time_is_over(server)
    elif server.now >= election.quorum_deadline(server):
        server.become_follower(server.current_term, None, "leads_until")
    elif server.now >= server.heartbeat_due:
        replication.heartbeat(server)


def _election_time_is_over(server: Server) -> None:
    if membership.may_campaign(server):
        election.time_out(server)
    else:
        server.start_election_timer("may_campaign")


def on_persisted(server: Server, event: Persisted) -> None:
    """The disk caught up: a server's own vote and its own entries count from now on."""
    server.durable_state = event.hard_state
    if server.log.matches(event.last_log):
        server.durable_index = max(server.durable_index, event.last_log.index)
    server.log.release(server.durable_index)
    election.count_own_vote(server)
    if server.role == "leader":
        replication.advance_commit_index(server)


def with_terms(handler: Callable[[Server, Any], None]) -> Callable[[Server, Any], None]:
    """Before a message means anything: it must be from who is heard here, and a newer term is taken over (§5.1)."""

    def handle(server: Server, message: Any) -> None:
        if not membership.hears(server, message):
            return
        if server.rules.term_is_newer(message.term, server.current_term) and not election.is_left_alone(
            server, message
        ):
            server.become_follower(message.term, None, "term_is_newer")
        handler(server, message)

    return handle


HANDLERS: dict[type, Callable[[Server, Any], None]] = {
    TimeIs: on_time,
    Propose: replication.on_propose,
    Read: reads.on_read,
    ChangeMembership: membership.on_change_membership,
    Transfer: transfer.on_transfer,
    Persisted: on_persisted,
    StateMachineSynced: compaction.on_state_machine_synced,
    SnapshotMade: snapshot.on_snapshot_made,
    SnapshotFailed: snapshot.on_snapshot_failed,
    SnapshotVerified: snapshot.on_snapshot_verified,
    SnapshotDamaged: snapshot.on_snapshot_damaged,
    Undelivered: replication.on_undelivered,
    RequestVote: with_terms(election.on_request_vote),
    RequestVoteReply: with_terms(election.on_request_vote_reply),
    AppendEntries: with_terms(replication.on_append_entries),
    AppendEntriesReply: with_terms(replication.on_append_entries_reply),
    InstallSnapshot: with_terms(snapshot.on_install_snapshot),
    InstallSnapshotReply: with_terms(snapshot.on_install_snapshot_reply),
    TimeoutNow: with_terms(transfer.on_timeout_now),
    TimeoutNowReply: with_terms(transfer.on_timeout_now_reply),
}
