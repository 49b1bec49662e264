"""Settings of queues: pausing, how many run at a time, and how many start in a while."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands, queues
from glassraft.jobqueue.settings import QueueSettings
from tests.jobqueue.queue_driver import QueueDriver


def test_a_paused_queue_hands_out_nothing_and_all_else_goes_on(queue: QueueDriver) -> None:
    job = queue.submit()
    taken, token = queue.take_one()
    ready, delayed, late = queue.submit_many(
        [{"task": "t"}, {"task": "t", "delay_ms": 100}, {"task": "t", "start_within_ms": 100}]
    )
    assert queue.set_queue(paused=True) == {"paused": True, "max_running": None, "rate": None}
    queue.tick(100)
    assert [queue.state(each) for each in (ready, delayed, late)] == ["ready", "ready", "cancelled"]
    assert (queue.take(count=5), queue.machine.ready_count(["default"])) == ([], 0)
    assert queue.complete(job, token)["ok"]
    queue.restart()
    assert queue.take(count=5) == []
    queue.set_queue(paused=False)
    assert [each for each, _ in queue.take(count=5)] == [ready, delayed]
    assert taken == job


def test_no_more_run_than_may(queue: QueueDriver) -> None:
    queue.set_queue(max_running=3)
    jobs = queue.submit_many([{"task": "t"}] * 5)
    first = queue.take(count=2)
    assert queue.machine.ready_count(["default"]) == 1
    assert [job for job, _ in queue.take(count=2)] == jobs[2:3]
    assert queue.take(count=2) == []
    queue.complete(*first[0])
    assert [job for job, _ in queue.take(count=2)] == jobs[3:4]
    queue.set_queue(max_running=1)
    queue.complete(*first[1])
    assert queue.take() == []
    queue.set_queue(max_running=None)
    assert len(queue.take()) == 1


def test_a_lease_that_ran_out_frees_its_place(queue: QueueDriver) -> None:
    queue.set_queue(max_running=1)
    queue.submit_many([{"task": "t"}] * 2)
    queue.take_one(lease_ms=1_000)
    assert queue.take() == []
    queue.tick(1_000)
    assert len(queue.take()) == 1


def test_one_queue_s_limit_does_not_hold_another_up(queue: QueueDriver) -> None:
    queue.set_queue(max_running=1)
    first, _ = queue.submit_many([{"task": "t"}] * 2)
    other = queue.submit(queue="other")
    assert [job for job, _ in queue.take(count=5, queues=["default", "other"])] == [first, other]


def test_a_rate_lets_so_many_start_and_then_one_after_another(queue: QueueDriver) -> None:
    queue.submit_many([{"task": "t"}] * 10)
    assert queue.set_queue(rate=[3, 3_000])["rate"] == [3, 3_000]
    assert len(queue.take(count=10)) == 3
    assert queue.take(count=10) == []
    assert queue.machine.next_due_ms() == queue.now_ms + 1_000
    queue.pass_time(999)
    assert queue.take() == []
    queue.pass_time(1)
    assert queue.machine.wants_tick(queue.now_ms)
    queue.tick()
    assert queue.machine.ready_count(["default"]) == 1
    assert len(queue.take(count=10)) == 1
    queue.tick(60_000)
    assert len(queue.take(count=10)) == 3  # what was not used is not saved up


def test_a_rate_outlives_a_restart_and_can_be_lifted(queue: QueueDriver) -> None:
    queue.submit_many([{"task": "t"}] * 3)
    queue.set_queue(rate=[1, 60_000])
    queue.take_one()
    queue.restart()
    assert queue.take() == []
    queue.set_queue(rate=[60, 60_000])
    queue.tick(1_000)
    assert len(queue.take(count=3)) == 1
    queue.set_queue(rate=None)
    assert len(queue.take(count=3)) == 1


@given(
    starts=st.integers(1, 50),
    per_ms=st.integers(1, 100_000),
    steps=st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 60)), max_size=30),
)
def test_more_than_the_rate_never_starts(starts: int, per_ms: int, steps: list[tuple[int, int]]) -> None:
    settings = QueueSettings().with_rate(starts, per_ms, 0)
    now_ms = began = 0
    for passed_ms, wanted in steps:
        now_ms += passed_ms
        may = min(wanted, settings.may_start(0, now_ms))
        settings = settings.started(may, now_ms) if may else settings
        began += may
        assert began <= starts + now_ms * starts / per_ms
        comes_ms = settings.token_comes_ms(now_ms)
        if comes_ms is not None:
            assert settings.may_start(0, comes_ms - 1) == 0
            assert settings.may_start(0, comes_ms) >= 1


def test_settings_are_shown(queue: QueueDriver) -> None:
    queue.set_queue(queue="a", paused=True)
    queue.set_queue(queue="b", max_running=2, rate=[5, 1_000])
    assert queue.reader.stats()["settings"] == {
        "a": {"paused": True},
        "b": {"max_running": 2, "rate": [5, 1_000]},
    }


def test_settings_are_bounded(queue: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MAX_SETTINGS", 1)
    queue.set_queue(queue="a", paused=True)
    outcome = queue.command("SetQueue", commands.check_set_queue("b", {"paused": True}))
    assert outcome.refusal is not None
    assert outcome.refusal.code_name == "full"
    assert not queue.set_queue(queue="a", paused=False)["paused"]


@pytest.mark.parametrize(
    "settings",
    [{"colour": 1}, {"paused": 1}, {"max_running": 0}, {"rate": 5}, {"rate": [0, 5]}, {"rate": [1, 0]}, 7],
)
def test_wrong_settings_are_refused(settings: Any) -> None:
    with pytest.raises(BadArgument):
        commands.check_set_queue("q", settings)
