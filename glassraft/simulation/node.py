"""One simulated machine: its disks, its clocks, and the real replica while its process runs.

The replica is given this machine's parts, each of which can be cut: raising `Cut` between two
effects of a turn is the process's end at that point. Next: world.py, which runs the machines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

from glassraft import __version__
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.jobqueue.reader import QueueReader
from glassraft.raft.configuration import Address
from glassraft.raft.messages import Entry, LogPosition, Message, SnapshotMeta
from glassraft.raft.ready import HardState, Installation, Note, Persisted
from glassraft.raft.server import Server
from glassraft.replica.arrivals import Arrival, TimePassed
from glassraft.replica.cluster_clock import ClusterClock
from glassraft.replica.environment import Snapshots
from glassraft.replica.state import event_state
from glassraft.replica.turn import Replica, turn
from glassraft.simulation.clock import NodeClock
from glassraft.simulation.disks import Disk
from glassraft.simulation.network import Uplink
from glassraft.simulation.queue_disk import QueueFile
from glassraft.simulation.recording import SilentRecorder, WatchedRecorder, event_writer

if TYPE_CHECKING:
    from glassraft.simulation.world import World

CLOCKS_HEARD_FOR_S = 1.5
"""How long a peer's clock counts after it was heard, as a real node has it for short heartbeats."""

GATHER_S = 0.003
"""Something arrived and is stepped together with what comes within so long."""

ROUNDING_S = 1e-6
"""A wake-up comes so much later than its deadline, or it could come a rounding error before it, for ever."""


class Cut(BaseException):
    """The process is gone, between two effects. Not an Exception: nothing in a node may catch it."""


@dataclass(slots=True)
class ArmedCut:
    """End the process before the effect of this name ("any": whichever) comes for the `left`-th time from now."""

    effect: str
    left: int
    down_s: float
    power: bool


class NodeSnapshots(Snapshots, Protocol):
    """The snapshots of one life of a node, and their bytes."""

    def read(self, snapshot: SnapshotMeta, offset: int, size: int) -> bytes:
        """Bytes of the snapshot that was made."""


class Node:
    """One machine, over all lives of its process. What the replica is given is this node or a part of it."""

    def __init__(
        self,
        world: "World",
        id: int,
        clock: NodeClock,
        random: Random,
        disk: Disk,
        queue: QueueFile,
        make_snapshots: Callable[["Node"], NodeSnapshots],
    ) -> None:
        """`make_snapshots` makes those of one life of the process."""
        self.world = world
        self.id = id
        self.clock = clock
        self.random = random
        self.disk = disk
        self.queue = queue
        self._make_snapshots = make_snapshots
        self.life = 0
        self.replica: Replica | None = None
        self.paused = False
        self.save_s = 0.0
        """How long its disk takes for one save; 0 is at once."""
        self.queue_stands = False
        """Its disk gets nowhere with the queue's file: syncing, making and checking snapshots wait."""
        self.armed: list[ArmedCut] = []
        self.last_cut_at = ""
        """The effect before which it was cut last."""
        self.inbox: list[Arrival] = []
        self._deadline = 0.0
        self._wakes_at = float("inf")

    @property
    def up(self) -> Replica:
        """The replica, which must be running."""
        assert self.replica is not None, f"n{self.id} is down"
        return self.replica

    @property
    def server(self) -> Server:
        """The server of a process that runs."""
        replica = self.replica
        assert replica is not None, f"n{self.id} is down"
        return replica.server

    # Its life

    def start(self) -> None:
        """The process starts from what the disks have."""
        self.life += 1
        self.inbox.clear()
        self.armed.clear()
        world = self.world
        log = self.disk.open()
        history = self.disk.history(world.first_configuration(self.id))
        self.queue.open()
        self.machine: Machine = self.queue.machine
        snapshots = self._make_snapshots(self)
        self.uplink = Uplink(self, world.network)
        self.writer = event_writer(
            world.record,
            self.id,
            self._event_state,
            lambda: self.clock.wall_ms() / 1000,
            self.clock.monotonic,
        )
        make_recorder = SilentRecorder if world.record is None else WatchedRecorder
        self.replica = Replica(
            make_server=lambda opening: Server(
                self.id,
                world.members,
                random=self.random,
                now=self.clock.monotonic(),
                hard_state=self.disk.hard_state,
                log=log,
                applied=self.machine.applied_index,
                history=history,
                settings=world.settings.raft,
                rules=world.parts.rules,
                assertions=world.parts.assertions,
                opening=opening,
                read_chunk=snapshots.read,
            ),
            disk=self,
            queue=self,
            network=self.uplink,
            clock=self.clock,
            cluster_clock=ClusterClock(self.id, world.members, CLOCKS_HEARD_FOR_S),
            make_recorder=lambda replica: make_recorder(
                self.id, self.writer, lambda: replica.server.current_term, f"{self.life}", self.noted
            ),
            watchers=world.watchers(self),
            addresses={
                member: world.addresses[member]
                for _, configuration in history
                for member in configuration.members
            },
            meet=self.meet,
            rules=world.parts.turn_rules,
            snapshots=snapshots,
        )
        self.replica.meet_members()
        self._record_start()
        world.node_started(self)
        self._sleep()

    def _record_start(self) -> None:
        host, port = self.world.addresses[self.id]
        members = self.server.configuration.members
        self.writer.write(
            "start",
            self.server.current_term,
            pid=self._pid,
            version=__version__,
            host=host,
            port=port,
            cluster=self.world.name,
            members=list(members),
            names={str(id): f"{host}:{port}" for id, (host, port) in self.world.addresses.items()},
            reason="started",
        )

    @property
    def _pid(self) -> int:
        return 1000 * self.id + self.life

    def _event_state(self) -> dict[str, object]:
        return {**event_state(self.up), "pid": self._pid}

    def stop(self, *, power: bool) -> None:
        """The process is gone; with the power, what was not synced is gone too."""
        self.replica = None
        self.paused = False
        self.inbox.clear()
        self.armed.clear()
        self.writer.close()
        self.disk.stop(self.random, power=power)
        self.queue.stop(self.random, power=power)

    def close(self) -> None:
        """The run is over."""
        if self.replica is not None:
            self.writer.close()
        self.queue.connection.close()

    # What the replica is given: clock and uplink are parts, disk and queue are this node

    def effect(self, name: str) -> None:
        """The effect of this name comes next: the process ends here if a cut is armed for it."""
        if not self.armed:
            return
        for cut in self.armed:
            if cut.effect in (name, "any"):
                cut.left -= 1
                if cut.left < 0:
                    self.last_cut_at = name
                    self.world.node_cut(self, cut)
                    raise Cut

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """Durable when it returns, which a slow disk delays."""
        self.effect("save")
        if self.save_s:
            self.clock.busy_until = self.clock.now + self.save_s
        checks = self.world.checks
        committed = checks.committed_on(self, truncate_from) if truncate_from is not None else None
        self.disk.save(hard_state, truncate_from, entries)
        checks.saved(self, entries)
        if committed is not None:
            checks.truncated(self, committed)
        self.effect("saved")

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        """save(), and a snapshot takes the log's place: all of it is durable when it returns, or nothing."""
        self.disk.install(hard_state, truncate_from, entries, installation, queue_file, configuration)
        self.world.checks.saved(self, entries)
        self.effect("installed")

    def compact(self, base: LogPosition) -> None:
        """The entries up to `base` are gone when it returns."""
        self.effect("compact")
        self.disk.compact(base)

    def persisted(self, last_log: LogPosition) -> Persisted:
        """What the server is told then."""
        return self.disk.persisted(last_log)

    def apply(self, entries: Sequence[Entry]) -> list[Outcome]:
        """One by one, so that each is compared with what the other nodes made of it."""
        outcomes: list[Outcome] = []
        for entry in entries:
            outcomes += self.queue.apply([entry])
            self.world.node_applied(self, entry, outcomes[-1])
        return outcomes

    def commit(self) -> None:
        """Readers see what was applied."""
        self.queue.commit()

    def go_on_from(self, file: str) -> None:
        """Be an installed snapshot from now on."""
        applied_before = self.machine.applied_index
        self.queue.go_on_from(file)
        self.machine = self.queue.machine
        self.world.node_installed(self, applied_before)

    def meet(self, addresses: Mapping[int, Address]) -> None:
        """Whom the network knows from now on."""
        self.met = frozenset(addresses)

    def sends(self, message: Message) -> None:
        """A message goes out at this moment."""
        self.world.node_sends(self, message)

    def noted(self, notes: Sequence[Note]) -> None:
        """What the server noted, in order."""
        for note in notes:
            self.world.node_noted(self, note)

    @property
    def reader(self) -> QueueReader:
        """Reads what is applied and committed here."""
        return QueueReader(self.queue.connection)

    # Turns

    def arrive(self, arrival: Arrival) -> None:
        """Something reached the process: it is stepped now, or in a moment together with what comes meanwhile."""
        if self.replica is None:
            return
        self.inbox.append(arrival)
        world = self.world
        if self.clock.busy_until > world.time.now:
            self.wake_at(self.clock.busy_until)
        elif world.gathers():
            self.wake_at(world.time.now + GATHER_S)
        else:
            self.take_turn()

    def take_turn(self) -> None:
        """Step what has arrived, and do what comes of it."""
        if self.replica is None or self.paused:
            return
        world = self.world
        if self.clock.busy_until > world.time.now:
            return self.wake_at(self.clock.busy_until)
        arrivals, self.inbox = self.inbox, []
        if self._deadline <= self.clock.monotonic():
            arrivals.append(TimePassed())
        try:
            while turn(self.replica, arrivals):
                arrivals = []
        except Cut:
            return world.node_died(self)
        world.node_settled(self)
        self._sleep()

    def _sleep(self) -> None:
        """Until its replica's next deadline."""
        self._deadline = self.up.next_deadline
        self._sleep_on()

    def _sleep_on(self) -> None:
        self.wake_at(self.clock.world_time_of(self._deadline) + ROUNDING_S)

    def wake_at(self, at: float) -> None:
        """Take a turn at this time (world's), or before."""
        at = max(at, self.world.time.now)
        if at < self._wakes_at:
            self._wakes_at = at
            self.world.at(at, self._wake)

    def _wake(self) -> None:
        if self._wakes_at > self.world.time.now:
            return  # a wake-up that an earlier one made needless
        self._wakes_at = float("inf")
        if self.replica is None or self.paused:
            return
        if self.inbox or self._deadline <= self.clock.monotonic():
            self.take_turn()
        else:
            self._sleep_on()

    def resume(self) -> None:
        """A paused process goes on, with all that arrived meanwhile."""
        if self.paused:
            self.paused = False
            self.take_turn()

    def changed_clock(self) -> None:
        """Its clock runs differently: what it waits for comes at another time."""
        if self.replica is not None:
            self._sleep_on()
