"""Scenarios by hand: each word does what it says, a wrong one is told what is allowed, and nothing is set by hand."""

from pathlib import Path

import pytest

from glassraft.events.fold import Fold
from glassraft.events.merge import read_all
from glassraft.simulation import __main__ as command
from glassraft.simulation.scenario import Scenario, ScenarioError, glossary, parse, play, played
from glassraft.simulation.scenario.cluster import FIELDS, OTHERS
from glassraft.simulation.schedule import EFFECTS

RAFT = Path(__file__).parents[1] / "raft" / "transcripts"
DOCS = Path(__file__).parents[2] / "docs" / "correctness.md"


def told(*lines: str) -> list[str]:
    """What comes of the last of these lines."""
    scenario = Scenario()
    for line in lines:
        scenario.lines.clear()
        scenario.run(line)
    scenario.close()
    return scenario.lines


# Files


def test_a_transcript_is_blocks_of_lines_and_what_came_of_them() -> None:
    text = "# one\ncluster 1\n\ntimeout n1\n---\nn1 stands in term 1\n\nlogs\n---\nn1 leader\n"
    blocks = parse(text)
    assert [block.lines for block in blocks] == [["# one", "cluster 1", "", "timeout n1"], ["logs"]]
    assert "".join(block.written() + "\n" for block in blocks)[:-1] == text
    assert parse("") == []


def test_playing_a_transcript_twice_changes_nothing() -> None:
    once = play("cluster 3 leader=n1\npropose n1 a\n")
    assert play(once) == once
    assert "n1 answers a" in once


def test_a_wrong_line_is_told_by_its_number() -> None:
    with pytest.raises(ScenarioError, match="line 5: 'boost n1': 'boost' is no word of a scenario"):
        played("cluster 3\n---\n\ntimeout n1\nboost n1\n")


def test_a_scenario_writes_the_event_files_of_real_nodes(tmp_path: Path) -> None:
    """Folded as the window folds them, they tell the same of each node as the transcript's last lines."""
    text = (RAFT / "5_3_figure_7.txt").read_text(encoding="utf-8")
    last = played(text, Scenario(record=tmp_path))[-1].outcome
    fold = Fold()
    for event in read_all(tmp_path):
        fold.apply(event)
    for id, node in fold.nodes.items():
        terms = " ".join(str(term) for first, last, term in node.log for _ in range(first, last + 1))
        assert f"n{id} {node.role:9} term={node.term} commit={node.commit_index}  log {terms}" in last


def test_a_scenario_that_is_recorded_has_one_cluster(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError, match="line 2: 'cluster 3': a scenario that is recorded has one cluster"
    ):
        played("cluster 1\ncluster 3\n", Scenario(record=tmp_path))


def test_the_command_plays_a_file_and_says_what_is_wrong_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "one.txt"
    file.write_text("cluster 1\ntimeout n1\n", encoding="utf-8")
    assert command.main(["--play", str(file), "--record", str(tmp_path)]) == 0
    assert "n1 leads term 1" in capsys.readouterr().out
    assert command.main(["--play", str(file), "--record", str(tmp_path)]) == 2
    assert "give an empty folder" in capsys.readouterr().err
    file.write_text("clutser 1\n", encoding="utf-8")
    assert command.main(["--play", str(file)]) == 2
    assert "line 1: 'clutser 1'" in capsys.readouterr().err
    assert command.main(["--play", str(tmp_path / "none.txt")]) == 2


def test_the_options_of_a_cluster_are_in_the_documentation() -> None:
    documented = DOCS.read_text(encoding="utf-8")
    assert [option for option in (*OTHERS, *FIELDS) if f"`{option}=" not in documented] == []


# Wrong lines


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("clutser 3", "'clutser' is no word of a scenario; known are cluster, "),
        ("timeout 1", "'1' is no node; nodes are n1, n2, .*written: timeout n1 n2"),
        ("timeout n4", "there is no n4: the cluster has n1 to n3"),
        ("timeout n1", "n1 leads: it has no election timer"),
        ("timeout", "something is missing"),
        ("heartbeat n2", "n2 does not lead"),
        ("hold n1 n2", "'n1 n2' chooses no messages; write n1 -> n3"),
        ("hold n1 -> n2 Append", "'Append' is no kind of message; known are AppendEntries,"),
        ("cut * -> n2", "a cut is between nodes with names"),
        ("heal n1", "'n1' is too much"),
        ("wait long", "the time to wait must be a number above 0, not 'long'"),
        ("restart n1", "n1 is up already"),
        ("resume n1", "n1 is not paused"),
        ("crash n1 before lunch", "'lunch' is no effect; known are save, sync, saved"),
        ("crash n1 n2 before send", "one process can end before an effect"),
        ("crash n1 before send soon", "which of them must be a whole number above 0, not 'soon'"),
        ("cluster 3 sieze=2", "'sieze' is no option of a cluster; known are leader"),
        ("cluster 3 leader", "'leader' is no option; options are written key=value"),
        ("cluster 3 pre_vote=yes", "pre_vote is on or off, not 'yes'"),
        ("cluster 3 broken=everything", "'everything' is no broken rule; known are"),
        ("cluster 3 leases=on", "lease_reads needs check_quorum"),
        ("cluster none", "a cluster's size must be a whole number above 0"),
        ("submit c1 n1 a speed=2", "'speed' is no option of a job; known is attempts"),
        ("again c2 n1", "c2 has submitted nothing yet"),
        ("complete w1 n1", "w1 was given no job"),
        ("take w1 n1 for=2", "'for' is no option of a Take; known is lease"),
    ],
)
def test_a_wrong_line_says_what_is_wrong_and_what_is_allowed(line: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        told("cluster 3 leader=n1", line)


def test_a_scenario_begins_with_a_cluster() -> None:
    with pytest.raises(ScenarioError, match="there is no cluster yet"):
        told("timeout n1")


def test_who_is_down_does_nothing() -> None:
    with pytest.raises(ScenarioError, match="n1 is down"):
        told("cluster 3", "crash n1", "timeout n1")


def test_a_leader_is_elected_or_there_is_none() -> None:
    with pytest.raises(ScenarioError, match="there is no n4"):
        told("cluster 3 leader=n4")


# Messages


def test_the_kind_of_a_message_can_be_chosen() -> None:
    lines = told("cluster 3", "hold n1 -> * RequestVote", "timeout n1")
    assert [line for line in lines if line.endswith(", held")] == [
        "n1 -> n2 RequestVote last=0@0 term=1, held",
        "n1 -> n3 RequestVote last=0@0 term=1, held",
    ]


def test_what_is_doubled_arrives_twice_and_is_answered_twice() -> None:
    lines = told(
        "cluster 3", "hold n1 -> n2", "timeout n1", "duplicate", "drop n1 -> n2 AppendEntries", "release"
    )
    assert lines.count("n1 -> n2 RequestVote last=0@0") == 1
    assert sum("n2 -> n1 vote" in line for line in lines) == 2


def test_what_is_turned_around_arrives_last_sent_first() -> None:
    lines = told(
        "cluster 3 leader=n1", "hold n1 -> n2", "propose n1 a", "drop", "heartbeat n1", "release n1 -> n2"
    )
    assert lines[0] == "n1 -> n2 AppendEntries prev=1@1 [2@1 a] commit=2"
    lines = told("cluster 3", "hold * -> n3", "timeout n1 n2", "reorder n2 -> n3", "reorder", "release")
    assert [line[:8] for line in lines[:2]] == ["n2 -> n3", "n1 -> n3"]


def test_only_chosen_messages_are_turned_around_among_their_places() -> None:
    scenario = Scenario()
    for line in ("cluster 4", "hold * -> n4", "timeout n1 n2 n3", "reorder n1 -> n4"):
        scenario.run(line)
    senders = [carried.message.sender for carried in scenario.world.network.held]
    scenario.run("reorder")
    assert [carried.message.sender for carried in scenario.world.network.held] == senders[::-1]
    scenario.close()


def test_a_reply_reaches_only_the_process_that_asked() -> None:
    lines = told("cluster 3", "hold n2 -> n1", "timeout n1", "crash n1", "restart n1", "release")
    assert lines[0] == "n2 -> n1 vote granted, lost"


def test_a_cut_may_be_one_way() -> None:
    lines = told("cluster 3", "cut n1 -> n2", "cut n1 -> n3", "timeout n1", "timeout n2")
    assert "n2 -> n1 RequestVote last=0@0" in lines
    assert "n1 -> n2 vote refused, voted for another, lost" in lines


# Processes that end at a named point


def test_a_process_ends_before_it_saves() -> None:
    lines = told("cluster 3", "crash n2 before save", "timeout n1", "logs n2")
    assert lines == ["n2 down      term=0            log"]


def test_a_process_ends_after_it_has_saved_and_before_it_says_so() -> None:
    lines = told("cluster 3", "crash n2 before send", "timeout n1", "logs n2")
    assert lines == ["n2 down      term=1            log"]
    lines = told("cluster 3 leader=n1", "crash n2 before saved", "propose n1 a", "logs n2")
    assert lines == ["n2 down      term=1            log 1 1"]


def test_the_second_effect_of_a_name_can_be_meant() -> None:
    lines = told("cluster 3", "crash n1 before send 2", "timeout n1")
    assert lines == [
        "n1 stands in term 1",
        "n1 crashes before send",
        "n1 -> n2 RequestVote last=0@0 term=1",
        "n2 -> n1 vote granted, lost",
    ]


LED = ["cluster 3 leader=n1", "crash n1 before {}", "propose n1 a"]
UNLED = ["cluster 3", "crash n1 before {}", "timeout n1"]
BEHIND = [
    "cluster 3 leader=n1 kept=1 compact=1",
    "crash n3",
    "propose n1 a b c",
    "heartbeat n1",
    "restart n3",
    "crash n3 before {}",
    "heartbeat n1",
]
"""n3 needs a snapshot."""

CRASHES = {
    **dict.fromkeys(("save", "sync", "saved", "send", "apply", "answer"), LED),
    **dict.fromkeys(("elected", "first_commit"), UNLED),
    **dict.fromkeys(("chunk", "place", "install", "installed"), BEHIND),
    "commit": [*LED, "jobs n1"],
    "compact": ["cluster 3 leader=n1 kept=1 compact=1", "crash n1 before {}", "propose n1 a b c"],
}


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_process_can_end_before_each_effect_and_come_back(effect: str) -> None:
    lines = [line.format(effect) for line in CRASHES[effect]]
    whom = next(line for line in lines if "before" in line).split()[1]
    assert told(*lines, f"logs {whom}")[0].startswith(f"{whom} down")
    assert told(*lines, f"restart {whom}", "run 5", f"logs {whom}")[0].startswith(
        (f"{whom} follower", f"{whom} leader")
    )


def test_a_power_failure_loses_what_was_not_synced_and_nothing_else() -> None:
    lines = told("cluster 3 leader=n1", "propose n1 a", "unplug n1 n2 n3", "restart n1 n2 n3", "logs")
    assert [line.split(" log ")[1] for line in lines] == ["1 1"] * 3


# Time


def test_time_stands_still_unless_it_is_let_pass() -> None:
    assert told("cluster 3 leader=n1", "propose n1 a", "wait 9") == []
    lines = told("cluster 3", "run 3", "logs")
    assert sum(" leader " in line for line in lines) == 1


def test_what_reaches_a_paused_process_waits() -> None:
    lines = told("cluster 3 leader=n1", "pause n2", "propose n1 a")
    assert "n1 -> n2 AppendEntries prev=1@1 [2@1 a], waits" in lines
    assert "n1 answers a" in lines
    assert "n2 -> n1 ok, match=2" in told("cluster 3 leader=n1", "pause n2", "propose n1 a", "resume n2")


# What breaks is told, and the run goes on


def test_a_broken_property_is_told_once_even_in_silence() -> None:
    text = (Path(__file__).parent / "lessons" / "06_figure_8_with_the_rule_broken.txt").read_text(
        encoding="utf-8"
    )
    broken = [line for block in played(text) for line in block.outcome if line.startswith("BROKEN")]
    assert [line.split(":")[0] for line in broken] == [
        "BROKEN Leader Completeness",
        "BROKEN Committed entries stay",
        "BROKEN State Machine Safety",
    ]


# The help


def test_every_word_is_in_the_documentation() -> None:
    documented = DOCS.read_text(encoding="utf-8")
    assert glossary() in documented
