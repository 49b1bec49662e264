"""Exactly once: sessions, numbers, stored answers, and the end of sessions (diss. §6.3)."""

import pytest

from glassraft.jobqueue import commands, sessions, submitting
from glassraft.jobqueue.fields import HOUR_MS
from glassraft.jobqueue.machine import Outcome
from tests.jobqueue.queue_driver import SESSION, QueueDriver

ONE_JOB = commands.check_submit([{"task": "t"}])
TAKE = commands.check_take("w1", ["default"], 5, 30_000)


def submit(queue: QueueDriver, number: int, low: int, session: str = SESSION) -> Outcome:
    return queue.command("Submit", ONE_JOB, session, number, low)


def refusal_of(outcome: Outcome) -> str:
    assert outcome.refusal is not None
    assert outcome.answer is None
    return outcome.refusal.code_name


def jobs_in(queue: QueueDriver) -> int:
    return sum(queue.machine.counts().values())


def test_a_number_already_answered_gets_the_same_answer_and_runs_once(queue: QueueDriver) -> None:
    first = submit(queue, 1, 1)
    again = submit(queue, 1, 1)
    assert again.answer == first.answer
    assert again.transitions == []
    assert jobs_in(queue) == 1


def test_the_answer_is_remembered_over_a_restart(queue: QueueDriver) -> None:
    first = submit(queue, 1, 1)
    queue.restart()
    assert submit(queue, 1, 1).answer == first.answer


def test_a_number_used_for_another_operation_is_refused(queue: QueueDriver) -> None:
    submit(queue, 1, 1)
    outcome = queue.command("Take", TAKE, SESSION, 1, 1)
    assert refusal_of(outcome) == "bad_argument"
    assert queue.machine.ready_count(["default"]) == 1


def test_sessions_are_apart_from_each_other(queue: QueueDriver) -> None:
    one, other = submit(queue, 1, 1), submit(queue, 1, 1, "0f" * 16)
    assert one.answer != other.answer


def test_numbers_may_come_in_any_order(queue: QueueDriver) -> None:
    submit(queue, 1, 1)
    late = submit(queue, 3, 1)
    submit(queue, 2, 1)
    assert submit(queue, 3, 1).answer == late.answer
    assert jobs_in(queue) == 3


def test_a_number_below_the_lowest_awaited_is_refused_and_never_run(queue: QueueDriver) -> None:
    for number in (1, 2, 3):
        submit(queue, number, number)
    assert refusal_of(submit(queue, 2, 2)) == "stale_number"
    assert jobs_in(queue) == 3
    assert queue.machine.was_answered(SESSION, 2)


def test_the_lowest_awaited_never_goes_down(queue: QueueDriver) -> None:
    submit(queue, 1, 1)
    submit(queue, 9, 9)
    submit(queue, 10, 3)
    assert refusal_of(submit(queue, 5, 3)) == "stale_number"


def test_answers_below_the_lowest_awaited_are_forgotten(queue: QueueDriver) -> None:
    for number in range(1, 11):
        submit(queue, number, max(1, number - 2))
    kept = [row[0] for row in queue.connection.execute("SELECT number FROM answers ORDER BY number")]
    assert kept == [8, 9, 10]


def test_a_command_without_a_session_is_run_each_time(queue: QueueDriver) -> None:
    queue.command("Submit", ONE_JOB)
    queue.command("Submit", ONE_JOB)
    assert jobs_in(queue) == 2


def test_a_take_asked_again_gets_the_same_jobs(queue: QueueDriver) -> None:
    queue.submit_many([{"task": "t"}] * 3)
    first = queue.command("Take", TAKE, SESSION, 1, 1)
    queue.submit()
    again = queue.command("Take", TAKE, SESSION, 1, 1)
    assert again.answer == first.answer
    assert queue.machine.ready_count(["default"]) == 1


def test_a_take_asked_again_leaves_out_jobs_whose_token_is_no_longer_valid(queue: QueueDriver) -> None:
    jobs = queue.submit_many([{"task": "t"}] * 3)
    outcome = queue.command("Take", TAKE, SESSION, 1, 1)
    assert outcome.answer is not None
    token = outcome.answer["jobs"][0][1]
    queue.complete(jobs[0], token)
    queue.release(jobs[1], token)
    queue.take(worker="w2")
    again = queue.command("Take", TAKE, SESSION, 1, 1)
    assert again.answer == {"jobs": [[jobs[2], token]]}


def test_a_refused_command_advances_time_and_stores_its_answer(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = queue.submit(delay_ms=1_000)
    monkeypatch.setattr(submitting, "MAX_UNFINISHED", 1)
    queue.pass_time(1_000)
    assert refusal_of(submit(queue, 1, 1)) == "full"
    assert queue.state(waiting) == "ready"
    assert queue.machine.now_ms == queue.now_ms
    monkeypatch.undo()
    again = submit(queue, 1, 1)
    assert refusal_of(again) == "full"
    assert jobs_in(queue) == 1


def test_submit_is_all_or_none(queue: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "MAX_UNFINISHED", 2)
    both = commands.check_submit([{"task": "t", "queue": "a"}] + [{"task": "t", "queue": "b"}] * 3)
    outcome = queue.command("Submit", both)
    assert refusal_of(outcome) == "full"
    assert outcome.refusal is not None
    assert outcome.refusal.detail == {"queue": "b", "unfinished": 0}
    assert jobs_in(queue) == 0


def test_queues_are_bounded(queue: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.submit(queue="a")
    monkeypatch.setattr(submitting, "MAX_QUEUES", 1)
    queue.submit(queue="a")
    assert refusal_of(queue.command("Submit", commands.check_submit([{"task": "t", "queue": "b"}]))) == "full"


def test_a_session_unused_for_its_ttl_expires(queue: QueueDriver) -> None:
    submit(queue, 1, 1)
    queue.tick(HOUR_MS - 1)
    assert submit(queue, 2, 2).refusal is None
    queue.tick(HOUR_MS)
    assert refusal_of(submit(queue, 3, 3)) == "session_expired"
    assert jobs_in(queue) == 2
    assert queue.machine.was_answered(SESSION, 3)
    assert queue.connection.execute("SELECT count(*) FROM answers").fetchone() == (0,)


def test_using_a_session_keeps_it(queue: QueueDriver) -> None:
    for number in range(1, 20):
        assert submit(queue, number, number).refusal is None
        queue.tick(HOUR_MS - 1)


def test_a_session_may_have_a_shorter_ttl(queue: QueueDriver) -> None:
    session = SESSION + "-600"
    submit(queue, 1, 1, session)
    submit(queue, 1, 1)
    queue.tick(600_000)
    assert refusal_of(submit(queue, 2, 2, session)) == "session_expired"
    assert submit(queue, 2, 2).refusal is None


def test_sessions_expire_in_bounded_steps(queue: QueueDriver) -> None:
    for n in range(200):
        submit(queue, 1, 1, f"{n:032x}")
    queue.pass_time(HOUR_MS)
    for left in (136, 72, 8, 0):
        queue.tick()
        assert queue.connection.execute("SELECT count(*) FROM sessions").fetchone() == (left,)


def test_expiry_has_a_budget_of_its_own(queue: QueueDriver) -> None:
    submit(queue, 1, 1)
    queue.submit_many([{"task": "t", "delay_ms": 5}] * 300)
    queue.tick(HOUR_MS)
    assert queue.connection.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_sessions_are_bounded_and_none_is_dropped_early(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(queue, 1, 1)
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    assert refusal_of(submit(queue, 1, 1, "0f" * 16)) == "full"
    assert submit(queue, 2, 2).refusal is None
    queue.tick(HOUR_MS)
    assert submit(queue, 1, 1, "0f" * 16).refusal is None


def test_a_session_that_is_no_longer_in_memory_is_found_in_the_tables(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MARKS_KEPT", 1)
    others = ["7d" * 16, "8e" * 16]
    first = submit(queue, 1, 1)
    for other in others:
        submit(queue, 1, 1, other)
    queue.restart()
    for session in (*others, SESSION):
        submit(queue, 2, 1, session)
    assert submit(queue, 1, 1).answer == first.answer
    assert jobs_in(queue) == 6


def test_stored_answers_hold_no_payload(queue: QueueDriver) -> None:
    secret = commands.check_submit([{"task": "t", "args": ["a secret"]}])
    queue.command("Submit", secret, SESSION, 1, 1)
    queue.command("Take", TAKE, SESSION, 2, 1)
    for (answer,) in queue.connection.execute("SELECT answer FROM answers"):
        assert "secret" not in answer


def test_whether_a_number_was_answered_is_known_without_running_it(queue: QueueDriver) -> None:
    assert not queue.machine.was_answered("", 5)
    assert not queue.machine.was_answered(SESSION, 1)
    submit(queue, 1, 1)
    assert queue.machine.was_answered(SESSION, 1)
    assert not queue.machine.was_answered(SESSION, 2)
