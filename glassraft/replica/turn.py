"""The turn: step all, persist, then send, apply, release.

One turn takes what has arrived, lets the server step all of it, and does what its `Ready`
asks for, in the one order that is safe:

    1  a leader's AppendEntries go out, while
    2  hard state and entries are made durable, in one transaction; so is a snapshot that takes the log's place
    3  everything that depended on 2 goes out
    4  what is committed is applied to the queue
    5  whoever waited for it is told
    6  what the queue's disk holds goes from the log, a bounded piece a turn

It is given its disk, its queue, its network and its clock. So a simulator runs the same
code, and cuts it between any two effects by raising from one of them. Nothing in here
blocks or knows a thread; who runs it, and when, is driver.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from glassraft.jobqueue import commands
from glassraft.raft.configuration import Address, Configuration, addresses_in, configuration_text
from glassraft.raft.messages import AppendEntries, Entry, InstallSnapshot, Message, SnapshotMeta
from glassraft.raft.ready import (
    ChangeMembership,
    Persisted,
    Propose,
    Read,
    Ready,
    SnapshotDamaged,
    SnapshotFailed,
    SnapshotMade,
    SnapshotVerified,
    StateMachineSynced,
    TimeIs,
    Transfer,
    Undelivered,
)
from glassraft.raft.server import APPLY_BATCH_ENTRIES, Server
from glassraft.replica.arrivals import (
    Applied,
    Arrival,
    ChangeArrived,
    CommandArrived,
    Confirmed,
    HandedOver,
    Look,
    MessageArrived,
    MessageLost,
    Origin,
    QueueSynced,
    ReadArrived,
    Result,
    Settles,
    ShutDown,
    SnapshotChecked,
    SnapshotTaken,
    SnapshotUnmade,
    SnapshotUnsound,
    TakeArrived,
    TimePassed,
    TransferArrived,
    Unserved,
    WorkFailed,
)
from glassraft.replica.cluster_clock import ClusterClock
from glassraft.replica.digests import Digests
from glassraft.replica.environment import Clock, Disk, Network, Queue, Snapshots, Watchers
from glassraft.replica.recorder import Recorder
from glassraft.replica.rules import TurnRules
from glassraft.replica.schedules import Firings, with_first_due
from glassraft.replica.takes import WaitingTakes

NEVER = float("inf")

QUEUE_COMMIT_S = 0.1
"""Applied commands share a commit of the queue's file for so long; a read is not kept waiting for it."""

PENDING_S = 5.0
"""How long a command may wait for a majority before its client is told that there is none."""


ROUNDS_A_TURN = 20
"""A turn's Ready leads to the next, without end on a node alone whose jobs come due by the thousand."""


class Pending(NamedTuple):
    """Who waits for a proposal of this leader that is not applied yet, and until when (monotonic seconds).

    Whoever is deposed tells all of them in the turn in which its log is overwritten, if not before: another
    leader's entry in the proposal's place is applied when that is on disk, and so after that.
    """

    ticket: Settles
    until: float


@dataclass(frozen=True, slots=True)
class PendingRead:
    """A read that waits for a majority to confirm this leader, and until when (monotonic seconds)."""

    ticket: Settles
    until: float

    def settle(self, result: Result) -> None:
        """Tell whoever waits."""
        self.ticket.settle(result)


class Replica:
    """One node: the server, its disk and queue, and those who wait. Owned by one thread at a time."""

    def __init__(
        self,
        *,
        make_server: Callable[[Callable[[float], str]], Server],
        disk: Disk,
        queue: Queue,
        network: Network,
        clock: Clock,
        cluster_clock: ClusterClock,
        make_recorder: Callable[["Replica"], Recorder],
        watchers: Watchers,
        snapshots: Snapshots,
        addresses: Mapping[int, Address] = MappingProxyType({}),
        meet: Callable[[Mapping[int, Address]], None] = lambda addresses: None,
        rules: TurnRules | None = None,
    ) -> None:
        self.disk = disk
        self.queue = queue
        self.snapshots = snapshots
        self.network = network
        self.clock = clock
        self.cluster_clock = cluster_clock
        self.watchers = watchers
        self.rules = rules or TurnRules()
        self.server = make_server(self._opening)
        self.server.write_configuration = self._configuration_text
        self.addresses = dict(addresses)
        self._meet = meet
        self.recorder = make_recorder(self)
        self.digests = Digests()
        self.digests.remember(queue.machine.applied_index, queue.machine.digest)
        self.takes = WaitingTakes(queue.machine)
        self.pending: dict[int, Pending] = {}
        self.tick_index = 0
        self.firings = Firings()
        self.stopping = False
        self.commit_due = NEVER
        self.leader_heard_at = clock.monotonic()

    def now_ms(self) -> int:
        """The cluster's time, as this node reads it now."""
        return self.cluster_clock.read_ms(self.clock.monotonic(), self.clock.wall_ms())

    @property
    def next_deadline(self) -> float:
        """When TimePassed must arrive at the latest (monotonic seconds)."""
        deadline = min(self.server.next_deadline, self.takes.next_deadline, self.commit_due)
        if self.pending:
            deadline = min(deadline, next(iter(self.pending.values())).until)
        if not self.server.takes_proposals:
            return deadline
        machine, now = self.queue.machine, self.clock.monotonic()
        tick_ms = self.next_tick_ms()
        if tick_ms is not None:
            deadline = min(deadline, now + self._until_s(tick_ms, now))
        firing_ms = self.firings.next_at_ms(machine)
        if firing_ms is not None:
            deadline = min(deadline, now + self.firings.wait_s(now, self._until_s(firing_ms, now)))
        return deadline

    def _until_s(self, at_ms: int, now: float) -> float:
        """Seconds until cluster time is `at_ms`; never none at all."""
        return max(at_ms - self.cluster_clock.read_ms(now, self.clock.wall_ms()), 1) / 1000

    def next_tick_ms(self) -> int | None:
        """The cluster time at which a leader is to propose a Tick; None where none is wanted, or one is under way."""
        machine = self.queue.machine
        return machine.next_tick_ms() if self.tick_index <= machine.applied_index else None

    def _opening(self, now: float) -> str:
        """The empty entry of a new leader's term carries the time, which goes on from its log's last stamp."""
        last = self.server.log.last_index
        if last >= self.server.log.first_index:
            [newest] = self.server.log.slice(last, max_entries=1, max_bytes=1)
            self.cluster_clock.goes_on_from(commands.stamp_of(newest.command), now)
        self.cluster_clock.goes_on_from(self.queue.machine.now_ms, now)
        return commands.opening(self.cluster_clock.stamp(now, self.clock.wall_ms()))

    def _configuration_text(self, configuration: Configuration, now: float) -> str:
        stamp_ms = self.cluster_clock.stamp(now, self.clock.wall_ms())
        return configuration_text(configuration, self.addresses, stamp_ms)

    def meet_members(self, entries: Sequence[Entry] = ()) -> None:
        """Speak to whom the server wants to speak to, where the configurations among these entries say."""
        for entry in entries:
            if entry.kind == "configuration":
                self.addresses.update(addresses_in(entry.command))
        server = self.server
        self.cluster_clock.counts(server.configuration.voters)
        wanted = (*server.peers, *server.leavers)
        self._meet({id: self.addresses[id] for id in wanted if id in self.addresses})


def turn(replica: Replica, arrivals: Iterable[Arrival]) -> bool:
    """Step everything that has arrived, and do what comes of it, until nothing is left to do.

    True when it stopped before that, after a large batch of entries to apply or after ROUNDS_A_TURN:
    a node that has much to do takes in what has arrived meanwhile. Call again then, with or without
    arrivals.

    Raises what the disk or the queue raise: then the node must stop, and what was not acknowledged
    was not promised.
    """
    now = replica.clock.monotonic()
    for arrival in arrivals:
        if type(arrival) is not CommandArrived:  # commands that come together are noted together
            _note_down(replica)
        STEPS[type(arrival)](replica, arrival, now)
    replica.server.step(TimeIs(), now)
    has_more = True
    for _ in range(ROUNDS_A_TURN):
        ready = replica.server.ready()
        _note_down(replica)
        if not ready.is_empty:
            _carry_out(replica, ready, now)
        if replica.server.role != "leader":  # before another leader's entries are applied in place of theirs
            _tell_those_who_wait_for_a_leader(replica)
        if len(ready.committed) >= APPLY_BATCH_ENTRIES:
            break
        if not ready.leads_on and not _wake(replica, now):
            has_more = False
            break
    if replica.stopping:
        _tell_everybody_to_go(replica)
    if replica.commit_due <= now:
        _commit_queue(replica)
    replica.recorder.tallies.turns += 1
    replica.recorder.writer.flush()
    return has_more


def _carry_out(replica: Replica, ready: Ready, now: float) -> None:
    """The one safe order (see the head of this file)."""
    if ready.members_changed:
        replica.meet_members(ready.entries)
    _send(replica, ready.messages_now)
    if not replica.rules.disk_before_messages():
        _send(replica, ready.messages_after)
        ready.messages_after.clear()
    if ready.must_persist:
        if not replica.rules.disk_before_counting():
            _count_unsaved(replica, ready, now)
        began = replica.clock.monotonic()
        _persist(replica, ready)
        replica.recorder.tallies.saves.add(replica.clock.monotonic() - began)
        replica.server.step(replica.disk.persisted(replica.server.log.last), now)
        _note_down(replica)
    for chunk in ready.chunks:  # after an installation: they are of a later snapshot, which takes its place
        replica.snapshots.write(chunk)
    _send(replica, ready.messages_after)
    for placed in ready.placed:
        replica.pending[placed.index] = Pending(placed.ticket, now + PENDING_S)
    for refused in ready.refused:
        refused.ticket.settle(Unserved(refused.why))
    if ready.committed:
        _apply(replica, ready.committed, now)
    if ready.reads:
        _commit_queue(replica)
    for ticket in ready.reads:
        ticket.settle(Confirmed(replica.queue.machine.applied_index))
    for done in ready.transferred:
        done.ticket.settle(HandedOver(done.leader_id, done.term))
    _look_after_log(replica, ready)


def _count_unsaved(replica: Replica, ready: Ready, now: float) -> None:
    """What no turn does but one with a broken rule: the server takes for durable what is still to be saved."""
    hard_state = ready.hard_state or replica.server.durable_state
    replica.server.step(Persisted(hard_state, replica.server.log.last), now)
    _note_down(replica)


def _persist(replica: Replica, ready: Ready) -> None:
    if ready.install is None:
        return replica.disk.save(ready.hard_state, ready.truncate_from, ready.entries)
    # A kill before the disk's transaction leaves the old file in use, one after it the new.
    file, configuration = replica.snapshots.put_in_place(ready.install.snapshot)
    replica.disk.install(
        ready.hard_state, ready.truncate_from, ready.entries, ready.install, file, configuration
    )
    replica.queue.go_on_from(file)
    replica.commit_due = NEVER
    machine = replica.queue.machine
    replica.digests.remember(machine.applied_index, machine.digest)
    replica.takes.refuse_all("not_leader")
    replica.takes = WaitingTakes(machine)
    replica.watchers.look_again()
    replica.snapshots.remove_left()
    replica.addresses.update(addresses_in(configuration))
    replica.meet_members()


def _look_after_log(replica: Replica, ready: Ready) -> None:
    """Compaction and snapshots (§7): a stride goes from the log, and what takes its time is begun."""
    if ready.compact_to is not None:
        replica.disk.compact(ready.compact_to)
    if ready.sync_wanted:
        _commit_queue(replica)
        replica.snapshots.sync(replica.queue.machine.applied_index)
    if ready.drop_snapshot:
        replica.snapshots.drop()
    if ready.snapshot_wanted:
        _commit_queue(replica)
        replica.snapshots.make()
    if ready.check is not None:
        replica.snapshots.check(ready.check)


def _note_down(replica: Replica) -> None:
    """What the server noted becomes events, before anything else does."""
    if replica.server.notes:
        replica.recorder.notes(replica.server.take_notes())


def _send(replica: Replica, messages: Sequence[Message]) -> None:
    machine = replica.queue.machine
    for message in messages:
        id = replica.recorder.next_message_id()
        replica.recorder.sent(message, id)
        is_heartbeat = isinstance(message, AppendEntries) and not message.entries
        replica.network.send(
            message,
            Origin(
                id,
                replica.recorder.writer.clock,
                replica.clock.wall_ms(),
                machine.applied_index if is_heartbeat else 0,
                machine.digest if is_heartbeat else "",
            ),
        )


def _apply(replica: Replica, entries: Sequence[Entry], now: float) -> None:
    outcomes = replica.queue.apply(entries)
    replica.commit_due = min(replica.commit_due, now + QUEUE_COMMIT_S)
    replica.recorder.applied(entries, outcomes)
    machine = replica.queue.machine
    replica.digests.remember(machine.applied_index, machine.digest)
    for entry, outcome in zip(entries, outcomes, strict=True):
        waiting = replica.pending.pop(entry.index, None)
        if waiting is not None:
            waiting.ticket.settle(Applied(entry.index, outcome))
    finished = replica.watchers.waiting_for(outcomes)
    if finished:
        _commit_queue(replica)
        for event in finished:
            event.set()


def _commit_queue(replica: Replica) -> None:
    replica.queue.commit()
    replica.commit_due = NEVER


def _wake(replica: Replica, now: float) -> bool:
    """A leader proposes what waits for no client: Takes that can be served now, schedules and a Tick that are due."""
    if not replica.server.takes_proposals or replica.stopping:
        return False
    woken = replica.takes.wake(now)
    for command in woken:
        _propose(replica, command, now)
    fired = _fire_schedules(replica, now)
    tick_ms = replica.next_tick_ms()
    if tick_ms is not None and tick_ms <= replica.cluster_clock.read_ms(now, replica.clock.wall_ms()):
        _propose(replica, CommandArrived("Tick", commands.tick(), NOBODY), now)
        replica.tick_index = replica.server.log.last_index
        return True
    return bool(woken) or fired


def _fire_schedules(replica: Replica, now: float) -> bool:
    """Propose what is due of the schedules, once all that was proposed before is applied; whether there was any."""
    machine = replica.queue.machine
    if replica.firings.next_at_ms(machine) is None:
        return False
    now_ms = replica.cluster_clock.read_ms(now, replica.clock.wall_ms())
    due = replica.firings.due(machine, now, now_ms)
    for arguments in due:
        _propose(replica, CommandArrived("FireSchedule", arguments, NOBODY), now)
    if due:
        replica.firings.proposed(replica.server.log.last_index)
    return bool(due)


def _tell_those_who_wait_for_a_leader(replica: Replica) -> None:
    """This node does not lead (any longer): the clients must go elsewhere."""
    if replica.pending:
        waiting, replica.pending = replica.pending, {}
        for pending in waiting.values():
            pending.ticket.settle(Unserved("deposed"))
    replica.takes.refuse_all("not_leader")
    replica.tick_index = 0  # a Tick of this leadership may be gone with it
    replica.firings.forget()


def _tell_everybody_to_go(replica: Replica) -> None:
    """The node stops: what could be finished is, and nobody else waits any longer."""
    waiting, replica.pending = replica.pending, {}
    for pending in waiting.values():
        pending.ticket.settle(Unserved("shutting_down"))
    replica.takes.refuse_all("shutting_down")
    adds, replica.server.waiting_adds = replica.server.waiting_adds, []
    for add in adds:
        add.ticket.settle(Unserved("shutting_down"))
    hand_over, replica.server.hand_over = replica.server.hand_over, None
    if hand_over is not None:
        hand_over.ticket.settle(Unserved("shutting_down"))
    _give_up_reads(replica, "shutting_down", NEVER)


def _give_up_reads(replica: Replica, why: str, until: float) -> None:
    """Forget the reads whose time is over by then: without a majority nobody would ever confirm them."""
    reads = replica.server.waiting_reads
    replica.server.waiting_reads = [read for read in reads if read.ticket.until > until]
    for read in reads:
        if read.ticket.until <= until:
            read.ticket.settle(Unserved(why))


# What each arrival means


def _command(replica: Replica, arrival: CommandArrived, now: float) -> None:
    if replica.stopping:
        arrival.ticket.settle(Unserved("shutting_down"))
    else:
        _propose(replica, arrival, now)


def _propose(replica: Replica, arrival: CommandArrived, now: float) -> None:
    """Stamp the command with the cluster's time and put it into the log."""
    stamp_ms = replica.cluster_clock.stamp(now, replica.clock.wall_ms())
    arguments = arrival.arguments
    if arrival.op == "SetSchedule":
        arguments = with_first_due(arguments, stamp_ms)
    text = commands.envelope(arrival.op, arguments, stamp_ms, arrival.session, arrival.number, arrival.low)
    replica.server.step(Propose(arrival.ticket, text), now)


def _take(replica: Replica, arrival: TakeArrived, now: float) -> None:
    if replica.server.role != "leader":
        arrival.command.ticket.settle(Unserved("not_leader"))
    else:
        replica.takes.add(arrival, replica.server.log.last_index)


def _message(replica: Replica, arrival: MessageArrived, now: float) -> None:
    message, origin = arrival.message, arrival.origin
    replica.recorder.received(message, origin)
    replica.cluster_clock.heard(message.sender, origin.wall_ms, now)
    if origin.digest:
        replica.digests.compare(message.sender, origin.applied, origin.digest)
    if arrival.respond is not None:
        replica.network.expect_reply(arrival)
    replica.server.step(message, now)
    if message.sender == replica.server.leader_id:
        replica.leader_heard_at = now


def _lost(replica: Replica, arrival: MessageLost, now: float) -> None:
    message = arrival.message
    replica.recorder.lost(message, arrival.id, arrival.why)
    if isinstance(message, AppendEntries | InstallSnapshot):
        replica.server.step(Undelivered(message.receiver, message.round), now)


def _read(replica: Replica, arrival: ReadArrived, now: float) -> None:
    replica.server.step(Read(PendingRead(arrival.ticket, now + PENDING_S)), now)


def _queue_synced(replica: Replica, arrival: QueueSynced, now: float) -> None:
    replica.server.step(StateMachineSynced(arrival.index), now)


def _snapshot_taken(replica: Replica, arrival: SnapshotTaken, now: float) -> None:
    server, last = replica.server, arrival.last
    configuration_index, configuration = server.configuration_at(last.index)
    id = f"n{server.id}-{last.term}-{last.index}-{arrival.sha256[:12]}"
    snapshot = SnapshotMeta(last, id, arrival.size, arrival.sha256, configuration, configuration_index)
    server.step(SnapshotMade(snapshot), now)


def _snapshot_unmade(replica: Replica, arrival: SnapshotUnmade, now: float) -> None:
    replica.server.step(SnapshotFailed(), now)


def _snapshot_checked(replica: Replica, arrival: SnapshotChecked, now: float) -> None:
    replica.server.step(SnapshotVerified(arrival.snapshot), now)


def _snapshot_unsound(replica: Replica, arrival: SnapshotUnsound, now: float) -> None:
    replica.server.step(SnapshotDamaged(arrival.snapshot), now)


def _work_failed(replica: Replica, arrival: WorkFailed, now: float) -> None:
    raise arrival.error


def _change(replica: Replica, arrival: ChangeArrived, now: float) -> None:
    if replica.stopping:
        return arrival.ticket.settle(Unserved("shutting_down"))
    if arrival.address is not None:
        if arrival.server not in replica.server.members:
            replica.addresses[arrival.server] = arrival.address
        elif replica.addresses.get(arrival.server) != arrival.address:
            return arrival.ticket.settle(Unserved("already_member"))
    replica.server.step(ChangeMembership(arrival.ticket, arrival.change, arrival.server), now)


def _transfer(replica: Replica, arrival: TransferArrived, now: float) -> None:
    if replica.stopping:
        return arrival.ticket.settle(Unserved("shutting_down"))
    replica.server.step(Transfer(arrival.ticket, arrival.target), now)


def _look(replica: Replica, arrival: Look, now: float) -> None:
    arrival.see(replica)


def _time_passed(replica: Replica, arrival: TimePassed, now: float) -> None:
    replica.takes.expire(now)
    overdue = [index for index, pending in replica.pending.items() if pending.until <= now]
    for index in overdue:
        replica.pending.pop(index).ticket.settle(Unserved("no_quorum"))
    _give_up_reads(replica, "no_quorum", now)


def _shut_down(replica: Replica, arrival: ShutDown, now: float) -> None:
    replica.stopping = True


class _Nobody:
    """Waits for nothing: the ticket of commands that the node proposes by itself."""

    def settle(self, result: object) -> None: ...


NOBODY = _Nobody()

STEPS: dict[type, Callable[[Replica, Any, float], None]] = {
    MessageArrived: _message,
    MessageLost: _lost,
    CommandArrived: _command,
    TakeArrived: _take,
    ReadArrived: _read,
    ChangeArrived: _change,
    TransferArrived: _transfer,
    Look: _look,
    QueueSynced: _queue_synced,
    SnapshotTaken: _snapshot_taken,
    SnapshotUnmade: _snapshot_unmade,
    SnapshotChecked: _snapshot_checked,
    SnapshotUnsound: _snapshot_unsound,
    WorkFailed: _work_failed,
    TimePassed: _time_passed,
    ShutDown: _shut_down,
}
