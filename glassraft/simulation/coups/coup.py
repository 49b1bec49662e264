"""A coup: a fault of several steps that waits for the worst moment, and makes the next step then.

Its story is a generator that cuts links, holds messages back and ends processes, and yields what it
waits for: a condition, or seconds. Everything that it does could happen by chance, in a legal network,
but would not in a thousand years. Only one coup is under way at a time. Next: the stories, by theme.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from glassraft.raft.messages import Message
    from glassraft.simulation.network import Hold, Link
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

Awaited = Callable[[], bool] | float
"""True once the story may go on; or after so many seconds."""

Story = Generator[Awaited, None, None]

PATIENCE: Final = 8
"""Longest election timeouts that a coup waits for one condition before it gives up."""

SMALLEST_CAST: Final = 3


def has_begun(leader: "Node") -> bool:
    """Whether this leader has committed an entry of its term."""
    server = leader.server
    return server.role == "leader" and server.log.term_at(server.commit_index) == server.current_term


class Coup:
    """One coup under way: its cast, and the links and messages that it holds."""

    def __init__(self, world: "World", leader: "Node", which: int, story: Callable[["Coup"], Story]) -> None:
        """`which` decides who of the others plays which part."""
        self.world = world
        self.leader = leader
        voters = leader.server.configuration.voters
        self.others = [world.nodes[id] for id in voters if id != leader.id]
        """The other voters, by the leader's configuration."""
        self.random = Random(which)
        """What else a story leaves to chance."""
        self.random.shuffle(self.others)
        self._lives = {node: node.life for node in (leader, *self.others)}
        self._cut: list[Link] = []
        self._holds: list[Hold] = []
        self._stand: Sequence[Node] = ()
        self._awaited: Callable[[], bool] | None = None
        self._steps = 0
        self._is_over = False
        self.name = story.__name__
        self._story = story(self)

    @staticmethod
    def has_its_cast(world: "World", leader: "Node") -> bool:
        """Whether all voters run, the leader among them, and are enough to deceive one of them."""
        voters = leader.server.configuration.voters
        running = [node.id for node in world.running if node.id in voters]
        return len(running) == len(voters) >= SMALLEST_CAST and leader.id in voters

    # What a story asks

    @property
    def voters(self) -> int:
        """How many there are."""
        return 1 + len(self.others)

    @property
    def majority(self) -> int:
        """How many voters elect and commit."""
        return self.voters // 2 + 1

    @property
    def shortest_s(self) -> float:
        """The shortest election timeout."""
        return self.world.settings.raft.election_shortest_s

    def successor(self, nodes: "Sequence[Node]", term: int) -> "Node | None":
        """Who of these leads a later term than this."""
        return next(
            (node for node in nodes if node.server.role == "leader" and node.server.current_term > term), None
        )

    def next_leader(self, nodes: "Sequence[Node]", term: int) -> "Generator[Awaited, None, Node]":
        """Wait until one of these leads a later term than this."""
        while True:
            successor = self.successor(nodes, term)
            if successor is not None:
                return successor
            yield lambda: self.successor(nodes, term) is not None

    # What a story does

    def only(self, *groups: "Sequence[Node]") -> None:
        """From now on nodes hear each other within these groups, and nobody else hears anybody."""
        whole = [{node.id for node in group} for group in groups]
        parts = [", ".join(f"n{id}" for id in sorted(group)) for group in whole]
        self.world.tell(f"from now on hear each other: {' | '.join(parts) or 'none'}")
        members = self.world.members
        links = [(a, b) for a in members for b in members if a != b]
        self.cut(link for link in links if not any(group.issuperset(link) for group in whole))

    def cut(self, links: "Iterable[Link]") -> None:
        """From now on these links are cut, and no others."""
        self.world.network.join(self._cut)
        self._cut = list(links)
        self.world.network.cut(self._cut)

    def hold(self, wanted: "Callable[[Message], bool]") -> "Hold":
        """From now on such messages are under way until they are released, at the latest with the coup's end."""
        held = self.world.network.hold(wanted)
        self._holds.append(held)
        return held

    def crash(self, node: "Node", down_s: float) -> None:
        """This process is killed, and is no part of the story any more."""
        del self._lives[node]
        self.world.crash(node, down_s, power=False)

    def restart(self, node: "Node") -> None:
        """It starts again, and is part of the story again."""
        self.world.restart(node)
        self._lives[node] = node.life

    def let_queues_stand(self, nodes: "Sequence[Node]") -> None:
        """From now on these nodes' disks get nowhere with the queue, until the coup ends or one is let go on."""
        self._stand = nodes
        for node in nodes:
            node.queue_stands = True

    # How it goes on

    def begin(self) -> None:
        """The first step."""
        self._go_on()

    def look(self) -> None:
        """A node's turn is over: perhaps what is waited for has come."""
        if self._awaited is not None and (not self._all_live or self._awaited()):
            self._awaited = None
            self.world.after(0.0, self._go_on)  # the turn's node has to be left first

    @property
    def _all_live(self) -> bool:
        return all(node.replica is not None and node.life == life for node, life in self._lives.items())

    def _go_on(self) -> None:
        if self._is_over:
            return
        if not self._all_live:
            return self.end()
        awaited = next(self._story, None)
        self._steps += 1
        if awaited is None:
            if self._steps > 1:  # else the cluster is none for it
                self.world.coverage.saw(self.name)
            self.end()
        elif callable(awaited):
            self._awaited = awaited
            patience_s = PATIENCE * self.world.settings.raft.election_longest_s
            self.world.after(patience_s, partial(self._give_up, self._steps))
            self.look()
        else:
            self.world.after(awaited, self._go_on)

    def _give_up(self, step: int) -> None:
        if step == self._steps:
            self.end()

    def end(self) -> None:
        """Everything is as it was; what was held back arrives."""
        if self._is_over:
            return
        self._is_over = True
        self._awaited = None
        self.world.network.join(self._cut)
        for held in self._holds:
            held.release()
        for node in self._stand:
            node.queue_stands = False
        self.world.coup = None
