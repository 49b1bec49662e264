"""Workers that wait for jobs in the leader's memory, and the Ticks that a leader proposes by itself."""

from typing import Any

import pytest

from glassraft.jobqueue import commands, ids
from glassraft.raft.messages import AppendEntries, AppendEntriesReply, LogPosition, RequestVoteReply
from glassraft.raft.ready import HardState
from glassraft.replica.arrivals import Applied, NothingReady, TakeArrived, TimePassed, Unserved
from tests.replica.parts import Bench, Waiter, opening, submission

SESSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def lone() -> Bench:
    """A leader alone: what it proposes is committed and applied within the turn."""
    bench = Bench(size=1)
    bench.become_leader()
    return bench


@pytest.fixture
def led() -> Bench:
    """A leader of three: what it proposes is applied when the others acknowledge it."""
    bench = Bench()
    bench.become_leader()
    return bench


def jobs(waiter: Waiter) -> list[str]:
    """What a Take got."""
    assert isinstance(waiter.result, Applied), waiter.result
    assert waiter.result.outcome.answer is not None
    return [job for job, _ in waiter.result.outcome.answer["jobs"]]


def waiting(*waiters: Waiter) -> list[bool]:
    return [waiter.result is None for waiter in waiters]


def proposed(bench: Bench) -> list[str]:
    """The operations in the log, but for the empty entries."""
    entries = bench.server.log.slice(1, max_entries=10_000, max_bytes=1 << 30)
    return [commands.op_of(entry.command) for entry in entries if entry.kind == "command"]


# Takes


def test_nothing_is_logged_until_there_is_a_job(lone: Bench) -> None:
    take, waiter = lone.take()
    lone.turn(take)
    for _ in range(5):
        lone.pass_time(1.0)
        lone.turn(TimePassed())
    assert proposed(lone) == []
    assert waiting(waiter) == [True]


def test_a_take_that_finds_a_job_is_served_at_once(lone: Bench) -> None:
    lone.submit()
    take, waiter = lone.take(wait_s=0)
    lone.turn(take)
    assert jobs(waiter) == [ids.to_text(ids.number(2, 0))]


def test_nothing_ready_is_answered_when_the_wait_is_over(lone: Bench) -> None:
    take, waiter = lone.take(wait_s=3.0)
    at_once, hasty = lone.take(wait_s=0)
    lone.turn(take, at_once)
    assert hasty.result == NothingReady()
    assert waiting(waiter) == [True]
    lone.server.heartbeat_due = lone.replica.commit_due = lone.clock.now + 1000
    assert lone.replica.next_deadline == pytest.approx(lone.clock.now + 3.0)
    lone.pass_time(3.0)
    lone.turn(TimePassed())
    assert waiter.result == NothingReady()


def test_the_one_who_waits_longest_is_served_first(lone: Bench) -> None:
    first, of_first = lone.take("w1")
    second, of_second = lone.take("w2")
    lone.turn(first)
    lone.turn(second)
    lone.submit()
    assert waiting(of_first, of_second) == [False, True]
    lone.submit()
    assert waiting(of_first, of_second) == [False, False]


def test_no_more_are_woken_than_there_are_jobs(led: Bench) -> None:
    takes = [led.take(f"w{n}") for n in range(5)]
    led.turn(*(take for take, _ in takes))
    arrival, _ = led.command()
    led.turn(arrival, led.command()[0])
    led.acknowledge()
    assert proposed(led) == ["Submit", "Submit", "Take", "Take"]
    assert waiting(*(waiter for _, waiter in takes)) == [False, False, True, True, True]


def test_jobs_promised_to_one_are_not_promised_to_another(led: Bench) -> None:
    """Until the first Take is applied, its jobs still count as ready."""
    led.submit()
    first, of_first = led.take("w1")
    second, of_second = led.take("w2")
    led.turn(first)
    led.turn(second)
    assert proposed(led) == ["Submit", "Take"]
    led.acknowledge()
    assert waiting(of_first, of_second) == [False, True]


def test_a_large_take_leaves_the_rest_to_the_next(led: Bench) -> None:
    for _ in range(5):
        led.submit()
    first, of_first = led.take("w1", count=3)
    second, of_second = led.take("w2", count=10)
    third, of_third = led.take("w3")
    led.turn(first, second, third)
    led.acknowledge()
    assert (len(jobs(of_first)), len(jobs(of_second))) == (3, 2)
    assert waiting(of_third) == [True]


def test_only_takes_of_the_jobs_queue_are_woken(lone: Bench) -> None:
    other, of_other = lone.take("w1", queue="other")
    right, of_right = lone.take("w2")
    lone.turn(other, right)
    lone.submit()
    assert waiting(of_other, of_right) == [True, False]
    lone.submit(queue="other")
    assert waiting(of_other) == [False]


def test_a_take_of_many_queues_takes_from_any(lone: Bench) -> None:
    take, waiter = lone.take()
    arguments = commands.check_take("w1", ["a", "b"], 2, 30_000)
    take = TakeArrived(take.command._replace(arguments=arguments), ("a", "b"), 2, take.until)
    lone.turn(take)
    lone.submit(queue="b")
    assert len(jobs(waiter)) == 1


def test_one_whose_connection_is_gone_is_not_served(lone: Bench) -> None:
    gone, of_gone = lone.take("w1", is_alive=lambda: False)
    there, of_there = lone.take("w2")
    lone.turn(gone, there)
    lone.submit()
    assert of_gone.result == NothingReady()
    assert len(jobs(of_there)) == 1
    assert proposed(lone) == ["Submit", "Take"]


def test_a_job_that_is_given_back_wakes_the_next(lone: Bench) -> None:
    lone.submit()
    first, of_first = lone.take("w1")
    second, of_second = lone.take("w2")
    lone.turn(first, second)
    assert isinstance(of_first.result, Applied)
    [job] = jobs(of_first)
    released = lone.command()[0]._replace(op="Release")
    arguments = commands.check_release([[job, of_first.result.index, 0, ""]])
    lone.turn(released._replace(arguments=arguments))
    assert jobs(of_second) == [job]


def test_asking_again_under_the_same_number_is_answered_at_once_with_the_same_jobs(lone: Bench) -> None:
    """Though no job is ready: the answer of the first was lost on the way."""
    lone.submit()
    first, of_first = lone.take("w1", session=SESSION, number=1, low=1)
    lone.turn(first)
    again, of_again = lone.take("w1", session=SESSION, number=1, low=1)
    lone.turn(again)
    assert jobs(of_again) == jobs(of_first) != []


def test_asking_again_while_the_first_is_under_way_is_answered_with_it(led: Bench) -> None:
    led.submit()
    first, of_first = led.take("w1", session=SESSION, number=1, low=1)
    again, of_again = led.take("w1", session=SESSION, number=1, low=1)
    led.turn(first)
    led.turn(again)
    led.acknowledge()
    assert jobs(of_again) == jobs(of_first) != []


def test_asking_a_new_leader_again_is_answered_once_it_knows_what_the_old_one_did() -> None:
    bench = Bench()
    arguments = commands.check_take("w1", ["default"], 1, 30_000)
    text = commands.envelope("Take", arguments, bench.clock.wall_ms(), SESSION, 1, 1)
    entries = (opening(1, 1), submission(2, 1), submission(3, 1)._replace(command=text))
    bench.turn(bench.arrives(AppendEntries(2, 1, 1, LogPosition(0, 0), entries, 1, 1)))
    bench.clock.now = bench.server.next_deadline
    bench.turn(TimePassed())
    take, waiter = bench.take("w1", session=SESSION, number=1, low=1)
    bench.turn(bench.arrives(RequestVoteReply(3, 1, bench.server.current_term, True)), take)
    assert waiting(waiter) == [True]
    bench.acknowledge()
    assert jobs(waiter) == [ids.to_text(ids.number(2, 0))]


def test_asking_again_while_the_first_still_waits_is_answered_with_it(led: Bench) -> None:
    """The first one's client is gone, which nobody noticed yet."""
    first, _ = led.take("w1", session=SESSION, number=1, low=1)
    again, of_again = led.take("w1", session=SESSION, number=1, low=1)
    led.turn(first)
    led.turn(again)
    led.submit()
    assert len(jobs(of_again)) == 1
    assert proposed(led) == ["Submit", "Take", "Take"]


def test_an_expired_session_is_told_without_waiting(lone: Bench) -> None:
    take, waiter = lone.take("w1", session=SESSION, number=5, low=5)
    lone.turn(take)
    assert isinstance(waiter.result, Applied)
    assert waiter.result.outcome.refusal is not None
    assert waiter.result.outcome.refusal.code_name == "session_expired"


def test_looking_for_old_answers_costs_waiting_workers_nothing(lone: Bench) -> None:
    """A turn with nothing for them asks the queue's tables nothing on their behalf."""
    takes = [lone.take(f"w{n}", session=f"{n:032x}", number=1, low=1) for n in range(50)]
    lone.turn(*(take for take, _ in takes))
    statements: list[str] = []
    lone.queue.connection.set_trace_callback(statements.append)
    lone.submit(queue="other")
    lone.queue.connection.set_trace_callback(None)
    assert not [statement for statement in statements if "FROM sessions WHERE id" in statement]
    assert all(waiting(*(waiter for _, waiter in takes)))


def test_waiting_takes_are_told_when_the_leader_is_deposed(led: Bench) -> None:
    take, waiter = led.take()
    led.turn(take)
    led.turn(led.arrives(AppendEntries(2, 1, 2, LogPosition(1, 1), (), 0, 1)))
    assert waiter.result == Unserved("not_leader")
    again, of_again = led.take()
    led.turn(again)
    assert of_again.result == Unserved("not_leader")


def test_a_promise_of_an_earlier_leadership_binds_nobody(led: Bench) -> None:
    """The Take that was woken is lost with it; the job is still there for the next."""
    led.submit()
    first, of_first = led.take("w1")
    led.turn(first)
    term = led.server.current_term
    led.turn(led.arrives(AppendEntries(2, 1, term + 1, LogPosition(1, 2), (opening(3, term + 1),), 2, 1)))
    assert of_first.result == Unserved("deposed")
    led.become_leader()
    second, of_second = led.take("w2")
    led.turn(second)
    led.acknowledge()
    assert len(jobs(of_second)) == 1


# Ticks


def test_a_tick_is_proposed_when_something_is_due(lone: Bench) -> None:
    lone.submit(delay_ms=2_000)
    lone.server.heartbeat_due = lone.clock.now + 1000
    lone.pass_time(0.1)
    lone.turn(TimePassed())
    assert lone.replica.next_deadline == pytest.approx(lone.clock.now + 1.9, abs=0.01)
    assert proposed(lone) == ["Submit"]
    lone.clock.now = lone.replica.next_deadline
    lone.turn(TimePassed())
    assert proposed(lone) == ["Submit", "Tick"]
    assert lone.queue.machine.counts()["ready"] == 1
    lone.pass_time(10)
    lone.turn(TimePassed())
    assert proposed(lone) == ["Submit", "Tick"]


def test_ticks_come_back_to_back_while_rows_are_due(led: Bench) -> None:
    submit_scheduled(led, 1_000)
    led.pass_time(1.5)
    led.turn(TimePassed())
    led.acknowledge()
    ticks = proposed(led).count("Tick")
    assert led.queue.machine.counts() == {**led.queue.machine.counts(), "ready": 1_000, "scheduled": 0}
    assert ticks == 4, "256 rows each"


def test_a_node_alone_takes_in_what_arrives_between_its_ticks(lone: Bench) -> None:
    for _ in range(20):
        submit_scheduled(lone, 1_000)
    lone.pass_time(1.5)
    assert lone.turn(TimePassed()) is True
    assert 0 < lone.queue.machine.counts()["ready"] < 10_000
    while lone.turn():
        pass
    assert lone.queue.machine.counts()["ready"] == 20_000


def test_one_tick_at_a_time_is_under_way(led: Bench) -> None:
    submit_scheduled(led, 1_000)
    led.pass_time(1.5)
    for _ in range(5):
        led.turn(TimePassed())
        led.pass_time(0.2)
    assert proposed(led).count("Tick") == 1


def test_a_worker_that_waits_is_served_when_a_job_comes_due(lone: Bench) -> None:
    lone.submit(delay_ms=2_000)
    take, waiter = lone.take(wait_s=60)
    lone.turn(take)
    assert waiting(waiter) == [True]
    lone.pass_time(2.01)
    lone.turn(TimePassed())
    assert len(jobs(waiter)) == 1


def test_a_lease_that_runs_out_is_noticed_without_anybody_asking(lone: Bench) -> None:
    lone.submit()
    lone.turn(lone.take(wait_s=0)[0])
    assert lone.queue.machine.counts()["running"] == 1
    lone.pass_time(30.01)
    lone.turn(TimePassed())
    assert lone.queue.machine.counts()["ready"] == 1


def test_a_tick_comes_at_least_once_a_second_while_a_job_is_leased(lone: Bench) -> None:
    """Lease time leaves out what passes between the last stamp and a new leader: so there must be stamps."""
    lone.submit()
    lone.turn(lone.take(wait_s=0)[0])
    for _ in range(5):
        assert lone.replica.next_deadline <= lone.clock.now + 1.0
        lone.pass_time(1.0)
        lone.turn(TimePassed())
    assert proposed(lone) == ["Submit", "Take", *["Tick"] * 5]


def test_a_lease_runs_out_though_leaders_change_all_the_time(led: Bench) -> None:
    """Nobody else speaks: each leader leads for 3 s, half as long again as the lease all together."""
    led.submit()
    led.turn(led.take(wait_s=0)[0])
    led.acknowledge()
    assert led.queue.machine.counts()["running"] == 1
    for _ in range(15):
        for _ in range(6):
            led.pass_time(0.5)
            led.turn(TimePassed())
            led.acknowledge()
        newer = led.server.current_term + 1
        led.turn(led.arrives(AppendEntriesReply(2, 1, newer, False, 0, why="term_is_stale")))
        led.become_leader()
    assert led.queue.machine.counts()["ready"] == 1


def test_a_follower_proposes_no_ticks() -> None:
    bench = Bench(hard_state=HardState(1, None))
    entries = (opening(1, 1), submission(2, 1, delay_ms=1_000))
    bench.turn(bench.arrives(AppendEntries(2, 1, 1, LogPosition(0, 0), entries, 2, 1)))
    bench.pass_time(0.5)
    assert bench.did(TimePassed()) == ["commit 2"]
    assert bench.replica.next_deadline == pytest.approx(bench.server.election_deadline)


def test_a_new_leader_ticks_though_its_old_tick_was_lost(led: Bench) -> None:
    """The index that its old Tick had may not be reached for long."""
    led.submit(delay_ms=5_000)
    for _ in range(20):
        led.turn(led.command()[0])  # not acknowledged: the log runs ahead
    led.pass_time(4.5)
    led.turn(TimePassed())
    led.pass_time(0.6)
    led.turn(TimePassed())
    assert proposed(led)[-1] == "Tick"
    term = led.server.current_term
    led.turn(led.arrives(AppendEntries(2, 1, term + 1, LogPosition(1, 2), (opening(3, term + 1),), 2, 1)))
    led.become_leader()
    led.turn(TimePassed())
    led.acknowledge()
    assert led.queue.machine.counts()["ready"] == 1


def submit_scheduled(bench: Bench, count: int) -> None:
    """So many jobs that come due in a second, in one command."""
    arrival, _ = bench.command()
    job: dict[str, Any] = {"task": "nothing", "delay_ms": 1_000}
    bench.turn(arrival._replace(arguments=commands.check_submit([job] * count)))
    bench.acknowledge()
