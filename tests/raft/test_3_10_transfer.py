"""diss. §3.10: a leader hands its place over to a server of its choice."""

import pytest

from glassraft.raft.messages import AppendEntries, RequestVote, RequestVoteReply, TimeoutNow, TimeoutNowReply
from glassraft.raft.ready import DEFAULT_SETTINGS, Propose, Read, TimeIs, Transfer
from tests.raft.single import Done, Single, append_entries, leader, ok, request_vote, vote
from tests.raft.world import World

LONGEST_S = DEFAULT_SETTINGS.election_longest_s


def leading(size: int = 3) -> Single:
    return leader(size, settings=DEFAULT_SETTINGS)


def whys(done: Done) -> list[tuple[object, str]]:
    return [(refused.ticket, refused.why) for refused in done.refused]


# The leader


def test_a_target_that_has_everything_is_told_at_once() -> None:
    single = leading()
    message = single.step(Transfer("t", 3)).the(TimeoutNow, 3)
    assert (message.sender, message.term) == (1, 1)


def test_a_target_that_lags_is_brought_up_to_date_first() -> None:
    single = leading()
    sent = single.step(Propose("p", "a")).the(AppendEntries, 3)
    assert not single.step(Transfer("t", 3)).messages
    done = single.step(ok(3, 1, 2, sent.round))
    assert done.the(TimeoutNow, 3)


def test_no_proposals_are_taken_meanwhile() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    assert whys(single.step(Propose("p", "a"))) == [("p", "transferring")]
    assert not single.server.takes_proposals


def test_reads_are_served_meanwhile() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    single.step(Read("r"))
    assert single.step(ok(2, 1, 1, single.server.round)).reads == ["r"]


def test_a_leader_that_is_being_removed_can_hand_over() -> None:
    """The target has it no longer among its peers. Seen in the simulation: it got no answer."""
    single = Single(2, settings=DEFAULT_SETTINGS)
    single.step(append_entries(sender=3, term=1))
    done = single.step(TimeoutNow(3, 1, 1))
    assert single.server.role == "candidate"
    assert done.the(TimeoutNowReply, 3)


def test_it_is_over_when_another_leader_is_heard() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    done = single.step(TimeoutNowReply(3, 1, 2))
    assert (single.server.role, single.server.current_term) == ("follower", 2)
    assert not done.transferred
    done = single.step(append_entries(sender=3, term=2, prev=(1, 1)))
    assert [(each.ticket, each.leader_id, each.term) for each in done.transferred] == [("t", 3, 2)]


def test_it_tells_who_leads_even_if_it_is_another() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    done = single.step(append_entries(sender=2, term=4, prev=(1, 1)))
    assert [(each.leader_id, each.term) for each in done.transferred] == [(2, 4)]


def test_it_is_given_up_after_an_election_timeout() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    done = Done()
    while not done.refused:
        single.now = single.server.next_deadline
        done = single.step(TimeIs(), ok(2, 1, 1, single.server.round))
    assert whys(done) == [("t", "transfer_failed")]
    assert single.now == pytest.approx(LONGEST_S + 0.6, abs=0.6)
    assert single.step(Propose("p", "a")).placed


def test_it_is_given_up_in_time_by_one_who_leads_no_longer() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    single.step(TimeoutNowReply(3, 1, 2))
    until = single.now + LONGEST_S
    while single.server.hand_over is not None:
        done = single.time_out()
    assert whys(done) == [("t", "transfer_failed")]
    assert single.now <= until + 0.001


def test_timeout_now_is_sent_again_with_the_next_heartbeat() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    assert single.time_out().the(TimeoutNow, 3)


def test_anybody_means_the_follower_that_answers_and_is_furthest() -> None:
    single = leading(5)
    single.now = 10.0
    single.step(Propose("p", "a"))
    single.step(ok(4, 1, 2, single.server.round), ok(5, 1, 1, single.server.round))
    assert single.step(Transfer("t")).the(TimeoutNow, 4)


@pytest.mark.parametrize(
    ("size", "target", "why"),
    [(3, 9, "not_voter"), (1, None, "no_target")],
)
def test_what_cannot_be_is_refused(size: int, target: int | None, why: str) -> None:
    assert whys(leading(size).step(Transfer("t", target))) == [("t", why)]


def test_nobody_who_answers_is_no_target() -> None:
    single = leading()
    single.now += 1.0
    assert whys(single.step(Transfer("t"))) == [("t", "no_target")]


def test_one_transfer_at_a_time() -> None:
    assert whys(leading().step(Transfer("t", 3), Transfer("u", 2))) == [("u", "transfer_under_way")]


def test_only_a_leader_can_hand_over() -> None:
    assert whys(Single().step(Transfer("t", 3))) == [("t", "not_leader")]


def test_to_itself_there_is_nothing_to_do() -> None:
    done = leading().step(Transfer("t", 1))
    assert [(each.leader_id, each.term) for each in done.transferred] == [(1, 1)]
    assert not done.messages


# The target


def test_the_target_stands_at_once_without_asking_first() -> None:
    single = Single(settings=DEFAULT_SETTINGS, term=1, terms=[1])
    single.step(append_entries(sender=2, term=1, prev=(1, 1)))
    done = single.step(TimeoutNow(2, 1, 1))
    assert (single.server.role, single.server.current_term) == ("candidate", 2)
    request = done.the(RequestVote, 3)
    assert (request.transfer, request.pre_vote) == (True, False)
    assert done.the(TimeoutNowReply).term == 2
    assert single.disk.hard_state == (2, 1)


def test_a_stale_wish_is_none() -> None:
    single = Single(settings=DEFAULT_SETTINGS, term=5)
    done = single.step(TimeoutNow(2, 1, 4))
    assert (single.server.role, done.the(TimeoutNowReply).term) == ("follower", 5)


def test_a_wish_that_comes_twice_is_one() -> None:
    single = Single(settings=DEFAULT_SETTINGS, term=5)
    single.step(TimeoutNow(2, 1, 5), TimeoutNow(2, 1, 5))
    assert single.server.current_term == 6


def test_voters_vote_for_it_though_they_hear_the_leader() -> None:
    single = Single(settings=DEFAULT_SETTINGS, term=1)
    single.step(append_entries(sender=2, term=1))
    request = request_vote(3, term=2)
    wanted = RequestVote(3, 1, 2, request.last_log, transfer=True)
    assert not single.step(request).the(RequestVoteReply, 3).vote_granted
    assert single.step(wanted).the(RequestVoteReply, 3).vote_granted


def test_the_leader_itself_may_vote_for_it() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    wanted = RequestVote(3, 1, 2, single.server.log.last, transfer=True)
    assert single.step(wanted).the(RequestVoteReply, 3).vote_granted
    assert single.server.role == "follower"


def test_a_leader_that_is_elected_again_has_not_handed_over() -> None:
    single = leading()
    single.step(Transfer("t", 3))
    single.step(TimeoutNowReply(3, 1, 2))
    single.server.election_deadline = single.now  # before the transfer is given up
    single.lead()
    done = single.step(vote(2, term=3))
    assert single.leads()
    assert single.server.hand_over is None
    assert single.step(Propose("p", "a")).placed
    assert not done.transferred


# Together


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_cluster_has_the_leader_that_was_asked_for(size: int) -> None:
    world = World(size, settings=DEFAULT_SETTINGS)
    world.network.delays = lambda message: (0.005,)
    world.run(5.0)
    (old,) = {node.up.leader_id for node in world.running}
    target = next(id for id in world.nodes if id != old)
    world.propose(old, "a", "b")
    world.act(old, Transfer("t", target))
    world.run(5.1)
    assert {node.up.leader_id for node in world.running} == {target}


def test_a_target_that_does_not_know_its_leader_as_a_member_yet_stands_and_answers() -> None:
    # Its configuration may be older than the leader's (diss. §4.2.2).
    single = Single(3, settings=DEFAULT_SETTINGS, term=1)
    done = single.step(TimeoutNow(4, 1, 1))
    assert single.server.role == "candidate"
    assert done.the(TimeoutNowReply, 4).term == 2
