"""What a leader proposes of schedules: the times it works out, and what it catches up with."""

import json
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from glassraft.errors import BadArgument
from glassraft.jobqueue import schedule_options
from glassraft.jobqueue.schedules import Schedule
from glassraft.raft.messages import AppendEntriesReply
from glassraft.replica import schedules
from glassraft.replica.arrivals import TimePassed
from glassraft.replica.schedules import Firings, firing, last_times, time_zone, with_first_due
from tests.jobqueue.queue_driver import QueueDriver, new_queue
from tests.replica.parts import Bench
from tests.replica.test_takes import proposed

MINUTE_MS = 60_000
DUE_MS = 1_790_000_040_000
"""A whole minute."""


@pytest.fixture
def queue() -> Iterator[QueueDriver]:
    with new_queue() as made:
        yield made


def schedule(**options: Any) -> Schedule:
    given = {"every_ms": MINUTE_MS, "cron": None, "zone": None, "catch_up": "one", **options}
    return Schedule("s", 3, overlap="skip", job="{}", due_ms=DUE_MS, last_job=None, history_n=0, **given)


def fired(now_ms: int, **options: Any) -> tuple[int | None, int | None]:
    """For which due time it fires, and when it is due next; from DUE_MS, in ms."""
    text = firing(schedule(**options), now_ms)
    assert text is not None
    command = json.loads(text)
    assert (command["name"], command["version"], command["due_ms"]) == ("s", 3, DUE_MS)
    return tuple(None if command[key] is None else command[key] - DUE_MS for key in ("for_ms", "next_ms"))  # type: ignore[return-value]


BY_LINE = {"every_ms": None, "cron": "* * * * *", "zone": "UTC"}


@pytest.mark.parametrize("times", [{}, BY_LINE])
def test_in_time_it_fires_for_its_due_time(times: dict[str, Any]) -> None:
    for catch_up in ("one", "none", "all"):
        assert fired(DUE_MS + 20, catch_up=catch_up, **times) == (0, MINUTE_MS)


@pytest.mark.parametrize("times", [{}, BY_LINE])
def test_after_an_outage_it_catches_up_as_it_says(times: dict[str, Any]) -> None:
    late_ms = DUE_MS + 10 * MINUTE_MS + 30_000
    assert fired(late_ms, **times) == (10 * MINUTE_MS, 11 * MINUTE_MS)
    assert fired(late_ms, catch_up="none", **times) == (None, 11 * MINUTE_MS)
    assert fired(late_ms - 25_000, catch_up="none", **times) == (10 * MINUTE_MS, 11 * MINUTE_MS)
    assert fired(late_ms, catch_up="all", **times) == (0, MINUTE_MS)


@pytest.mark.parametrize("times", [{}, BY_LINE])
def test_all_is_a_hundred_at_most(times: dict[str, Any]) -> None:
    assert fired(DUE_MS + 99 * MINUTE_MS, catch_up="all", **times) == (0, MINUTE_MS)
    assert fired(DUE_MS + 200 * MINUTE_MS, catch_up="all", **times) == (101 * MINUTE_MS, 102 * MINUTE_MS)


@given(every_ms=st.integers(1_000, 10**7), late_ms=st.integers(0, 10**8), most=st.sampled_from([1, 5, 100]))
def test_the_last_times_are_those_of_going_through_all(every_ms: int, late_ms: int, most: int) -> None:
    late_ms = min(late_ms, 2_000 * every_ms)
    found = last_times(lambda ms: (ms // every_ms + 1) * every_ms, 0, late_ms, most)
    assert found == list(range(0, late_ms + 1, every_ms))[-most:]


def test_a_due_time_that_is_none_of_its_times_any_more_still_counts() -> None:
    """The rules of a time zone can change under a schedule."""
    assert fired(DUE_MS + 20, every_ms=None, cron="30 12 1 1 *", zone="UTC")[0] == 0


def test_the_first_time_is_worked_out_as_it_is_proposed() -> None:
    job = {"task": "t"}
    every = schedule_options.check_set_schedule("s", {"every_ms": 5_000, "job": job})
    assert json.loads(with_first_due(every, DUE_MS + 3))["due_ms"] == DUE_MS + 5_003
    line = schedule_options.check_set_schedule("s", {"cron": "* * * * *", "zone": "Asia/Tokyo", "job": job})
    assert json.loads(with_first_due(line, DUE_MS + 3))["due_ms"] == DUE_MS + MINUTE_MS


@pytest.mark.parametrize("name", ["Atlantis/Capital", "../../etc/passwd", "Europe", "/etc/passwd"])
def test_a_time_zone_must_be_known(name: str) -> None:
    with pytest.raises(BadArgument, match="knows no time zone"):
        time_zone(name)


def test_nothing_more_is_proposed_before_it_is_applied(queue: QueueDriver) -> None:
    queue.set_schedule("a", queue.now_ms)
    queue.set_schedule("b", queue.now_ms)
    firings = Firings()
    assert firings.due(queue.machine, 0.0, queue.now_ms - 1) == []
    proposed = firings.due(queue.machine, 0.0, queue.now_ms)
    assert [json.loads(each)["name"] for each in proposed] == ["a", "b"]
    firings.proposed(queue.machine.applied_index + 2)
    assert firings.next_at_ms(queue.machine) is None
    assert firings.due(queue.machine, 0.0, queue.now_ms) == []
    for each in proposed:
        queue.told("FireSchedule", each)
    assert firings.next_at_ms(queue.machine) == queue.now_ms + MINUTE_MS
    firings.proposed(queue.machine.applied_index + 1)
    firings.forget()
    assert firings.next_at_ms(queue.machine) == queue.now_ms + MINUTE_MS


def test_those_that_cannot_be_fired_do_not_keep_the_others_waiting(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "FIRED_AT_ONCE", 2)
    for name in "abc":
        queue.set_schedule(name, queue.now_ms - 5, cron="* * * * *", zone="Europe/Berlin")
    for name in "def":
        queue.set_schedule(name, queue.now_ms)
    monkeypatch.setattr(schedules, "firing", lambda each, now_ms: each.name if each.every_ms else None)
    assert Firings().due(queue.machine, 0.0, queue.now_ms) == ["d", "e"]


# In the turn


def set_schedule(bench: Bench, **options: Any) -> None:
    arrival, _ = bench.command()
    wanted = {"every_ms": 2_000, "overlap": "allow", "job": {"task": "t"}, **options}
    arguments = schedule_options.check_set_schedule("s", wanted)
    bench.turn(arrival._replace(op="SetSchedule", arguments=arguments))


def test_a_leader_alone_fires_when_it_is_due() -> None:
    lone = Bench(size=1)
    lone.become_leader()
    set_schedule(lone)
    lone.server.heartbeat_due = lone.clock.now + 1_000
    for fired in range(1, 4):
        lone.pass_time(0.1)
        lone.turn(TimePassed())  # the queue's file is committed
        assert lone.replica.next_deadline == pytest.approx(lone.clock.now + 1.9, abs=0.01)
        lone.clock.now = lone.replica.next_deadline
        lone.turn(TimePassed())
        assert proposed(lone) == ["SetSchedule", *["FireSchedule"] * fired]
    assert lone.queue.machine.counts()["ready"] == 3


def test_one_firing_at_a_time_is_under_way_and_a_follower_proposes_none() -> None:
    led = Bench()
    led.become_leader()
    set_schedule(led, catch_up="all")
    led.acknowledge()
    led.pass_time(7.0)
    for _ in range(3):
        led.turn(TimePassed())
    assert proposed(led).count("FireSchedule") == 1
    led.acknowledge()
    assert led.queue.machine.counts()["ready"] == 3
    term = led.server.current_term
    led.turn(led.arrives(AppendEntriesReply(2, 1, term + 1, False, 0, why="term_is_stale")))
    led.pass_time(2.0)
    led.turn(TimePassed())
    assert proposed(led).count("FireSchedule") == 3
    led.become_leader()
    led.turn(TimePassed())
    led.acknowledge()
    assert led.queue.machine.counts()["ready"] == 4


def test_a_leader_without_the_time_zone_fires_what_it_can(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.set_schedule("lost", queue.now_ms, cron="* * * * *", zone="Europe/Berlin")
    queue.set_schedule("known", queue.now_ms)

    def unknown(name: str) -> Any:
        raise BadArgument(name)

    monkeypatch.setattr(schedules, "time_zone", unknown)
    firings = Firings()
    [proposed] = firings.due(queue.machine, 5.0, queue.now_ms)
    queue.told("FireSchedule", proposed)
    assert firings.due(queue.machine, 5.0, queue.now_ms) == []
    assert firings.wait_s(5.0, 0.001) == schedules.LOOK_AGAIN_S
    monkeypatch.undo()
    assert firings.due(queue.machine, 6.0, queue.now_ms) == []
    assert len(firings.due(queue.machine, 5.0 + schedules.LOOK_AGAIN_S, queue.now_ms)) == 1
