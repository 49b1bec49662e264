"""A cluster of pure servers in one thread, with disks, clocks and a network.

What was persisted survives a crash, the rest is lost. Each `Ready` is carried out in exactly
the order that it asks for, and can be cut between any two effects by raising `Crash` from
`before_effect`. Nothing here decides anything about Raft: every state arises by the rules.
Next: network.py; chaos.py, which plays seeds.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, Literal

from glassraft.raft.assertions import Assertions
from glassraft.raft.configuration import NOBODY, Configuration, parse_configuration
from glassraft.raft.log import TAIL_BYTES, TAIL_ENTRIES, Log
from glassraft.raft.messages import EMPTY_LOG, Entry, LogPosition, Message, SnapshotMeta
from glassraft.raft.ready import (
    NEVER_STARTED,
    ChangeMembership,
    Event,
    HardState,
    Installation,
    Note,
    Persisted,
    Placed,
    Propose,
    Read,
    Ready,
    Refused,
    Settings,
    SnapshotDamaged,
    SnapshotMade,
    SnapshotVerified,
    StateMachineSynced,
    TimeIs,
)
from glassraft.raft.rules import Rules
from glassraft.raft.server import Server
from tests.raft.network import Arrival, Network, Report, Work

AS_PRINTED = Settings(pre_vote=False, check_quorum=False)
"""The paper's own elections: a candidate stands at once, and a leader leads until it hears of a newer term."""

ENOUGH_DELIVERIES = 100_000
"""A script that is not quiet after so many messages never will be."""


class Crash(Exception):
    """Raised between two effects: the node's process is gone."""


@dataclass
class Disk:
    """What a crash leaves: Figure 2's persistent state, and where the log begins (§7)."""

    hard_state: HardState = NEVER_STARTED
    entries: list[Entry] = field(default_factory=list)
    """All that were written and not truncated: those up to the base count as gone."""
    base: LogPosition = EMPTY_LOG
    base_configuration: tuple[int, Configuration] | None = None
    """What an installed snapshot stood under, and its entry's index."""

    @property
    def last(self) -> LogPosition:
        """Where the log ends."""
        return LogPosition(self.entries[-1].term, self.entries[-1].index) if self.entries else EMPTY_LOG

    def save(self, ready: Ready, installed: Sequence[Entry] = ()) -> None:
        """All of it or nothing, like a transaction. `installed`: what the snapshot stands for, if there is one."""
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.truncate_from is not None:
            del self.entries[ready.truncate_from - 1 :]
        if ready.install is not None:
            last = ready.install.snapshot.last
            follow = self.entries[last.index :] if ready.install.keeps_log else []
            self.entries = [*installed, *follow]
            self.base = last
            self.base_configuration = (
                ready.install.snapshot.configuration_index,
                ready.install.snapshot.configuration,
            )
        if ready.entries:
            assert ready.entries[0].index == len(self.entries) + 1, "entries must follow what is on disk"
            self.entries.extend(ready.entries)

    def persisted(self) -> Persisted:
        """What the server is told then."""
        return Persisted(self.hard_state, self.last)

    def compact(self, base: LogPosition) -> None:
        """The entries up to there are gone."""
        assert self.base.index < base.index <= len(self.entries)
        self.base = base

    def read(self, first: int, last: int) -> list[Entry]:
        """Entries first..last, both included."""
        assert first > self.base.index, f"entry {first} was compacted"
        return self.entries[first - 1 : last]

    def term_at(self, index: int) -> int:
        """The term of the entry on disk at this index, 0 where there is none."""
        return self.entries[index - 1].term if 0 < index <= len(self.entries) else 0

    def open_log(self, tail_entries: int, tail_bytes: int) -> Log:
        """The log as a starting server finds it: terms, the newest entries, and a reader for the rest."""
        terms: list[tuple[int, int]] = []
        held = self.entries[self.base.index :]
        for entry in held:
            if not terms or terms[-1][0] != entry.term:
                terms.append((entry.term, entry.index))
        return Log(
            base=self.base,
            terms=terms,
            tail=held[-tail_entries:],
            last_index=len(self.entries),
            read=self.read,
            tail_entries=tail_entries,
            tail_bytes=tail_bytes,
        )


def frozen(applied: Sequence[Entry]) -> bytes:
    """A state machine as a snapshot's bytes."""
    return json.dumps([[entry.index, entry.term, entry.kind, entry.command] for entry in applied]).encode()


def thawed(data: bytes) -> tuple[Entry, ...]:
    """The inverse of `frozen`."""
    return tuple(Entry(*row) for row in json.loads(data))


def meta_of(node: "Node", configuration: Configuration, configuration_index: int) -> SnapshotMeta:
    """What the snapshot that this node has just made is."""
    last = node.applied[-1]
    digest = sha256(node.made).hexdigest()
    return SnapshotMeta(
        last=LogPosition(last.term, last.index),
        id=f"n{node.id}-{node.lives}-{last.index}",
        size=len(node.made),
        sha256=digest,
        configuration=configuration,
        configuration_index=configuration_index,
    )


@dataclass
class Node:
    """One machine: disk, clock (monotonic seconds), what it has applied, and the server while it is up."""

    id: int
    disk: Disk = field(default_factory=Disk)
    clock: float = 0.0
    rate: float = 1.0
    """Seconds that its clock shows for one of the world's."""
    applied: list[Entry] = field(default_factory=list)
    """The state machine, durable: a restart finds it as it was, or a little older, down to what was synced."""
    synced: int = 0
    made: bytes = b""
    """The snapshot that it has made, while its process lives."""
    received: dict[SnapshotMeta, bytes] = field(default_factory=dict)
    lives: int = 0
    server: Server | None = None

    @property
    def up(self) -> Server:
        """The server, which must be running."""
        assert self.server is not None, f"n{self.id} is down"
        return self.server


class Watcher:
    """Sees everything that happens in a world; override what is of interest."""

    world: "World"

    def sent(self, message: Message) -> None: ...
    def lost(self, message: Message) -> None: ...
    def received(self, message: Message) -> None:
        """The receiver is about to step it."""

    def noted(self, node: Node, note: Note) -> None: ...
    def persisted(self, node: Node, ready: Ready) -> None: ...
    def placed(self, node: Node, placed: Placed) -> None: ...
    def refused(self, node: Node, refused: Refused) -> None: ...
    def applied(self, node: Node, entry: Entry) -> None: ...
    def answered(self, node: Node, ticket: Any) -> None:
        """A read may be answered from what the node has applied."""

    def installed(self, node: Node, installation: Installation) -> None:
        """A snapshot is on the node's disk, its state machine is the snapshot's."""

    def compacted(self, node: Node) -> None:
        """Entries are gone from the node's disk."""

    def settled(self, node: Node) -> None:
        """The node has done all that its last events asked for."""

    def crashed(self, node: Node) -> None: ...
    def started(self, node: Node) -> None: ...


class World:
    """Servers n1..nN, all started at time 0, and spare ones after them, in no configuration yet.

    Same arguments, same run.
    """

    def __init__(
        self,
        size: int,
        *,
        spare: int = 0,
        seed: object = 0,
        settings: Settings = AS_PRINTED,
        rules: Rules | None = None,
        assertions: Assertions | None = None,
        watcher: Watcher | None = None,
        tail_entries: int = TAIL_ENTRIES,
        tail_bytes: int = TAIL_BYTES,
        together_s: float = 0.0,
        before_effect: Callable[[Node], None] = lambda node: None,
        sync_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`together_s`: what reaches a node so soon after another message is stepped in one turn with it.
        `sync_s`: how long it takes to sync a state machine.
        """
        self.seed = seed
        self.settings = settings
        self.rules = rules
        self.assertions = assertions
        self.watcher = watcher or Watcher()
        self.watcher.world = self
        self.tail_entries = tail_entries
        self.tail_bytes = tail_bytes
        self.together_s = together_s
        self.before_effect = before_effect
        self.sync_s = sync_s
        self.clock = 0.0
        self.network = Network(on_lost=self.watcher.lost)
        self.made_of = Configuration(tuple(range(1, size + 1)))
        self.nodes = {id: Node(id) for id in range(1, size + spare + 1)}
        for id in self.nodes:
            self.restart(id)

    @property
    def running(self) -> list[Node]:
        """The nodes that are up."""
        return [node for node in self.nodes.values() if node.server is not None]

    def server(self, id: int) -> Server:
        """The server of a node that is up."""
        return self.nodes[id].up

    # One node does something

    def act(self, id: int, *events: Event) -> None:
        """The node takes in these events together, then does what comes of them. Nothing if it is down."""
        node = self.nodes[id]
        if node.server is None:
            return
        try:
            for event in events:
                self._step(node, event)
            self._carry_out(node)
        except Crash:
            return self.crash(id)
        self.watcher.settled(node)

    def _step(self, node: Node, event: Event) -> None:
        node.up.step(event, node.clock)
        self._tell_notes(node)

    def _tell_notes(self, node: Node) -> None:
        for note in node.up.take_notes():
            self.watcher.noted(node, note)

    def _carry_out(self, node: Node) -> None:
        """Ready by Ready, until nothing is left to do."""
        while True:
            ready = node.up.ready()
            self._tell_notes(node)
            if ready.is_empty:
                return
            self._send(node, ready.messages_now)
            if ready.must_persist:
                self.persist(node, ready)
            for chunk in ready.chunks:
                before = node.received.get(chunk.snapshot, b"")[: chunk.offset]
                assert len(before) == chunk.offset, "a chunk follows what is there"
                node.received[chunk.snapshot] = before + chunk.data
            self._send(node, ready.messages_after)
            self._answer(node, ready)

    def persist(self, node: Node, ready: Ready) -> None:
        """Make it durable, then tell the server; a crash may come before, between and after."""
        self.before_effect(node)
        installed = ()
        if ready.install is not None:
            installed = thawed(node.received.pop(ready.install.snapshot))
            node.applied = list(installed)
            node.synced = len(installed)
        node.disk.save(ready, installed)
        self.watcher.persisted(node, ready)
        if ready.install is not None:
            self.watcher.installed(node, ready.install)
        self.before_effect(node)
        self._step(node, node.disk.persisted())

    def _send(self, node: Node, messages: list[Message]) -> None:
        for message in messages:
            self.before_effect(node)
            self.watcher.sent(message)
            self.network.send(message, self.clock)

    def _answer(self, node: Node, ready: Ready) -> None:
        for placed in ready.placed:
            self.watcher.placed(node, placed)
        for refused in ready.refused:
            self.watcher.refused(node, refused)
        for entry in ready.committed:
            self.before_effect(node)
            node.applied.append(entry)
            self.watcher.applied(node, entry)
        for ticket in ready.reads:
            self.watcher.answered(node, ticket)
        if ready.compact_to is not None:
            self.before_effect(node)
            node.disk.compact(ready.compact_to)
            self.watcher.compacted(node)
        if ready.sync_wanted:
            self.before_effect(node)
            node.synced = len(node.applied)
            self._report(node, StateMachineSynced(node.synced))
        if ready.drop_snapshot:
            node.made = b""
        if ready.snapshot_wanted:
            self.before_effect(node)
            node.made = frozen(node.applied)
            index, configuration = node.up.configuration_at(len(node.applied))
            self._report(node, SnapshotMade(meta_of(node, configuration, index)))
        if ready.check is not None:
            data = node.received[ready.check]
            is_sound = sha256(data).hexdigest() == ready.check.sha256 and len(data) == ready.check.size
            self._report(node, SnapshotVerified(ready.check) if is_sound else SnapshotDamaged(ready.check))

    def _report(self, node: Node, work: Work) -> None:
        self.network.report(node.id, work, self.clock + self.sync_s())

    # By hand

    def propose(self, id: int, *commands: str) -> None:
        """Clients hand these commands to a node, all at once."""
        self.act(id, *(Propose(command, command) for command in commands))

    def read(self, id: int, ticket: object = "read") -> None:
        """A client asks a node for a linearizable read."""
        self.act(id, Read(ticket))

    def change(self, id: int, change: Literal["add", "remove"], server: int) -> None:
        """An operator asks a node to add or remove a server; the ticket says what was asked."""
        self.act(id, ChangeMembership(f"{change} n{server}", change, server))

    def fire_timer(self, id: int) -> None:
        """The node's next timer runs out: its own clock moves on to there."""
        node = self.nodes[id]
        node.clock = max(node.clock, node.up.next_deadline)
        self.act(id, TimeIs())

    def crash(self, id: int) -> None:
        """The process is gone, and with it all that was not on disk."""
        node = self.nodes[id]
        if node.server is not None:
            node.server = None
            node.made, node.received = b"", {}
            self.network.forget_work(id)
            self.watcher.crashed(node)

    def restart(self, id: int, *, applied: int | None = None) -> None:
        """Start from what is on disk. `applied`: how much of what was applied the state machine still has."""
        node = self.nodes[id]
        assert node.server is None, f"n{id} is up already"
        if applied is not None:
            assert applied >= node.synced, "what was synced is not lost"
            del node.applied[applied:]
        node.lives += 1
        node.server = Server(
            id,
            self.made_of.voters,
            random=Random(f"{self.seed} n{id} {node.lives}"),
            now=node.clock,
            hard_state=node.disk.hard_state,
            log=node.disk.open_log(self.tail_entries, self.tail_bytes),
            applied=len(node.applied),
            history=self.history(node),
            settings=self.settings,
            rules=self.rules,
            assertions=self.assertions,
            read_chunk=lambda meta, offset, size: node.made[offset : offset + size],
        )
        self.watcher.started(node)
        self._tell_notes(node)

    def history(self, node: Node) -> list[tuple[int, Configuration]]:
        """The configurations that a node's disk knows of."""
        made_of = self.made_of if node.id in self.made_of.voters else NOBODY
        first = node.disk.base_configuration or (0, made_of)
        entries = [
            entry for entry in node.disk.entries if entry.kind == "configuration" and entry.index > first[0]
        ]
        return [first, *((entry.index, parse_configuration(entry.command)) for entry in entries)]

    def elect(self, id: int) -> None:
        """This node's election timer runs out, and everybody hears of what comes of it."""
        self.fire_timer(id)
        self.settle()
        assert self.server(id).role == "leader", f"n{id} was not elected"
        self.fire_timer(id)
        self.settle()

    # Delivering

    def deliver_next(self) -> bool:
        """The next message arrives, unless its link is cut. False when none is under way."""
        if self.network.next_arrival == float("inf"):
            return False
        arrivals = self.network.take(self.together_s)
        if arrivals and self.nodes[arrivals[0].receiver].server is None:
            self._nobody_there(arrivals)
        elif arrivals:
            for arrival in arrivals:
                if not isinstance(arrival.what, Report):
                    self.watcher.received(arrival.what)
            self.act(arrivals[0].receiver, *(arrival.what for arrival in arrivals))
        return True

    def _nobody_there(self, arrivals: list[Arrival]) -> None:
        for arrival in arrivals:
            if not isinstance(arrival.what, Report):
                self.watcher.lost(arrival.what)

    def settle(self) -> None:
        """Deliver until nothing is under way. No time passes."""
        for _ in range(ENOUGH_DELIVERIES):
            if not self.deliver_next():
                return
        raise AssertionError(f"still not quiet after {ENOUGH_DELIVERIES} messages")

    # Time

    def advance(self, to: float) -> None:
        """All clocks move on, that of the world to this time (seconds)."""
        for node in self.nodes.values():
            node.clock += (to - self.clock) * node.rate
        self.clock = to

    def run(self, until: float) -> None:
        """Let messages arrive and timers run out, each at its time."""
        while self.run_one(until):
            pass

    def run_one(self, until: float) -> bool:
        """The next thing happens: a message arrives or a timer runs out. False if none does by then."""
        timer_at, timer_id = min(
            (
                (self.clock + (node.up.next_deadline - node.clock) / node.rate, node.id)
                for node in self.running
            ),
            default=(float("inf"), 0),
        )
        arrives_at = self.network.next_arrival
        at = max(self.clock, min(timer_at, arrives_at))
        if at > until:
            self.advance(until)
            return False
        self.advance(at)
        if arrives_at <= timer_at:
            self.deliver_next()
        else:
            # Rounding may leave the clock a hair before the deadline.
            node = self.nodes[timer_id]
            node.clock = max(node.clock, node.up.next_deadline)
            self.act(timer_id, TimeIs())
        return True
