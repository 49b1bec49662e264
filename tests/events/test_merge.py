"""Merging many nodes' files: no effect before its cause, whatever the wall clocks say."""

import pathlib
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from glassraft.events import EventWriter, merge, nodes, read_all, read_node

ACTIONS = st.lists(
    st.tuples(st.sampled_from(["work", "send", "receive", "restart"]), st.integers(1, 3), st.integers(1, 3)),
    max_size=80,
)


def open_writer(folder: pathlib.Path, node: int) -> EventWriter:
    return EventWriter(
        node, folder / f"node-{node}.jsonl", max_bytes=700, keep=50, ring=10, whole_state=dict,
        now=lambda: 1000.0 * node,  # clocks that disagree by far
    )  # fmt: skip


@settings(deadline=None)
@given(actions=ACTIONS)
def test_no_receipt_comes_before_its_send_and_each_node_keeps_its_order(actions):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        writers = {node: open_writer(folder, node) for node in (1, 2, 3)}
        under_way: list[tuple[str, int, int]] = []
        for count, (action, node, other) in enumerate(actions):
            writer = writers[node]
            if action == "work":
                writer.write("leader", 1, leader_id=other)
            elif action == "send":
                writer.write("send", 1, to=other, id=f"m{count}")
                under_way.append((f"m{count}", other, writer.clock))
            elif action == "receive" and under_way:
                message, receiver, clock = under_way.pop(count % len(under_way))
                writers[receiver].heard(clock)
                writers[receiver].write("receive", 1, id=message)
                writers[receiver].flush()
            elif action == "restart":
                writer.close()
                writers[node] = open_writer(folder, node)
            writer.flush()
        for writer in writers.values():
            writer.close()
        merged = list(read_all(folder))
        alone = {node: list(read_node(folder, node)) for node in nodes(folder)}

    for node, events in alone.items():
        assert [event for event in merged if event["node"] == node] == events
    sent: set[str] = set()
    for event in merged:
        if event["event"] == "send":
            sent.add(event["id"])
        if event["event"] == "receive":
            assert event["id"] in sent


def test_merging_is_lazy():
    def endless(node: int):
        number = 0
        while True:
            number += 1
            yield {"clock": number, "node": node, "seq": number}

    stream = merge([endless(2), endless(1)])
    assert [next(stream)["node"] for _ in range(4)] == [1, 2, 1, 2]


def test_only_event_files_are_read(tmp_path):
    others = ["README.md", "node-x.jsonl", "node-2.jsonl.bak"]
    for name in ["node-10.jsonl", "node-2.jsonl", "node-2.1.jsonl", *others]:
        (tmp_path / name).write_text("")
    assert nodes(tmp_path) == [2, 10]
    assert list(read_node(tmp_path, 7)) == []


def test_broken_lines_are_passed_over(tmp_path):
    path = tmp_path / "node-1.jsonl"
    path.write_bytes(b'{"seq":1,"event":"a"}\n\0\0\0\n[1]\n{"seq":2,"event":"b"}\n{"seq":3,"ev')
    assert [event["seq"] for event in read_node(tmp_path, 1)] == [1, 2]
