"""§5.1: terms are a logical clock, and tell each server what is out of date."""

import pytest

from glassraft.raft.messages import AppendEntriesReply, Message, RequestVoteReply
from tests.raft.single import (
    ME,
    Single,
    append_entries,
    entries,
    leader,
    ok,
    refusal,
    request_vote,
    vote,
)

NEWER = [
    request_vote(term=9),
    vote(term=9, granted=False),
    append_entries(term=9),
    refusal(2, term=9, round=1, why="term_is_stale"),
]


def kind(message: Message) -> str:
    return type(message).__name__


@pytest.mark.parametrize("message", NEWER, ids=kind)
def test_any_message_of_a_newer_term_is_followed_into_that_term(message: Message) -> None:
    single = Single(term=3, voted_for=3)
    single.step(message)
    assert single.server.current_term == 9
    assert single.server.role == "follower"
    assert single.disk.hard_state.term == 9


@pytest.mark.parametrize("message", NEWER, ids=kind)
def test_a_candidate_steps_down_for_a_newer_term(message: Message) -> None:
    single = Single(term=3)
    single.time_out()
    assert single.server.role == "candidate"
    single.step(message)
    assert (single.server.role, single.server.current_term) == ("follower", 9)


@pytest.mark.parametrize("message", NEWER, ids=kind)
def test_a_leader_steps_down_for_a_newer_term(message: Message) -> None:
    single = leader(term=3)
    single.step(message)
    assert (single.server.role, single.server.current_term) == ("follower", 9)
    assert single.server.progress == {}


def test_a_newer_term_begins_without_a_vote() -> None:
    single = Single(term=3, voted_for=3, terms=[1])
    single.step(request_vote(term=4))  # its log is behind, so it is refused
    assert single.disk.hard_state == (4, None)


def test_a_newer_term_begins_without_a_leader() -> None:
    single = Single()
    single.step(append_entries(sender=2, term=1))
    assert single.server.leader_id == 2
    single.step(refusal(3, term=2, round=1, why="term_is_stale"))
    assert single.server.leader_id is None


def test_a_request_for_votes_of_an_older_term_is_refused_with_the_newer_one() -> None:
    reply = Single(term=5).step(request_vote(term=4)).the(RequestVoteReply)
    assert (reply.vote_granted, reply.term, reply.why) == (False, 5, "term_is_stale")


def test_entries_of_an_older_term_are_refused_with_the_newer_one() -> None:
    single = Single(term=5)
    reply = single.step(append_entries(term=4, entries=entries(4))).the(AppendEntriesReply)
    assert (reply.success, reply.term, reply.why) == (False, 5, "term_is_stale")
    assert (reply.conflict_term, reply.conflict_index) == (0, 0)
    assert single.terms == []


def test_a_message_of_an_older_term_restarts_no_timer_and_names_no_leader() -> None:
    single = Single(term=5)
    deadline = single.server.election_deadline
    single.now = 0.5
    single.step(append_entries(term=4), request_vote(term=4))
    assert single.server.election_deadline == deadline
    assert single.server.leader_id is None


@pytest.mark.parametrize("message", [vote(term=4), ok(2, 4, 9, 1), refusal(2, 4, 1, (1, 0))], ids=kind)
def test_a_reply_of_an_older_term_changes_nothing(message: Message) -> None:
    single = Single(term=4)
    single.time_out()
    assert not single.step(message).messages
    assert (single.server.role, single.server.current_term) == ("candidate", 5)


def test_a_vote_of_an_older_term_does_not_count() -> None:
    single = Single(term=4)
    single.time_out()
    single.time_out()
    single.step(vote(2, term=5), vote(3, term=5))
    assert (single.server.role, single.server.current_term) == ("candidate", 6)


def test_answers_of_who_is_no_peer_mean_nothing() -> None:
    single = Single(term=2)
    done = single.step(vote(4, term=9), ok(4, term=9, match=1, round=1))
    assert not done.messages
    assert single.server.current_term == 2


def test_a_server_does_not_hear_itself() -> None:
    single = Single(term=2)
    done = single.step(request_vote(ME, term=9), append_entries(ME, term=9), vote(ME, term=9))
    assert not done.messages
    assert single.server.current_term == 2


def test_terms_and_indexes_go_past_32_bits() -> None:
    big = 2**40
    single = Single(term=big, terms=[1])
    reply = single.step(request_vote(term=big + 1, last=(1, big))).the(RequestVoteReply)
    assert (reply.vote_granted, reply.term) == (True, big + 1)
    done = single.step(append_entries(term=big + 2, prev=(1, 1), entries=entries(big + 2, first=2)))
    assert done.the(AppendEntriesReply).match_index == 2
    assert single.disk.hard_state == (big + 2, None)
    assert single.terms == [1, big + 2]
