"""Cancelling, retrying by hand and purging."""

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands
from tests.jobqueue.queue_driver import SESSION, QueueDriver, all_rows


def running(queue: QueueDriver, **options: object) -> tuple[str, int]:
    """A job that was taken and told that it was started."""
    job = queue.submit(**options)
    _, token = queue.take_one()
    queue.extend(job, token)
    return job, token


def dead(queue: QueueDriver, **options: object) -> str:
    job, token = running(queue, **options)
    queue.fail(job, token, retry=False)
    return job


def test_what_does_not_run_is_cancelled_at_once(queue: QueueDriver) -> None:
    ready, scheduled = queue.submit(), queue.submit(delay_ms=1_000)
    assert queue.cancel(ready, scheduled) == [
        {"job": ready, "ok": True, "state": "cancelled"},
        {"job": scheduled, "ok": True, "state": "cancelled"},
    ]
    assert queue.take(count=2) == []
    assert queue.machine.next_due_ms() is None
    assert (queue.get(ready)["error"], queue.events(ready)) == (
        "cancelled by hand",
        ["submitted", "cancelled"],
    )


def test_what_runs_is_told_to_stop_with_its_next_extend(queue: QueueDriver) -> None:
    job, token = running(queue)
    assert queue.cancel(job) == [{"job": job, "ok": True, "state": "running", "cancel_requested": True}]
    assert queue.extend(job, token)["cancel_requested"] is True
    assert queue.get(job)["cancel_requested_ms"] == queue.now_ms


def test_what_was_told_to_stop_may_still_succeed(queue: QueueDriver) -> None:
    job, token = running(queue)
    queue.cancel(job)
    assert queue.complete(job, token, 7)["state"] == "succeeded"
    assert queue.get(job)["result"] == 7


def test_any_other_end_of_what_was_told_to_stop_leaves_it_cancelled(queue: QueueDriver) -> None:
    failed, token = running(queue)
    queue.cancel(failed)
    answer = queue.fail(failed, token, "ValueError: no")
    assert answer["state"] == "cancelled"
    assert queue.fail(failed, token, "ValueError: no") == answer
    released, token = running(queue)
    queue.cancel(released)
    assert queue.release(released, token)["state"] == "cancelled"
    lost, token = running(queue)
    queue.cancel(lost)
    queue.tick(30_000)
    assert queue.state(lost) == "cancelled"
    assert queue.get(failed)["history"][-1]["error"] == "ValueError: no"
    assert {queue.get(job)["error"] for job in (failed, released, lost)} == {"cancelled by hand"}
    assert queue.take(count=3) == []


def test_what_does_not_stop_is_ended_after_the_grace(queue: QueueDriver) -> None:
    job, token = running(queue)
    queue.extend(job, token, lease_ms=3_600_000)
    queue.pass_time(5_000)
    queue.cancel(job)
    queue.pass_time(10_000)
    queue.cancel(job)  # asking again gives no more time, and none less
    assert queue.extend(job, token, lease_ms=3_600_000)["lease_until_ms"] == queue.now_ms + 20_000
    queue.tick(19_999)
    assert queue.state(job) == "running"
    queue.tick(1)
    assert queue.state(job) == "cancelled"
    assert queue.events(job) == ["submitted", "taken", "cancel_requested", "cancelled"]
    assert queue.complete(job, token)["why"] == "stale_token"


def test_an_outage_is_no_part_of_the_grace(queue: QueueDriver) -> None:
    job, token = running(queue)
    queue.cancel(job)
    queue.new_leader(600_000)
    queue.tick(29_000)
    assert queue.complete(job, token)["ok"]


def test_what_has_finished_otherwise_cannot_be_cancelled(queue: QueueDriver) -> None:
    job, token = running(queue)
    queue.complete(job, token)
    before = queue.get(job)
    [answer, missing] = queue.cancel(job, "c16j00")
    assert (answer["why"], answer["state"]) == ("wrong_state", "succeeded")
    assert (missing["why"], missing["state"]) == ("not_found", "")
    assert queue.get(job) == before
    cancelled = queue.submit()
    assert queue.cancel(cancelled) == queue.cancel(cancelled)


def test_a_retry_by_hand_gives_as_many_attempts_as_at_first(queue: QueueDriver) -> None:
    job = dead(queue, max_attempts=2, backoff={"base_ms": 0})
    for attempts, expected in ((None, 2), (1, 1), (3, 3), (None, 2)):
        assert queue.retry(job, attempts=attempts)[0]["state"] == "ready"
        assert "finished_ms" not in queue.get(job)
        for n in range(expected):
            _, token = queue.take_one()
            assert queue.fail(job, token)["state"] == ("dead" if n == expected - 1 else "ready")
    assert queue.get(job)["attempt"] == 9


def test_tokens_rise_over_a_retry_by_hand(queue: QueueDriver) -> None:
    job, old = running(queue)
    queue.fail(job, old, retry=False)
    queue.retry(job)
    _, new = queue.take_one()
    assert new > old
    assert queue.complete(job, old)["why"] == "stale_token"
    assert queue.extend(job, new)["ok"]


def test_a_cancelled_job_is_retried_as_if_nobody_had_asked(queue: QueueDriver) -> None:
    job, token = running(queue)
    queue.cancel(job)
    queue.release(job, token)
    queue.retry(job)
    _, token = queue.take_one()
    assert "cancel_requested" not in queue.extend(job, token)
    assert queue.fail(job, token)["state"] == "scheduled"


@pytest.mark.parametrize("state", ["ready", "succeeded"])
def test_only_dead_and_cancelled_jobs_are_retried(queue: QueueDriver, state: str) -> None:
    job = queue.submit()
    if state == "succeeded":
        queue.complete(*queue.take_one())
    assert queue.retry(job)[0]["why"] == "wrong_state"
    assert queue.state(job) == state


def test_purging_leaves_nothing_of_a_job(queue: QueueDriver) -> None:
    one, token = running(queue)
    queue.complete(one, token, "result")
    other = dead(queue)
    queue.retry(other)
    queue.fail(*queue.take_one(), traceback="traceback", retry=False)
    assert queue.purge(one, other) == [
        {"job": one, "ok": True, "state": ""},
        {"job": other, "ok": True, "state": ""},
    ]
    rows = all_rows(queue.connection)
    assert [rows[table] for table in ("jobs", "arguments", "results", "history", "tracebacks", "due")] == [
        []
    ] * 6
    assert queue.machine.counts() == dict.fromkeys(queue.machine.counts(), 0)
    assert queue.purge(one)[0]["why"] == "not_found"
    assert queue.complete(one, token)["why"] == "not_found"


def test_only_finished_jobs_are_purged(queue: QueueDriver) -> None:
    job = queue.submit()
    [answer] = queue.purge(job)
    assert (answer["why"], answer["state"]) == ("wrong_state", "ready")
    assert queue.state(job) == "ready"


def test_under_a_session_a_retry_is_done_once(queue: QueueDriver) -> None:
    job = dead(queue)
    arguments = commands.check_retry([job])
    first = queue.command("Retry", arguments, SESSION, 1, 1)
    queue.fail(*queue.take_one(), retry=False)
    assert queue.command("Retry", arguments, SESSION, 1, 1).answer == first.answer
    assert queue.state(job) == "dead"


@pytest.mark.parametrize(
    ("jobs", "attempts"),
    [([], None), ("c16j00", None), (["nonsense"], None), (["c16j00"], 0), (["c16j00"], "3")],
)
def test_wrong_arguments_are_refused(jobs: object, attempts: object) -> None:
    with pytest.raises(BadArgument):
        commands.check_retry(jobs, attempts)
