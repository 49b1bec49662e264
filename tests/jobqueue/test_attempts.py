"""A job's attempts: tokens, ends, retries, and what a repeated call is answered (the queue's promises)."""

import hashlib

import pytest

from glassraft.jobqueue import commands, ids
from glassraft.jobqueue.backoff import backoff_ms
from tests.jobqueue.queue_driver import QueueDriver


def test_a_job_is_taken_run_and_completed(queue: QueueDriver) -> None:
    job = queue.submit("primes", args=[1, 10], kwargs={"fast": True})
    assert queue.state(job) == "ready"
    taken, token = queue.take_one(worker="w7")
    assert taken == job
    assert queue.state(job) == "running"
    assert queue.complete(job, token, [2, 3, 5, 7]) == {"job": job, "ok": True, "state": "succeeded"}
    shown = queue.get(job)
    assert (shown["state"], shown["result"], shown["args"]) == ("succeeded", [2, 3, 5, 7], [1, 10])
    assert queue.events(job) == ["submitted", "taken", "completed"]


def test_the_token_is_the_index_of_the_take(queue: QueueDriver) -> None:
    queue.submit()
    _, token = queue.take_one()
    assert token == queue.machine.applied_index


def test_tokens_of_a_job_rise_with_every_attempt(queue: QueueDriver) -> None:
    queue.submit(backoff={"base_ms": 0})
    tokens = []
    for _ in range(5):
        job, token = queue.take_one()
        tokens.append(token)
        queue.fail(job, token)
    assert tokens == sorted(set(tokens))


def test_jobs_are_taken_by_priority_then_in_order_of_submission(queue: QueueDriver) -> None:
    first, low, second, high = queue.submit_many(
        [{"task": "t"}, {"task": "t", "priority": -5}, {"task": "t"}, {"task": "t", "priority": 9}]
    )
    assert [job for job, _ in queue.take(count=10)] == [high, first, second, low]


def test_a_retried_job_keeps_its_place(queue: QueueDriver) -> None:
    first, second = queue.submit_many([{"task": "t", "backoff": {"base_ms": 0}}, {"task": "t"}])
    _, token = queue.take_one()
    queue.fail(first, token)
    assert [job for job, _ in queue.take(count=2)] == [first, second]


def test_queues_are_served_in_the_order_given(queue: QueueDriver) -> None:
    a = queue.submit(queue="a")
    b = queue.submit(queue="b")
    assert [job for job, _ in queue.take(count=2, queues=["b", "a"])] == [b, a]


def test_a_take_of_an_empty_queue_is_empty(queue: QueueDriver) -> None:
    queue.submit(queue="other")
    assert queue.take(count=5) == []


def test_a_job_is_leased_to_one_worker_at_a_time(queue: QueueDriver) -> None:
    queue.submit()
    queue.take_one(worker="w1")
    assert queue.take(worker="w2") == []


def test_a_late_completion_is_refused_as_stale_and_changes_nothing(queue: QueueDriver) -> None:
    job = queue.submit(backoff={"base_ms": 0})
    _, old = queue.take_one(lease_ms=1_000)
    queue.extend(job, old, lease_ms=1_000)
    queue.tick(1_000)
    _, new = queue.take_one(worker="w2")
    before = queue.get(job)
    answer = queue.complete(job, old, "late")
    assert (answer["ok"], answer["why"], answer["state"]) == (False, "stale_token", "running")
    assert queue.get(job) == before
    assert queue.complete(job, new, "in time")["ok"]


def test_a_token_that_was_never_granted_is_refused(queue: QueueDriver) -> None:
    job = queue.submit()
    assert queue.complete(job, 99)["why"] == "wrong_state"
    assert queue.complete("c16j00", 1)["why"] == "not_found"


@pytest.mark.parametrize("end", ["complete", "fail", "release"])
def test_repeating_an_end_gets_the_first_answer(queue: QueueDriver, end: str) -> None:
    job = queue.submit()
    _, token = queue.take_one()
    call = getattr(queue, end)
    first = call(job, token)
    before = queue.get(job)
    assert call(job, token) == first
    assert queue.get(job) == before


def test_repeating_an_end_gets_the_first_answer_even_after_later_attempts(queue: QueueDriver) -> None:
    job = queue.submit(backoff={"base_ms": 0})
    _, first_token = queue.take_one()
    first = queue.fail(job, first_token)
    _, token = queue.take_one()
    queue.complete(job, token)
    assert queue.fail(job, first_token) == first
    assert queue.state(job) == "succeeded"


def test_an_end_of_another_kind_under_a_used_token_is_stale(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one()
    queue.complete(job, token, 1)
    assert queue.fail(job, token)["why"] == "stale_token"
    assert queue.release(job, token)["why"] == "stale_token"


def test_items_of_one_command_are_answered_each_on_its_own(queue: QueueDriver) -> None:
    one, other = queue.submit_many([{"task": "t"}, {"task": "t"}])
    [[_, token], _] = queue.take(count=2)
    items = [[one, token, 1], [other, 999, 2], [one, token, 3]]
    answers = queue.answer("Complete", commands.check_complete(items))
    assert [answer["ok"] for answer in answers] == [True, False, True]
    assert queue.get(one)["result"] == 1
    assert queue.state(other) == "running"


def test_a_failed_job_is_scheduled_again_and_dies_after_its_last_attempt(queue: QueueDriver) -> None:
    job = queue.submit(max_attempts=3)
    for attempt in (1, 2):
        _, token = queue.take_one()
        assert queue.fail(job, token, f"error {attempt}")["state"] == "scheduled"
        queue.tick(12_000)
    _, token = queue.take_one()
    assert queue.fail(job, token, "error 3")["state"] == "dead"
    shown = queue.get(job)
    assert (shown["error"], shown["attempt"], shown["failures"]) == ("error 3", 3, 3)
    assert queue.take() == []


def test_a_failure_that_is_not_to_be_retried_is_for_good(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one()
    assert queue.fail(job, token, retry=False)["state"] == "dead"


def test_the_backoff_grows_to_its_cap() -> None:
    job = ids.number(7, 0)
    for failures, base in [(1, 2_000), (3, 18_000), (7, 1_458_000), (8, 3_600_000), (500, 3_600_000)]:
        delay = backoff_ms(job, failures, failures, 2_000, 3_000, 3_600_000)
        assert base <= delay < base * 5 / 4


def test_the_jitter_comes_from_a_hash_of_job_and_attempt() -> None:
    drawn = int.from_bytes(hashlib.sha256(b"7168:4").digest()[:4], "big")
    assert backoff_ms(7168, 4, 1, 10_000, 2_000, 60_000) == 10_000 + 10_000 * drawn // 2**34
    assert len({backoff_ms(7168, attempt, 1, 10_000, 2_000, 60_000) for attempt in range(50)}) > 45


def test_a_job_s_own_backoff_holds(queue: QueueDriver) -> None:
    job = queue.submit(backoff={"base_ms": 100, "factor": 1_000, "cap_ms": 100})
    for _ in range(3):
        _, token = queue.take_one()
        queue.fail(job, token)
        assert 100 <= queue.get(job)["at_ms"] - queue.now_ms < 125
        queue.tick(125)


def test_a_release_does_not_count_as_an_attempt(queue: QueueDriver) -> None:
    job = queue.submit(max_attempts=1)
    _, token = queue.take_one()
    assert queue.release(job, token)["state"] == "ready"
    _, token = queue.take_one()
    assert queue.release(job, token, delay_ms=500, reason="no worker knows task 'x'")["state"] == "scheduled"
    assert queue.get(job)["failures"] == 0
    queue.tick(499)
    assert queue.state(job) == "scheduled"
    queue.tick(1)
    assert queue.state(job) == "ready"
    assert queue.get(job)["history"][-2]["error"] == "no worker knows task 'x'"


def test_a_job_released_too_often_is_dead(queue: QueueDriver) -> None:
    job = queue.submit()
    for n in range(1_000):
        _, token = queue.take_one()
        state = queue.release(job, token)["state"]
        assert state == ("dead" if n == 999 else "ready")
    assert queue.get(job)["error"] == "released too often: 1000 times in a row"


def test_releases_count_in_a_row_only(queue: QueueDriver) -> None:
    job = queue.submit(backoff={"base_ms": 0})
    for _ in range(5):
        queue.release(*queue.take_one())
    queue.fail(*queue.take_one())
    assert queue.get(job)["releases"] == 0


def test_history_and_tracebacks_are_bounded(queue: QueueDriver) -> None:
    job = queue.submit(backoff={"base_ms": 0}, max_attempts=100)
    for n in range(40):
        queue.fail(*queue.take_one(), error=f"error {n}", traceback=f"traceback {n}")
    history = queue.get(job)["history"]
    assert len(history) == 50
    assert [row["n"] for row in history] == list(range(32, 82))
    assert history[-1]["error"] == "error 39"
    tracebacks = [row["traceback"] for row in history if "traceback" in row]
    assert tracebacks == [f"traceback {n}" for n in range(30, 40)]


def test_progress_comes_with_extend(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one()
    queue.extend(job, token, 0.25, "a quarter")
    queue.extend(job, token, 0.5)
    queue.extend(job, token)
    shown = queue.get(job)
    assert (shown["fraction"], shown["note"]) == (0.5, "a quarter")
    queue.release(job, token)
    queue.take_one()
    assert "fraction" not in queue.get(job)


def test_a_job_waits_for_its_time(queue: QueueDriver) -> None:
    delayed = queue.submit(delay_ms=1_000)
    at = queue.submit(at_ms=queue.now_ms + 2_000)
    past = queue.submit(at_ms=5)
    assert [queue.state(job) for job in (delayed, at, past)] == ["scheduled", "scheduled", "ready"]
    assert queue.machine.next_due_ms() == queue.now_ms + 1_000
    queue.tick(999)
    assert queue.state(delayed) == "scheduled"
    queue.tick(1)
    assert [queue.state(job) for job in (delayed, at)] == ["ready", "scheduled"]
    queue.tick(1_000)
    assert queue.state(at) == "ready"
    assert queue.machine.next_due_ms() is None
