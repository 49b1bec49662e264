"""Coups against leases: another leader is made while the old one may still believe in its lease.

Each cuts a leader off at the worst moment and asks it for reads until it knows (diss. §6.4.1).
"""

from typing import Final

from glassraft.simulation.coups.coup import Coup, Story
from glassraft.simulation.coups.reading import read_on

DOWN_S: Final = 0.001
"""A process that is started again at once."""

CUT_S: Final = 1.5
"""How long the old leader stays cut off."""


def forgetful_voters(coup: Coup) -> Story:
    """One follower hears nothing for so long that it wants to lead; then all other voters start anew.

    It can win only if it has every entry, so clients cannot be heard meanwhile.
    """
    world, leader = coup.world, coup.leader
    rival, *voters = coup.others
    world.clients_cut_until = world.time.now + 4 * coup.shortest_s
    coup.cut([(leader.id, rival.id), (rival.id, leader.id)])
    yield coup.shortest_s
    until = world.time.now + 2 * coup.shortest_s
    heartbeat_s = world.settings.raft.heartbeat_s
    while (
        rival.server.election_deadline - rival.clock.monotonic() > heartbeat_s / 4 and world.time.now < until
    ):
        yield heartbeat_s / 8
    coup.only(coup.others)
    for node in voters:
        coup.crash(node, DOWN_S)
    read_on(world, leader)
    yield CUT_S


def hand_over_unheard(coup: Coup) -> Story:
    """The leader tells another to stand, and then hears nothing of what came of it."""
    world, leader = coup.world, coup.leader
    world.operator.transfer(0)
    yield world.client_delay_s() + 0.004
    coup.cut((other, leader.id) for other in world.members if other != leader.id)
    read_on(world, leader)
    yield CUT_S


def late_answers(coup: Coup) -> Story:
    """What followers answer takes long, and soon they hear no more of the leader."""
    world, leader = coup.world, coup.leader
    world.network.lagging[leader.id] = world.time.now + 2 * coup.shortest_s
    yield coup.shortest_s / 2
    coup.cut((leader.id, other) for other in world.members if other != leader.id)
    yield coup.shortest_s
    read_on(world, leader)
    yield CUT_S
