"""Cluster time, lease time, and the bounded steps in which they advance."""

from typing import Any

import pytest

from glassraft.jobqueue import commands, ids
from glassraft.jobqueue.book import BrokenQueue
from glassraft.jobqueue.machine import UnknownCommand, WrongOrder
from glassraft.raft.configuration import Configuration, configuration_text
from tests.jobqueue.queue_driver import START_MS, QueueDriver


def test_cluster_time_never_goes_back(queue: QueueDriver) -> None:
    queue.tick(1_000)
    now_ms = queue.machine.now_ms
    queue.pass_time(-700)
    queue.tick()
    assert queue.machine.now_ms == now_ms
    queue.new_leader(-100)
    assert queue.machine.now_ms == now_ms


def test_lease_time_is_cluster_time_less_the_gaps_at_changes_of_leader(queue: QueueDriver) -> None:
    queue.tick()
    assert queue.machine.lease_now_ms == queue.machine.now_ms
    queue.new_leader(5_000)
    assert queue.machine.lease_now_ms == queue.machine.now_ms - 5_000
    queue.tick(10)
    queue.new_leader(300)
    assert queue.machine.lease_now_ms == queue.machine.now_ms - 5_300


def test_an_entry_without_a_stamp_moves_no_time(queue: QueueDriver) -> None:
    queue.tick()
    queue.apply("noop", "")
    assert (queue.machine.now_ms, queue.machine.lease_now_ms) == (START_MS, START_MS)


def test_the_first_stamp_is_no_gap(queue: QueueDriver) -> None:
    queue.new_leader(0)
    assert queue.machine.lease_now_ms == queue.machine.now_ms == START_MS


def test_an_outage_costs_no_healthy_job_its_lease(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one(lease_ms=30_000)
    queue.extend(job, token, lease_ms=30_000)
    queue.new_leader(3_600_000)
    queue.tick(29_999)
    assert queue.state(job) == "running"
    assert queue.complete(job, token)["ok"]


def test_an_outage_delays_an_expiry_by_no_more_than_the_gap(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one(lease_ms=30_000)
    queue.extend(job, token, lease_ms=30_000)
    queue.pass_time(10_000)
    queue.tick()
    queue.new_leader(7_000)
    assert queue.machine.next_due_ms() == START_MS + 30_000 + 7_000
    queue.tick(19_999)
    assert queue.state(job) == "running"
    queue.tick(1)
    assert queue.state(job) == "scheduled"


def test_delays_go_on_through_an_outage(queue: QueueDriver) -> None:
    job = queue.submit(delay_ms=1_000)
    queue.new_leader(5_000)
    assert queue.state(job) == "scheduled"
    assert queue.machine.wants_tick(queue.now_ms)
    queue.tick()
    assert queue.state(job) == "ready"


def test_a_command_handles_at_most_256_rows_that_are_due(queue: QueueDriver) -> None:
    queue.submit_many([{"task": "t", "delay_ms": 100}] * 600)
    queue.pass_time(100)
    for ready in (256, 512, 600):
        assert queue.machine.wants_tick(queue.now_ms)
        queue.tick()
        assert queue.machine.ready_count(["default"]) == ready
    assert not queue.machine.wants_tick(queue.now_ms)


def test_rows_are_handled_in_the_order_of_time_kind_and_id(queue: QueueDriver) -> None:
    leased = queue.submit(queue="leased")
    later, sooner, same = queue.submit_many(
        [{"task": "t", "delay_ms": 2_000}, {"task": "t", "delay_ms": 500}, {"task": "t", "delay_ms": 1_000}]
    )
    _, token = queue.take_one(queues=["leased"], lease_ms=1_000)
    queue.extend(leased, token, lease_ms=1_000)
    outcome = queue.tick(3_000)
    moved = [ids.to_text(number) for number, _, _ in outcome.transitions]
    assert moved == [sooner, leased, same, later]


def test_time_advances_before_the_command_itself(queue: QueueDriver) -> None:
    job = queue.submit(delay_ms=1_000)
    queue.pass_time(1_000)
    assert [taken for taken, _ in queue.take()] == [job]


def test_a_token_is_valid_until_its_expiry_is_applied(queue: QueueDriver) -> None:
    """A row's state decides, not its times: behind 256 other rows, an overdue lease still stands."""
    queue.submit_many([{"task": "t", "queue": "late", "delay_ms": 10}] * 300)
    job = queue.submit()
    _, token = queue.take_one(lease_ms=1_000)
    queue.pass_time(5_000)
    assert queue.complete(job, token, "in time")["ok"]


def test_a_lease_that_runs_out_is_a_failed_attempt(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one(worker="w7", lease_ms=1_000)
    queue.extend(job, token, lease_ms=1_000)
    queue.tick(999)
    assert queue.state(job) == "running"
    queue.tick(1)
    shown = queue.get(job)
    assert (shown["state"], shown["failures"]) == ("scheduled", 1)
    assert shown["error"] == "lease expired (worker w7)"
    assert queue.events(job)[-1] == "lease_expired"


def test_a_job_that_takes_down_its_workers_ends_dead(queue: QueueDriver) -> None:
    job = queue.submit(max_attempts=3, backoff={"base_ms": 0})
    for _ in range(3):
        _, token = queue.take_one(lease_ms=1_000)
        queue.extend(job, token, lease_ms=1_000)
        queue.tick(1_000)
    assert queue.state(job) == "dead"
    assert queue.events(job).count("lease_expired") == 3


def test_an_attempt_that_never_started_does_not_count(queue: QueueDriver) -> None:
    job = queue.submit(max_attempts=1)
    for _ in range(19):
        queue.take_one(lease_ms=1_000)
        queue.tick(1_000)
        assert queue.state(job) == "ready"
    assert queue.get(job)["failures"] == 0
    _, token = queue.take_one(lease_ms=1_000)
    queue.extend(job, token, lease_ms=1_000)
    assert queue.get(job)["never_started"] == 0


def test_a_job_never_started_20_times_in_a_row_is_dead(queue: QueueDriver) -> None:
    job = queue.submit()
    for _ in range(20):
        queue.take_one(worker="w3", lease_ms=1_000)
        queue.tick(1_000)
    shown = queue.get(job)
    assert shown["state"] == "dead"
    assert shown["error"] == "never started: 20 leases in a row ran out first (worker w3)"


def test_extend_moves_the_lease_on(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one(lease_ms=1_000)
    for _ in range(10):
        queue.pass_time(900)
        assert queue.extend(job, token, lease_ms=1_000)["lease_until_ms"] == queue.now_ms + 1_000
    assert queue.state(job) == "running"


def test_extend_never_makes_a_lease_shorter(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one(lease_ms=60_000)
    assert queue.extend(job, token, lease_ms=1_000)["lease_until_ms"] == queue.now_ms + 60_000


def test_a_lease_the_job_was_submitted_with_wins(queue: QueueDriver) -> None:
    job = queue.submit(lease_ms=5_000)
    queue.take_one(lease_ms=60_000)
    assert queue.get(job)["lease_until_ms"] == queue.now_ms + 5_000


def test_no_lease_goes_beyond_the_timeout_and_ten_seconds(queue: QueueDriver) -> None:
    job = queue.submit(timeout_ms=5_000)
    _, token = queue.take_one(worker="w9", lease_ms=60_000)
    assert queue.get(job)["lease_until_ms"] == queue.now_ms + 15_000
    queue.tick(10_000)
    assert queue.extend(job, token, lease_ms=60_000)["lease_until_ms"] == queue.now_ms + 5_000
    queue.tick(4_999)
    assert queue.state(job) == "running"
    queue.tick(1)
    shown = queue.get(job)
    assert (shown["state"], shown["error"]) == ("scheduled", "timed out: it ran longer than 5 s (worker w9)")
    assert queue.events(job)[-1] == "timed_out"


def test_extend_of_a_lost_lease_says_so(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one(lease_ms=1_000)
    queue.tick(1_000)
    answer = queue.extend(job, token)
    assert (answer["ok"], answer["why"], answer["state"]) == (False, "stale_token", "ready")


def test_the_next_due_time_is_exact(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one(lease_ms=5_000)
    assert queue.machine.next_due_ms() == queue.now_ms + 5_000
    queue.submit(delay_ms=9_000)
    queue.complete(job, token)
    assert queue.machine.next_due_ms() == queue.now_ms + 9_000
    queue.restart()
    assert queue.machine.next_due_ms() == queue.now_ms + 9_000


STRANGE = '{"op":"Steal","t":1,"v":1,"s":"","n":0,"low":0,"a":{}}'


@pytest.mark.parametrize("command", ["", "{}", "[1]", "null", STRANGE])
def test_an_unknown_command_stops_the_machine(queue: QueueDriver, command: str) -> None:
    with pytest.raises(UnknownCommand, match="entry 1 holds"):
        queue.machine.apply(1, 1, "command", command)


def test_a_row_of_an_unknown_kind_stops_the_machine(queue: QueueDriver) -> None:
    """A newer program wrote it: what it stands for must not be passed over."""
    queue.submit(delay_ms=100)
    queue.connection.execute("UPDATE due SET kind = 99")
    queue.restart()
    with pytest.raises(BrokenQueue, match="kind 99 is due"):
        queue.tick(100)


def test_a_queue_that_does_not_say_what_was_applied_stops_the_machine(queue: QueueDriver) -> None:
    queue.connection.execute("DELETE FROM applied")
    with pytest.raises(BrokenQueue, match="`applied` is empty"):
        queue.restart()


def test_a_configuration_is_kept_for_snapshots_and_moves_time(queue: QueueDriver) -> None:
    text = configuration_text(Configuration((1, 2, 3)), {}, START_MS + 5_000)
    queue.apply("configuration", text)
    assert queue.machine.now_ms == START_MS + 5_000
    assert queue.connection.execute("SELECT configuration FROM applied").fetchone()[0] == text


def test_a_newer_version_of_a_command_stops_the_machine(queue: QueueDriver) -> None:
    command = commands.envelope("Tick", "{}", 5).replace('"v":1', '"v":2')
    with pytest.raises(UnknownCommand, match="'Tick' version 2"):
        queue.machine.apply(1, 1, "command", command)


@pytest.mark.parametrize("index", [0, 2])
def test_entries_are_applied_in_order(queue: QueueDriver, index: int) -> None:
    with pytest.raises(WrongOrder, match="the last one applied is 0"):
        queue.machine.apply(index, 1, "noop", commands.opening(1))


def test_an_unknown_kind_of_entry_stops_the_machine(queue: QueueDriver) -> None:
    arguments: Any = (1, 1, "rumour", "{}")
    with pytest.raises(UnknownCommand, match="unknown kind 'rumour'"):
        queue.machine.apply(*arguments)
