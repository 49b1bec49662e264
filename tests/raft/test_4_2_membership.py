"""Dissertation §4: servers are added and removed one at a time."""

import pytest

from glassraft.raft import membership
from glassraft.raft.assertions import NoAssertions
from glassraft.raft.configuration import Configuration
from glassraft.raft.messages import AppendEntries, AppendEntriesReply, Entry, RequestVoteReply
from glassraft.raft.ready import ChangeMembership, Placed, Refused, Settings
from glassraft.raft.rules import Rules
from tests.raft.broken import ChangesBeforeItsFirstCommit
from tests.raft.properties import Broken, Properties
from tests.raft.single import Done, Single, append_entries, entry, leader, ok, refusal, request_vote, vote
from tests.raft.world import World

ADD_4 = ChangeMembership("add 4", "add", 4)


def answers(single: Single, *senders: int, match: int | None = None) -> Done:
    """These servers hold the whole log, or so much of it."""
    server = single.server
    match = server.log.last_index if match is None else match
    return single.step(*(ok(sender, server.current_term, match, server.round) for sender in senders))


def with_learner() -> Single:
    """A leader of three that is adding n4; the entry is committed, n4 has nothing yet."""
    single = leader()
    single.step(ADD_4)
    answers(single, 2, 3)
    single.step(refusal(4, single.server.current_term, single.server.round, conflict=(1, 0)))
    return single


# Adding (§4.2.1)


def test_a_new_server_is_a_learner_until_it_has_all() -> None:
    single = with_learner()
    assert single.server.configuration == Configuration((1, 2, 3), (4,))
    done = answers(single, 4)
    assert single.server.configuration == Configuration((1, 2, 3, 4))
    assert done.placed == [Placed("add 4", 3, 1)]  # it is answered when this is committed


def test_a_slow_learner_is_not_made_a_voter_and_who_asked_is_told() -> None:
    single = with_learner()
    refused: list[Refused] = []
    for _ in range(membership.CATCH_UP_ROUNDS):
        single.wait(single.server.settings.election_longest_s)
        answers(single, 2, 3)
        refused += answers(single, 4).refused
    assert refused == [Refused("add 4", "not_caught_up")]
    assert single.server.configuration.learners == (4,)
    assert not single.server.waiting_adds


def test_a_learner_that_is_fast_at_last_is_made_a_voter_though_nobody_waits() -> None:
    single = with_learner()
    for _ in range(membership.CATCH_UP_ROUNDS):
        single.wait(single.server.settings.election_longest_s)
        answers(single, 4)
    done = answers(single, 4)
    assert single.server.configuration == Configuration((1, 2, 3, 4))
    assert not done.placed


def test_a_new_leader_makes_an_earlier_leaders_learner_a_voter() -> None:
    single = Single(terms=[1])
    learning = single.server.write_configuration(Configuration((1, 2, 3), (4,)), 0.0)
    single.step(append_entries(prev=(1, 1), entries=[Entry(2, 1, "configuration", learning)]))
    single.lead()
    answers(single, 2, 3)
    answers(single, 4)
    assert single.server.configuration == Configuration((1, 2, 3, 4))


def test_who_adds_a_learner_again_waits_with_the_first() -> None:
    single = with_learner()
    again = single.step(ChangeMembership("again", "add", 4))
    assert not again.refused
    assert [placed.ticket for placed in answers(single, 4).placed] == ["add 4", "again"]


def test_a_deposed_leader_tells_who_waits_for_a_learner() -> None:
    single = with_learner()
    done = single.step(append_entries(sender=2, term=9))
    assert done.refused == [Refused("add 4", "deposed")]


def test_a_learner_that_is_removed_was_not_added() -> None:
    single = with_learner()
    done = single.step(ChangeMembership("remove 4", "remove", 4))
    assert done.refused == [Refused("add 4", "removed")]
    assert [placed.ticket for placed in done.placed] == ["remove 4"]


def test_a_lone_voter_with_a_learner_commits_alone() -> None:
    single = leader(1)
    single.step(ChangeMembership("add 2", "add", 2))
    assert single.server.commit_index == 2
    single.step(refusal(2, 1, single.server.round, conflict=(1, 0)))
    answers(single, 2)
    assert single.server.configuration == Configuration((1, 2))
    assert single.server.commit_index == 2  # from now on both are needed
    answers(single, 2)
    assert single.server.commit_index == 3


def test_a_learner_and_a_server_of_no_cluster_never_stand() -> None:
    world = World(1, spare=1)
    world.fire_timer(2)
    assert (world.server(2).role, world.server(2).current_term) == ("follower", 0)
    assert world.server(2).next_deadline > world.nodes[2].clock


# Servers outside (§4.2.2)


def test_a_server_votes_for_a_candidate_that_is_in_no_configuration_of_its_own() -> None:
    single = Single(settings=Settings())
    done = single.step(request_vote(sender=4, term=1))
    assert done.the(RequestVoteReply, 4).vote_granted


def test_a_server_takes_entries_from_a_leader_that_is_in_no_configuration_of_its_own() -> None:
    single = Single()
    done = single.step(append_entries(sender=4, entries=[entry(1, 1)]))
    assert done.the(AppendEntriesReply, 4).success
    assert single.server.leader_id == 4


# Removing (§4.2.2)


def test_a_removed_server_that_cannot_be_reached_is_given_up() -> None:
    single = leader()
    single.step(ChangeMembership("remove 3", "remove", 3))
    answers(single, 2)
    assert set(single.server.leavers) == {3}
    single.time_out()
    single.wait(single.server.settings.election_longest_s)
    assert not single.server.leavers
    assert not single.wait(single.server.settings.heartbeat_s).to(3)


def test_a_removed_servers_term_deposes_no_leader() -> None:
    single = leader()
    single.step(ChangeMembership("remove 3", "remove", 3))
    single.step(refusal(3, term=9, round=single.server.round, why="term_is_stale"))
    assert single.leads()


def test_a_removed_server_confirms_no_read_and_commits_nothing() -> None:
    single = leader(4)
    single.step(ChangeMembership("remove 4", "remove", 4))
    single.step(ok(4, 1, 2, single.server.round))
    assert single.server.commit_index == 1
    answers(single, 2)
    assert single.server.commit_index == 2


@pytest.mark.parametrize(
    ("change", "server", "why"),
    [
        ("add", 3, "already_member"),
        ("remove", 9, "not_member"),
        ("add", 5, "change_under_way"),
        ("remove", 3, "change_under_way"),
    ],
)
def test_what_is_refused_while_a_change_is_under_way(change: str, server: int, why: str) -> None:
    single = leader()
    single.step(ADD_4)
    done = single.step(ChangeMembership("other", change, server))  # type: ignore[arg-type]
    assert done.refused == [Refused("other", why)]


def test_a_follower_changes_nothing() -> None:
    assert Single().step(ADD_4).refused == [Refused("add 4", "not_leader")]


def test_a_leader_changes_nothing_before_its_first_commit() -> None:
    single = Single()
    single.time_out()
    single.step(vote(2, term=1))
    assert single.leads()
    assert single.step(ADD_4).refused == [Refused("add 4", "term_not_committed")]
    answers(single, 2)
    assert not single.step(ADD_4).refused


# The bug of 2015, as in transcripts/4_1_the_bug_of_2015.txt, seen from outside


def the_bug_of_2015(rules: Rules) -> None:
    world = World(4, spare=1, rules=rules, assertions=NoAssertions(), watcher=Properties())
    network = world.network
    world.elect(1)
    network.hold("n5", lambda message: message.sender == 5)
    world.change(1, "add", 5)
    world.settle()
    world.fire_timer(1)
    world.settle()
    network.cut([1], [2, 3, 4])
    network.let_go("n5")
    network.release(world.clock)
    world.settle()
    network.hold("n2", lambda message: isinstance(message, AppendEntries) and message.sender == 2)
    world.fire_timer(2)
    world.settle()
    world.change(2, "remove", 1)
    network.cut([2], [4, 5])
    network.let_go("n2")
    network.release(world.clock)
    world.settle()
    world.crash(1)
    world.restart(1)
    world.crash(2)
    world.crash(3)
    network.heal()
    for _ in range(2):
        world.fire_timer(1)
        world.settle()


def test_the_bug_of_2015_loses_what_was_committed() -> None:
    with pytest.raises(Broken, match="Leader Completeness: n1 leads term 3 without committed 3"):
        the_bug_of_2015(ChangesBeforeItsFirstCommit())


def test_the_correction_of_2015_keeps_it() -> None:
    the_bug_of_2015(Rules())
