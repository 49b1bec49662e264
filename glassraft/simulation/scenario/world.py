"""The world of a scenario: the simulator's own, in which nothing happens but what the script says.

Time stands still unless it is let pass, messages go by a network that is led by hand, work beside
the turns is done at once, and a property that breaks is told instead of ending the run. Everything
else is real: turn, disks, queue and checks. Next: scenario.py, whose words act on it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final, Protocol

from glassraft.errors import GlassraftError
from glassraft.jobqueue.machine import Outcome
from glassraft.raft.messages import Entry, LogPosition, Message
from glassraft.raft.ready import Note
from glassraft.raft.ready import Settings as RaftSettings
from glassraft.replica.arrivals import Arrival, Confirmed, Result
from glassraft.simulation.checks import Broken, Checks
from glassraft.simulation.clock import NodeClock
from glassraft.simulation.node import ArmedCut, Cut, Node
from glassraft.simulation.parts import Parts
from glassraft.simulation.run import node_in_memory
from glassraft.simulation.scenario.network import NetworkByHand
from glassraft.simulation.settings import Settings
from glassraft.simulation.snapshots import MemorySnapshots
from glassraft.simulation.world import World

ENOUGH_DELIVERIES: Final = 100_000
"""A scenario that is not quiet after so many messages never will be."""


class NeverQuiet(GlassraftError):
    """Messages lead to messages without end."""


class Witness(Protocol):
    """Sees everything that happens in a scenario."""

    def received(self, message: Message) -> None:
        """The receiver is about to step it."""

    def lost(self, message: Message) -> None:
        """It reaches nobody."""

    def held(self, message: Message) -> None:
        """It is kept back."""

    def noted(self, node: Node, note: Note) -> None:
        """A server noted what happened."""

    def answered(self, node: Node, asked: str, result: Result) -> None:
        """Who asked a node for something is told what came of it."""

    def ended(self, node: Node, why: str) -> None:
        """A process ended by itself, where it was to."""

    def broke(self, broken: Broken) -> None:
        """A property does not hold."""


class ScenarioWorld(World):
    """Servers n1 to nN, all started, and spare ones after them in no configuration yet."""

    network: NetworkByHand

    def __init__(
        self,
        size: int,
        raft: RaftSettings,
        parts: Parts,
        witness: Witness,
        *,
        spares: int = 0,
        seed: object = 0,
        record: Path | None = None,
    ) -> None:
        """`seed` is all chance that there is: timeouts, and what a failing disk keeps. `record`: as World's."""
        self.witness = witness
        self._has_broken = False
        super().__init__(seed, _settings(size, spares, raft), parts, _make_node, record)

    def _make_network(self, random: Random) -> NetworkByHand:
        return NetworkByHand(self, random)

    def _make_checks(self) -> Checks:
        return ChecksThatTell(self)

    # What is done

    def settle(self) -> None:
        """Deliver until nothing is under way. No time passes."""
        for _ in range(ENOUGH_DELIVERIES):
            if not self.network.deliver_next():
                return
        raise NeverQuiet(f"still not quiet after {ENOUGH_DELIVERIES:,} messages")

    def stand_still(self, seconds: float) -> None:
        """So much time passes, and nothing happens: timers that are due meanwhile run out later."""
        self.time.now += seconds

    def let_run(self, seconds: float) -> None:
        """So much time passes, and each timer runs out when it is due."""

        def settled() -> bool:
            self.settle()
            return False

        self.run(seconds, until=settled)

    def fire_timer(self, node: Node) -> None:
        """The server's next timer runs out: its own clocks move on to there."""
        node.clock.skip_to(node.server.next_deadline)
        node.take_turn()

    def act(self, node: Node, arrivals: Sequence[Arrival]) -> None:
        """A node takes these in together, and does what comes of them."""
        node.inbox += arrivals
        node.take_turn()

    def end(self, node: Node, *, power: bool) -> None:
        """A process ends; `power`: and with it all that was not synced."""
        self._ends(node, power)

    def look(self, node: Node) -> None:
        """Let readers see what a node has applied."""
        try:
            node.commit()
        except Cut:
            self.node_died(node)

    def answer(self, node: Node, asked: str, result: Result, committed_before: int) -> None:
        """An answer goes out, from within the node's turn."""
        node.effect("answer")
        self.witness.answered(node, asked, result)
        if isinstance(result, Confirmed):
            self.read_answered(node, committed_before)

    # What nodes tell while they run

    @contextmanager
    def told(self) -> Iterator[None]:
        """A property that breaks is seen, and the run goes on.

        A check that was left in its middle has not noted all that a later one looks for.
        """
        try:
            yield
        except Broken as broken:
            self._has_broken = True
            self.witness.broke(broken)
        except LookupError:
            if not self._has_broken:
                raise

    def node_cut(self, node: Node, cut: ArmedCut) -> None:
        """The process ends between two effects."""
        super().node_cut(node, cut)
        self.witness.ended(node, f"before {node.last_cut_at}")

    def node_died(self, node: Node) -> None:
        """The turn was left, and nobody starts the process again but the script."""
        self.end(node, power=self._cut_with.power)

    def node_started(self, node: Node) -> None:
        """A process begins."""
        with self.told():
            super().node_started(node)

    def node_sends(self, node: Node, message: Message) -> None:
        """A message goes out."""
        with self.told():
            super().node_sends(node, message)

    def node_noted(self, node: Node, note: Note) -> None:
        """A server noted what happened."""
        self.witness.noted(node, note)
        with self.told():
            super().node_noted(node, note)

    def node_applied(self, node: Node, entry: Entry, outcome: Outcome) -> None:
        """A node applied an entry."""
        with self.told():
            super().node_applied(node, entry, outcome)

    def node_installed(self, node: Node, applied_before: int) -> None:
        """A node went on from a snapshot."""
        with self.told():
            super().node_installed(node, applied_before)

    def node_settled(self, node: Node) -> None:
        """A node's turn is over."""
        with self.told():
            super().node_settled(node)

    def read_answered(self, node: Node, committed_before: int) -> None:
        """A linearizable read was answered by this node; so much was committed when it was asked for."""
        with self.told():
            super().read_answered(node, committed_before)


class ChecksThatTell(Checks):
    """What a disk asks for by itself is seen like all else."""

    def __init__(self, world: ScenarioWorld) -> None:
        super().__init__(world)
        self._told = world.told

    def saved(self, node: Node, entries: Sequence[Entry]) -> None:
        """These entries are on a node's disk now."""
        with self._told():
            super().saved(node, entries)

    def committed_on(self, node: Node, first: int) -> LogPosition | None:
        """The last committed entry that this disk has at `first` or behind it."""
        with self._told():
            return super().committed_on(node, first)
        return None

    def truncated(self, node: Node, committed: LogPosition) -> None:
        """A log was cut, and written on; that had been its last committed entry."""
        with self._told():
            super().truncated(node, committed)


class SnapshotsAtOnce(MemorySnapshots):
    """Work beside the turns takes no time: it is done after all that is under way."""

    def _begin(self) -> None:
        network = self.node.world.network
        assert isinstance(network, NetworkByHand)
        network.soon(self._end)


def _make_node(world: World, id: int, clock: NodeClock, random: Random) -> Node:
    return node_in_memory(world, id, clock, random, SnapshotsAtOnce)


def _settings(size: int, spares: int, raft: RaftSettings) -> Settings:
    """No clients and no workers but those of the script, and each arrival is stepped on its own."""
    return Settings(
        nodes=size,
        spares=spares,
        raft=raft,
        together=0.0,
        client_widths=(),
        client_gap_s=1.0,
        client_loss=0.0,
        clocks_apart_s=0.0,
        patience_s=1.0,
        workers=0,
    )
