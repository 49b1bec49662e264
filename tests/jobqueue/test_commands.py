"""Input is checked before it is proposed; what passes is a command that any node can apply."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands, fields, ids, job_options
from glassraft.jobqueue.canonical import canonical

JOB = ids.to_text(ids.number(5, 0))
SESSION = "ab" * 16


def test_the_head_of_a_command_is_read_without_parsing_it() -> None:
    arguments = commands.check_submit([{"task": "primes"}])
    text = commands.envelope("Submit", arguments, 1_700_000_000_123, SESSION, 7, 3)
    assert commands.op_of(text) == "Submit"
    assert commands.stamp_of(text) == 1_700_000_000_123
    parsed = json.loads(text)
    assert list(parsed) == ["op", "t", "v", "s", "n", "low", "a"]
    assert (parsed["s"], parsed["n"], parsed["low"]) == (SESSION, 7, 3)


def test_the_entry_that_begins_a_term_has_a_stamp_too() -> None:
    assert commands.op_of(commands.opening(17)) == "Noop"
    assert commands.stamp_of(commands.opening(17)) == 17
    assert commands.op_of("") == ""
    assert commands.stamp_of("") == 0


def test_a_job_is_put_into_the_command_with_its_defaults_left_out() -> None:
    job = {"task": "t", "args": [2, {"b": 1, "a": None}], "kwargs": {}, "queue": None}
    arguments = commands.check_submit([job])
    assert json.loads(arguments) == {"jobs": [{"args": '[2,{"a":null,"b":1}]', "task": "t"}]}


@pytest.mark.parametrize(
    ("job", "complaint"),
    [
        ("text", "a job must be an object"),
        ({}, "needs a task"),
        ({"task": ""}, "task must be 1 to 200 characters"),
        ({"task": "x" * 201}, "task must be 1 to 200 characters"),
        ({"task": "a\nb"}, "without control characters"),
        ({"task": "\ud800"}, "without control characters"),
        ({"task": 5}, "task must be text"),
        ({"task": "t", "que": "x"}, "no option 'que'; those known are task, args"),
        ({"task": "t", "args": "abc"}, "args must be a list"),
        ({"task": "t", "args": [float("nan")]}, "args: not a JSON value"),
        ({"task": "t", "kwargs": [1]}, "kwargs must be an object"),
        ({"task": "t", "priority": 1_001}, "priority must be a whole number from -1000 to 1000, not 1001"),
        ({"task": "t", "priority": True}, "priority must be a whole number"),
        ({"task": "t", "priority": 1.5}, "priority must be a whole number"),
        ({"task": "t", "delay_ms": -1}, "delay_ms must be a whole number"),
        ({"task": "t", "delay_ms": 1, "at_ms": 1}, "delay_ms or at_ms, not both"),
        ({"task": "t", "at_ms": 10**18}, "at_ms must be a whole number"),
        ({"task": "t", "timeout_ms": 10}, "timeout_ms must be a whole number from 1000"),
        ({"task": "t", "max_attempts": 0}, "max_attempts must be a whole number from 1"),
        ({"task": "t", "lease_ms": 999}, "lease_ms must be a whole number from 1000 to 3600000"),
        ({"task": "t", "backoff": 5}, "backoff must be an object"),
        ({"task": "t", "backoff": {"base": 5}}, "backoff has no part 'base'; those known are base_ms"),
        ({"task": "t", "backoff": {"factor": 999}}, "backoff.factor"),
    ],
)
def test_a_wrong_job_is_refused_by_the_field_that_is_wrong(job: Any, complaint: str) -> None:
    with pytest.raises(BadArgument, match=complaint):
        commands.check_submit([job])


def test_a_refusal_names_all_items_that_are_wrong() -> None:
    items = [{"task": "t"}, {"task": ""}, {"task": "t"}, {"task": "t", "priority": 5_000}]
    with pytest.raises(BadArgument, match=r"item 1: task .*; item 3: priority"):
        commands.check_submit(items)


def test_sizes_are_bounded() -> None:
    with pytest.raises(fields.TooLarge, match=r"args is .* bytes of JSON; the limit is 262,144"):
        commands.check_submit([{"task": "t", "args": ["x" * 300_000]}])
    with pytest.raises(fields.TooLarge, match=r"the command is .* send fewer items"):
        commands.check_submit([{"task": "t", "args": ["x" * 200_000]}] * 50)
    with pytest.raises(BadArgument, match="1 to 1000 items, not 1001"):
        commands.check_submit([{"task": "t"}] * 1_001)
    with pytest.raises(BadArgument, match="1 to 1000 items, not 0"):
        commands.check_submit([])
    nested: object = 0
    for _ in range(65):
        nested = [nested]
    with pytest.raises(BadArgument, match="args: nested deeper than 64 levels"):
        commands.check_submit([{"task": "t", "args": nested}])
    with pytest.raises(fields.TooLarge, match="result is"):
        commands.check_complete([[JOB, 1, "x" * 300_000]])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: commands.check_take("", ["default"], 1, 30_000),
        lambda: commands.check_take("w", [], 1, 30_000),
        lambda: commands.check_take("w", "default", 1, 30_000),
        lambda: commands.check_take("w", ["a", 5], 1, 30_000),
        lambda: commands.check_take("w", ["a"], 0, 30_000),
        lambda: commands.check_take("w", ["a"], 1, 3_600_001),
        lambda: commands.check_extend("w", [["a100"]], 30_000),
        lambda: commands.check_extend("w", [["a100", 5, 1.5]], 30_000),
        lambda: commands.check_extend("w", [["a100", 5, float("nan")]], 30_000),
        lambda: commands.check_extend("w", [["a100", 5, None, 7]], 30_000),
        lambda: commands.check_complete([["a100", 0, 1]]),
        lambda: commands.check_complete([["nothing", 1, 1]]),
        lambda: commands.check_complete([["a100", True, 1]]),
        lambda: commands.check_complete("a100"),
        lambda: commands.check_complete([["a100", 1, 1, [{"task": "t"}] * 600]] * 2),
        lambda: commands.check_retry(["a100"], None, 1),  # type: ignore[arg-type]
        lambda: commands.check_fail([["a100", 1, "e", "t", 1]]),
        lambda: commands.check_fail([["a100", 1, None, "t", True]]),
        lambda: commands.check_release([["a100", 1, -1]]),
        lambda: commands.check_release([["a100", 1, 0, 5]]),
    ],
)
def test_wrong_arguments_are_refused(wrong: Callable[[], str]) -> None:
    with pytest.raises(BadArgument):
        wrong()


def test_queues_named_twice_count_once() -> None:
    assert json.loads(commands.check_take("w", ["b", "a", "b"], 1, 1_000))["queues"] == ["b", "a"]


@pytest.mark.parametrize(
    ("session", "number", "low"),
    [
        ("short", 1, 1),
        ("AB" * 16, 1, 1),
        (SESSION + "-59", 1, 1),
        (SESSION + "-86401", 1, 1),
        (SESSION, 0, 1),
        (SESSION, 1, 0),
        (SESSION, 1, 2),
        (SESSION, 65, 1),
        (5, 1, 1),
    ],
)
def test_a_wrong_session_is_refused(session: Any, number: int, low: int) -> None:
    with pytest.raises(BadArgument):
        commands.check_session(session, number, low)


def test_a_right_session_passes() -> None:
    commands.check_session("", 0, 0)
    commands.check_session(SESSION, 64, 1)
    commands.check_session(SESSION + "-600", 10**9, 10**9)


def test_long_texts_are_cut() -> None:
    failure = commands.check_fail([[JOB, 1, "ä" * 5_000, "x" * 50_000 + "end", True]])
    [[_, _, error, traceback, _]] = json.loads(failure)["items"]
    assert error == "ä" * 1_024
    assert len(traceback) == 16 * 1_024
    assert traceback.endswith("end")
    progress = commands.check_extend("w", [[JOB, 1, 0.5, "n" * 300]], 1_000)
    [[_, _, fraction, note]] = json.loads(progress)["items"]
    assert (fraction, note) == (500, "n" * 200)


@given(st.text(st.characters(), max_size=50), st.integers(1, 40))
def test_a_cut_text_is_part_of_the_text_and_fits(text: str, limit: int) -> None:
    clean = fields.storable(text)
    assert clean.startswith(fields.cut_end(text, limit))
    assert clean.endswith(fields.cut_start(text, limit))
    for cut in (fields.cut_end(text, limit), fields.cut_start(text, limit)):
        assert len(cut.encode()) <= limit


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3) | st.integers(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(job_options.JOB_OPTIONS)), anything))
def test_whatever_is_submitted_is_refused_with_a_reason_or_canonical(job: dict[str, Any]) -> None:
    try:
        arguments = commands.check_submit([job])
    except BadArgument:
        return
    assert canonical(json.loads(arguments)) == arguments
