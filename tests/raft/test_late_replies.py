"""Late and doubled replies count for nothing that they did not see (§5.1, §5.3, diss. §6.4)."""

from glassraft.raft.messages import AppendEntries
from glassraft.raft.ready import Propose, Read
from tests.raft.single import Single, leader, ok, refusal, vote


def test_refusal_of_a_request_of_an_earlier_term_moves_no_next_index() -> None:
    # The request was of a term that this leader led before; the refusal tells nothing but the term.
    single = Single(terms=[1] * 50, term=1)
    single.lead()
    single.step(refusal(3, 2, round=1, why="term_is_stale"))
    assert single.server.progress[3].next_index == 51


def test_refusal_of_a_request_of_an_earlier_life_confirms_no_read() -> None:
    # Rounds begin anew with a life, so a request of an earlier life may have carried a higher one. Its
    # refusal may be older than the read, and the refuser may follow another by now.
    single = leader(term=4)
    assert single.step(Read("r")).reads == []
    late = refusal(2, single.server.current_term, round=1000, why="term_is_stale")
    assert single.step(late).reads == []
    assert single.step(ok(2, single.server.current_term, 1, single.server.round)).reads == ["r"]


def test_refusal_of_a_request_of_an_earlier_term_takes_no_vote_back() -> None:
    single = Single(5, term=4)
    single.time_out()
    single.step(vote(2, 5), vote(2, 5, granted=False))
    single.step(vote(3, 5))
    assert single.server.role == "leader"


def test_doubled_refusal_backs_up_once() -> None:
    # The follower's log is 1 1 2 2, the leader's 1 1 2 3 3: it goes on after their common term 2.
    single = Single(terms=[1, 1, 2, 3, 3], term=3)
    single.lead()
    under_way = single.server.progress[2].round_under_way
    assert under_way is not None
    twice = refusal(2, 4, under_way, conflict=(3, 2))
    done = single.step(twice, twice)
    assert done.the(AppendEntries).prev_log.index == 3


def test_a_late_refusal_moves_next_index_not_below_what_matched() -> None:
    single = leader(terms=[1, 1, 1], term=1)
    single.step(refusal(2, 2, round=1, conflict=(1, 0)))
    assert single.server.progress[2].next_index == single.server.progress[2].match_index + 1 == 5


def test_a_doubled_success_counts_once() -> None:
    single = leader(5)
    single.step(Propose("t", "a"))
    acknowledged = ok(2, 1, 2, single.server.round)
    single.step(acknowledged, acknowledged, acknowledged)
    assert single.server.commit_index == 1


def test_a_late_success_takes_nothing_back() -> None:
    single = leader(terms=[1, 1, 1], term=1)
    single.step(ok(2, 2, 1, round=1))
    assert single.server.progress[2].match_index == 4


def test_a_reply_of_an_older_term_is_ignored() -> None:
    single = leader(5, term=4)
    single.step(Propose("t", "a"))
    single.step(ok(2, 4, 2, 1), ok(3, 4, 2, 1))
    assert single.server.commit_index == 1


def test_a_message_that_names_its_receiver_as_sender_is_ignored() -> None:
    single = leader()
    single.step(ok(1, 1, 1, 1))
    single.step(vote(1, 9))
    assert (single.server.role, single.server.current_term) == ("leader", 1)
