"""§5.2: leader election, and the receiver of RequestVote in Figure 2."""

from dataclasses import replace
from random import Random

import pytest

from glassraft.raft.messages import AppendEntries, RequestVote, RequestVoteReply
from glassraft.raft.ready import Propose, TimeIs
from glassraft.raft.rules import Rules
from glassraft.raft.server import Server
from tests.raft.single import Single, append_entries, leader, request_vote, vote
from tests.raft.world import AS_PRINTED, World

SETTINGS = replace(AS_PRINTED, heartbeat_s=0.1, election_shortest_s=0.6, election_longest_s=1.2)


# Beginning an election


def test_a_server_starts_as_follower_in_the_term_that_its_disk_has() -> None:
    server = Single(term=7, voted_for=2).server
    assert (server.role, server.current_term, server.voted_for, server.leader_id) == ("follower", 7, 2, None)


def test_a_follower_that_hears_nothing_begins_an_election() -> None:
    single = Single(term=3, voted_for=2, terms=[1, 3])
    done = single.time_out()
    assert (single.server.role, single.server.current_term, single.server.voted_for) == ("candidate", 4, 1)
    assert [(m.receiver, type(m)) for m in done.messages] == [(2, RequestVote), (3, RequestVote)]
    request = done.the(RequestVote)
    assert (request.sender, request.term) == (1, 4)
    assert (request.last_log.index, request.last_log.term) == (2, 3)


def test_not_before_its_timeout() -> None:
    single = Single()
    assert not single.wait(0.599).messages
    assert single.server.role == "follower"


def test_timeouts_are_drawn_anew_from_the_whole_interval() -> None:
    single = Single(settings=SETTINGS)
    drawn = []
    for _ in range(300):
        started = single.now = single.server.next_deadline
        single.step(TimeIs())
        drawn.append(single.server.next_deadline - started)
    assert 0.6 <= min(drawn) < 0.62
    assert 1.18 < max(drawn) <= 1.2


def test_a_split_vote_ends_because_timeouts_differ() -> None:
    # The paper's Figure 16, top: were all timeouts alike, it would go on for ever.
    class AllAlike(Rules):
        def election_timeout_s(self, shortest_s: float, longest_s: float, random: Random) -> float:
            return shortest_s

    def leaders(rules: Rules) -> list[int]:
        world = World(4, rules=rules)
        world.network.delays = lambda message: (0.01,)
        world.run(until=30.0)
        return [node.id for node in world.running if node.up.role == "leader"]

    assert leaders(AllAlike()) == []
    assert len(leaders(Rules())) == 1


def test_a_candidate_without_a_majority_begins_another_election() -> None:
    single = Single(5)
    single.time_out()
    single.step(vote(2))
    done = single.time_out()
    assert single.server.current_term == 2
    assert [m.term for m in done.messages] == [2, 2, 2, 2]
    single.step(vote(3, term=2))
    assert single.server.role == "candidate"  # the vote of term 1 does not count in term 2


# Winning


@pytest.mark.parametrize(("size", "needed"), [(2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)])
def test_more_than_half_of_the_members_elect(size: int, needed: int) -> None:
    single = Single(size)
    single.time_out()
    for voter in range(2, needed):
        single.step(vote(voter))
        assert single.server.role == "candidate"
    single.step(vote(needed))
    assert single.server.role == "leader"


def test_the_same_vote_twice_is_one_vote() -> None:
    single = Single(5)
    single.time_out()
    single.step(vote(2), vote(2), vote(2))
    assert single.server.role == "candidate"


def test_refusals_do_not_elect() -> None:
    single = Single(3)
    single.time_out()
    single.step(vote(2, granted=False), vote(3, granted=False))
    assert single.server.role == "candidate"


def test_a_lone_server_elects_itself_and_commits_alone() -> None:
    single = Single(1)
    done = single.time_out()
    assert single.server.role == "leader"
    assert [entry.kind for entry in done.committed] == ["noop"]
    done = single.step(Propose("t", "a"))
    assert [entry.command for entry in done.committed] == ["a"]
    assert not done.messages


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_a_cluster_elects_one_leader_whom_all_follow(size: int) -> None:
    world = World(size)
    world.run(until=5.0)
    (leader_id,) = {node.up.leader_id for node in world.running}
    assert [node.id for node in world.running if node.up.role == "leader"] == [leader_id]


def test_a_new_leader_tells_everyone_at_once() -> None:
    done = Single().lead()
    assert {m.receiver for m in done.messages if isinstance(m, AppendEntries)} == {2, 3}


def test_a_leader_that_opens_with_no_entry_sends_empty_heartbeats_at_once() -> None:
    class NoEmptyEntry(Rules):
        def opens_term_with_empty_entry(self) -> bool:
            return False

    request = Single(rules=NoEmptyEntry(), terms=[1], term=1).lead().the(AppendEntries)
    assert (request.entries, request.prev_log.index) == ((), 1)


def test_heartbeats_go_out_at_their_time_and_not_before() -> None:
    single = leader(settings=SETTINGS)
    single.now = single.server.next_deadline - 0.001
    assert not single.step(TimeIs()).messages
    beat = single.time_out()
    assert [type(m) for m in beat.messages] == [AppendEntries, AppendEntries]
    assert single.server.next_deadline == pytest.approx(single.now + 0.1)


def test_a_leader_holds_no_election() -> None:
    single = leader(settings=SETTINGS)
    single.wait(100.0)
    assert (single.server.role, single.server.current_term) == ("leader", 1)


# Losing


def test_a_candidate_follows_the_leader_of_its_term() -> None:
    single = Single(term=3)
    single.time_out()
    single.step(append_entries(sender=3, term=4))
    assert (single.server.role, single.server.leader_id) == ("follower", 3)
    assert single.disk.hard_state == (4, 1)  # and keeps the vote for itself


def test_a_candidate_ignores_a_leader_of_an_older_term() -> None:
    single = Single(term=3)
    single.time_out()
    single.step(append_entries(sender=3, term=3))
    assert (single.server.role, single.server.leader_id) == ("candidate", None)


def test_votes_that_come_after_losing_count_for_nothing() -> None:
    single = Single(5)
    single.time_out()
    single.step(append_entries(sender=3, term=1))
    single.step(vote(2), vote(4), vote(5))
    assert single.server.role == "follower"


# Receiving RequestVote (Figure 2)


def test_a_vote_is_granted_and_on_disk_before_it_is_told() -> None:
    single = Single()
    single.server.step(request_vote(3, term=1), 0.0)
    ready = single.ready()
    assert ready.hard_state == (1, 3)
    assert ready.messages_now == []
    assert [m.vote_granted for m in ready.messages_after if isinstance(m, RequestVoteReply)] == [True]


def test_first_come_first_served() -> None:
    single = Single()
    done = single.step(request_vote(2, term=1), request_vote(3, term=1))
    assert done.the(RequestVoteReply, 2).vote_granted
    refused = done.the(RequestVoteReply, 3)
    assert (refused.vote_granted, refused.why) == (False, "may_grant_vote")


def test_the_same_candidate_may_ask_again() -> None:
    single = Single()
    single.step(request_vote(2, term=1))
    assert single.step(request_vote(2, term=1)).the(RequestVoteReply).vote_granted


def test_a_vote_survives_a_crash() -> None:
    world = World(3)
    world.network.hold("* -> *", lambda message: True)
    world.act(3, request_vote(2, term=1))
    world.crash(3)
    world.restart(3)
    world.network.drop()
    world.act(3, request_vote(1, term=1))
    (reply,) = world.network.held
    assert isinstance(reply, RequestVoteReply)
    assert (reply.vote_granted, reply.why) == (False, "may_grant_vote")


def test_a_candidate_and_a_leader_vote_for_no_other() -> None:
    single = Single()
    single.time_out()
    assert not single.step(request_vote(2, term=1)).the(RequestVoteReply).vote_granted
    single.step(vote(3))
    assert not single.step(request_vote(2, term=1)).the(RequestVoteReply).vote_granted


# Timers (Figure 2: without receiving AppendEntries from current leader or granting vote)


def restarts(single: Single, *events: object) -> bool:
    """Whether these events make the server wait anew."""
    single.now += 0.5
    deadline = single.server.election_deadline
    single.step(*events)  # type: ignore[arg-type]
    return single.server.election_deadline >= single.now + 0.6 and single.server.election_deadline != deadline


def test_the_timer_restarts_when_the_leader_is_heard() -> None:
    assert restarts(Single(term=1), append_entries(term=1))


def test_the_timer_restarts_when_the_leader_is_heard_even_if_the_logs_differ() -> None:
    assert restarts(Single(term=1), append_entries(term=1, prev=(9, 1)))


def test_the_timer_restarts_when_a_vote_is_granted() -> None:
    assert restarts(Single(term=1), request_vote(term=2))


def test_the_timer_goes_on_when_a_vote_is_refused() -> None:
    assert not restarts(Single(term=1, terms=[1]), request_vote(term=2))


def test_the_timer_goes_on_when_a_newer_term_is_only_learnt() -> None:
    assert not restarts(Single(term=1), vote(term=2, granted=False))


def test_the_timer_restarts_when_a_leader_steps_down() -> None:
    single = leader()
    single.now += 50.0
    single.step(vote(2, term=2, granted=False))
    assert single.server.election_deadline >= single.now + 0.6


def test_many_appends_in_a_row_move_the_deadline_each_time_but_note_it_seldom() -> None:
    single = Single(settings=SETTINGS)
    noted = 0
    for number in range(100):
        single.now = 0.2 + number / 1000
        done = single.step(append_entries(round=number))
        noted += sum(note.event == "timer" for note in done.notes)
        assert single.server.election_deadline >= single.now + 0.6
    assert noted == 2  # a heartbeat's half apart


def test_the_next_deadline_is_the_timer_that_counts() -> None:
    single = Single()
    assert single.server.next_deadline == single.server.election_deadline
    single.lead()
    assert single.server.next_deadline == single.server.heartbeat_due


def test_time_never_goes_back() -> None:
    server: Server = Single().server
    server.step(TimeIs(), 0.5)
    server.step(TimeIs(), 0.2)
    assert server.now == 0.5
