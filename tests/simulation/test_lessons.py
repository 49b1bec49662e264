"""Every classic lesson can be written as a scenario, and ends in the states that the paper, or the lesson, says.

A lesson is one transcript or more, by its number or by the section that it shows; the whole
transcripts are compared in tests/raft/test_transcripts.py.
"""

import re
from pathlib import Path

import pytest

from glassraft.simulation.scenario import Block, played

TESTS = Path(__file__).parents[1]
FOLDERS = (TESTS / "simulation" / "lessons", TESTS / "raft" / "transcripts")

STATE = re.compile(r"n\d (leader|follower|candidate|down|paused)\b")
"""How a line of `logs` begins."""

FIGURE_7 = {
    "n1": "1 1 1 4 4 5 5 6 6 6",
    "n2": "1 1 1 4 4 5 5 6 6",
    "n3": "1 1 1 4",
    "n4": "1 1 1 4 4 5 5 6 6 6 6",
    "n5": "1 1 1 4 4 5 5 6 6 6 7 7",
    "n6": "1 1 1 4 4 4 4",
    "n7": "1 1 1 2 2 2 3 3 3 3 3",
}
"""The leader of term 8, and the followers (a) to (f), as printed."""


def blocks_of(name: str) -> list[Block]:
    """A transcript's blocks, as they come out now."""
    [path] = [path for folder in FOLDERS for path in folder.glob(f"{name}.txt")]
    return played(path.read_text(encoding="utf-8"))


def logs_in(block: Block) -> dict[str, str]:
    """The logs that a block shows, as terms, by node."""
    return {line[:2]: line.partition(" log ")[2] for line in block.outcome if STATE.match(line)}


# Figure 7, entry by entry


@pytest.mark.parametrize(
    ("name", "refusals"),
    [
        ("5_3_figure_7", "6 refusals: n2 1, n3 1, n6 2, n7 2"),
        ("5_3_figure_7_one_by_one", "19 refusals: n2 1, n3 6, n6 5, n7 7"),
    ],
)
def test_figure_7(name: str, refusals: str) -> None:
    blocks = blocks_of(name)
    assert logs_in(blocks[0]) == FIGURE_7
    assert refusals in blocks[1].outcome
    assert logs_in(blocks[-1]) == dict.fromkeys(FIGURE_7, "1 1 1 4 4 5 5 6 6 6 8")


def test_figure_7_who_votes_and_who_keeps_its_tail() -> None:
    _, election, heartbeats, _ = blocks_of("5_3_figure_7")
    granted = [line[:2] for line in election.outcome if line.endswith("vote granted")]
    assert granted == ["n2", "n3", "n6", "n7"], "(a), (b), (e) and (f)"
    kept = logs_in(heartbeats)
    assert (kept["n4"], kept["n5"]) == (FIGURE_7["n4"], FIGURE_7["n5"]), "a heartbeat truncates nothing"


# Figure 8, panel by panel


def test_figure_8_a_to_d() -> None:
    _, a, b, _, c, overwritten, d, end = blocks_of("5_4_2_figure_8_d")
    assert list(logs_in(a).values()) == ["1 2", "1 2", "1", "1", "1"]
    assert list(logs_in(b).values()) == ["1 2", "1 2", "1", "1", "1 3"]
    assert list(logs_in(c).values()) == ["1 2 4", "1 2", "1 2", "1", "1 3"]
    assert not any("commits" in line for line in c.outcome), "on a majority, and not committed"
    assert list(logs_in(overwritten).values()) == ["1 2 4", "1 3", "1 3", "1 3", "1 3"], "n1 is down"
    assert list(logs_in(d).values()) == ["1 3"] * 5
    assert list(logs_in(end).values()) == ["1 3 5"] * 5


def test_figure_8_e() -> None:
    _, e, election, end = blocks_of("5_4_2_figure_8_e")
    assert list(logs_in(e).values()) == ["1 2 4", "1 2 4", "1 2 4", "1", "1 3"]
    assert "n1 commits 3" in e.outcome
    assert not any(line == "n5 leads term 5" for line in election.outcome)
    assert list(logs_in(end).values()) == ["1 2 4 6"] * 5


# All lessons

LESSONS: list[tuple[int, str, list[str]]] = [
    (
        1,
        "01_a_leader_is_elected",
        ["n1 leads term 1", "n1 commits 1", "n5 follower  term=1 commit=1   log 1"],
    ),
    (2, "5_2_a_split_vote", ["n1 candidate term=1 commit=0   log", "n2 leads term 2"]),
    (2, "02_timeouts_that_are_all_alike", ["n2 candidate term=3 commit=0   log"]),
    (3, "03_an_entrys_life", ["n1 commits 2", "n1 answers pay", "n3 commits 2"]),
    (4, "04_the_leader_dies", ["n1 down      term=1            log 1 1 1 1 1", "n1 holds a ready"]),
    (5, "5_3_figure_7", ["6 refusals: n2 1, n3 1, n6 2, n7 2"]),
    (5, "5_3_figure_7_one_by_one", ["19 refusals: n2 1, n3 6, n6 5, n7 7"]),
    (6, "5_4_2_figure_8_d", ["n5 leader    term=5 commit=3   log 1 3 5"]),
    (6, "5_4_2_figure_8_e", ["n1 commits 3"]),
    (
        6,
        "06_figure_8_with_the_rule_broken",
        ["n1 commits 2", "BROKEN State Machine Safety: 2 is committed with term 3 and with term 2"],
    ),
    (7, "07_a_leader_in_the_minority", ["n1 leaves a in doubt, the leadership ended", "n1 holds b ready"]),
    (
        8,
        "08_a_stale_read_naive",
        [
            "n1 answers r, has applied 2",
            "BROKEN Reads are not stale: n1 answers from 2, 4 was committed before",
        ],
    ),
    (8, "08_a_stale_read_by_read_index", ["n1 refuses r, not the leader"]),
    (8, "08_a_stale_read_under_a_lease", ["n1 answers while-it-leads, has applied 2"]),
    (
        8,
        "08_a_stale_read_and_a_slow_clock",
        ["BROKEN Reads are not stale: n1 answers from 2, 4 was committed before"],
    ),
    (9, "09_who_would_not_be_quiet_plain", ["n1 steps down from leader in term 7"]),
    (9, "09_who_would_not_be_quiet_ignoring", ["n1 steps down from leader in term 7"]),
    (9, "09_who_would_not_be_quiet_pre_vote", ["n1 leader    term=1 commit=1   log 1"]),
    (9, "09_who_would_not_be_quiet_both", ["n1 leader    term=1 commit=1   log 1"]),
    (10, "5_3_a_log_that_diverged", ["3 refusals: n3 3"]),
    (10, "10_a_log_that_diverged_one_by_one", ["30 refusals: n3 30"]),
    (
        11,
        "11_too_far_behind",
        [
            "n3 goes on from the snapshot of 6@1",
            "n3 holds a ready, b ready, c ready, d ready, e ready, f ready",
        ],
    ),
    (12, "12_one_at_a_time", ["n1 answers add n4", "n1 answers add n5", "n1 uses (n1 n2 n3 n4 n5)"]),
    (12, "12_all_at_once", ["BROKEN Election Safety: n1 and n5 are elected in term 2"]),
    (
        13,
        "4_1_the_bug_of_2015",
        ["BROKEN Leader Completeness: n1 leads term 3 without 3, which is committed"],
    ),
    (
        13,
        "4_1_the_correction_of_2015",
        ["n2 refuses remove n1, no entry of its term is committed yet"],
    ),
    (14, "14_handing_over", ["n2 refuses b, not the leader", "n3 answers b"]),
    (15, "5_four_are_no_better_than_three", ["n1 leaves b in doubt, the leadership ended"]),
    (16, "16_the_paused_leader", ["n1 refuses a, not the leader", "n1 refuses r, not the leader"]),
    (17, "17_the_answer_that_got_lost", ["n2 holds pay ready, pay ready", "n2 holds pay ready"]),
    (18, "18_two_workers_one_job", ["n1 refuses w1's Complete, stale token", "n1 holds paint succeeded"]),
    (19, "19_the_poisoned_job", ["n1 holds poison dead, sweep succeeded"]),
    (
        20,
        "20_two_votes_in_one_term",
        [
            "BROKEN Election Safety: n1 and n3 are elected in term 1",
            "n2 -> n3 vote refused, voted for another",
        ],
    ),
    (21, "5_4_a_deposed_leader_commits_late", ["n1 commits 2"]),
    (22, "22_beat_it", ["n2 leads term 1", "BROKEN Election Safety: n1 and n2 are elected in term 1"]),
    (23, "23_everything_at_once", ["BROKEN Terms: n3 says term 1 after 2"]),
]
"""Its number, a transcript, and what must come of it."""


@pytest.mark.parametrize(
    ("number", "name", "ends"), LESSONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_lesson_ends_as_it_promises(number: int, name: str, ends: list[str]) -> None:
    outcome = [line for block in blocks_of(name) for line in block.outcome]
    assert [line for line in ends if line not in outcome] == []


def test_every_lesson_is_written() -> None:
    assert {number for number, _, _ in LESSONS} == set(range(1, 24))
    written = {path.stem for path in FOLDERS[0].glob("*.txt")}
    assert written <= {name for _, name, _ in LESSONS}


def test_only_where_a_rule_is_broken_or_a_clock_does_a_property_break() -> None:
    for path in sorted(path for folder in FOLDERS for path in folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert ("BROKEN" in text) <= ("broken=" in text or "rate " in text), path.stem
