"""Coups against changes of membership: two leaders decide by majorities that may share nobody (diss. §4.1)."""

from glassraft.simulation.coups.coup import Coup, Story, has_begun


def _disturbs_nobody(coup: Coup) -> bool:
    """Whether a server may be removed: elsewhere it disturbs the others for ever (diss. §4.2.3)."""
    raft = coup.world.settings.raft
    return raft.pre_vote or raft.check_quorum


def several_removed_at_once(coup: Coup) -> Story:
    """A leader with a minority removes so many others that the rest would be its majority."""
    leader, others = coup.leader, coup.others
    if not _disturbs_nobody(coup):
        return
    yield lambda: has_begun(leader)
    few = coup.voters - coup.majority
    ours, theirs = [leader, *others[: few - 1]], others[few - 1 :]
    coup.only(ours, theirs)
    for node in theirs[: coup.voters - (2 * few - 1)]:
        coup.world.operator.change("remove", node.id)
    yield from coup.next_leader(theirs, leader.server.current_term)
    yield coup.shortest_s


def lost_change(coup: Coup) -> Story:
    """A change that only its leader has is overwritten by the next leader's entries (diss. §4.1)."""
    leader, others = coup.leader, coup.others
    if not _disturbs_nobody(coup):
        return
    yield lambda: has_begun(leader)
    coup.only(others)
    coup.world.operator.change("remove", others[0].id)
    successor = yield from coup.next_leader(others, leader.server.current_term)
    coup.only([leader, *others])
    yield lambda: leader.server.log.matches(successor.server.log.last)


def change_before_the_first_commit(coup: Coup) -> Story:
    """Of four, the first leader removes one, and the next one the first: 2 and 2 are majorities (the bug of 2015)."""
    leader, others, operator = coup.leader, coup.others, coup.world.operator
    if not _disturbs_nobody(coup) or coup.voters != 4:
        return
    yield lambda: has_begun(leader)
    removed = others[0]
    coup.only(others)
    operator.change("remove", removed.id)
    successor = yield from coup.next_leader(others, leader.server.current_term)
    helper = removed if successor is not removed else others[1]
    free = next(node for node in others if node not in (successor, helper))
    coup.only([successor, helper])
    operator.change("remove", leader.id)
    yield coup.shortest_s
    coup.only([leader, free])
    yield from coup.next_leader([leader], successor.server.current_term)
