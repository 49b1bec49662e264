"""Figure 2's persistent state, and what waits until the disk has it (§5.6, diss. §10.2.1)."""

import pytest

from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    LogPosition,
    RequestVote,
    RequestVoteReply,
)
from glassraft.raft.ready import Event, HardState, Persisted, Propose, Read, Ready, TimeIs
from tests.raft.single import Single, append_entries, entries, leader, ok, request_vote, vote
from tests.raft.world import World


def ready_after(single: Single, *events: Event) -> Ready:
    """What the server wants done about these events, before anything of it is done."""
    for event in events:
        single.server.step(event, single.now)
    return single.ready()


# What waits for the disk


def test_a_candidates_requests_wait() -> None:
    single = Single(term=3)
    single.now = single.server.next_deadline
    ready = ready_after(single, TimeIs())
    assert ready.hard_state == (4, 1)
    assert ready.messages_now == []
    assert [type(m) for m in ready.messages_after] == [RequestVote, RequestVote]


@pytest.mark.parametrize(
    "request_", [request_vote(term=4), request_vote(term=1), append_entries(term=4, entries=entries(4))]
)
def test_every_answer_waits(request_: Event) -> None:
    ready = ready_after(Single(term=3), request_)
    assert ready.messages_now == []
    assert isinstance(ready.messages_after[0], RequestVoteReply | AppendEntriesReply)


def test_entries_and_the_term_they_came_with_are_written_together() -> None:
    ready = ready_after(
        Single(term=3, terms=[1, 1]), append_entries(term=4, prev=(1, 1), entries=entries(4, first=2))
    )
    assert (ready.hard_state, ready.truncate_from, len(ready.entries)) == ((4, None), 2, 1)


def test_a_leaders_entries_go_out_while_its_own_disk_writes_them() -> None:
    ready = ready_after(leader(), Propose("t", "a"))
    assert [type(m) for m in ready.messages_now] == [AppendEntries, AppendEntries]
    assert (ready.messages_after, len(ready.entries)) == ([], 1)


def test_nothing_goes_out_while_the_hard_state_is_unwritten() -> None:
    single = leader()
    # Deposed in the very batch in which it would have sent.
    ready = ready_after(single, Propose("t", "a"), request_vote(term=2, last=(1, 1)))
    assert ready.hard_state is not None
    assert ready.messages_now == []


def test_what_was_told_before_a_batch_ended_is_told_after_it_is_written() -> None:
    # Vote in term 1, then term 2 in the same batch: both answers wait for what the disk holds at the end.
    ready = ready_after(Single(), request_vote(2, term=1), request_vote(3, term=2))
    assert ready.hard_state == (2, 3)
    assert [(m.receiver, m.term) for m in ready.messages_after] == [(2, 1), (3, 2)]
    assert ready.messages_now == []


def test_nothing_new_is_nothing_to_write() -> None:
    single = Single(term=1)
    single.step(append_entries())
    assert not ready_after(single, append_entries(round=2)).must_persist


# What counts only once it is written


def test_a_servers_own_vote_counts_once_it_is_written() -> None:
    single = Single(1)
    single.now = single.server.next_deadline
    ready = ready_after(single, TimeIs())
    assert not single.leads()
    single.persist(ready)
    assert single.leads()


def test_without_its_own_vote_a_candidate_lacks_one() -> None:
    single = Single(3)
    single.now = single.server.next_deadline
    ready = ready_after(single, TimeIs())
    single.server.step(vote(2), single.now)
    assert not single.leads()
    single.persist(ready)
    assert single.leads()


def test_a_vote_written_for_an_older_term_does_not_count() -> None:
    single = Single(1)
    single.now = single.server.next_deadline
    ready_after(single, TimeIs())
    single.now = single.server.next_deadline
    ready_after(single, TimeIs())
    single.server.step(Persisted(HardState(1, 1), LogPosition(0, 0)), single.now)
    assert not single.leads()
    single.server.step(Persisted(HardState(2, 1), LogPosition(0, 0)), single.now)
    assert single.leads()


def test_a_leaders_own_entry_counts_once_it_is_written() -> None:
    single = leader(3)
    ready = ready_after(single, Propose("t", "a"))
    single.server.step(ok(2, 1, 2, ready.messages_now[0].round), single.now)  # type: ignore[union-attr]
    assert single.server.commit_index == 1
    single.persist(ready)
    assert single.server.commit_index == 2


def test_followers_alone_may_commit_what_the_leaders_disk_still_writes() -> None:
    single = leader(3)
    ready = ready_after(single, Propose("t", "a"))
    for message in ready.messages_now:
        assert isinstance(message, AppendEntries)
        single.server.step(ok(message.receiver, 1, 2, message.round), single.now)
    assert single.server.commit_index == 2
    assert single.ready().committed == ()  # but it applies only what its own disk has
    single.persist(ready)
    assert [e.index for e in single.ready().committed] == [2]


def test_a_follower_applies_only_what_its_own_disk_has() -> None:
    single = Single(term=1)
    ready = ready_after(single, append_entries(entries=entries(1, 1), commit=2))
    assert (single.server.commit_index, ready.committed) == (2, ())
    single.persist(ready)
    assert [e.index for e in single.ready().committed] == [1, 2]


def test_a_read_waits_for_the_applying_too() -> None:
    single = Single(1)
    single.time_out()
    ready = ready_after(single, Propose("t", "a"), Read("r"))
    single.persist(ready)
    after = single.ready()
    assert ([e.command for e in ready.committed + after.committed], ready.reads + after.reads) == (
        ["a"],
        ["r"],
    )


def test_what_the_disk_had_of_a_log_that_was_cut_since_counts_for_nothing() -> None:
    single = Single(term=1)
    single.step(append_entries(2, term=1, entries=entries(1, 1, 1)))
    ready_after(single, append_entries(3, term=2, prev=(1, 1), entries=entries(2, first=2)))
    single.server.step(Persisted(HardState(1, None), LogPosition(1, 3)), single.now)
    assert single.server.durable_index == 1


def test_entries_that_came_and_went_in_one_batch_never_reach_the_disk() -> None:
    single = Single(term=1)
    ready = ready_after(
        single,
        append_entries(2, term=1, entries=entries(1, 1, 1)),
        append_entries(3, term=2, entries=entries(2)),
    )
    assert [(e.index, e.term) for e in ready.entries] == [(1, 2)]
    single.persist(ready)
    assert single.server.durable_index == single.server.log.last_index == 1


def test_a_ready_is_handed_over_once() -> None:
    single = leader()
    first = ready_after(single, Propose("t", "a"))
    assert not first.is_empty
    second = single.ready()
    assert (second.entries, second.messages_now, second.placed) == ((), [], [])


# After a restart


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_term_vote_and_log_are_back_after_a_restart_and_nothing_else(size: int) -> None:
    world = World(size)
    world.elect(1)
    world.propose(1, "a")
    world.settle()
    world.crash(1)
    world.restart(1, applied=0)
    server = world.server(1)
    assert (server.current_term, server.voted_for) == (1, 1)
    assert server.log.last == LogPosition(1, 2)
    assert (server.role, server.commit_index, server.leader_id, server.progress) == ("follower", 0, None, {})
