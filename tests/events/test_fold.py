"""The fold: from any whole state on it gives what the node was, at every moment."""

import pathlib
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from glassraft.events import Fold, NodeFold, read_node
from glassraft.events.fold import RECENT_ENTRIES, RECENT_MESSAGES

from .conftest import ModelNode

STEPS = st.one_of(
    st.tuples(st.sampled_from(["campaign", "win", "stop", "start", "kill_and_restart"])),
    st.tuples(st.just("follow"), st.integers(2, 3)),
    st.tuples(st.just("append"), st.integers(1, 5)),
    st.tuples(st.just("truncate"), st.integers(1, 8)),
    st.tuples(st.just("commit_to"), st.integers(1, 40)),
    st.tuples(st.just("progress"), st.integers(2, 3), st.integers(0, 40)),
)


@settings(deadline=None)
@given(
    steps=st.lists(STEPS, max_size=60),
    max_bytes=st.sampled_from([600, 3000, 10**6]),
    ring=st.sampled_from([4, 50]),
)
def test_folding_from_any_state_line_equals_folding_all_and_the_node_itself(steps, max_bytes, ring):
    with tempfile.TemporaryDirectory() as folder:
        node = ModelNode(1, pathlib.Path(folder) / "node-1.jsonl", max_bytes=max_bytes, keep=100, ring=ring)
        node.start()
        for name, *arguments in steps:
            getattr(node, name)(*arguments)
            node.writer.flush()
        node.writer.close()
        events = list(read_node(pathlib.Path(folder), 1))

    whole = NodeFold(1)
    begun: list[NodeFold] = []
    for event in events:
        if event["event"] == "state":
            begun.append(NodeFold(1))
        for fold in [whole, *begun]:
            fold.apply(event)
        assert all(fold.whole() == whole.whole() for fold in begun)
    assert whole.whole() == node.whole_state()
    assert whole.last_seq == node.writer.seq
    for index in range(len(node.terms) + 2):
        assert whole.term_at(index) == (node.terms[index - 1] if 1 <= index <= len(node.terms) else 0)


def event(name: str, seq: int = 1, term: int = 1, node: int = 1, **fields: object) -> dict[str, object]:
    return {
        "ts": 100.0 + seq, "mono": float(seq), "clock": seq, "node": node, "seq": seq,
        "event": name, "term": term, **fields,
    }  # fmt: skip


def test_a_log_of_300_000_entries_is_a_few_runs():
    fold = NodeFold(1)
    fold.apply(event("state", log=[[1, 299_000, 3], [299_001, 299_990, 7]], first_log_index=1))
    for index in range(299_991, 300_001):
        fold.apply(event("append", term=7, entries=[[index, 7, "command", "Submit"]]))
    assert (fold.last_index, fold.last_term, len(fold.log)) == (300_000, 7, 2)
    assert [fold.term_at(index) for index in (0, 1, 299_000, 299_001, 300_000, 300_001)] == [0, 3, 3, 7, 7, 0]


def test_entries_remembered_are_bounded_and_follow_truncation():
    fold = NodeFold(1)
    for index in range(1, 3 * RECENT_ENTRIES):
        fold.apply(event("append", entries=[[index, 1, "command", "Take"]]))
    assert len(fold.recent) <= RECENT_ENTRIES * 1.25
    last = fold.last_index
    assert fold.recent[last] == ("command", "Take")
    fold.apply(event("truncate", **{"from": last - 1, "last": last}))
    assert last - 1 not in fold.recent
    assert fold.last_index == last - 2


def test_an_append_over_existing_entries_replaces_them():
    fold = NodeFold(1)
    fold.apply(event("state", log=[[1, 5, 1]]))
    fold.apply(event("append", term=2, entries=[[4, 2, "noop", "Noop"]]))
    assert fold.log == [[1, 3, 1], [4, 4, 2]]


def test_a_killed_nodes_next_start_begins_its_next_life():
    fold = NodeFold(1)
    leader = {"role": "leader", "leader_id": 1, "peers": {"2": [6, 5]}}
    fold.apply(event("state", members=[1, 2, 3], log=[[1, 5, 1]], **leader))
    fold.apply(event("start", 2, pid=77, members=[1, 2, 3]))
    assert (fold.alive, fold.role, fold.leader_id, fold.pid) == (True, "follower", None, 77)
    assert fold.next_index == {}
    assert fold.last_index == 5


def test_a_clean_stop_is_told_from_a_killed_node():
    fold = NodeFold(1)
    fold.apply(event("state"))
    fold.apply(event("stop", reason="SIGTERM"))
    assert (fold.alive, fold.stop_reason) == (False, "SIGTERM")


def test_a_new_leader_takes_up_its_peers_as_figure_2_says():
    fold = NodeFold(2)
    fold.apply(event("state", members=[1, 2, 3], log=[[1, 5, 1]], role="candidate"))
    fold.apply(event("votes", granted=[2, 3], refused=[1], needed=2))
    assert fold.votes_granted == [2, 3]
    fold.apply(event("role", term=2, role="leader", was="candidate", leader_id=2))
    assert fold.next_index == {1: 6, 3: 6}
    assert fold.match_index == {1: 0, 3: 0}
    assert fold.votes_granted == []


def test_a_timer_tells_when_it_started_and_how_long_it_runs():
    fold = NodeFold(1)
    fold.apply(event("timer", 5, kind="election", duration=0.9))
    assert (fold.timer_kind, fold.timer_started, fold.timer_duration) == ("election", 105.0, 0.9)


def test_a_log_that_is_compacted_begins_later():
    fold = NodeFold(1)
    fold.apply(event("state", log=[[1, 5, 1], [6, 9, 2]], first_log_index=1))
    fold.apply(event("compact", first=8, was=1, base_term=2))
    assert (fold.first_log_index, fold.base_term, fold.log) == (8, 2, [[8, 9, 2]])
    assert (fold.term_at(7), fold.term_at(8), fold.last_term) == (0, 2, 2)
    fold.apply(event("compact", first=10, was=8, base_term=2))
    assert (fold.last_index, fold.last_term, fold.log) == (9, 2, [])


def test_an_installed_snapshot_takes_the_logs_place():
    fold = NodeFold(1)
    fold.apply(event("state", log=[[1, 5, 1]], commit_index=3, last_applied=2))
    snapshot = {"index": 20, "base_term": 4, "id": "s", "size": 9}
    fold.apply(event("install", **snapshot, keeps_log=False))
    assert (fold.commit_index, fold.last_applied, fold.last_index, fold.last_term) == (20, 20, 20, 4)
    assert (fold.first_log_index, fold.log) == (21, [])


def test_what_follows_an_installed_snapshot_may_be_kept():
    fold = NodeFold(1)
    fold.apply(event("state", log=[[1, 5, 1], [6, 30, 4]], commit_index=25, last_applied=2))
    fold.apply(event("install", index=20, base_term=4, id="s", size=9, keeps_log=True))
    assert (fold.commit_index, fold.last_applied, fold.log) == (25, 20, [[21, 30, 4]])


def test_unknown_events_and_fields_change_nothing():
    fold = Fold()
    fold.apply(event("state", log=[[1, 5, 1]], colour="blue"))
    before = fold.nodes[1].whole()
    fold.apply(event("snapshot", 2, index=4))
    assert fold.nodes[1].whole() == before
    assert fold.nodes[1].last_seq == 2


HEARTBEAT = {"kind": "AppendEntries", "prev": [1, 5], "count": 0, "first": 6, "commit": 5, "round": 2}
RECEIPT = {"from": 1, "sent": 4, "sent_ts": 104.0, **HEARTBEAT}


def test_a_message_is_under_way_until_it_is_received():
    fold = Fold()
    fold.apply(event("send", 4, to=2, id="n1-1", msg_term=1, **HEARTBEAT))
    flight = fold.messages["n1-1"]
    assert flight.under_way
    assert (flight.src, flight.dst, flight.term, flight.sent_ts) == (1, 2, 1, 104.0)
    assert flight.fields["round"] == 2
    fold.apply(event("receive", 6, node=2, id="n1-1", msg_term=1, **RECEIPT))
    assert flight.received_ts == 106.0
    assert not flight.under_way


def test_a_receipt_stands_for_a_send_that_was_never_written():
    fold = Fold()
    fold.apply(event("receive", 6, node=2, id="n1-9", msg_term=3, **RECEIPT))
    flight = fold.messages["n1-9"]
    assert (flight.src, flight.dst, flight.term) == (1, 2, 3)
    assert (flight.sent_ts, flight.received_ts) == (104.0, 106.0)


def test_messages_are_lost_by_their_sender_or_with_their_receiver():
    fold = Fold()
    for number in (1, 2, 3):
        fold.apply(event("send", number, to=2, id=f"n1-{number}", **HEARTBEAT))
    fold.apply(event("lost", 4, to=2, id="n1-1", kind="AppendEntries", why="connection refused"))
    fold.apply(event("start", 5, node=2))
    fold.apply(event("receive", 6, node=2, id="n1-3", **RECEIPT))
    lost = [fold.messages[f"n1-{n}"].lost for n in (1, 2, 3)]
    assert lost == ["connection refused", "was not running", None]


def test_messages_remembered_are_bounded():
    fold = Fold()
    for number in range(RECENT_MESSAGES + 100):
        fold.apply(event("send", number, to=2, id=f"n1-{number}", **HEARTBEAT))
    assert len(fold.messages) == RECENT_MESSAGES
    assert f"n1-{RECENT_MESSAGES + 99}" in fold.messages
