"""What happened and why, in words."""

from glassraft.events import Fold
from glassraft.window.narrate import SECTIONS, Narrator, Sentence, entries, names

from .streams import MEMBERS, Script, story


def tell(script: Script) -> list[Sentence]:
    narrator, fold, told = Narrator(), Fold(), []
    for event in script.events:
        sentence = narrator.take(event, fold)
        if sentence is not None:
            told.append(sentence)
        fold.apply(event)
    return told + narrator.due(float("inf"))


def said(script: Script, node: int) -> list[tuple[str, str]]:
    return [(sentence.text, sentence.section) for sentence in tell(script) if sentence.node == node]


def test_an_election() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.at = 1.84
    script.elect(3, 1, 2)
    assert said(script, 3)[1:] == [
        ("heard no leader for 1.84 s, so it starts an election in term 1", "§5.2"),
        ("asks n1, n2, n4 and n5 for their votes", "§5.2"),
        ("has the votes of n1, n2 and itself: 3 of 5, so it leads term 1", "§5.2"),
        ("begins term 1 with an empty entry at 1", "§8"),
    ]
    assert said(script, 1)[1:] == [("votes for n3, whose log is no shorter than its own", "§5.4.1")]


def test_a_refused_vote_says_why() -> None:
    script = Script()
    script.start(1, 2)
    script.write(2, "vote", "votes_for_itself", candidate=2, granted=True)
    for why in ("may_grant_vote", "candidate_log_is_up_to_date", "term_is_stale"):
        script.write(2, "vote", why, candidate=1, granted=False)
    assert said(script, 2)[1:] == [
        ("refuses n1 its vote: it gave it to itself in term 0", "§5.2"),
        ("refuses n1 its vote: its own log goes further", "§5.4.1"),
        ("refuses n1 its vote: that is for an older term than 0", "§5.1"),
    ]


def test_a_commit_names_its_majority() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.write(3, "commit", "commit_index_by_majority", index=17, was=16, holders=[1, 2, 3])
    assert said(script, 3)[1:] == [("has entry 17 on n1, n2 and itself: 3 of 5, so 17 is committed", "§5.3")]


def test_commits_that_come_thick_are_told_together() -> None:
    script = Script()
    script.start(*MEMBERS)
    for index in range(1, 500):
        script.at += 0.01
        script.commit(3, index, index - 1, [1, 3, 4])
    told = [text for text, _ in said(script, 3)[1:]]
    assert 3 <= len(told) <= 6
    assert told[0].endswith("so 1 is committed")
    assert told[-1].endswith("to 499 are committed"), "what was held back is told in the end"


def test_what_becomes_of_jobs() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.elect(1, 2, 3)
    script.at = 5
    script.apply(1, 2, 2, ("c16j00", "", "ready"))
    script.at = 20
    script.apply(1, 3, 4, ("c16j00", "ready", "running"), ("c16j01", "", "ready"), ("c16j02", "", "ready"))
    told = [text for text, _ in said(script, 1)[-2:]]
    assert told == ["runs entry 2: job c16j00 is submitted", "runs entries 3 to 4: 2 jobs submitted, 1 taken"]


def test_heartbeats_timers_and_answers_that_went_well_are_left_out() -> None:
    script = Script()
    script.start(*MEMBERS)
    script.elect(1, 2, 3)
    before = len(tell(script))
    for _ in range(50):
        script.replicate(1, 2)
    script.write(1, "answer", method="Submit", ms=1.0, outcome="ok")
    assert len(tell(script)) == before


def test_losing_messages_is_told_once_in_a_while() -> None:
    script = Script()
    script.start(*MEMBERS)
    for _ in range(30):
        script.at += 0.1
        script.message(1, 4, "AppendEntries", count=0, lost="connection refused")
    assert said(script, 1)[1:] == [("cannot reach n4 (connection refused) and goes on trying", "§5.5")]


def test_a_log_that_diverged_is_mended() -> None:
    script = Script()
    script.start(1, 2)
    script.message(2, 1, "AppendEntriesReply", success=False, round=1, conflict=[2, 12])
    script.write(2, "truncate", "entry_conflicts", last=14, **{"from": 12})
    assert said(script, 2)[1:] == [
        ("refuses what n1 sends: its own entries are of term 2 from 12 on", "§5.3"),
        (
            "removes entries 12 to 14: the leader's log has others there, and they were never committed",
            "§5.3",
        ),
    ]


def test_snapshots_and_what_the_log_forgets() -> None:
    script = Script()
    script.start(1, 2)
    snapshot = {"index": 900, "base_term": 2, "id": "n1-2-900", "size": 5000}
    script.write(1, "compact", "highest_compactable", first=501, was=1, base_term=2)
    script.write(1, "compact", "highest_compactable", first=601, was=501, base_term=2)
    script.write(1, "snapshot", "needs_snapshot", **snapshot)
    script.write(2, "install", "snapshot_is_ahead", keeps_log=False, **snapshot)
    assert said(script, 1)[1:] == [
        ("forgets its log up to 500: the queue's file holds it", "§7"),
        ("makes a snapshot of its queue up to entry 900, for who needs what the log forgot", "§7"),
    ]
    assert said(script, 2)[1:] == [
        ("takes the leader's snapshot for its queue: everything up to entry 900", "§7")
    ]


def test_sentences_are_numbered_and_in_order() -> None:
    told = tell(story())
    assert [sentence.serial for sentence in told] == list(range(1, len(told) + 1))
    assert {sentence.section for sentence in told} <= {*SECTIONS.values(), ""}


def test_words() -> None:
    assert names([2]) == "n2"
    assert names([3, 1, 2], self_id=1) == "n2, n3 and itself"
    assert entries(4, 4) == "entry 4"
    assert entries(4, 6) == "entries 4 to 6"
