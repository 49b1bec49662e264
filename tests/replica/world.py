"""Three real replicas with real files in one thread, cut at random between any two effects.

Time, network, clients and chance come from one seed. A cut node loses what its process had in
memory, and now and then, as a power failure does, the end of its queue's -wal; then it starts
again from its files. What was acknowledged is kept here and compared at the end. After each save and
before each message the disk is looked at, so that nothing is said that is not durable.
"""

import heapq
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from glassraft.events.writer import EventWriter
from glassraft.jobqueue import commands, ids
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
    LogPosition,
    Message,
    RequestVote,
    RequestVoteReply,
    SnapshotMeta,
)
from glassraft.raft.ready import Chunk, HardState, Installation, Persisted, Settings
from glassraft.raft.server import Server
from glassraft.replica.arrivals import (
    Applied,
    Arrival,
    CommandArrived,
    Confirmed,
    MessageArrived,
    MessageLost,
    NothingReady,
    Origin,
    QueueSynced,
    ReadArrived,
    Result,
    SnapshotChecked,
    SnapshotTaken,
    TakeArrived,
    TimePassed,
    Unserved,
)
from glassraft.replica.cluster_clock import ClusterClock
from glassraft.replica.finished import FinishedJobs
from glassraft.replica.peers import PeerNetwork
from glassraft.replica.recorder import Recorder
from glassraft.replica.snapshots import SnapshotKeeper
from glassraft.replica.state import event_state
from glassraft.replica.turn import Replica, turn
from glassraft.storage import node_files, snapshot_file
from glassraft.storage.identity import Identity
from glassraft.storage.node_files import NodeFiles, SnapshotNames
from tests.replica.parts import WALL_MS, Cut

IDS = (1, 2, 3)
SETTINGS = Settings(
    heartbeat_s=0.05,
    election_shortest_s=0.2,
    election_longest_s=0.4,
    batch_entries=8,
    kept_entries=12,
    kept_for_snapshot=60,
    compact_entries=5,
    chunk_bytes=64 * 1024,
)
DELAY_S = 0.004
DOWN_S = 0.3
LONG_DOWN_S = 2.0
"""Long enough for the others to compact what a node needs next: it comes back by a snapshot."""

ASK_AGAIN_S = 0.7
"""A client whose answer does not come asks another node, under the same number."""


@dataclass
class Chances:
    """How often what goes wrong, per effect or message."""

    cut: float = 0.004
    power_failure: float = 0.3
    lost: float = 0.02
    together: float = 0.3


@dataclass
class Client:
    """Submits, takes or completes, one command at a time, each until it is answered."""

    session: str
    number: int = 0
    leader: int = 1
    tried: int = 0
    op: str = ""
    arguments: str = ""
    since: int = 0
    acknowledged: dict[int, str] = field(default_factory=dict)
    """Of each number whose submission was answered, the job's id."""
    holds: list[tuple[str, int]] = field(default_factory=list)
    completed: set[str] = field(default_factory=set)


class Node:
    """One machine: its files' folder, its clocks, and the replica while it runs."""

    def __init__(self, world: "World", id: int) -> None:
        self.world = world
        self.id = id
        self.folder = world.folder / f"n{id}"
        self.identity = Identity("c0ffee", "test", id, {peer: f"host:{peer}" for peer in IDS})
        self.skew_ms = world.random.randrange(-3_000, 3_000)
        self.life = 0
        self.replica: Replica | None = None
        self.inbox: list[Arrival] = []
        self.synced_bytes = 0
        """So much of the queue's -wal a power failure leaves."""
        self.busy_until = 0.0
        self.names = SnapshotNames(self.raft_file)
        self.wakes_at = 0.0
        node_files.create(self.raft_file, self.queue_file, self.identity)

    @property
    def raft_file(self) -> Path:
        return self.folder / "node.raft.db"

    @property
    def queue_file(self) -> Path:
        return self.folder / "node.queue.db"

    # What the replica is given: this node is its clock, disk and queue

    def monotonic(self) -> float:
        return self.world.now

    def wall_ms(self) -> int:
        return int(WALL_MS + self.skew_ms + self.world.now * 1000)

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        self.world.maybe_cut()
        self.files.raft.save(hard_state, truncate_from, entries)
        self.world.maybe_cut()

    def persisted(self, last_log: LogPosition) -> Persisted:
        return self.files.raft.persisted(last_log)

    @property
    def machine(self) -> Machine:
        return self.files.queue.machine

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        outcomes = []
        for entry in entries:  # one by one, to compare each digest
            self.world.maybe_cut()
            outcomes += self.files.queue.apply([entry])
            self.world.applied(self, entry)
        return outcomes

    def commit(self) -> None:
        self.world.maybe_cut()
        self.files.queue.commit()
        self.world.maybe_cut()

    def compact(self, base: LogPosition) -> None:
        self.world.maybe_cut()
        self.files.raft.compact(base)
        self.world.compactions += 1
        self.world.maybe_cut()

    # And what takes its time with the queue's file

    def _later(self, arrival: Arrival) -> None:
        """What a thread of this life would have done arrives."""
        if self.replica is not None:
            self.inbox.append(arrival)
            self.take_turn()

    def sync(self, index: int) -> None:
        def synced() -> None:
            self.synced_bytes = self.wal_file.stat().st_size
            self._later(QueueSynced(index))

        self.in_its_own_time(synced)

    def make(self) -> None:
        def made() -> None:
            snapshot = snapshot_file.make(self.files.queue.path, self.names.made)
            self.world.snapshots += 1
            self._later(SnapshotTaken(snapshot.last, snapshot.size, snapshot.sha256))

        self.in_its_own_time(made)

    def drop(self) -> None:
        self.in_its_own_time(lambda: snapshot_file.remove(self.names.made))

    def read_chunk(self, snapshot: SnapshotMeta, offset: int, size: int) -> bytes:
        return snapshot_file.read_chunk(self.names.made, offset, size)

    def write(self, chunk: Chunk) -> None:
        self.world.maybe_cut()
        self.keeper.write(chunk)

    def check(self, snapshot: SnapshotMeta) -> None:
        path = self.keeper._the_incoming(snapshot).path

        def checked() -> None:
            incoming = self.keeper._incoming
            if incoming is None or incoming.path != path:
                return
            incoming.configuration = snapshot_file.check(path, snapshot, self.files.raft.identity)
            self._later(SnapshotChecked(snapshot))

        self.in_its_own_time(checked)

    def put_in_place(self, snapshot: SnapshotMeta) -> tuple[str, str]:
        self.world.maybe_cut()
        placed = self.keeper.put_in_place(snapshot)
        self.world.maybe_cut()
        return placed

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        self.files.raft.install(hard_state, truncate_from, entries, installation, queue_file, configuration)
        self.world.installs += 1
        self.synced_bytes = 0
        self.world.maybe_cut()

    def go_on_from(self, file: str) -> None:
        self.files.queue.go_on_from(file)
        self.files.queue.connection.execute("PRAGMA synchronous = OFF")
        index, digest = self.machine.applied_index, self.machine.digest
        assert self.world.digests[index] == digest, "an installed queue is what others have applied"
        self.world.maybe_cut()

    def remove_left(self) -> None:
        self.in_its_own_time(self.files.queue.remove_left)

    def in_its_own_time(self, work: Callable[[], None]) -> None:
        """What a node's thread does: one piece after the other, and with the process it ends."""
        life = self.life
        self.busy_until = max(self.busy_until, self.world.now) + self.world.random.uniform(0, 0.05)

        def unless_gone() -> None:
            if self.replica is not None and self.life == life:
                work()

        self.world.at(self.busy_until - self.world.now, unless_gone)

    @property
    def wal_file(self) -> Path:
        return self.open_queue_file.with_name(self.open_queue_file.name + "-wal")

    @property
    def open_queue_file(self) -> Path:
        """The queue's file that the raft file names: an installed snapshot's, once there was one."""
        return self.folder / self.files.raft.queue_file

    # Its life

    def start(self) -> None:
        self.life += 1
        self.files: NodeFiles = node_files.open_files(self.raft_file, self.identity)
        self.keeper = SnapshotKeeper(
            self.names, self.files.raft.identity, self.files.queue, lambda work: None
        )
        for store in (self.files.raft, self.files.queue):
            store.connection.execute("PRAGMA synchronous = OFF")  # a kill loses nothing, and tests are fast
        writer = EventWriter(
            self.id,
            None,
            max_bytes=1 << 30,
            keep=0,
            ring=64,
            whole_state=lambda: event_state(self.up),
        )
        life = f"{self.life}"
        self.replica = Replica(
            make_server=lambda opening: Server(
                self.id,
                IDS,
                random=self.world.random,
                now=self.world.now,
                hard_state=self.files.raft.hard_state,
                log=self.files.log,
                applied=self.files.queue.machine.applied_index,
                settings=SETTINGS,
                opening=opening,
                read_chunk=self.read_chunk,
            ),
            disk=self,
            queue=self,
            network=PeerNetwork(Link(self, peer) for peer in IDS if peer != self.id),  # type: ignore[misc]
            clock=self,
            cluster_clock=ClusterClock(self.id, IDS, 0.5),
            make_recorder=lambda replica: Recorder(
                self.id, writer, lambda: replica.server.current_term, life
            ),
            watchers=FinishedJobs(),
            snapshots=self,
        )
        self.inbox.clear()
        self.wakes_at = self.replica.next_deadline

    @property
    def up(self) -> Replica:
        assert self.replica is not None
        return self.replica

    def cut(self) -> None:
        """The process is gone; with some luck the power too."""
        self.replica = None
        path, wal = self.open_queue_file, self.wal_file
        image = path.read_bytes(), wal.read_bytes() if wal.exists() else b""
        for _, left in self.files.queue._left:
            left.close()
        self.files.queue._readers.close()
        self.files.queue.connection.close()
        self.files.raft.connection.close()
        if self.world.random.random() < self.world.chances.power_failure:
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            path.write_bytes(image[0])
            lost_from = self.world.random.randint(min(self.synced_bytes, len(image[1])), len(image[1]))
            wal.write_bytes(image[1][:lost_from])
        longest = self.world.random.choice((DOWN_S, DOWN_S, LONG_DOWN_S))
        self.world.at(self.world.random.uniform(0.01, longest), self.start)

    def take_turn(self) -> None:
        """Step what has arrived."""
        arrivals, self.inbox[:] = list(self.inbox), []
        if self.up.next_deadline <= self.world.now:
            arrivals.append(TimePassed())
        try:
            while turn(self.up, arrivals):
                arrivals = []
        except Cut:
            return self.cut()
        self.wakes_at = self.up.next_deadline


class Link:
    """One direction to a peer, in a PeerNetwork's place of a Peer."""

    def __init__(self, node: Node, peer: int) -> None:
        self.id = peer
        self._node = node
        self._life = node.life

    def send(self, message: RequestVote | AppendEntries | InstallSnapshot, origin: Origin) -> None:
        """Takes a request on its way; what is lost comes back."""
        world, node = self._node.world, self._node
        world.maybe_cut()
        world.check_durable(node, message)
        receiver = world.nodes[self.id]

        def back(arrival: Arrival) -> None:
            world.deliver(node, self._life, arrival)

        def respond(reply: Message, origin: Origin) -> None:
            world.maybe_cut()
            world.check_durable(receiver, reply)
            if world.is_lost():
                back(MessageLost(message, origin.id, "connection broke"))
            else:
                back(MessageArrived(reply, origin))

        if receiver.replica is None or world.is_lost():
            back(MessageLost(message, origin.id, "connection refused"))
        else:
            world.deliver(receiver, receiver.life, MessageArrived(message, origin, respond))


class World:
    """Runs until told time; everything random comes from the seed."""

    def __init__(self, folder: Path, seed: object, chances: Chances) -> None:
        self.folder = folder
        self.random = Random(seed)
        self.chances = chances
        self.now = 10.0
        self.cuts_allowed = True
        self.cuts = 0
        self.compactions = 0
        self.snapshots = 0
        self.installs = 0
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Any]] = []
        self.digests: dict[int, str] = {}
        self.committed: dict[int, Entry] = {}
        self.highest_acknowledged = 0
        self.reads = 0
        self.nodes = {id: Node(self, id) for id in IDS}
        for node in self.nodes.values():
            node.start()

    # Time and chance

    def at(self, delay_s: float, action: Any) -> None:
        heapq.heappush(self._agenda, (self.now + delay_s, next(self._order), action))

    def maybe_cut(self) -> None:
        """Between two effects: perhaps here."""
        if self.cuts_allowed and self.random.random() < self.chances.cut:
            self.cuts += 1
            raise Cut

    def is_lost(self) -> bool:
        return self.cuts_allowed and self.random.random() < self.chances.lost

    def deliver(self, node: Node, life: int, arrival: Arrival) -> None:
        """It arrives a little later, if the process that it is for still runs."""

        def arrive() -> None:
            if node.replica is not None and node.life == life:
                node.inbox.append(arrival)
                if self.random.random() >= self.chances.together:
                    node.take_turn()
                else:
                    node.wakes_at = min(node.wakes_at, self.now + DELAY_S)

        self.at(self.random.uniform(DELAY_S / 4, DELAY_S), arrive)

    def run(self, seconds: float) -> None:
        """Let everything happen that happens in so long."""
        end = self.now + seconds
        while True:
            awake = [node for node in self.nodes.values() if node.replica is not None]
            next_node = min(awake, key=lambda node: node.wakes_at, default=None)
            wakes_at = next_node.wakes_at if next_node else float("inf")
            due_at = self._agenda[0][0] if self._agenda else float("inf")
            if min(wakes_at, due_at) > end:
                self.now = end
                return
            self.now = max(self.now, min(wakes_at, due_at))
            if due_at <= wakes_at:
                heapq.heappop(self._agenda)[2]()
            elif next_node is not None:
                next_node.take_turn()

    # Checks as it goes

    def check_durable(self, node: Node, message: Message) -> None:
        """What this message says must be on its sender's disk by now."""
        on_disk = node.files.raft.hard_state
        if isinstance(message, RequestVote) and message.pre_vote:
            assert on_disk.term >= message.term - 1, "a pre-vote needs nothing on disk"
        elif isinstance(message, RequestVote):
            assert on_disk == HardState(message.term, node.id)
        elif isinstance(message, RequestVoteReply):
            assert on_disk.term == message.term or (message.pre_vote and on_disk.term > message.term)
            assert message.pre_vote or not message.vote_granted or on_disk.voted_for == message.receiver
        elif isinstance(message, AppendEntriesReply):
            assert on_disk.term == message.term
            last = node.files.raft.connection.execute("SELECT max(idx) FROM log").fetchone()[0]
            last = last or node.files.raft.base.index
            assert not message.success or last >= message.match_index
        elif isinstance(message, InstallSnapshotReply):
            assert on_disk.term == message.term
        else:
            assert on_disk.term == message.term, "a leader's own election is durable"

    def applied(self, node: Node, entry: Entry) -> None:
        """Same index, same entry and same digest on every node, in every life."""
        assert self.committed.setdefault(entry.index, entry) == entry
        digest = node.machine.digest
        assert self.digests.setdefault(entry.index, digest) == digest

    # Clients

    def client(self, kind: str) -> Client:
        """A client that goes on until the world ends: "submit", "work" or "read"."""
        client = Client(f"{self.random.getrandbits(128):032x}")
        self.at(self.random.random() * 0.5, lambda: self._next(client, kind))
        return client

    def _next(self, client: Client, kind: str) -> None:
        client.number += 1
        client.since = self.highest_acknowledged
        if kind == "submit":
            job = {"task": "nothing", "args": [client.session, client.number]}
            client.op, client.arguments = "Submit", commands.check_submit([job])
        elif kind == "read":
            client.op = "Read"
        elif client.holds:
            client.op = "Complete"
            client.arguments = commands.check_complete([[job, token, None] for job, token in client.holds])
        else:
            client.op, client.arguments = "Take", commands.check_take("w", ["default"], 3, 30_000)
        self._ask(client, kind)

    def _ask(self, client: Client, kind: str) -> None:
        client.tried += 1
        attempt = client.tried
        ticket = _Ticket(self, client, kind, attempt)
        self.deliver(self.nodes[client.leader], self.nodes[client.leader].life, self._arrival(client, ticket))
        self.at(ASK_AGAIN_S, lambda: self._give_up(client, kind, attempt))

    def _arrival(self, client: Client, ticket: "_Ticket") -> Arrival:
        if client.op == "Read":
            return ReadArrived(ticket)
        session = "" if client.op == "Complete" else client.session
        numbered = (session, client.number, client.number) if session else ("", 0, 0)
        command = CommandArrived(client.op, client.arguments, ticket, *numbered)
        if client.op == "Take":
            return TakeArrived(command, ("default",), 3, self.now + 0.3)
        return command

    def _give_up(self, client: Client, kind: str, attempt: int) -> None:
        """No answer came: ask somebody else the same."""
        if client.tried == attempt:
            client.leader = self.random.choice(IDS)
            if client.op == "Read":
                client.since = self.highest_acknowledged
            self._ask(client, kind)

    def answered(self, client: Client, kind: str, attempt: int, result: Result) -> None:
        """Called within a turn: the answer is on its way and cannot be taken back."""
        self.maybe_cut()
        if client.tried != attempt:
            return
        if isinstance(result, Unserved):
            client.tried += 1
            client.leader = self.random.choice(IDS)
            self.at(0.05, lambda: self._ask(client, kind))
            return
        client.tried += 1
        if isinstance(result, Applied):
            self.highest_acknowledged = max(self.highest_acknowledged, result.index)
            self._note(client, result)
        elif isinstance(result, NothingReady):
            client.number -= 1  # nothing was logged, so the number is free, and a new session has not begun
        elif isinstance(result, Confirmed):
            assert result.index >= client.since, "a read from before what was acknowledged"
            self.reads += 1
        self.at(self.random.random() * 0.05, lambda: self._next(client, kind))

    def _note(self, client: Client, result: Applied) -> None:
        outcome = result.outcome
        assert outcome.refusal is None, outcome.refusal
        assert outcome.answer is not None
        if client.op == "Submit":
            [client.acknowledged[client.number]] = outcome.answer["jobs"]
        elif client.op == "Take":
            client.holds = [(job, token) for job, token in outcome.answer["jobs"]]
        else:
            assert all(item["ok"] for item in outcome.answer["jobs"]), outcome.answer
            client.completed |= {job for job, _ in client.holds}
            client.holds = []

    # The end

    def heal(self) -> None:
        """Nothing goes wrong any more, until all have applied the same."""
        self.cuts_allowed = False
        for _ in range(100):
            self.run(0.5)
            ends = {
                (node.machine.applied_index, node.machine.digest) if node.replica else None
                for node in self.nodes.values()
            }
            leaders = [
                node for node in self.nodes.values() if node.replica and node.up.server.role == "leader"
            ]
            if len(ends) == 1 and None not in ends and leaders:
                return
        raise AssertionError(f"the nodes do not come together: {ends}")

    def jobs(self, id: int) -> list[tuple[str, str, list[Any]]]:
        """(id, state, args) of every job that this node has."""
        queue = self.nodes[id].files.queue
        queue.machine.drain()
        rows = queue.connection.execute(
            "SELECT id, state, args FROM jobs JOIN arguments ON job = id ORDER BY id"
        )
        return [(ids.to_text(number), state, json.loads(args)) for number, state, args in rows]

    def close(self) -> None:
        for node in self.nodes.values():
            if node.replica is not None:
                node.files.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Ticket:
    """Tells the world of a client's answer."""

    def __init__(self, world: World, client: Client, kind: str, attempt: int) -> None:
        self._what = (client, kind, attempt)
        self._world = world
        self._settled = False

    def settle(self, result: Result) -> None:
        assert not self._settled, "settled twice"
        self._settled = True
        self._world.answered(*self._what, result)
