"""Faults aimed at leases: another leader is made while the old one may still believe in its lease.

Chance alone seldom finds these. Each cuts a leader off at the worst moment, and asks it for reads
until it knows. Next: chaos.py, which plays them among everything else.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from glassraft.raft.ready import Read, Transfer
from tests.raft.world import Node

if TYPE_CHECKING:
    from tests.raft.chaos import Chaos

READS = 8
READ_EVERY_S = 0.02
ABOUT_TO_S = 0.03


def forgetful_voters(chaos: "Chaos", leader: Node) -> None:
    """One follower hears nothing for so long that it wants to lead; then all other voters start anew.

    It can win only if it has all entries, so clients hold still.
    """
    chaos.quiet_until = chaos.world.clock + 1.0
    others = [id for id in chaos.world.nodes if id != leader.id]
    rival = chaos.world.nodes[chaos.manners.choice(others)]
    chaos.world.network.cut([leader.id], [rival.id])
    until = chaos.quiet_until - READS * READ_EVERY_S

    def strike() -> None:
        is_about_to_ask = rival.server and rival.server.election_deadline - rival.clock < ABOUT_TO_S
        if not is_about_to_ask and chaos.world.clock < until:
            return chaos.later(ABOUT_TO_S / 2, strike)
        chaos.world.network.cut([leader.id], others)
        for id in others:
            node = chaos.world.nodes[id]
            if id != rival.id and node.server is not None:
                chaos.world.crash(id)
                chaos.restart(node)
        read_on(chaos, leader)

    chaos.later(0.2, strike)


def hand_over_unheard(chaos: "Chaos", leader: Node) -> None:
    """The leader tells another to stand, and then hears nothing of what came of it."""
    chaos.world.act(leader.id, Transfer("coup"))

    def strike() -> None:
        chaos.world.network.cut(chaos.world.nodes, [leader.id], one_way=True)
        read_on(chaos, leader)

    chaos.later(chaos.manners.uniform(0.005, 0.03), strike)


def late_answers(chaos: "Chaos", leader: Node) -> None:
    """What followers answer takes long, and soon they hear no more of the leader."""
    chaos.lagging[leader.id] = chaos.world.clock + 0.5

    def strike() -> None:
        chaos.quiet_until = chaos.world.clock + 0.5
        chaos.world.network.cut([leader.id], chaos.world.nodes, one_way=True)
        chaos.later(0.15, lambda: read_on(chaos, leader))

    chaos.later(chaos.manners.uniform(0.05, 0.2), strike)


COUPS: tuple[Callable[["Chaos", Node], None], ...] = (forgetful_voters, hand_over_unheard, late_answers)


def read_on(chaos: "Chaos", leader: Node) -> None:
    """Clients go on asking the old leader for a while; then the links are whole again."""

    def read() -> None:
        chaos.reads += 1
        chaos.asked(f"r{chaos.reads}")
        chaos.world.act(leader.id, Read(f"r{chaos.reads}"))

    for number in range(READS):
        chaos.later(number * READ_EVERY_S, read)
    chaos.later(0.4, chaos.world.network.heal)
