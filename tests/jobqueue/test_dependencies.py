"""Jobs that come after others: waiting, the cascade of one job's end, and handing on."""

from typing import Any

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands, due, ids
from glassraft.jobqueue.fields import DAY_MS
from tests.jobqueue.queue_driver import QueueDriver


def end(queue: QueueDriver, how: str = "complete") -> str:
    """Takes the next job and ends it in this way; what comes of it has been applied then."""
    job, token = queue.take_one()
    if how == "complete":
        queue.complete(job, token)
    elif how == "fail":
        queue.fail(job, token, retry=False)
    queue.settle()
    return job


def states(queue: QueueDriver, *jobs: str) -> list[str]:
    return [queue.state(job) for job in jobs]


def test_a_chain_is_one_command_and_runs_in_order(queue: QueueDriver) -> None:
    chain = queue.submit_many([{"task": "t"}, {"task": "t", "after": [0]}, {"task": "t", "after": [1]}])
    assert states(queue, *chain) == ["ready", "waiting", "waiting"]
    assert [end(queue), end(queue), end(queue)] == chain
    assert queue.events(chain[1]) == ["submitted", "dependencies_done", "taken", "completed"]


def test_a_job_waits_for_the_last_of_those_it_comes_after(queue: QueueDriver) -> None:
    first, second = queue.submit_many([{"task": "t"}] * 2)
    last = queue.submit(after=[first, second, first])
    assert queue.get(last)["after"] == [first, second]
    end(queue)
    assert (queue.state(last), queue.get(last)["waits_for"]) == ("waiting", 1)
    end(queue)
    assert queue.state(last) == "ready"


def test_a_delay_counts_from_when_the_last_is_done(queue: QueueDriver) -> None:
    first = queue.submit()
    delayed, at = queue.submit_many(
        [
            {"task": "t", "after": [first], "delay_ms": 1_000},
            {"task": "t", "after": [first], "at_ms": queue.now_ms + 6_000},
        ]
    )
    queue.pass_time(5_000)
    end(queue)
    assert states(queue, delayed, at) == ["scheduled", "scheduled"]
    queue.tick(1_000)
    assert states(queue, delayed, at) == ["ready", "ready"]


def test_a_bad_end_cancels_all_that_comes_after_with_the_cause(queue: QueueDriver) -> None:
    chain = queue.submit_many([{"task": "t"}, {"task": "t", "after": [0]}, {"task": "t", "after": [1]}])
    end(queue, "fail")
    assert states(queue, *chain) == ["dead", "cancelled", "cancelled"]
    assert queue.get(chain[1])["error"] == f"job {chain[0]}, which it comes after, is dead"
    assert queue.get(chain[2])["error"] == f"job {chain[1]}, which it comes after, is cancelled"


def test_on_dependency_run_waits_for_any_end(queue: QueueDriver) -> None:
    first, second = queue.submit_many([{"task": "t"}] * 2)
    cleanup = queue.submit(after=[first, second], on_dependency="run")
    end(queue, "fail")
    assert queue.state(cleanup) == "waiting"
    end(queue)
    assert queue.state(cleanup) == "ready"
    job, _ = queue.take_one()
    [details] = queue.reader.details([ids.from_text(job)])
    assert details["after"] == [first, second]
    assert states(queue, first, second) == ["dead", "succeeded"]


def test_what_has_ended_already_counts_at_once(queue: QueueDriver) -> None:
    queue.submit_many([{"task": "t"}] * 2)
    good, bad = end(queue), end(queue, "fail")
    assert queue.state(queue.submit(after=[good])) == "ready"
    assert queue.state(queue.submit(after=[bad], on_dependency="run")) == "ready"
    late = queue.submit(after=[good, bad])
    queue.settle()
    assert queue.state(late) == "cancelled"


def test_a_job_that_is_not_there_is_refused_by_name(queue: QueueDriver) -> None:
    arguments = commands.check_submit([{"task": "t"}, {"task": "t", "after": ["c16j00"]}])
    refusal = queue.command("Submit", arguments).refusal
    assert refusal is not None
    assert (refusal.code_name, refusal.detail) == ("not_found", {"item": 1, "after": "c16j00"})
    assert queue.machine.counts()["ready"] == 0


@pytest.mark.parametrize(
    "items",
    [
        [{"after": [0]}],
        [{}, {"after": [2]}, {}],
        [{"after": [-1]}],
        [{"after": ["nonsense"]}],
        [{"after": "c16j00"}],
        [{"after": ["c16j00"] * 1_001}],
        [{"after": ["c16j00"] * 1_000}] * 11,
        [{"on_dependency": "wait"}],
    ],
)
def test_wrong_dependencies_are_refused(items: list[dict[str, Any]]) -> None:
    with pytest.raises(BadArgument):
        commands.check_submit([{"task": "t", **item} for item in items])


def test_a_cascade_goes_in_bounded_steps(queue: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "DUE_BUDGET", 10)
    first = queue.submit()
    queue.submit_many([{"task": "t", "after": [first]}] * 35)
    queue.complete(*queue.take_one())
    moved = []
    while queue.machine.wants_tick(queue.now_ms):
        moved.append(len(queue.tick().transitions))
    assert moved == [10, 10, 10, 5]
    assert queue.machine.counts()["ready"] == 35


def test_what_comes_due_is_not_held_up_by_a_cascade(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "DUE_BUDGET", 10)
    first = queue.submit()
    queue.submit_many([{"task": "t", "after": [first]}] * 100)
    delayed = queue.submit(delay_ms=50)
    queue.complete(*queue.take_one())
    queue.tick(100)
    queue.tick()
    assert queue.state(delayed) == "ready"
    assert queue.machine.counts()["waiting"] > 0


def test_a_job_is_kept_while_an_unfinished_one_comes_after_it(queue: QueueDriver) -> None:
    first, _ = queue.submit(), queue.submit()
    last = queue.submit(after=[first], delay_ms=100 * DAY_MS)
    assert end(queue) == first
    [answer] = queue.purge(first)
    assert (answer["why"], answer["state"]) == ("wrong_state", "succeeded")
    queue.pass_time(50 * DAY_MS)
    for _ in range(10):
        queue.tick()
    assert queue.state(first) == "succeeded"
    queue.cancel(last)
    for _ in range(10):
        queue.tick()
    assert queue.reader.get(first) is None


def test_a_retry_brings_back_what_was_cancelled_because_of_it(queue: QueueDriver) -> None:
    first, second, third = queue.submit_many(
        [{"task": "t"}, {"task": "t", "after": [0]}, {"task": "t", "after": [1]}]
    )
    by_hand = queue.submit(after=[first])
    queue.cancel(by_hand)
    end(queue, "fail")
    queue.retry(first)
    queue.settle()
    assert states(queue, first, second, third, by_hand) == ["ready", "waiting", "waiting", "cancelled"]
    assert [end(queue), end(queue), end(queue)] == [first, second, third]


def test_a_retry_alone_brings_nothing_back(queue: QueueDriver) -> None:
    first, second = queue.submit_many([{"task": "t"}, {"task": "t", "after": [0]}])
    end(queue, "fail")
    queue.answer("Retry", commands.check_retry([first], dependents=False))
    assert end(queue) == first
    assert queue.state(second) == "cancelled"


def test_a_job_retried_before_what_it_comes_after_runs(queue: QueueDriver) -> None:
    """People who retry it know that the other one has failed; but it waits for one that is not finished."""
    first, second = queue.submit_many([{"task": "t"}, {"task": "t", "after": [0]}])
    end(queue, "fail")
    assert queue.retry(second)[0]["state"] == "ready"
    queue.cancel(second)
    queue.answer("Retry", commands.check_retry([first], dependents=False))
    assert queue.retry(second)[0]["state"] == "waiting"


def test_a_completion_and_what_it_submits_happen_together(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one()
    items = [[job, token, 1, [{"task": "next", "args": [7]}, {"task": "last", "after": [0, job]}]]]
    [answer] = queue.answer("Complete", commands.check_complete(items))
    assert answer == {"job": job, "ok": True, "state": "succeeded"}
    assert queue.answer("Complete", commands.check_complete(items)) == [answer]
    queue.settle()
    counts = queue.machine.counts()
    assert (counts["ready"], counts["waiting"], counts["succeeded"]) == (1, 1, 1)
    next_job, _ = queue.take_one()
    assert (queue.get(next_job)["task"], queue.get(next_job)["args"]) == ("next", [7])


def test_a_completion_whose_submission_is_refused_is_none(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one()
    items = [[job, token, 1, [{"task": "next"}, {"task": "t", "after": ["c16j00"]}]]]
    [answer] = queue.answer("Complete", commands.check_complete(items))
    assert (answer["ok"], answer["why"], answer["state"]) == (False, "not_found", "running")
    assert queue.machine.counts()["ready"] == 0
    assert queue.complete(job, token)["ok"]


def test_a_late_completion_submits_nothing(queue: QueueDriver) -> None:
    job = queue.submit()
    _, token = queue.take_one()
    queue.release(job, token, delay_ms=1_000)
    items = [[job, token, 1, [{"task": "next"}]]]
    assert not queue.answer("Complete", commands.check_complete(items))[0]["ok"]
    assert queue.machine.counts()["ready"] == 0
