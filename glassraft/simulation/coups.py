"""Faults aimed at leases: another leader is made while the old one may still believe in its lease.

Chance alone seldom finds these. Each cuts a leader off at the worst moment and asks it for reads
until it knows (diss. §6.4.1). Next: faults.py, which carries them out among everything else.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from glassraft.replica.arrivals import Confirmed, ReadArrived, Result

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

READS: Final = 12
DOWN_S: Final = 0.001
"""A process that is started again at once."""


class _Read:
    """A read for whose answer nobody waits but the check."""

    def __init__(self, world: "World", node: "Node") -> None:
        self._world = world
        self._node = node
        self._committed_before = world.checks.commit_index

    def settle(self, result: Result) -> None:
        """Called from within the turn."""
        if isinstance(result, Confirmed):
            self._world.read_answered(self._node, self._committed_before)


def read_on(world: "World", leader: "Node") -> None:
    """Ask the old leader again and again, for as long as a lease could last."""
    for number in range(READS):
        world.after(number * world.settings.raft.election_shortest_s / READS, partial(_read, world, leader))


def _read(world: "World", leader: "Node") -> None:
    if leader.replica is not None:
        leader.arrive(ReadArrived(_Read(world, leader)))


def forgetful_voters(world: "World", leader: "Node", which: int) -> None:
    """One follower hears nothing for so long that it wants to lead; then all other voters start anew.

    It can win only if it has every entry, so clients cannot be heard meanwhile.
    """
    others = [node for node in world.running if node is not leader]
    if not others:
        return
    rival = others[which % len(others)]
    shortest_s = world.settings.raft.election_shortest_s
    world.clients_cut_until = world.time.now + 4 * shortest_s
    _cut(world, [leader], [rival])
    until = world.time.now + 3 * shortest_s
    world.after(shortest_s, partial(_strike, world, leader, rival, until))


def _strike(world: "World", leader: "Node", rival: "Node", until: float) -> None:
    """Wait until the rival is about to ask; then it is the only one that remembers anything."""
    if rival.replica is None or leader.replica is None or world.all_is_calm:
        return
    asks_in_s = rival.server.election_deadline - rival.clock.monotonic()
    if asks_in_s > world.settings.raft.heartbeat_s / 4 and world.time.now < until:
        world.after(world.settings.raft.heartbeat_s / 8, partial(_strike, world, leader, rival, until))
        return
    others = [node for node in world.running if node is not leader]
    _cut(world, [leader], others)
    for node in others:
        if node is not rival:
            world.crash(node, DOWN_S, power=False)
    read_on(world, leader)


def hand_over_unheard(world: "World", leader: "Node", which: int) -> None:
    """The leader tells another to stand, and then hears nothing of what came of it."""
    world.operator.transfer(0)
    world.after(world.client_delay_s() + 0.004, partial(_deafen, world, leader))


def _deafen(world: "World", leader: "Node") -> None:
    if world.all_is_calm:
        return
    links = [(other, leader.id) for other in world.members if other != leader.id]
    world.network.cut(links)
    world.until_calm(1.5, partial(world.network.join, links))
    read_on(world, leader)


def late_answers(world: "World", leader: "Node", which: int) -> None:
    """What followers answer takes long, and soon they hear no more of the leader."""
    shortest_s = world.settings.raft.election_shortest_s
    world.network.lagging[leader.id] = world.time.now + 2 * shortest_s
    world.after(shortest_s / 2, partial(_silence, world, leader))


def _silence(world: "World", leader: "Node") -> None:
    if world.all_is_calm:
        return
    links = [(leader.id, other) for other in world.members if other != leader.id]
    world.network.cut(links)
    world.until_calm(2.0, partial(world.network.join, links))
    world.after(world.settings.raft.election_shortest_s, partial(read_on, world, leader))


def _cut(world: "World", some: "list[Node]", others: "list[Node]") -> None:
    links = [link for a in some for b in others for link in ((a.id, b.id), (b.id, a.id))]
    world.network.cut(links)
    world.until_calm(1.5, partial(world.network.join, links))


COUPS: Final[Mapping[str, Callable[["World", "Node", int], None]]] = {
    "forgetful_voters": forgetful_voters,
    "hand_over_unheard": hand_over_unheard,
    "late_answers": late_answers,
}
"""By name, as a fault's `effect` says it; the number chooses whom it meets."""
