"""Coups against elections: votes that come late or twice, and a log that is long but old (§5.2, §5.4.1)."""

from glassraft.raft.messages import Message, RequestVoteReply
from glassraft.simulation.coups.coup import Coup, Story, has_begun


def _is_vote(message: Message) -> bool:
    return isinstance(message, RequestVoteReply) and message.vote_granted and not message.pre_vote


def late_votes(coup: Coup) -> Story:
    """A candidate is given the votes of its last term when it stands, unheard, in the next one."""
    coup.only(coup.others)
    votes = coup.hold(_is_vote)
    yield lambda: len(votes.messages) >= coup.majority - 1
    coup.only()
    term, candidate = votes.messages[0].term, coup.world.nodes[votes.messages[0].receiver]
    yield lambda: candidate.server.role == "candidate" and candidate.server.current_term > term
    votes.release()
    yield coup.shortest_s


def doubled_votes(coup: Coup) -> Story:
    """Fewer than a majority hear each other, but each vote arrives twice."""
    few = coup.others[: coup.voters // 2]
    if len(few) < 2:
        return
    coup.only(few)
    votes = coup.hold(_is_vote)
    yield lambda: len(votes.messages) >= len(few) - 1
    votes.release(times=2)
    yield coup.shortest_s


def longer_log(coup: Coup) -> Story:
    """A leader that nobody hears has more and more entries; those of its successor are fewer, but newer (§5.4.1)."""
    leader, others = coup.leader, coup.others
    coup.world.clients_leader = leader.id
    coup.only(others)
    successor = yield from coup.next_leader(others, leader.server.current_term)
    yield lambda: has_begun(successor)
    coup.only()
    coup.world.clients_leader = leader.id
    rest = [node for node in others if node is not successor]
    yield lambda: leader.server.log.last_index > max(node.server.log.last_index for node in rest)
    coup.only([leader, *rest])
    yield from coup.next_leader([leader, *rest], successor.server.current_term)
    yield coup.shortest_s
