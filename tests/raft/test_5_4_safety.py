"""§5.4: who may be elected, which entries may be called committed, and §5.5, §5.6: crashes and timing."""

import pytest

from glassraft.raft.messages import RequestVoteReply
from glassraft.raft.ready import Propose
from tests.raft.single import Single, ok, refusal, request_vote
from tests.raft.world import World

# §5.4.1: the later last term, else the longer log, is more up to date


@pytest.mark.parametrize(
    ("candidate", "granted"),
    [
        ((3, 2), True),  # equal
        ((4, 2), True),  # longer
        ((1, 3), True),  # shorter, but of a later term
        ((2, 2), False),  # shorter
        ((9, 1), False),  # longer, but of an older term
        ((0, 0), False),  # empty
    ],
)
def test_a_voter_compares_the_last_entries(candidate: tuple[int, int], granted: bool) -> None:
    single = Single(terms=[1, 1, 2], term=2)
    reply = single.step(request_vote(term=3, last=candidate)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.why) == (granted, "candidate_log_is_up_to_date")
    assert single.disk.hard_state == (3, 2 if granted else None)


def test_a_refused_candidate_leaves_the_vote_for_another() -> None:
    single = Single(terms=[1, 1, 2], term=2)
    single.step(request_vote(2, term=3, last=(2, 1)))
    assert single.step(request_vote(3, term=3, last=(3, 2))).the(RequestVoteReply, 3).vote_granted


def test_a_candidate_tells_where_its_log_ends_even_if_it_is_not_committed() -> None:
    single = Single(terms=[1, 2, 2], term=2)
    (request, _) = single.time_out().messages
    assert (request.last_log.index, request.last_log.term) == (3, 2)  # type: ignore[union-attr]


# §5.4.2: only entries of the leader's own term are committed by counting


def old_entry_on_a_majority() -> Single:
    """n1 leads term 4 with entries of terms 1 and 2, and n2 has both; the entry of term 4 is on n1 alone."""
    single = Single(terms=[1, 2], term=3)
    single.lead()
    progress = single.server.progress[2]
    single.step(refusal(2, 4, progress.round_under_way or 0, conflict=(2, 0)))
    single.step(ok(2, 4, 2, progress.round_under_way or 0))
    return single


def test_an_older_terms_entry_on_a_majority_is_not_committed() -> None:
    single = old_entry_on_a_majority()
    assert single.server.progress[2].match_index == 2
    assert single.server.commit_index == 0


def test_it_is_committed_with_an_entry_of_the_leaders_own_term() -> None:
    single = old_entry_on_a_majority()
    done = single.step(ok(2, 4, 3, single.server.progress[2].round_under_way or 0))
    assert [e.index for e in done.committed] == [1, 2, 3]


# §5.5: followers and candidates crash; §5.6: what matters is on disk


def test_a_crashed_follower_is_told_again_and_doing_so_does_no_harm() -> None:
    world = World(3)
    world.elect(1)
    world.network.hold("answers", lambda message: message.sender == 3)
    world.propose(1, "a")
    world.settle()
    world.crash(3)  # after it has written a, before its answer arrives
    world.restart(3)
    world.network.drop()
    world.network.let_go("answers")
    world.run(until=2.0)
    assert [entry.command for entry in world.nodes[3].disk.entries] == ["", "a"]
    assert world.server(3).commit_index == 2


def test_a_whole_cluster_that_loses_power_goes_on_where_it_was() -> None:
    world = World(5)
    world.elect(1)
    world.propose(1, "a", "b")
    world.settle()
    for id in world.nodes:
        world.crash(id)
    for id in world.nodes:
        world.restart(id, applied=0)
    world.elect(2)
    assert [[entry.command for entry in node.applied] for node in world.running] == [["", "a", "b", ""]] * 5


def test_a_leader_that_is_much_faster_than_its_election_timeout_stays() -> None:
    # §5.6: broadcastTime << electionTimeout << MTBF
    world = World(5, seed=3)
    world.network.delays = lambda message: (0.005,)
    world.run(until=60.0)
    assert {node.up.current_term for node in world.running} == {1}


@pytest.mark.parametrize(("size", "survives"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3)])
def test_a_cluster_goes_on_without_any_minority_and_no_longer(size: int, survives: int) -> None:
    world = World(size)
    world.elect(1)
    others = list(world.nodes)[1:]
    for id in others[:survives]:
        world.crash(id)
    world.propose(1, "a")
    world.settle()
    assert world.nodes[1].applied[-1].command == "a"
    if others[survives:]:
        world.crash(others[survives])
        world.propose(1, "b")
        world.settle()
        assert world.nodes[1].applied[-1].command == "a"


def test_a_cluster_that_stood_still_without_a_majority_goes_on_when_one_is_back() -> None:
    world = World(3)
    world.elect(1)
    world.crash(2)
    world.crash(3)
    world.act(1, Propose("t", "a"))
    world.run(until=30.0)
    assert world.server(1).commit_index == 1
    world.restart(2)
    world.run(until=40.0)
    assert [entry.command for entry in world.nodes[2].applied if entry.kind == "command"] == ["a"]
