"""Keys, which make a job unique in its queue, and changing jobs before they run."""

from typing import Any

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands, submitting
from tests.jobqueue.queue_driver import SESSION, QueueDriver


def submitted(queue: QueueDriver, *items: dict[str, Any]) -> dict[str, Any]:
    outcome = queue.command("Submit", commands.check_submit([{"task": "t", **item} for item in items]))
    assert outcome.answer is not None
    return outcome.answer


def test_a_key_is_held_until_its_job_is_finished(queue: QueueDriver) -> None:
    first = queue.submit(key="k")
    assert submitted(queue, {"key": "k"}) == {"jobs": [first], "how": ["existing"]}
    _, token = queue.take_one()
    assert submitted(queue, {"key": "k"})["jobs"] == [first]
    queue.complete(first, token)
    assert queue.submit(key="k") != first


def test_a_key_is_unique_in_its_queue_only(queue: QueueDriver) -> None:
    assert queue.submit(key="k") != queue.submit(key="k", queue="other")


def test_unique_for_holds_the_key_of_a_finished_job(queue: QueueDriver) -> None:
    first = queue.submit(key="k", unique_for_ms=5_000)
    queue.complete(*queue.take_one())
    queue.purge(first)
    queue.tick(4_999)
    assert submitted(queue, {"key": "k"}) == {"jobs": [first], "how": ["existing"]}
    queue.tick(1)
    assert queue.submit(key="k") != first
    assert queue.machine.next_due_ms() is None


def test_in_one_command_the_first_wins(queue: QueueDriver) -> None:
    answer = submitted(queue, {"key": "k"}, {}, {"key": "k", "on_conflict": "replace", "priority": 5})
    first, other, again = answer["jobs"]
    assert (first, answer["how"]) == (again, ["new", "new", "existing"])
    assert queue.get(first)["priority"] == 0
    assert other != first


def test_replace_gives_a_waiting_holder_new_arguments_and_time(queue: QueueDriver) -> None:
    """Debouncing: the last submission within the delay is the one that runs."""
    job = queue.submit(key="k", args=[1], delay_ms=1_000)
    queue.pass_time(900)
    again = {"key": "k", "args": [2], "delay_ms": 1_000, "priority": 3, "on_conflict": "replace"}
    assert submitted(queue, again) == {"jobs": [job], "how": ["replaced"]}
    queue.tick(999)
    assert queue.state(job) == "scheduled"
    queue.tick(1)
    shown = queue.get(job)
    assert (shown["state"], shown["args"], shown["priority"]) == ("ready", [2], 3)
    queue.take_one()
    assert submitted(queue, again)["how"] == ["existing"]
    assert queue.get(job)["args"] == [2]


def test_refuse_refuses_the_whole_command(queue: QueueDriver) -> None:
    job = queue.submit(key="k")
    items = [{"task": "t"}, {"task": "t", "key": "k", "on_conflict": "refuse"}]
    outcome = queue.command("Submit", commands.check_submit(items), SESSION, 1, 1)
    assert outcome.refusal is not None
    assert outcome.refusal.code_name == "key_held"
    assert outcome.refusal.detail == {"item": 1, "key": "k", "holder": job}
    assert queue.machine.counts()["ready"] == 1


def test_a_retry_by_hand_takes_the_key_again_or_is_refused(queue: QueueDriver) -> None:
    first = queue.submit(key="k", unique_for_ms=5_000)
    queue.cancel(first)
    assert queue.retry(first)[0]["ok"]
    queue.tick(60_000)  # it is not free after a while: the job is not finished
    assert queue.submit(key="k") == first
    queue.cancel(first)
    queue.tick(5_000)
    second = queue.submit(key="k")
    [answer] = queue.retry(first)
    assert (answer["why"], answer["state"]) == ("key_held", "cancelled")
    assert answer["message"].endswith(f"by job {second}")


def test_a_retry_by_hand_takes_a_key_that_came_free(queue: QueueDriver) -> None:
    first = queue.submit(key="k")
    queue.cancel(first)
    assert queue.retry(first)[0]["ok"]
    assert submitted(queue, {"key": "k"}) == {"jobs": [first], "how": ["existing"]}


def test_what_was_cancelled_with_an_earlier_job_stays_so_while_another_holds_its_key(
    queue: QueueDriver,
) -> None:
    earlier = queue.submit()
    job = queue.submit(key="k", after=[earlier])
    queue.cancel(earlier)
    queue.settle()
    another = queue.submit(key="k")
    queue.retry(earlier)
    queue.settle()
    assert [queue.state(each) for each in (earlier, job, another)] == ["ready", "cancelled", "ready"]


def test_an_update_changes_what_does_not_run(queue: QueueDriver) -> None:
    first, second = queue.submit_many([{"task": "t"}, {"task": "t", "delay_ms": 60_000}])
    assert queue.update(second, delay_ms=0, priority=2, args=[7], kwargs={"x": 1})["state"] == "ready"
    assert queue.update(first, at_ms=queue.now_ms + 10)["state"] == "scheduled"
    shown = queue.get(second)
    assert (shown["priority"], shown["args"], shown["kwargs"]) == (2, [7], {"x": 1})
    assert queue.update(second, args=[])["ok"]
    assert (queue.get(second)["args"], queue.get(second)["kwargs"]) == ([], {"x": 1})
    assert [job for job, _ in queue.take(count=2)] == [second]
    assert queue.update(second, priority=1)["why"] == "wrong_state"
    assert queue.update("c16j00", priority=1)["why"] == "not_found"


def test_an_update_moves_a_job_to_another_queue_with_its_key(queue: QueueDriver) -> None:
    job = queue.submit(key="k")
    assert queue.update(job, queue="other")["ok"]
    assert submitted(queue, {"key": "k", "queue": "other"})["jobs"] == [job]
    back = queue.submit(key="k")
    assert queue.update(job, queue="default")["why"] == "key_held"
    assert [taken for taken, _ in queue.take(queues=["other"])] == [job]
    assert [taken for taken, _ in queue.take(queues=["default"])] == [back]
    stats = queue.reader.stats()["queues"]
    assert (stats["default"]["running"], stats["other"]["running"]) == (1, 1)


def test_no_update_moves_a_job_to_a_queue_that_is_full(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.submit(queue="full")
    job = queue.submit()
    monkeypatch.setattr(submitting, "MAX_UNFINISHED", 1)
    assert queue.update(job, queue="full")["why"] == "full"
    assert queue.get(job)["queue"] == "default"


def test_a_take_counts_the_bytes_of_changed_arguments(queue: QueueDriver) -> None:
    jobs = queue.submit_many([{"task": "t"}] * 40)
    for job in jobs:
        queue.update(job, args=["x" * 260_000])
    assert len(queue.take(count=100)) == 32


@pytest.mark.parametrize(
    "item",
    [
        {"unique_for_ms": 5},
        {"on_conflict": "refuse"},
        {"key": "k", "on_conflict": "ignore"},
        {"key": ""},
        {"key": "k", "unique_for_ms": -1},
    ],
)
def test_wrong_options_are_refused(item: dict[str, Any]) -> None:
    with pytest.raises(BadArgument):
        commands.check_submit([{"task": "t", **item}])


@pytest.mark.parametrize(
    "change",
    [{}, {"task": "u"}, {"priority": 5_000}, {"delay_ms": 1, "at_ms": 1}, {"job": "x", "priority": 1}, 7],
)
def test_wrong_changes_are_refused(change: Any) -> None:
    with pytest.raises(BadArgument):
        commands.check_update([{"job": "c16j00", **change} if isinstance(change, dict) else change])
