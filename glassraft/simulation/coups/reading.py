"""Coups against reads: a leader is asked when it may no longer, or not yet, know what is committed (§8)."""

from functools import partial
from typing import TYPE_CHECKING, Final

from glassraft.raft.messages import AppendEntries, AppendEntriesReply, Message
from glassraft.replica.arrivals import Confirmed, ReadArrived, Result
from glassraft.simulation.coups.coup import Coup, Story, has_begun

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

READS: Final = 12


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


def read(world: "World", leader: "Node") -> None:
    """Ask this leader what is committed now."""
    if leader.replica is not None:
        leader.arrive(ReadArrived(_Read(world, leader)))


def read_on(world: "World", leader: "Node") -> None:
    """Ask the old leader again and again, for as long as a lease could last."""
    for number in range(READS):
        world.after(number * world.settings.raft.election_shortest_s / READS, partial(read, world, leader))


def earlier_rounds_answered(coup: Coup) -> Story:
    """A leader is answered what it sent before a read came in, when another has committed long since (diss. §6.4)."""
    leader, checks = coup.leader, coup.world.checks

    def confirms(message: Message) -> bool:
        return isinstance(message, AppendEntriesReply) and message.success and message.receiver == leader.id

    answers = coup.hold(confirms)
    yield lambda: len({message.sender for message in answers.messages}) >= coup.majority - 1
    coup.only(coup.others)
    successor = yield from coup.next_leader(coup.others, leader.server.current_term)
    yield lambda: has_begun(successor) and checks.commit_index > leader.machine.applied_index
    read(coup.world, leader)
    answers.release()
    yield coup.shortest_s


def read_before_the_first_commit(coup: Coup) -> Story:
    """Only the leader knows what it has committed; its successor is asked before it has found out (§8)."""
    leader, others = coup.leader, coup.others

    def grows(message: Message) -> bool:
        return isinstance(message, AppendEntries) and bool(message.entries) and message.sender != leader.id

    yield lambda: leader.server.commit_index > max(node.server.commit_index for node in others)
    coup.only(others)
    coup.hold(grows)
    successor = yield from coup.next_leader(others, leader.server.current_term)
    read(coup.world, successor)
    yield coup.shortest_s
