"""§5.3: log replication, and the receiver of AppendEntries in Figure 2."""

from dataclasses import replace
from random import Random

import pytest

from glassraft.raft.log import Log
from glassraft.raft.messages import AppendEntries, AppendEntriesReply, LogPosition
from glassraft.raft.ready import HardState, Persisted, Placed, Propose, Refused, TimeIs, Undelivered
from glassraft.raft.rules import Rules
from glassraft.raft.server import Server
from tests.raft.single import (
    Done,
    Single,
    append_entries,
    entries,
    entry,
    leader,
    ok,
    refusal,
    request_vote,
)
from tests.raft.world import AS_PRINTED, World


def propose(*commands: str) -> list[Propose]:
    return [Propose(command, command) for command in commands]


def sent(done: Done, receiver: int = 2) -> AppendEntries:
    return done.the(AppendEntries, receiver)


# Proposals


def test_a_command_is_appended_sent_and_placed() -> None:
    single = leader()
    done = single.step(*propose("a", "b"))
    assert done.placed == [Placed("a", 2, 1), Placed("b", 3, 1)]
    for receiver in (2, 3):
        assert [(e.index, e.term, e.command) for e in sent(done, receiver).entries] == [
            (2, 1, "a"),
            (3, 1, "b"),
        ]
    assert single.terms == [1, 1, 1]


def test_followers_and_candidates_refuse_proposals() -> None:
    single = Single()
    assert single.step(*propose("a")).refused == [Refused("a", "not_leader")]
    single.time_out()
    assert single.step(*propose("a")).refused == [Refused("a", "not_leader")]
    assert single.terms == []


def test_a_leader_that_cannot_commit_refuses_more() -> None:
    single = leader(settings=replace(AS_PRINTED, uncommitted_entries=3))
    done = single.step(*propose("a", "b", "c", "d"))
    assert [placed.ticket for placed in done.placed] == ["a", "b", "c"]
    assert done.refused == [Refused("d", "full")]
    single.step(ok(2, 1, 3, single.server.round))
    assert [placed.ticket for placed in single.step(*propose("e", "f", "g")).placed] == ["e", "f"]


# Committing


@pytest.mark.parametrize(("size", "needed"), [(2, 1), (3, 1), (4, 2), (5, 2), (7, 3)])
def test_an_entry_is_committed_once_a_majority_has_it(size: int, needed: int) -> None:
    single = leader(size)
    single.step(*propose("a"))
    for follower in range(2, needed + 2):
        assert single.server.commit_index == 1
        done = single.step(ok(follower, 1, 2, single.server.round))
    assert single.server.commit_index == 2
    assert [e.command for e in done.committed] == ["a"]


def test_followers_learn_of_commits_with_the_next_message() -> None:
    single = leader()
    single.step(*propose("a"))
    done = single.step(ok(2, 1, 2, single.server.round))
    assert not done.messages
    assert sent(single.time_out()).leader_commit == 2


def test_a_follower_commits_what_the_leader_has_committed_and_it_has_checked() -> None:
    single = Single(term=1)
    done = single.step(append_entries(entries=entries(1, 1, 1), commit=2))
    assert [e.index for e in done.committed] == [1, 2]
    done = single.step(append_entries(prev=(3, 1), commit=9))
    assert [e.index for e in done.committed] == [3]


def test_a_follower_commits_nothing_beyond_what_was_just_checked() -> None:
    # Figure 2: min(leaderCommit, index of last new entry). What follows it may not be the leader's.
    single = Single(terms=[1, 1, 2, 2], term=3)
    done = single.step(append_entries(term=3, prev=(1, 1), entries=entries(1, first=2), commit=4))
    assert [e.index for e in done.committed] == [1, 2]


def test_the_commit_index_does_not_go_back() -> None:
    single = Single(term=1)
    single.step(append_entries(entries=entries(1, 1, 1), commit=3))
    done = single.step(append_entries(prev=(1, 1), commit=1))
    assert single.server.commit_index == 3
    assert done.the(AppendEntriesReply).success


def test_a_restarted_server_applies_from_where_its_state_machine_was() -> None:
    single = Single(terms=[1, 1, 1], term=1, applied=2)
    assert single.server.commit_index == 2
    done = single.step(append_entries(prev=(3, 1), commit=3))
    assert [e.index for e in done.committed] == [3]


def test_much_is_applied_in_steps() -> None:
    single = Single(terms=[1] * 2500, term=1)
    single.server.step(append_entries(prev=(2500, 1), commit=2500), 0.0)
    sizes = []
    while (ready := single.ready()).committed:
        sizes.append(len(ready.committed))
    assert sizes == [1000, 1000, 500]


# Receiving AppendEntries (Figure 2)


def test_entries_are_refused_without_the_one_before_them() -> None:
    single = Single(terms=[1, 1], term=1)
    reply = single.step(append_entries(prev=(3, 1), entries=entries(1, first=4))).the(AppendEntriesReply)
    assert (reply.success, reply.why) == (False, "log_holds_previous_entry")
    assert (reply.conflict_term, reply.conflict_index) == (0, 3)
    assert single.terms == [1, 1]


def test_entries_are_refused_after_one_of_another_term() -> None:
    single = Single(terms=[1, 2, 2, 2], term=3)
    reply = single.step(append_entries(term=3, prev=(4, 3))).the(AppendEntriesReply)
    assert (reply.success, reply.conflict_term, reply.conflict_index) == (False, 2, 2)
    assert single.terms == [1, 2, 2, 2]


def test_a_conflicting_entry_and_all_after_it_are_deleted() -> None:
    single = Single(terms=[1, 1, 2, 2, 2], term=3)
    done = single.step(append_entries(term=3, prev=(2, 1), entries=entries(1, 3, first=3)))
    assert single.terms == [1, 1, 1, 3]
    assert [e.term for e in single.disk.entries] == [1, 1, 1, 3]
    assert done.the(AppendEntriesReply).match_index == 4


def test_what_follows_the_new_entries_stays_when_it_does_not_conflict() -> None:
    # A doubled or reordered request of the same leader must not shorten the log.
    single = Single(terms=[1, 1, 1, 1], term=1)
    reply = single.step(append_entries(prev=(1, 1), entries=entries(1, first=2))).the(AppendEntriesReply)
    assert single.terms == [1, 1, 1, 1]
    assert reply.match_index == 2


def test_a_heartbeat_deletes_nothing() -> None:
    # Figure 7 (c) and (d): they lose their tails only when the leader has an entry of its own there.
    single = Single(terms=[1, 1, 4, 4, 7, 7], term=7)
    reply = single.step(append_entries(term=8, prev=(4, 4), commit=4)).the(AppendEntriesReply)
    assert single.terms == [1, 1, 4, 4, 7, 7]
    assert (reply.success, reply.match_index) == (True, 4)
    assert single.server.commit_index == 4


def test_entries_that_are_there_already_are_not_written_again() -> None:
    single = Single(term=1)
    request = append_entries(entries=entries(1, 1))
    single.step(request)
    single.server.step(request, 0.0)
    assert not single.ready().must_persist


def test_entries_that_overlap_are_appended_from_where_the_log_ends() -> None:
    single = Single(terms=[1, 1, 1], term=1)
    single.server.step(append_entries(prev=(1, 1), entries=entries(1, 1, 1, first=2)), 0.0)
    ready = single.ready()
    assert (ready.truncate_from, [e.index for e in ready.entries]) == (None, [4])


def test_two_conflicts_in_one_batch_reach_the_disk_as_one() -> None:
    single = Single(terms=[1, 1, 2, 2], term=2)
    single.step(
        append_entries(2, term=3, prev=(3, 2), entries=entries(3, 3, first=4)),
        append_entries(3, term=4, prev=(1, 1), entries=entries(4, first=2)),
    )
    assert single.terms == [e.term for e in single.disk.entries] == [1, 4]


def test_indexes_go_past_32_bits() -> None:
    big = 2**33
    server = Server(
        1,
        (1, 2, 3),
        random=Random(1),
        hard_state=HardState(1, None),
        log=Log(terms=[(1, 1)], last_index=big),
        applied=big,
    )
    server.step(append_entries(prev=(big, 1), entries=[entry(big + 1, 1)], commit=big + 1), 0.0)
    ready = server.ready()
    assert [e.index for e in ready.entries] == [big + 1]
    (reply,) = ready.messages_after
    assert isinstance(reply, AppendEntriesReply)
    assert reply.match_index == big + 1
    server.step(Persisted(HardState(1, None), LogPosition(1, big + 1)), 0.0)
    assert [e.index for e in server.ready().committed] == [big + 1]


# Backing up over a divergent log (§5.3, end)


def next_after(leader_terms: list[int], reply: AppendEntriesReply) -> int:
    """nextIndex after a refusal of the leader's first request."""
    single = Single(terms=leader_terms, term=reply.term - 1)
    single.lead()
    single.step(reply)
    return single.server.progress[2].next_index


def test_a_short_log_is_skipped_to_its_end() -> None:
    assert next_after([1, 1, 1, 1], refusal(2, 2, 1, conflict=(2, 0))) == 2


def test_a_term_that_the_leader_lacks_is_skipped_whole() -> None:
    assert next_after([1, 1, 4, 4, 5], refusal(2, 6, 1, conflict=(3, 2))) == 3


def test_of_a_term_that_both_have_the_shared_part_is_kept() -> None:
    assert next_after([1, 1, 4, 4, 5], refusal(2, 6, 1, conflict=(3, 4))) == 5


def test_one_refusal_an_entry_would_do_as_well() -> None:
    class OneByOne(Rules):
        def conflict(self, log: Log, prev_log: LogPosition) -> LogPosition:
            return LogPosition(0, prev_log.index)

    world = World(3, rules=OneByOne())
    world.elect(1)
    world.network.cut([3], [1, 2])
    for number in range(20):
        world.propose(1, f"c{number}")
    world.crash(1)
    world.network.heal()
    world.elect(2)
    assert world.server(3).log.last == world.server(2).log.last


# Batches, and one AppendEntries under way


def test_batches_are_bounded_in_entries() -> None:
    single = Single(terms=[1] * 10, term=1, settings=replace(AS_PRINTED, batch_entries=3))
    single.lead()
    done = single.step(refusal(2, 2, single.server.progress[2].round_under_way or 0, conflict=(1, 0)))
    assert [e.index for e in sent(done).entries] == [1, 2, 3]


def test_batches_are_bounded_in_bytes_but_hold_at_least_one() -> None:
    single = leader(settings=replace(AS_PRINTED, batch_bytes=10))
    assert [e.command for e in sent(single.step(*propose("four", "four", "four"))).entries] == [
        "four",
        "four",
    ]
    big = leader(settings=replace(AS_PRINTED, batch_bytes=10))
    assert [e.command for e in sent(big.step(*propose("x" * 50, "y"))).entries] == ["x" * 50]


def test_one_append_entries_is_under_way_and_the_next_takes_what_gathered() -> None:
    single = leader()
    first = sent(single.step(*propose("a")))
    assert not single.step(*propose("b")).messages
    assert not single.step(*propose("c")).messages
    done = single.step(ok(2, 1, 2, first.round))
    assert [e.command for e in sent(done).entries] == ["b", "c"]
    assert done.to(3) == []


def test_a_heartbeat_while_entries_are_under_way_carries_none() -> None:
    single = leader()
    single.step(*propose("a"))
    beat = sent(single.time_out())
    assert (beat.entries, beat.prev_log.index) == ((), 1)


def test_the_reply_to_a_heartbeat_does_not_end_what_is_under_way() -> None:
    single = leader()
    single.step(*propose("a"))
    beat = sent(single.time_out())
    assert not single.step(ok(2, 1, 1, beat.round)).messages
    assert single.server.progress[2].round_under_way is not None


def test_entries_without_an_answer_are_sent_again_after_an_election_timeout() -> None:
    single = leader()
    single.step(*propose("a"))
    again: list[AppendEntries] = []
    while not again and single.now < 20:
        again = [m for m in single.time_out().to(2) if isinstance(m, AppendEntries) and m.entries]
    waited = single.now - single.server.progress[3].sent_at
    assert [e.command for e in again[0].entries] == ["a"]
    assert waited < 1.0


def test_undelivered_entries_go_out_with_the_next_heartbeat() -> None:
    single = leader()
    first = sent(single.step(*propose("a")))
    assert not single.step(Undelivered(2, first.round)).messages
    assert not single.step(*propose("b")).to(2)
    beat = sent(single.time_out())
    assert [e.command for e in beat.entries] == ["a", "b"]


def test_an_undelivered_heartbeat_or_older_round_changes_nothing() -> None:
    single = leader()
    first = sent(single.step(*propose("a")))
    single.step(Undelivered(2, first.round - 1))
    assert single.server.progress[2].round_under_way == first.round
    assert not single.server.progress[2].waits_for_heartbeat


def test_what_was_undelivered_means_nothing_to_who_leads_no_more() -> None:
    single = leader()
    first = sent(single.step(*propose("a")))
    single.step(request_vote(term=5))
    assert not single.step(Undelivered(2, first.round)).messages


def test_a_lost_answer_to_entries_is_made_up_for() -> None:
    world = World(3)
    world.elect(1)
    world.network.hold("replies", lambda message: isinstance(message, AppendEntriesReply))
    world.propose(1, "a")
    world.settle()
    world.network.drop()
    world.network.let_go("replies")
    world.run(until=world.clock + 1.5)
    assert [node.up.commit_index for node in world.running] == [2, 2, 2]


def test_a_slow_follower_is_sent_older_entries_from_the_disk() -> None:
    single = Single(terms=[1] * 50, term=1, tail_entries=4)
    single.lead()
    done = single.step(refusal(2, 2, single.server.progress[2].round_under_way or 0, conflict=(11, 0)))
    request = sent(done)
    assert request.prev_log.index == 10
    assert [e.index for e in request.entries] == list(range(11, 47))  # up to where memory begins
    done = single.step(ok(2, 2, 46, request.round))
    assert [e.index for e in sent(done).entries] == [47, 48, 49, 50, 51]


def test_progress_is_what_followers_acknowledged() -> None:
    single = Single(terms=[1, 1], term=1)
    single.lead()
    progress = single.server.progress[2]
    assert (progress.next_index, progress.match_index) == (3, 0)  # Figure 2: last log index + 1, 0
    single.step(ok(2, 2, 3, progress.round_under_way or 0))
    assert (progress.next_index, progress.match_index) == (4, 3)


def test_a_quiet_leader_sends_nothing_between_heartbeats() -> None:
    single = leader()
    single.now += 0.01
    assert not single.step(TimeIs()).messages
