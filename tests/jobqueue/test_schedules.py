"""Schedules in the machine: each due time once, what overlaps, what is kept of it."""

from typing import Any

import pytest

from glassraft.errors import BadArgument
from glassraft.jobqueue import schedule_options, schedules, submitting
from tests.jobqueue.queue_driver import QueueDriver


def history(queue: QueueDriver, name: str = "s") -> list[tuple[str, str]]:
    """The events of a schedule, with their reasons."""
    shown = queue.reader.schedule(name)
    assert shown is not None
    return [(row["event"], row.get("reason", "")) for row in shown["history"]]


def shown(queue: QueueDriver, name: str = "s") -> dict[str, Any]:
    found = queue.reader.schedule(name)
    assert found is not None
    return found


def run(queue: QueueDriver, name: str = "s") -> dict[str, Any]:
    return queue.told("RunSchedule", schedule_options.check_named(name))


def test_a_due_time_submits_its_job(queue: QueueDriver) -> None:
    job = {"task": "report", "queue": "slow", "args": [1], "priority": 3, "delay_ms": 5}
    answer = queue.set_schedule(job=job)
    due_ms = queue.now_ms + 60_000
    assert answer == {"version": queue.machine.applied_index, "due_ms": due_ms}
    assert queue.machine.next_firing_ms() == due_ms
    assert queue.machine.due_schedules(due_ms - 1, 9) == []
    queue.pass_time(60_000)
    [due] = queue.machine.due_schedules(queue.now_ms, 9)
    assert due.name == "s"
    fired = queue.fire()
    submitted = queue.get(fired["job"])
    assert (submitted["task"], submitted["queue"], submitted["args"], submitted["priority"]) == (
        *("report", "slow", [1]),
        3,
    )
    assert submitted["state"] == "scheduled"
    assert queue.machine.next_firing_ms() == due_ms + 60_000
    assert shown(queue)["last_job"] == fired["job"]
    assert history(queue) == [("fired", "")]


def test_each_due_time_fires_once(queue: QueueDriver) -> None:
    """Two leaders may each propose it, and an edit may come in between."""
    queue.set_schedule(overlap="allow")
    due_ms, version = shown(queue)["due_ms"], shown(queue)["version"]
    queue.pass_time(60_000)
    assert queue.fire()["event"] == "fired"
    assert queue.fire(due_ms=due_ms) == {"event": ""}
    assert len(queue.reader.list()["jobs"]) == 1
    queue.set_schedule(overlap="allow")
    assert shown(queue)["version"] > version
    assert queue.fire(version=version) == {"event": ""}
    queue.told("DropSchedule", schedule_options.check_named("s"))
    queue.set_schedule(overlap="allow", due_ms=due_ms)
    assert queue.fire(version=version) == {"event": ""}
    assert len(queue.reader.list()["jobs"]) == 1


def test_an_edit_that_keeps_the_times_keeps_when_it_is_due(queue: QueueDriver) -> None:
    queue.set_schedule()
    due_ms = shown(queue)["due_ms"]
    queue.pass_time(40_000)
    queue.fire()
    queue.set_schedule(job={"task": "other"})
    assert (shown(queue)["due_ms"], shown(queue)["job"]) == (due_ms + 60_000, {"task": "other"})
    assert len(history(queue)) == 1
    queue.set_schedule(every_ms=7_000, due_ms=queue.now_ms + 7_000)
    assert shown(queue)["due_ms"] == queue.now_ms + 7_000


def test_skip_waits_for_the_last_one(queue: QueueDriver) -> None:
    queue.set_schedule()
    first = queue.fire()["job"]
    skipped = queue.fire()
    assert skipped == {"event": "skipped", "job": "", "reason": f"job {first}, the last one, is ready"}
    assert shown(queue)["last_job"] == first
    queue.cancel(first)
    assert queue.fire()["event"] == "fired"
    assert [event for event, _ in history(queue)] == ["fired", "skipped", "fired"]


def test_allow_lets_them_run_together(queue: QueueDriver) -> None:
    queue.set_schedule(overlap="allow")
    assert queue.fire()["job"] != queue.fire()["job"]
    assert len(queue.take(count=5)) == 2


def test_cancel_ends_the_last_one_first(queue: QueueDriver) -> None:
    queue.set_schedule(overlap="cancel")
    first = queue.fire()["job"]
    second = queue.fire()["job"]
    assert queue.get(first)["error"] == "schedule 's' fired again"
    assert (queue.state(first), queue.state(second)) == ("cancelled", "ready")
    queue.take_one()
    assert queue.fire()["event"] == "fired"
    assert queue.events(second)[-1] == "cancel_requested"
    queue.tick(30_000)
    assert queue.state(second) == "cancelled"


def test_run_leaves_alone_when_it_is_due(queue: QueueDriver) -> None:
    queue.set_schedule()
    due_ms = shown(queue)["due_ms"]
    assert run(queue)["event"] == "fired"
    assert run(queue)["event"] == "skipped"
    assert shown(queue)["due_ms"] == due_ms
    assert all("due_ms" not in row for row in shown(queue)["history"])
    assert queue.fire()["event"] == "skipped"


def test_a_full_queue_refuses_and_that_is_recorded(
    queue: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "MAX_UNFINISHED", 1)
    queue.set_schedule(overlap="allow")
    queue.fire()
    refused = queue.fire()
    assert (refused["event"], refused["job"]) == ("refused", "")
    assert history(queue)[-1] == ("refused", "queue 'default' holds 1 unfinished jobs of at most 1")
    assert queue.machine.next_firing_ms() == shown(queue)["due_ms"]


def test_a_key_that_is_held_is_a_reason_to_skip(queue: QueueDriver) -> None:
    holder = queue.submit(key="k")
    queue.set_schedule("a", job={"task": "t", "key": "k"})
    assert queue.fire("a")["reason"] == f"job {holder} holds its key"
    queue.set_schedule("b", job={"task": "t", "key": "k", "on_conflict": "refuse"})
    assert queue.fire("b")["event"] == "refused"
    queue.set_schedule("c", job={"task": "t", "key": "k", "on_conflict": "replace"})
    assert queue.fire("c") == {"event": "fired", "job": holder, "reason": ""}


def test_times_that_were_missed_are_told(queue: QueueDriver) -> None:
    queue.set_schedule()
    due_ms = shown(queue)["due_ms"]
    queue.pass_time(600_000)
    queue.fire(for_ms=due_ms + 540_000, next_ms=due_ms + 600_000)
    queue.fire(for_ms=None)
    assert history(queue) == [
        ("fired", "it stands for what was due before, too"),
        ("skipped", "it was due too long ago, and catch_up is none"),
    ]
    assert shown(queue)["history"][0]["due_ms"] == due_ms + 540_000


def test_the_last_fifty_firings_are_kept(queue: QueueDriver) -> None:
    queue.set_schedule()
    for _ in range(53):
        queue.fire()
    assert [row["n"] for row in shown(queue)["history"]] == list(range(4, 54))


def test_what_is_dropped_is_gone_and_its_jobs_stay(queue: QueueDriver) -> None:
    queue.set_schedule()
    job = queue.fire()["job"]
    assert queue.told("DropSchedule", schedule_options.check_named("s")) == {}
    assert (queue.reader.schedule("s"), queue.state(job)) == (None, "ready")
    assert queue.machine.next_firing_ms() is None
    assert queue.connection.execute("SELECT count(*) FROM firings").fetchone() == (0,)
    for op in ("DropSchedule", "RunSchedule"):
        refusal = queue.command(op, schedule_options.check_named("s")).refusal
        assert refusal is not None
        assert refusal.code_name == "not_found"


def test_a_schedule_whose_times_are_over_stays(queue: QueueDriver) -> None:
    queue.set_schedule(cron="0 0 * * *", due_ms=queue.now_ms)
    due_ms = shown(queue)["due_ms"]
    queue.told("FireSchedule", schedule_options.fire("s", shown(queue)["version"], due_ms, None, due_ms))
    assert "due_ms" not in shown(queue)
    assert (queue.machine.next_firing_ms(), queue.machine.due_schedules(2**60, 9)) == (None, [])
    queue.cancel(shown(queue)["last_job"])
    assert run(queue)["event"] == "fired"


def test_schedules_outlive_a_restart_and_fire_in_order(queue: QueueDriver) -> None:
    for name, after_ms in (("c", 30), ("a", 20), ("b", 20)):
        queue.set_schedule(name, queue.now_ms + after_ms)
    queue.restart()
    assert queue.machine.next_firing_ms() == queue.now_ms + 20
    assert [each.name for each in queue.machine.due_schedules(queue.now_ms + 30, 9)] == ["a", "b", "c"]
    assert [each.name for each in queue.machine.due_schedules(queue.now_ms + 30, 2)] == ["a", "b"]
    listed = queue.reader.schedules()
    assert ([each["name"] for each in listed["schedules"]], listed["next"]) == (["a", "b", "c"], "")
    assert listed["schedules"][0]["task"] == "t"
    assert [each["name"] for each in queue.reader.schedules("b")["schedules"]] == ["c"]


def test_schedules_are_bounded(queue: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "MAX_SCHEDULES", 1)
    queue.set_schedule("a")
    refusal = queue.command(
        "SetSchedule", schedule_options.check_set_schedule("b", {"every_ms": 1_000, "job": {"task": "t"}})
    ).refusal
    assert refusal is not None
    assert refusal.code_name == "full"
    queue.set_schedule("a", every_ms=9_000)


def test_what_became_of_schedules_is_told(queue: QueueDriver) -> None:
    queue.set_schedule()
    outcome = queue.command("RunSchedule", schedule_options.check_named("s"))
    assert outcome.answer is not None
    assert outcome.schedule_events == [("s", None, "fired", outcome.answer["job"], "")]
    assert queue.tick().schedule_events == []


GOOD: dict[str, Any] = {"every_ms": 1_000, "job": {"task": "t"}}


@pytest.mark.parametrize(
    ("schedule", "wrong"),
    [
        ([], "must be an object"),
        ({**GOOD, "colour": 1}, "no option 'colour'"),
        ({"job": {"task": "t"}}, "needs every_ms or cron"),
        ({**GOOD, "cron": "* * * * *"}, "one of the two"),
        ({"every_ms": 1_000}, "needs a job"),
        ({**GOOD, "every_ms": 999}, "every_ms must be a whole number from 1000"),
        ({**GOOD, "zone": "UTC"}, "a time zone goes with cron"),
        ({"cron": "* * * *", "job": {"task": "t"}}, "five fields"),
        ({"cron": ["*"] * 5, "job": {"task": "t"}}, "five fields"),
        ({"cron": ",".join(["1"] * 200) + " * * * *", "job": {"task": "t"}}, "up to 200 characters"),
        ({**GOOD, "overlap": "maybe"}, "overlap must be one of skip, allow, cancel"),
        ({**GOOD, "catch_up": 7}, "catch_up must be one of one, none, all"),
        ({**GOOD, "job": {"task": "t", "at_ms": 5}}, "takes delay_ms, not at_ms"),
        ({**GOOD, "job": {"task": "t", "deadline_ms": 5}}, "takes start_within_ms, not deadline_ms"),
        ({**GOOD, "job": {"task": "t", "after": [0]}}, "no earlier one"),
        ({**GOOD, "job": {}}, "a job needs a task"),
    ],
)
def test_wrong_schedules_are_refused(schedule: Any, wrong: str) -> None:
    with pytest.raises(BadArgument, match=wrong):
        schedule_options.check_set_schedule("s", schedule)


@pytest.mark.parametrize("name", ["", 7, "a\n", "x" * 201])
def test_wrong_names_are_refused(name: Any) -> None:
    with pytest.raises(BadArgument):
        schedule_options.check_set_schedule(name, GOOD)
    with pytest.raises(BadArgument):
        schedule_options.check_named(name)
