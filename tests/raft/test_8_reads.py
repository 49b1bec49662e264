"""§8 and dissertation §6.4: clients read what is committed, without a log entry, and never what is old."""

from glassraft.raft.messages import AppendEntries
from glassraft.raft.ready import Propose, Read, Refused
from glassraft.raft.rules import Rules
from tests.raft.single import Single, append_entries, leader, ok, refusal, request_vote, vote


def test_a_read_is_answered_after_a_majority_confirmed_the_leader() -> None:
    single = leader(5)
    done = single.step(Read("r"))
    assert {m.receiver for m in done.messages} == {2, 3, 4, 5}
    round = done.the(AppendEntries).round
    assert single.step(ok(2, 1, 1, round)).reads == []
    assert single.step(ok(3, 1, 1, done.the(AppendEntries, 3).round)).reads == ["r"]


def test_each_read_is_answered_once() -> None:
    single = leader()
    round = single.step(Read("r")).the(AppendEntries).round
    answered = single.step(ok(2, 1, 1, round), ok(2, 1, 1, round), ok(3, 1, 1, round)).reads
    assert answered + single.time_out().reads == ["r"]


def test_a_reply_to_a_request_from_before_the_read_does_not_count() -> None:
    single = leader()
    before = single.time_out().the(AppendEntries).round
    single.step(Read("r"))
    assert single.step(ok(2, 1, 1, before)).reads == []


def test_the_same_follower_twice_is_no_majority() -> None:
    single = leader(5)
    round = single.step(Read("r")).the(AppendEntries).round
    assert single.step(ok(2, 1, 1, round), ok(2, 1, 1, round + 4)).reads == []


def test_a_follower_that_lacks_entries_confirms_the_leader_too() -> None:
    single = leader()
    round = single.step(Read("r")).the(AppendEntries).round
    assert single.step(refusal(2, 1, round, conflict=(1, 0))).reads == ["r"]


def test_reads_that_come_together_share_a_round() -> None:
    single = leader()
    done = single.step(Read("r1"), Read("r2"), Propose("t", "a"))
    assert len(done.to(2)) == 1
    assert single.step(ok(2, 1, 1, done.the(AppendEntries).round)).reads == ["r1", "r2"]


def test_a_read_goes_out_even_while_entries_are_under_way() -> None:
    single = leader()
    single.step(Propose("t", "a"))
    beat = single.step(Read("r")).the(AppendEntries)
    assert beat.entries == ()
    assert single.step(ok(2, 1, 1, beat.round)).reads == ["r"]


def test_a_lone_server_answers_at_once() -> None:
    single = Single(1)
    single.time_out()
    assert single.step(Read("r")).reads == ["r"]


def test_a_read_and_what_was_proposed_before_it_by_a_lone_server() -> None:
    single = Single(1)
    single.time_out()
    done = single.step(Propose("t", "a"), Read("r"))
    assert done.reads == ["r"]


def test_a_new_leader_answers_only_after_committing_in_its_term() -> None:
    # It may not know yet what its predecessor has committed (§8).
    single = Single(terms=[1, 1], term=1)
    single.lead()
    done = single.step(Read("r"))
    round = done.the(AppendEntries).round
    assert single.step(ok(2, 2, 2, round)).reads == []
    done = single.step(ok(2, 2, 3, round))
    assert (len(done.committed), done.reads) == (3, ["r"])


def test_without_an_entry_of_its_term_a_leader_answers_no_read() -> None:
    class NoEmptyEntry(Rules):
        def opens_term_with_empty_entry(self) -> bool:
            return False

    single = Single(terms=[1], term=1, rules=NoEmptyEntry())
    single.lead()
    round = single.step(Read("r")).the(AppendEntries).round
    assert single.step(ok(2, 2, 1, round)).reads == []
    done = single.step(Propose("t", "a"))
    assert single.step(ok(2, 2, 2, done.the(AppendEntries).round)).reads == ["r"]


def test_a_read_is_released_together_with_what_must_be_applied_before_it() -> None:
    single = leader()
    single.step(Propose("t", "a"))
    single.server.step(Read("r"), single.now)
    (beat, _) = (m for m in single.ready().messages_now)
    assert isinstance(beat, AppendEntries)
    single.server.step(ok(2, 1, 2, beat.round), single.now)
    ready = single.ready()
    assert ([e.index for e in ready.committed], ready.reads) == ([2], ["r"])


def test_followers_and_candidates_refuse_reads() -> None:
    single = Single()
    assert single.step(Read("r")).refused == [Refused("r", "not_leader")]
    single.time_out()
    assert single.step(Read("r")).refused == [Refused("r", "not_leader")]


def test_a_deposed_leader_refuses_the_reads_that_wait() -> None:
    for news in (append_entries(term=2), request_vote(term=2), vote(term=2, granted=False)):
        single = leader()
        single.step(Read("r1"), Read("r2"))
        done = single.step(news)
        assert done.refused == [Refused("r1", "not_leader"), Refused("r2", "not_leader")]
        assert done.reads == []


def test_the_reply_that_deposes_a_leader_confirms_nothing() -> None:
    single = leader()
    round = single.step(Read("r")).the(AppendEntries).round
    done = single.step(refusal(2, 2, round, why="term_is_stale"))
    assert (done.reads, done.refused) == ([], [Refused("r", "not_leader")])
