"""Coups against snapshots: a server is away until it needs one, and gets it at a bad moment (§7)."""

from collections.abc import Sequence
from random import Random
from typing import Final

from glassraft.raft.messages import AppendEntriesReply, Message
from glassraft.simulation.coups.coup import Coup, Story
from glassraft.simulation.node import ArmedCut, Node

AWAY_S: Final = 3.5
"""A storm's length: nobody is away for longer."""

MOST_KEPT: Final = 100
"""Entries: where a log keeps more, nobody ever needs a snapshot."""

DOWN_S: Final = 0.001
"""A process that is started again at once."""

CUTS: Final = ("chunk", "chunk", "place", "install", "installed", "installed")
"""Before which effects a server is cut that gets a snapshot."""

LATE: Final = 0.6
"""How likely the answers to a new leader come late, rather than the snapshot's check."""


def cut_at_a_snapshot(coup: Coup) -> Story:
    """A server votes in the term in which it needs a snapshot, and is cut while it gets it."""
    if coup.world.settings.raft.kept_entries > MOST_KEPT:
        return
    returning, *rest = coup.others
    voters = [coup.leader, *rest]
    coup.crash(returning, AWAY_S)
    yield lambda: all(_is_out_of_reach(node, returning) for node in voters)
    coup.world.restart(returning)
    returning.armed.append(receiver_cut(coup.random))
    for node in voters:
        if node.server.role == "leader":
            coup.crash(node, DOWN_S)
    yield lambda: returning.replica is None


def receiver_cut(random: Random) -> ArmedCut:
    """Somewhere between a snapshot's first chunk and what follows its installation."""
    effect = random.choice(CUTS)
    left = random.choice((0, 0, 2)) if effect == "chunk" else 0
    return ArmedCut(effect, left, random.uniform(0.05, 0.5), power=random.random() < 0.5)


def overtaken_snapshot(coup: Coup) -> Story:
    """A server has all of a snapshot, and while it is checked another leader sends what it stands for, and more.

    The other leader's log reaches back so far because its disk got nowhere with the queue. Either all of
    that is applied before the snapshot is checked; or the new leader is answered late and calls nothing
    committed, so that the snapshot is ahead of what was applied, and the log goes on behind it.
    """
    if coup.world.settings.raft.kept_entries > MOST_KEPT:
        return
    leader, (returning, *rest) = coup.leader, coup.others
    coup.let_queues_stand([returning, *rest])
    coup.crash(returning, AWAY_S)
    yield lambda: _is_out_of_reach(leader, returning) and _know_less(rest, leader)
    coup.only([leader, returning])
    coup.restart(returning)
    yield lambda: _has_all_of_a_snapshot(returning)
    incoming = returning.server.incoming
    assert incoming is not None
    last_index = incoming.snapshot.last.index
    coup.only([returning, *rest])
    successor = yield from coup.next_leader(rest, leader.server.current_term)
    if coup.random.random() < LATE:
        coup.hold(lambda message: _lets_commit(message, successor, returning, last_index))
        yield lambda: returning.server.log.last_index > last_index
    else:
        yield lambda: returning.server.last_applied >= last_index
    returning.queue_stands = False
    yield lambda: returning.server.incoming is None


def _is_out_of_reach(node: Node, returning: Node) -> bool:
    """Whether a server that is down needs a snapshot of this one."""
    return node.server.log.base.index > returning.disk.last_index


def _know_less(followers: Sequence[Node], leader: Node) -> bool:
    """Whether the leader has applied what no follower knows to be committed."""
    return all(node.server.commit_index < leader.server.last_applied for node in followers)


def _has_all_of_a_snapshot(node: Node) -> bool:
    incoming = node.server.incoming
    return incoming is not None and incoming.is_checked


def _lets_commit(message: Message, leader: Node, returning: Node, last_index: int) -> bool:
    """Whether the leader could commit more for this answer; of one that returns it learns how its log goes on."""
    if not isinstance(message, AppendEntriesReply) or message.receiver != leader.id:
        return False
    return message.sender != returning.id or message.match_index > last_index
