"""Coups against replication: entries and what is acknowledged of them, at the wrong time (§5.3, §5.4.2)."""

from typing import Final

from glassraft.raft.messages import AppendEntries, AppendEntriesReply, Message
from glassraft.simulation.coups.coup import Coup, Story
from glassraft.simulation.node import Node

ENOUGH: Final = 5
"""Voters of whom two may hold an entry that is not committed."""


def _last_index(*nodes: Node) -> int:
    return max(node.server.log.last_index for node in nodes)


def _ends_alike(one: Node, other: Node) -> bool:
    return one.server.log.last == other.server.log.last


def figure_8(coup: Coup) -> Story:
    """An entry of an older term gets onto a majority, and a leader comes that has never had it (§5.4.2, Figure 8)."""
    leader, others = coup.leader, coup.others
    if coup.voters < ENOUGH:
        return
    follower, *rest = others
    # (a) Few have the entry.
    coup.world.clients_leader = leader.id
    coup.only([leader, follower])
    yield lambda: _last_index(leader) > _last_index(*rest) and _ends_alike(leader, follower)
    index, term = _last_index(*rest) + 1, leader.server.current_term
    # (b) Another leads without it, and has an entry of its own there, which nobody hears of.
    coup.only(rest)
    rival = yield from coup.next_leader(rest, term)
    # (c) The entry gets onto a majority: it is of an older term than its leader's, and not committed.
    rival_term = rival.server.current_term
    helpers = [node for node in rest if node is not rival][: coup.majority - 2]
    coup.only([leader, follower, *helpers])
    yield lambda: _is_on(coup, rival_term, index, helpers)
    # (d) The other comes back.
    coup.only(rest)
    yield lambda: rival.server.role == "leader" and rival.server.current_term > rival_term


def _is_on(coup: Coup, term: int, index: int, helpers: list[Node]) -> bool:
    """Whether the leader of a term later than this knows that the helpers have the entry at this index."""
    successor = coup.successor([coup.leader, *coup.others], term)
    if successor is None:
        return False
    progress = successor.server.progress
    return all(node.id in progress and progress[node.id].match_index >= index for node in helpers)


def late_acknowledgements(coup: Coup) -> Story:
    """What a follower acknowledged in an older term arrives when its leader leads again, with other entries there."""
    leader, others, world = coup.leader, coup.others, coup.world
    if coup.voters < ENOUGH:
        return
    follower, *rest = others

    def acknowledges(message: Message) -> bool:
        is_reply = isinstance(message, AppendEntriesReply)
        return is_reply and (message.sender, message.receiver) == (follower.id, leader.id)

    world.clients_leader = leader.id
    coup.only([leader, follower])
    acknowledgements = coup.hold(acknowledges)
    yield lambda: _last_index(leader) > _last_index(*rest) and _ends_alike(leader, follower)
    index, term = _last_index(*rest) + 1, leader.server.current_term
    coup.only(rest)
    rival = yield from coup.next_leader(rest, term)
    coup.only([leader, *rest])
    yield lambda: leader.server.leader_id == rival.id and _ends_alike(leader, rival)
    world.operator.transfer(leader.id)
    yield from coup.next_leader([leader], rival.server.current_term)
    coup.only([leader, follower, *rest])
    yield lambda: follower.server.current_term == leader.server.current_term and _last_index(leader) >= index
    acknowledgements.release()
    yield coup.shortest_s


def late_append(coup: Coup) -> Story:
    """Entries that a follower has long since, with later ones, arrive again as they were sent first (§5.3)."""
    leader, follower = coup.leader, coup.others[0]

    def appends(message: Message) -> bool:
        is_request = isinstance(message, AppendEntries) and bool(message.entries)
        return is_request and (message.sender, message.receiver) == (leader.id, follower.id)

    appended = coup.hold(appends)
    yield lambda: bool(appended.messages)
    appended.close()
    first = appended.messages[0]
    assert isinstance(first, AppendEntries)
    yield lambda: follower.server.commit_index > first.entries[-1].index
    appended.release()
    yield coup.shortest_s
