"""diss. §9.6: a server asks whether it could win before it stands; and §4.2.3: voters stand by their leader."""

import pytest

from glassraft.raft.messages import AppendEntriesReply, RequestVote, RequestVoteReply
from glassraft.raft.ready import DEFAULT_SETTINGS, HardState, Settings
from tests.raft.single import (
    Single,
    append_entries,
    ask_pre_vote,
    leader,
    pre_vote,
    request_vote,
    vote,
)
from tests.raft.world import World

PRE_VOTE = Settings(check_quorum=False)


def polite(size: int = 3, **options: object) -> Single:
    """A server with pre-vote and check-quorum, as nodes run."""
    return Single(size, settings=DEFAULT_SETTINGS, **options)  # type: ignore[arg-type]


# Asking


def test_a_server_that_hears_nothing_asks_and_changes_nothing() -> None:
    single = polite(term=3, voted_for=2, terms=[1, 3])
    done = single.time_out()
    assert (single.server.role, single.server.current_term, single.server.voted_for) == ("follower", 3, 2)
    assert single.disk.hard_state == HardState(3, 2)
    request = done.the(RequestVote, 3)
    assert (request.pre_vote, request.term, request.transfer) == (True, 4, False)
    assert (request.last_log.index, request.last_log.term) == (2, 3)


def test_it_no_longer_names_the_leader_that_it_does_not_hear() -> None:
    single = polite()
    single.step(append_entries(sender=2, term=1))
    assert single.server.leader_id == 2
    done = single.time_out()
    assert single.server.leader_id is None
    assert ("leader", {"leader_id": None}) in [(note.event, note.fields) for note in done.notes]


def test_a_majority_that_would_vote_lets_it_stand() -> None:
    single = polite(5)
    single.time_out()
    assert not single.step(pre_vote(2)).messages
    done = single.step(pre_vote(3))
    assert (single.server.role, single.server.current_term) == ("candidate", 1)
    assert single.disk.hard_state == (1, 1)
    assert not done.the(RequestVote).pre_vote


def test_a_promise_is_no_vote() -> None:
    single = polite(3)
    single.time_out()
    single.step(pre_vote(2), pre_vote(3))
    assert single.server.role == "candidate"
    single.step(vote(2))
    assert single.server.role == "leader"


def test_refusals_do_not_let_it_stand() -> None:
    single = polite(3)
    single.time_out()
    single.step(pre_vote(2, granted=False), pre_vote(3, granted=False))
    assert (single.server.role, single.server.current_term) == ("follower", 0)


def test_the_same_promise_twice_is_one() -> None:
    single = polite(5)
    single.time_out()
    single.step(pre_vote(2), pre_vote(2), pre_vote(2))
    assert single.server.role == "follower"


def test_a_late_promise_counts_for_nothing() -> None:
    single = polite(3)
    single.time_out()
    single.time_out()
    single.step(pre_vote(2, round=1))
    assert single.server.role == "follower"
    single.step(pre_vote(2, round=2))
    assert single.server.role == "candidate"


def test_a_promise_counts_from_a_voter_of_an_older_term() -> None:
    # It stood before, in vain: nobody else is in its term, and it must not wait for them for ever.
    single = polite(3, term=7)
    single.time_out()
    single.step(pre_vote(2, term=3))
    assert (single.server.role, single.server.current_term) == ("candidate", 8)


def test_a_refusal_with_a_newer_term_is_followed_into_it() -> None:
    single = polite(3, term=2)
    single.time_out()
    single.step(pre_vote(2, term=9, granted=False), pre_vote(3, term=2))
    assert (single.server.role, single.server.current_term) == ("follower", 9)


def test_who_hears_a_leader_meanwhile_asks_no_longer() -> None:
    single = polite(3, term=1)
    single.time_out()
    single.step(append_entries(sender=3, term=1), pre_vote(2))
    assert (single.server.role, single.server.leader_id) == ("follower", 3)


def test_who_votes_for_another_meanwhile_asks_no_longer() -> None:
    single = polite(3, term=1)
    single.time_out()
    single.step(request_vote(2, term=1), pre_vote(3))
    assert (single.server.role, single.server.current_term) == ("follower", 1)


def test_a_candidate_asks_again_and_can_still_win_its_term() -> None:
    single = polite(5)
    single.time_out()
    single.step(pre_vote(2), pre_vote(3))
    done = single.time_out()
    assert (single.server.role, single.server.current_term) == ("candidate", 1)
    assert (done.the(RequestVote).pre_vote, done.the(RequestVote).term) == (True, 2)
    single.step(vote(2), vote(3))
    assert (single.server.role, single.server.current_term) == ("leader", 1)
    single.step(pre_vote(4, round=2), pre_vote(5, round=2))
    assert (single.server.role, single.server.current_term) == ("leader", 1)


def test_a_lone_server_elects_itself() -> None:
    single = polite(1)
    single.time_out()
    assert (single.server.role, single.server.current_term) == ("leader", 1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_a_cluster_elects_one_leader_whom_all_follow(size: int) -> None:
    world = World(size, settings=DEFAULT_SETTINGS)
    world.network.delays = lambda message: (0.01,)
    world.run(until=10.0)
    (leader_id,) = {node.up.leader_id for node in world.running}
    assert [node.id for node in world.running if node.up.role == "leader"] == [leader_id]


# Being asked


def test_asked_for_a_newer_term_it_would_vote_and_binds_itself_to_nothing() -> None:
    single = polite(3, term=4, voted_for=3)
    deadline = single.server.election_deadline
    reply = single.step(ask_pre_vote(2, term=5)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.pre_vote, reply.term, reply.round) == (True, True, 4, 1)
    assert single.disk.hard_state == (4, 3)
    assert single.server.election_deadline == deadline
    assert single.step(ask_pre_vote(3, term=5)).the(RequestVoteReply, 3).vote_granted


def test_asked_for_a_term_far_ahead_its_own_stays() -> None:
    single = polite(3, term=4)
    assert single.step(ask_pre_vote(2, term=99)).the(RequestVoteReply).vote_granted
    assert single.server.current_term == 4


def test_asked_for_its_own_term_it_would_not() -> None:
    reply = polite(3, term=4).step(ask_pre_vote(2, term=4)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.term, reply.why) == (False, 4, "may_grant_pre_vote")


def test_asked_for_an_older_term_it_tells_the_newer_one() -> None:
    reply = polite(3, term=4).step(ask_pre_vote(2, term=2)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.term, reply.why) == (False, 4, "term_is_stale")


def test_asked_by_one_whose_log_is_behind_it_would_not() -> None:
    reply = polite(3, term=4, terms=[1, 4]).step(ask_pre_vote(2, term=5, last=(9, 1))).the(RequestVoteReply)
    assert (reply.vote_granted, reply.why) == (False, "candidate_log_is_up_to_date")


# Standing by a leader


def hearing(settings: Settings = DEFAULT_SETTINGS) -> Single:
    """A follower that has just heard its leader n3, in term 5."""
    single = Single(3, term=5, settings=settings)
    single.step(append_entries(sender=3, term=5))
    return single


def test_who_hears_a_leader_would_vote_for_no_other() -> None:
    reply = hearing().step(ask_pre_vote(2, term=6)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.term, reply.why) == (False, 5, "leader_is_alive")


def test_nor_does_it_vote_or_take_the_term_over() -> None:
    single = hearing()
    reply = single.step(request_vote(2, term=9)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.term, reply.why) == (False, 5, "leader_is_alive")
    assert single.disk.hard_state == (5, None)


def test_after_the_shortest_election_timeout_it_does() -> None:
    single = hearing()
    single.now += DEFAULT_SETTINGS.election_shortest_s - 0.001
    assert not single.step(request_vote(2, term=6)).the(RequestVoteReply).vote_granted
    single.now += 0.002
    assert single.step(ask_pre_vote(2, term=6)).the(RequestVoteReply).vote_granted
    assert single.step(request_vote(2, term=6)).the(RequestVoteReply).vote_granted


def test_without_check_quorum_a_real_vote_is_free_but_a_pre_vote_is_not() -> None:
    assert not hearing(PRE_VOTE).step(ask_pre_vote(2, term=6)).the(RequestVoteReply).vote_granted
    assert hearing(PRE_VOTE).step(request_vote(2, term=6)).the(RequestVoteReply).vote_granted


def test_a_leader_that_a_majority_hears_stands_by_itself() -> None:
    single = leader(settings=DEFAULT_SETTINGS)
    done = single.step(ask_pre_vote(2, term=2, last=(9, 1)), request_vote(3, term=7, last=(9, 1)))
    assert [m.why for m in done.messages if isinstance(m, RequestVoteReply)] == ["leader_is_alive"] * 2
    assert (single.server.role, single.server.current_term) == ("leader", 1)


def test_a_leader_that_hears_nobody_does_not() -> None:
    single = leader(settings=DEFAULT_SETTINGS)
    single.now += DEFAULT_SETTINGS.election_shortest_s
    assert single.step(ask_pre_vote(2, term=2, last=(9, 1))).the(RequestVoteReply).vote_granted
    assert single.step(request_vote(2, term=2, last=(9, 1))).the(RequestVoteReply).vote_granted
    assert (single.server.role, single.server.current_term) == ("follower", 2)


def test_a_leader_of_an_older_term_hears_of_the_newer_one() -> None:
    # Or a server whose term has grown would be left alone, and leave the leader alone, for ever.
    single = polite(3, term=9)
    reply = single.step(append_entries(sender=3, term=5)).the(AppendEntriesReply, 3)
    assert (reply.success, reply.term) == (False, 9)


def test_a_server_whose_term_has_grown_joins_again() -> None:
    world = World(3, settings=DEFAULT_SETTINGS)
    world.network.delays = lambda message: (0.005,)
    world.run(5.0)
    (leader_id,) = {node.up.leader_id for node in world.running}
    other = next(id for id in world.nodes if id != leader_id)
    world.crash(other)
    world.nodes[other].disk.hard_state = HardState(40, other)
    world.restart(other)
    world.run(10.0)
    assert {node.up.current_term for node in world.running} == {41}
    assert len({node.up.leader_id for node in world.running} - {None}) == 1


def test_a_server_that_comes_back_disturbs_nobody() -> None:
    world = World(5, settings=DEFAULT_SETTINGS)
    world.network.delays = lambda message: (0.005,)
    world.run(5.0)
    (leader_id,) = {node.up.leader_id for node in world.running}
    term = world.server(leader_id).current_term
    other = next(id for id in world.nodes if id != leader_id)
    world.network.cut([other], world.nodes)
    world.run(30.0)
    world.network.heal()
    world.run(40.0)
    assert {(node.up.leader_id, node.up.current_term) for node in world.running} == {(leader_id, term)}
