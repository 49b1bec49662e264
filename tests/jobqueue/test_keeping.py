"""Deadlines, and how long finished jobs are kept."""

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands, counts, ids, pruning
from glassraft.jobqueue.fields import DAY_MS
from tests.jobqueue.queue_driver import QueueDriver

MINUTE_MS = 60_000


def finished(queue: QueueDriver, /, **options: object) -> str:
    job = queue.submit(**options)
    queue.complete(*queue.take_one(queues=[str(options.get("queue", "default"))]))
    return job


def pruned(queue: QueueDriver, *jobs: str) -> list[str]:
    """Those of the jobs that are gone once the next few commands have been applied."""
    for _ in range(pruning.PRUNE_EVERY):
        queue.tick()
    return [job for job in jobs if queue.reader.get(job) is None]


def test_a_job_that_was_not_started_by_its_deadline_is_cancelled(queue: QueueDriver) -> None:
    by_instant = queue.submit(deadline_ms=queue.now_ms + 1_000)
    by_duration = queue.submit(start_within_ms=1_000, delay_ms=5_000)
    assert queue.machine.next_due_ms() == queue.now_ms + 1_000
    queue.tick(999)
    assert [queue.state(job) for job in (by_instant, by_duration)] == ["ready", "scheduled"]
    queue.tick(1)
    assert [queue.state(job) for job in (by_instant, by_duration)] == ["cancelled", "cancelled"]
    assert queue.get(by_instant)["error"] == "its deadline passed before it could start"
    assert queue.machine.next_due_ms() is None


def test_a_job_that_runs_at_its_deadline_goes_on(queue: QueueDriver) -> None:
    job = queue.submit(start_within_ms=1_000)
    _, token = queue.take_one()
    queue.tick(5_000)
    assert queue.complete(job, token)["ok"]


def test_a_retry_that_would_start_after_the_deadline_is_not_scheduled(queue: QueueDriver) -> None:
    job = queue.submit(start_within_ms=1_000)
    _, token = queue.take_one()
    assert queue.fail(job, token, "ValueError: no")["state"] == "dead"
    assert queue.get(job)["error"] == "ValueError: no"


def test_a_retry_that_is_not_taken_in_time_is_dead_with_its_last_error(queue: QueueDriver) -> None:
    job = queue.submit(start_within_ms=10_000, backoff={"base_ms": 100})
    queue.fail(*queue.take_one(), error="ValueError: no")
    queue.tick(10_000)
    assert (queue.state(job), queue.get(job)["error"]) == ("dead", "ValueError: no")
    assert queue.events(job)[-1] == "deadline_passed"


@pytest.mark.parametrize("how", ["release", "never started"])
def test_what_comes_back_too_late_does_not_start_again(queue: QueueDriver, how: str) -> None:
    job = queue.submit(start_within_ms=1_000)
    _, token = queue.take_one(lease_ms=2_000)
    queue.tick(1_500)
    if how == "release":
        assert queue.release(job, token)["state"] == "cancelled"
    else:
        queue.tick(500)
    assert queue.state(job) == "cancelled"
    assert queue.take() == []


def test_a_take_passes_over_jobs_whose_deadline_has_passed(queue: QueueDriver) -> None:
    """Though there is more to do first than one command may."""
    queue.submit_many([{"task": "t", "queue": "other", "delay_ms": 1}] * 300)
    queue.submit(start_within_ms=10)
    good = queue.submit()
    queue.pass_time(10)
    assert [job for job, _ in queue.take(count=5)] == [good]


def test_a_deadline_leaves_nothing_behind(queue: QueueDriver) -> None:
    queue.submit(start_within_ms=DAY_MS)
    queue.complete(*queue.take_one())
    queue.cancel(queue.submit(start_within_ms=DAY_MS, delay_ms=5))
    assert queue.connection.execute("SELECT count(*) FROM due").fetchone() == (0,)


def test_a_retry_by_hand_drops_a_deadline_only_once_it_has_passed(queue: QueueDriver) -> None:
    passed, ahead = queue.submit(start_within_ms=1_000), queue.submit(start_within_ms=10_000)
    queue.cancel(ahead)
    queue.tick(1_000)
    queue.retry(passed, ahead)
    assert "deadline_ms" not in queue.get(passed)
    queue.tick(9_000)
    assert [queue.state(job) for job in (passed, ahead)] == ["ready", "cancelled"]


def test_a_finished_job_is_kept_for_its_retention(queue: QueueDriver) -> None:
    by_default, own = finished(queue), finished(queue, retention_ms=10 * MINUTE_MS)
    dead, cancelled = queue.submit_many([{"task": "t"}] * 2)
    queue.fail(*queue.take_one(), retry=False)
    queue.cancel(cancelled)
    everything = (by_default, own, dead, cancelled)
    queue.pass_time(10 * MINUTE_MS)
    assert pruned(queue, *everything) == [own]
    queue.pass_time(7 * DAY_MS)
    assert pruned(queue, *everything) == [by_default, own]
    queue.pass_time(23 * DAY_MS)
    assert pruned(queue, *everything) == list(everything)
    assert queue.machine.counts() == dict.fromkeys(queue.machine.counts(), 0)
    assert queue.machine.next_due_ms() is None


def test_a_queue_keeps_so_many_in_each_finished_state(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "MAX_KEPT", 3)
    monkeypatch.setattr(counts, "LARGE", 2)
    jobs = []
    for _ in range(5):
        jobs.append(finished(queue))
        queue.pass_time(1_000)
    others = [finished(queue, queue="other") for _ in range(3)]
    assert pruned(queue, *jobs, *others) == []  # what finished just now is kept
    queue.restart()
    queue.pass_time(10 * MINUTE_MS)
    assert pruned(queue, *jobs, *others) == jobs[:2]


def test_a_command_prunes_a_bounded_number(queue: QueueDriver) -> None:
    jobs = queue.submit_many([{"task": "t", "retention_ms": 10 * MINUTE_MS}] * 1_000)
    queue.cancel(*jobs)
    queue.pass_time(10 * MINUTE_MS)
    while queue.machine.applied_index % pruning.PRUNE_EVERY != pruning.PRUNE_EVERY - 1:
        queue.pass_time(-1)
        queue.tick()
        queue.pass_time(1)
    before = queue.machine.counts()["cancelled"]
    outcome = queue.tick()
    gone = [ids.to_text(number) for number, _, after in outcome.transitions if after == ""]
    assert len(gone) == pruning.PRUNE_BUDGET
    assert queue.machine.counts()["cancelled"] == before - pruning.PRUNE_BUDGET
    outcome = queue.command("Submit", commands.check_submit([{"task": "t"}] * 200))
    assert sum(after == "" for _, _, after in outcome.transitions) == 400


def test_a_retried_job_is_not_pruned(queue: QueueDriver) -> None:
    job = queue.submit()
    queue.cancel(job)
    queue.retry(job)
    queue.pass_time(100 * DAY_MS)
    assert pruned(queue, job) == []


def test_a_take_stays_within_what_an_answer_can_hold(queue: QueueDriver) -> None:
    large = [{"task": "t", "args": ["x" * 260_000]}] * 15
    jobs = [job for _ in range(3) for job in queue.submit_many(large)]
    taken = [job for job, _ in queue.take(count=100)]
    assert taken == jobs[:32]  # 8 MiB
    assert len(queue.take(count=100)) == 13


def test_a_take_gives_one_job_however_large(queue: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassraft.jobqueue.running.MAX_TAKEN_BYTES", 10)
    first, second = queue.submit_many([{"task": "t", "args": ["x" * 100]}, {"task": "t"}])
    assert [job for job, _ in queue.take(count=2)] == [first]
    assert [job for job, _ in queue.take(count=2)] == [second]


def test_a_deadline_is_an_instant_or_a_duration() -> None:
    with pytest.raises(BadArgument, match="deadline_ms or start_within_ms, not both"):
        commands.check_submit([{"task": "t", "deadline_ms": 5, "start_within_ms": 5}])
    with pytest.raises(BadArgument, match="retention_ms must be a whole number from 600000"):
        commands.check_submit([{"task": "t", "retention_ms": 599_999}])
