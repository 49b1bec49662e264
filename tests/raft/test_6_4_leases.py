"""diss. §6.4.1: reads under a lease, and what it trusts."""

from dataclasses import replace

import pytest

from glassraft.raft.messages import RequestVoteReply, TimeoutNow
from glassraft.raft.ready import DEFAULT_SETTINGS, Read, Settings, TimeIs, Transfer
from glassraft.raft.rules import CLOCK_DRIFT
from tests.raft.single import Single, ask_pre_vote, leader, ok, request_vote

LEASES = replace(DEFAULT_SETTINGS, lease_reads=True)
LEASE_S = LEASES.election_shortest_s / CLOCK_DRIFT


def renewed(size: int = 3, settings: Settings = LEASES) -> Single:
    """A leader whose last heartbeat was answered at once; n3 was sent the last round."""
    single = leader(size, settings=settings)
    single.time_out()
    single.step(ok(3, 1, 1, single.server.round))
    return single


def reads_at_once(single: Single) -> bool:
    done = single.step(Read("r"))
    return done.reads == ["r"]


def test_a_read_under_a_lease_asks_nobody() -> None:
    single = renewed()
    done = single.step(Read("r"))
    assert done.reads == ["r"]
    assert not done.messages


def test_without_the_option_every_read_asks() -> None:
    assert not reads_at_once(renewed(settings=DEFAULT_SETTINGS))


def test_a_lease_ends_and_reads_ask_again() -> None:
    single = renewed()
    single.now += LEASE_S - 0.001
    assert reads_at_once(single)
    single.now += 0.002
    done = single.step(Read("late"))
    assert not done.reads
    assert single.step(ok(3, 1, 1, single.server.round)).reads == ["late"]
    assert reads_at_once(single)  # the answer has renewed it


def test_a_lease_counts_from_the_sending_not_from_the_answer() -> None:
    single = leader(3, settings=LEASES)
    single.now += 0.1
    single.step(TimeIs())
    round = single.server.round
    single.now += LEASE_S - 0.01  # the answer is slow, though no slower than a lease
    single.step(ok(3, 1, 1, round))
    assert reads_at_once(single)
    single.now += 0.02
    assert not reads_at_once(single)


def test_an_answer_that_comes_too_late_gives_no_lease() -> None:
    single = leader(3, settings=LEASES)
    single.now += 0.1
    single.step(TimeIs())
    round = single.server.round
    single.now += LEASE_S + 0.001
    single.step(ok(3, 1, 1, round))
    assert not reads_at_once(single)


def test_answers_out_of_order_do_not_shorten_it() -> None:
    single = leader(3, settings=LEASES)
    rounds = []
    for _ in range(3):
        single.now += 0.1
        single.step(TimeIs())
        rounds.append(single.server.round)
    single.step(ok(3, 1, 1, rounds[2]), ok(3, 1, 1, rounds[0]), ok(3, 1, 1, rounds[1]))
    single.now += LEASE_S - 0.001
    assert reads_at_once(single)


def test_a_lease_needs_a_majority() -> None:
    single = leader(5, settings=LEASES)
    single.now += 0.1
    single.step(TimeIs())
    single.step(ok(5, 1, 1, single.server.round))
    assert not reads_at_once(single)
    single.step(ok(4, 1, 1, single.server.round - 1))
    assert reads_at_once(single)


def test_the_oldest_of_a_majority_counts() -> None:
    single = leader(5, settings=LEASES)
    single.now += 0.1
    single.step(TimeIs())
    first = {peer: single.server.round - 5 + peer for peer in (2, 3, 4, 5)}  # one round a peer, in order
    single.step(ok(2, 1, 1, first[2]))
    single.now += 0.2
    single.step(TimeIs())
    single.step(ok(3, 1, 1, single.server.round - 2))
    single.now += LEASE_S - 0.2 + 0.001
    assert not reads_at_once(single)


def test_a_lone_leader_always_has_one() -> None:
    single = leader(1, settings=LEASES)
    single.now += 100.0
    assert reads_at_once(single)


def test_a_new_leader_has_none() -> None:
    single = Single(3, settings=LEASES)
    single.lead()
    assert not reads_at_once(single)


def test_a_leader_drops_it_before_it_tells_another_to_stand() -> None:
    single = renewed()
    assert single.step(Transfer("t", 3)).the(TimeoutNow, 3)
    assert not reads_at_once(single)


def test_and_has_none_for_the_rest_of_its_term() -> None:
    # TimeoutNow may be on its way for a long time.
    single = renewed()
    single.step(Transfer("t", 3))
    for _ in range(30):
        single.time_out()
        single.step(ok(3, 1, 1, single.server.round))
    assert single.server.hand_over is None
    assert not reads_at_once(single)


def test_a_read_under_a_lease_still_waits_for_what_is_committed_to_be_applied() -> None:
    single = renewed()
    single.server.last_applied = 0
    single.server.durable_index = 0
    assert not reads_at_once(single)


# Voters


def test_a_started_voter_votes_for_nobody_at_first() -> None:
    single = Single(3, term=4, settings=LEASES)
    assert not single.step(ask_pre_vote(2, term=5)).the(RequestVoteReply).vote_granted
    reply = single.step(request_vote(2, term=5)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.why, reply.term) == (False, "leader_is_alive", 4)
    single.now += LEASES.election_shortest_s
    assert single.step(request_vote(2, term=5)).the(RequestVoteReply).vote_granted


def test_without_leases_it_does() -> None:
    single = Single(3, term=4, settings=DEFAULT_SETTINGS)
    assert single.step(request_vote(2, term=5)).the(RequestVoteReply).vote_granted


def test_leases_need_voters_that_stand_by_their_leader() -> None:
    with pytest.raises(ValueError, match="check_quorum"):
        Settings(lease_reads=True, check_quorum=False)
