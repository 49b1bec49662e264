"""One turn on fakes: what happens in which order, who is told what, and what a cut leaves."""

from dataclasses import replace

import pytest

from glassraft.errors import StorageError
from glassraft.jobqueue import commands
from glassraft.raft.messages import (
    AppendEntries,
    Entry,
    LogPosition,
    RequestVote,
    RequestVoteReply,
)
from glassraft.raft.ready import HardState
from glassraft.replica.arrivals import (
    Applied,
    Confirmed,
    MessageLost,
    ReadArrived,
    ShutDown,
    TimePassed,
    Unserved,
)
from glassraft.replica.digests import QueuesDiffer
from glassraft.replica.turn import PENDING_S, QUEUE_COMMIT_S
from tests.replica.parts import SETTINGS, Bench, Cut, Effects, Origin, Waiter, accepted, opening, submission


def before(effects: list[str], first: str, then: str) -> bool:
    """Whether the one comes before the other, both exactly once."""
    places = [[n for n, effect in enumerate(effects) if effect.startswith(what)] for what in (first, then)]
    assert all(len(found) == 1 for found in places), effects
    return places[0][0] < places[1][0]


# The order of effects


def test_a_candidate_asks_for_votes_after_its_own_is_on_disk() -> None:
    bench = Bench()
    bench.clock.now = bench.server.next_deadline
    assert bench.did(TimePassed()) == ["save (1, 1) []", "send RequestVote n2", "send RequestVote n3"]


def test_a_vote_is_on_disk_before_it_is_told() -> None:
    bench = Bench()
    request = RequestVote(2, 1, 1, LogPosition(0, 0))
    assert bench.did(bench.arrives(request)) == ["save (1, 2) []", "send RequestVoteReply n2"]


def test_a_new_term_is_on_disk_before_a_refusal_tells_it() -> None:
    bench = Bench(hard_state=HardState(1, None), entries=[opening(1, 1)])
    request = RequestVote(2, 1, 5, LogPosition(0, 0))
    effects = bench.did(bench.arrives(request))
    assert effects == ["save (5, None) []", "send RequestVoteReply n2"]
    assert bench.network.take(RequestVoteReply)[0].vote_granted is False


def test_entries_are_on_disk_before_they_are_acknowledged() -> None:
    bench = Bench()
    request = AppendEntries(2, 1, 1, LogPosition(0, 0), (opening(1, 1), submission(2, 1)), 0, 1)
    assert bench.did(bench.arrives(request)) == ["save (1, None) [1, 2]", "send AppendEntriesReply n2"]


def test_many_requests_together_cost_one_save() -> None:
    bench = Bench()
    requests = [
        AppendEntries(2, 1, 1, LogPosition(0, 0), (opening(1, 1),), 0, 1),
        AppendEntries(2, 1, 1, LogPosition(1, 1), (submission(2, 1),), 0, 2),
        AppendEntries(2, 1, 1, LogPosition(1, 2), (submission(3, 1),), 1, 3),
    ]
    effects = bench.did(*map(bench.arrives, requests))
    assert effects[0] == "save (1, None) [1, 2, 3]"
    assert [effect for effect in effects if effect.startswith("save")] == effects[:1]
    assert effects.count("send AppendEntriesReply n2") == 3
    assert effects[-1] == "apply 1..1"


def test_a_leaders_entries_go_out_while_its_own_disk_writes_them() -> None:
    bench = Bench()
    bench.become_leader()
    arrival, _ = bench.command()
    assert bench.did(arrival) == ["send AppendEntries n2 [2]", "send AppendEntries n3 [2]", "save None [2]"]


def test_a_new_leader_opens_its_term_with_its_vote_on_disk() -> None:
    """Its election was durable before anybody granted it, so its empty entry may go out at once."""
    bench = Bench()
    bench.clock.now = bench.server.next_deadline
    bench.turn(TimePassed())
    effects = bench.did(bench.arrives(RequestVoteReply(2, 1, 1, True)))
    assert effects == ["send AppendEntries n2 [1]", "send AppendEntries n3 [1]", "save None [1]"]


def test_a_lone_nodes_own_disk_is_its_majority() -> None:
    bench = Bench(size=1)
    bench.become_leader()
    arrival, waiter = bench.command()
    assert bench.did(arrival) == ["save None [2]", "apply 2..2", "answer"]
    assert isinstance(waiter.result, Applied)


def test_an_answer_comes_after_commit_and_apply() -> None:
    bench = Bench()
    bench.become_leader()
    arrival, waiter = bench.command()
    bench.turn(arrival)
    assert waiter.result is None
    [request] = bench.network.take(AppendEntries, 2)
    effects = bench.did(bench.arrives(accepted(request)))
    assert before(effects, "apply 2..2", "answer")
    assert isinstance(waiter.result, Applied)
    assert waiter.result.index == 2
    assert waiter.result.outcome.answer is not None


def test_a_leader_that_hears_a_majority_applies_only_what_its_own_disk_has() -> None:
    bench = Bench()
    bench.become_leader()
    arrival, _ = bench.command()

    def disk_fails(effect: str) -> None:
        if effect.startswith("save"):
            raise StorageError("full")

    bench.effects.before = disk_fails
    with pytest.raises(StorageError, match="full"):
        bench.turn(arrival)
    assert bench.queue.machine.applied_index == 1


def test_an_applied_command_is_committed_to_the_queues_file_a_little_later() -> None:
    bench = Bench(size=1)
    bench.become_leader()
    bench.pass_time(1.0)
    bench.turn(TimePassed())
    bench.submit()
    assert bench.queue.committed_index == 1
    assert bench.replica.next_deadline == pytest.approx(bench.clock.now + QUEUE_COMMIT_S)
    bench.pass_time(QUEUE_COMMIT_S)
    assert "commit 2" in bench.did(TimePassed())
    assert bench.queue.committed_index == 2
    bench.pass_time(QUEUE_COMMIT_S)
    assert not any(effect.startswith("commit") for effect in bench.did(TimePassed()))


# Those who wait for a command


@pytest.fixture
def led() -> Bench:
    """A leader of three."""
    bench = Bench()
    bench.become_leader()
    return bench


def newer_leader(bench: Bench, *entries: object, prev: LogPosition) -> AppendEntries:
    term = bench.server.current_term + 1
    return AppendEntries(2, 1, term, prev, entries, 0, 1)  # type: ignore[arg-type]


def test_a_follower_refuses_a_command() -> None:
    bench = Bench()
    arrival, waiter = bench.command()
    bench.turn(arrival)
    assert waiter.result == Unserved("not_leader")


def test_whoever_waits_is_told_that_the_leader_is_deposed(led: Bench) -> None:
    arrival, waiter = led.command()
    led.turn(arrival)
    led.turn(led.arrives(newer_leader(led, prev=LogPosition(1, 1))))
    assert waiter.result == Unserved("deposed")


def test_whoever_waits_does_not_get_what_another_leaders_entry_came_to(led: Bench) -> None:
    """Its entry takes the place of theirs, and is committed by the same message."""
    arrival, waiter = led.command()
    led.turn(arrival)
    other = Entry(2, 2, "noop", commands.opening(0))
    request = newer_leader(led, other, prev=LogPosition(1, 1))._replace(leader_commit=2)
    led.turn(led.arrives(request))
    assert led.replica.queue.machine.applied_index == 2
    assert waiter.result == Unserved("deposed")


def test_whoever_waits_is_told_when_a_leader_steps_down_because_nobody_answers_it() -> None:
    bench = Bench(settings=replace(SETTINGS, check_quorum=True))
    bench.become_leader()
    arrival, waiter = bench.command()
    bench.turn(arrival)
    bench.pass_time(SETTINGS.election_longest_s)
    bench.turn(TimePassed())
    assert bench.server.role == "follower"
    assert waiter.result == Unserved("deposed")


def test_a_command_that_arrives_together_with_its_leaders_end_is_told(led: Bench) -> None:
    first, of_before = led.command()
    second, of_after = led.command()
    led.turn(first, led.arrives(newer_leader(led, prev=LogPosition(1, 1))), second)
    assert of_before.result == Unserved("deposed")
    assert of_after.result == Unserved("not_leader")


def test_without_a_majority_a_command_is_given_up_after_a_while(led: Bench) -> None:
    arrival, waiter = led.command()
    led.turn(arrival)
    led.pass_time(PENDING_S - 0.01)
    led.turn(TimePassed())
    assert waiter.result is None
    led.pass_time(0.02)
    led.turn(TimePassed())
    assert waiter.result == Unserved("no_quorum")
    led.acknowledge()
    assert led.queue.machine.applied_index == 2, "it may still be committed, and is told nobody"


def test_the_timer_comes_when_a_command_is_to_be_given_up(led: Bench) -> None:
    arrival, _ = led.command()
    led.turn(arrival)
    led.server.heartbeat_due = led.replica.commit_due = led.clock.now + 1000
    assert led.replica.next_deadline == pytest.approx(led.clock.now + PENDING_S)


def test_too_many_uncommitted_commands_are_refused(led: Bench) -> None:
    most = led.server.settings.uncommitted_entries
    waiters = []
    for _ in range(most + 3):
        arrival, waiter = led.command()
        led.turn(arrival)
        waiters.append(waiter)
    assert [waiter.result for waiter in waiters[most:]] == [Unserved("full")] * 3
    assert all(waiter.result is None for waiter in waiters[:most])


def test_whoever_waits_is_told_that_the_node_stops(led: Bench) -> None:
    command, of_command = led.command()
    take, of_take = led.take()
    of_read = Waiter()
    led.turn(command, take, ReadArrived(of_read))
    led.turn(ShutDown())
    assert [waiter.result for waiter in (of_command, of_take, of_read)] == [Unserved("shutting_down")] * 3


def test_what_arrives_together_with_the_stop_is_told_too(led: Bench) -> None:
    command, of_command = led.command()
    take, of_take = led.take()
    of_read = Waiter()
    led.turn(command, take, ReadArrived(of_read), ShutDown())
    assert [waiter.result for waiter in (of_command, of_take, of_read)] == [Unserved("shutting_down")] * 3


def test_what_arrives_after_the_stop_is_told_at_once(led: Bench) -> None:
    led.turn(ShutDown())
    command, of_command = led.command()
    take, of_take = led.take()
    of_read = Waiter()
    led.turn(command, take, ReadArrived(of_read))
    assert [waiter.result for waiter in (of_command, of_take, of_read)] == [Unserved("shutting_down")] * 3
    assert led.server.log.last_index == 1


def test_a_lone_node_finishes_the_batch_under_way_before_it_stops() -> None:
    bench = Bench(size=1)
    bench.become_leader()
    command, waiter = bench.command()
    bench.turn(command, ShutDown())
    assert isinstance(waiter.result, Applied)


# Reads


def test_a_read_waits_for_a_majority_to_confirm_the_leader(led: Bench) -> None:
    waiter = Waiter(led.effects, "read")
    led.turn(ReadArrived(waiter))
    assert waiter.result is None
    led.acknowledge()
    assert waiter.result == Confirmed(1)


def test_a_read_sees_what_was_committed_when_it_came(led: Bench) -> None:
    arrival, _ = led.command()
    waiter = Waiter(led.effects, "read")
    led.turn(arrival)
    [request] = led.network.take(AppendEntries, 2)
    led.effects.clear()
    led.turn(ReadArrived(waiter), led.arrives(accepted(request)))
    assert waiter.result is None, "that reply was to a request from before the read"
    led.acknowledge()
    assert waiter.result == Confirmed(2)
    assert before(led.effects, "apply 2..2", "read")
    assert before(led.effects, "commit 2", "read")
    assert led.queue.committed_index == 2


def test_a_new_leader_reads_only_once_its_own_term_has_a_commit() -> None:
    bench = Bench()
    bench.clock.now = bench.server.next_deadline
    bench.turn(TimePassed())
    waiter = Waiter()
    bench.turn(bench.arrives(RequestVoteReply(2, 1, 1, True)), ReadArrived(waiter))
    requests = bench.network.take(AppendEntries, 3)
    empty = [request for request in requests if not request.entries]
    bench.turn(*(bench.arrives(accepted(request)) for request in empty))
    assert waiter.result is None
    bench.turn(*(bench.arrives(accepted(request)) for request in requests))
    bench.acknowledge(3)
    assert waiter.result == Confirmed(1)


def test_a_read_is_refused_by_a_follower_and_by_a_leader_that_is_deposed(led: Bench) -> None:
    waiter, later = Waiter(), Waiter()
    led.turn(ReadArrived(waiter))
    led.turn(led.arrives(newer_leader(led, prev=LogPosition(1, 1))), ReadArrived(later))
    assert [waiter.result, later.result] == [Unserved("not_leader")] * 2


def test_a_read_without_a_majority_is_given_up_and_forgotten(led: Bench) -> None:
    """Or a leader without a quorum would keep every read that was ever asked of it."""
    waiter = Waiter()
    led.turn(ReadArrived(waiter))
    led.pass_time(PENDING_S + 0.01)
    led.turn(TimePassed())
    assert waiter.result == Unserved("no_quorum")
    assert led.server.waiting_reads == []


# Messages lost, and queues that differ


def test_a_lost_append_goes_out_again_with_the_next_heartbeat(led: Bench) -> None:
    arrival, _ = led.command()
    led.turn(arrival)
    [lost] = led.network.take(AppendEntries, 3)
    assert led.did(MessageLost(lost, "n1-1", "connection broke")) == []
    led.pass_time(SETTINGS_HEARTBEAT_S)
    led.turn(TimePassed())
    [again] = led.network.take(AppendEntries, 3)
    assert again.entries == lost.entries


SETTINGS_HEARTBEAT_S = 0.1


def test_a_node_whose_queue_differs_from_its_leaders_stops() -> None:
    bench = Bench()
    entries = (opening(1, 1), submission(2, 1))
    bench.turn(bench.arrives(AppendEntries(2, 1, 1, LogPosition(0, 0), entries, 2, 1)))
    heartbeat = AppendEntries(2, 1, 1, LogPosition(1, 2), (), 2, 2)
    mine = bench.queue.machine.digest
    arrived = bench.arrives(heartbeat)
    same = type(arrived)(heartbeat, Origin("n2-9", 9, bench.clock.wall_ms(), 2, mine))
    bench.turn(same)
    different = type(arrived)(heartbeat, Origin("n2-10", 10, bench.clock.wall_ms(), 2, "0" * 64))
    with pytest.raises(QueuesDiffer, match=r"after index 2 .*keep the files of both"):
        bench.turn(different)


def test_a_heartbeat_says_what_the_leaders_queue_is_like(led: Bench) -> None:
    led.submit()
    led.network.sent.clear()
    led.pass_time(SETTINGS_HEARTBEAT_S)
    led.turn(TimePassed())
    message, origin = led.network.sent[0]
    assert message.entries == ()  # type: ignore[union-attr]
    assert (origin.applied, origin.digest) == (2, led.queue.machine.digest)


# A cut between any two effects


def play(cut_at: int) -> tuple[Bench, Effects, Waiter, bool]:
    """A leader takes two commands and is cut before effect number `cut_at`."""
    bench = Bench()
    bench.become_leader()
    bench.effects.clear()
    first, waiter = bench.command("answer 1")
    second, _ = bench.command("answer 2")
    was_cut = False

    def before_effect(effect: str) -> None:
        if len(bench.effects) == cut_at:
            raise Cut

    bench.effects.before = before_effect
    try:
        bench.turn(first, second)
        [request] = bench.network.take(AppendEntries, 2)
        bench.turn(bench.arrives(accepted(request)))
    except Cut:
        was_cut = True
    return bench, bench.effects, waiter, was_cut


def test_a_cut_between_any_two_effects_leaves_nothing_acknowledged_that_is_not_on_disk() -> None:
    cuts = 0
    for cut_at in range(100):
        bench, effects, waiter, was_cut = play(cut_at)
        on_disk = [entry.index for entry in bench.disk.entries]
        if waiter.result is not None:
            assert on_disk == [1, 2, 3]
        if "save None [2, 3]" in effects:
            assert on_disk == [1, 2, 3]
        if not was_cut:
            break
        cuts += 1
    assert cuts == len(effects) >= 6
    assert isinstance(waiter.result, Applied)


def test_a_replica_starts_from_what_the_disk_holds() -> None:
    bench = Bench()
    bench.become_leader()
    bench.submit(args=[1])
    again = Bench(hard_state=bench.disk.hard_state, entries=bench.disk.entries)
    assert (again.server.current_term, again.server.voted_for) == (1, 1)
    again.become_leader()
    assert again.server.current_term == 2
    assert again.queue.machine.counts()["ready"] == 1
    assert again.queue.machine.applied_index == 3


# Time


def test_commands_are_stamped_with_cluster_time_that_never_goes_back(led: Bench) -> None:
    stamps = []
    for step_s in (0.5, 0.0004, 0.0, 3.0):
        led.pass_time(step_s)
        led.submit()
        stamps.append(led.queue.machine.now_ms)
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] == pytest.approx(3000, abs=2)


def test_a_new_leader_goes_on_from_the_last_stamp_in_its_log() -> None:
    """Its own clock is an hour behind, and it has heard only one vote."""
    ahead_ms = Bench().clock.wall_ms() + 3_600_000
    bench = Bench(hard_state=HardState(1, None), entries=[opening(1, 1, ahead_ms)])
    bench.become_leader()
    assert commands.stamp_of(bench.disk.entries[1].command) >= ahead_ms


def test_a_large_backlog_is_applied_in_steps() -> None:
    """A node far behind takes in what has arrived in between."""
    entries = [opening(1, 1), *(submission(index, 1) for index in range(2, 2502))]
    bench = Bench(hard_state=HardState(1, None), entries=entries)
    heartbeat = AppendEntries(2, 1, 1, LogPosition(1, 2501), (), 2501, 1)
    assert bench.turn(bench.arrives(heartbeat)) is True
    assert bench.queue.machine.applied_index == 1000
    assert bench.turn() is True
    assert bench.turn() is False
    assert bench.queue.machine.applied_index == 2501
