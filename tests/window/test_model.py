"""The model: events in order of time, what a node's silence means, and numbers."""

from collections.abc import Sequence

import pytest

from glassraft.window.measures import duration
from glassraft.window.model import DELAY_S, SETTLE_S, Model
from glassraft.window.source import Batch, Overview, Standing

from .streams import MEMBERS, Script


def fed(script: Script, *standings: Standing, members: Sequence[int] = ()) -> Model:
    """A model that was told of all that; `members` are configured, if not the script's."""
    model = Model(members or script.members)
    end = script.zero + script.at
    model.advance(end - 10)
    for node in script.members:
        events = [event for event in script.events if event["node"] == node]
        model.put([Batch(node, events, end, caught_up=False)])
    model.put(standings)
    model.advance(end + 5, budget_s=10)
    return model


def test_events_count_when_their_time_has_come() -> None:
    script = Script(members=[1, 2, 3])
    script.start(1, 2, 3)
    script.at = 2.0
    script.elect(1, 2, 3)
    model = Model([1, 2, 3])
    model.put([Batch(id, [e for e in script.events if e["node"] == id], 1002.0, False) for id in (1, 2, 3)])
    model.advance(1001.0)
    model.advance(1001.0 + SETTLE_S)
    assert model.leader is None
    model.advance(1002.0 + DELAY_S - 0.01)
    assert model.leader is None
    model.advance(1002.1 + DELAY_S)
    assert model.leader is not None
    assert model.leader.id == 1


@pytest.mark.parametrize(
    ("state", "seen"), [("refusing", "killed"), ("silent", "paused"), ("unreachable", "unreachable")]
)
def test_a_node_that_does_not_answer(state: str, seen: str) -> None:
    script = Script()
    script.start(*MEMBERS)
    model = fed(script, Standing(2, state, script.zero + 1, "why"))  # type: ignore[arg-type]
    assert model.state(2) == seen
    assert model.state(1) == "running"
    heard = model.last_heard_s(2)
    assert heard is not None
    assert heard > 4


def test_a_node_that_was_never_heard_is_not_said_to_be_killed() -> None:
    script = Script()
    script.start(1, 2)
    assert fed(script, Standing(5, "refusing", script.zero)).state(5) == "down"
    assert fed(script).state(5) == "unknown"


def test_a_clean_stop_is_not_a_kill() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.write(3, "stop", reason="stopped by SIGTERM")
    model = fed(script, Standing(3, "refusing", script.zero + 1))
    assert model.state(3) == "stopped"
    assert [mark.kind for mark in model.lanes[3].marks] == ["stopped"]


def test_members_are_those_that_the_newest_leader_tells_of() -> None:
    script = Script(members=[1, 2, 3, 4])
    script.start(1, 2, 3)
    script.elect(1, 2, 3)
    model = fed(script, members=[1, 2, 3, 7])
    assert model.ids == (1, 2, 3, 4), "n7 is in a configuration that is no longer true"
    assert model.state(4) == "unknown"
    script.write(1, "membership", "appended", members=[1, 2, 4], learners=[5], index=9)
    model = fed(script)
    assert model.ids == (1, 2, 3, 4, 5)
    assert model.state(3) == "outside"
    assert not model.runs(3)


def test_another_process_without_a_stop_means_that_the_first_was_killed() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.at = 4
    script.start(2)
    script.events[-3]["pid"] = script.events[-2]["pid"] = 77
    model = fed(script)
    assert [mark.kind for mark in model.lanes[2].marks] == ["killed"]
    assert model.lanes[2].spans[0].end == pytest.approx(script.zero)
    assert model.runs(2)
    assert [mark.kind for mark in model.lanes[1].marks] == []


def test_what_was_written_before_a_pause_does_not_end_it() -> None:
    script = Script()
    script.start(1)
    model = fed(script, Standing(1, "silent", script.zero + 1))
    script.at = 0.2
    model.put([Batch(1, [script.write(1, "timer", kind="election", duration=1.0)], script.zero + 6, False)])
    model.advance(script.zero + 6)
    span = model.lanes[1].open
    assert span is not None
    assert span.paused
    model.put([Standing(1, "running", script.zero + 7)])
    model.advance(script.zero + 8)
    assert [span.paused for span in model.lanes[1].spans] == [False, True, False]


def test_a_clock_that_is_ahead_is_set_right() -> None:
    script = Script(zero=5000.0)
    script.start(1)
    model = Model([1])
    model.put([Batch(1, script.events, 1000.0, caught_up=True)])
    model.advance(999.0)
    model.advance(1000.0 + DELAY_S + 0.1)
    assert model.runs(1)
    assert model.clock_offset(1) == -4000.0


def test_jobs_are_counted_once_though_every_node_applies_them() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.elect(1, 2, 3)
    for node in (1, 2, 3):
        script.apply(node, 2, 3, ("a", "", "ready"), ("b", "", "ready"))
        script.apply(node, 4, 5, ("a", "ready", "running"), ("a", "running", "succeeded"))
    model = fed(script)
    assert model.measures.by_state() == {"ready": 1, "succeeded": 1}
    assert [job.id for job in model.measures.newest()] == ["b", "a"]
    model.put([Overview({"ready": 7, "dead": 1}, [{"id": "a", "task": "primes"}])])
    assert model.measures.by_state() == {"ready": 7, "dead": 1}
    assert {job.id: job.task for job in model.measures.newest()}["a"] == "primes"


def test_commit_time_is_from_the_leaders_append_to_its_commit() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.elect(1, 2, 3)
    for index in range(2, 12):
        script.append(1, 1)
        script.at += 0.002
        script.commit(1, index, index - 1, [1, 2, 3])
        script.commit(2, index, index - 1)
    assert fed(script).measures.commit_p50_ms() == pytest.approx(2.0, abs=0.01)


def test_a_flood_is_folded_though_its_messages_are_not_followed() -> None:
    script = Script(members=[1, 2, 3])
    script.start(1, 2, 3)
    script.elect(1, 2, 3)
    for _ in range(3000):
        script.at += 0.0001
        script.replicate(1, 2, 1)
    model = fed(script)
    assert model.node(2).last_index == 3000
    assert len(model.traffic.glides) <= 120
    assert model.behind_s == 0


def test_lengths_of_time() -> None:
    assert [duration(s) for s in (0.0004, 0.25, 3.21, 42, 300, 90_000)] == [
        "0.4 ms", "0.25 s", "3.2 s", "42 s", "5 min", "25 h",
    ]  # fmt: skip
