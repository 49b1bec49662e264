"""The writer: lines, numbers that go on, rotation, torn ends, the ring, and disks that refuse."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.errors import StorageError
from glassraft.events import EventWriter, problems, read, read_node


def lines_of(path: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_line_has_common_fields_first_and_in_order(model):
    node = model(3)
    node.campaign()
    node.writer.close()
    event = lines_of(node.path)[2]
    assert list(event) == [
        "ts", "mono", "clock", "node", "seq", "event", "term", "why", "role", "was", "leader_id",
    ]  # fmt: skip
    assert (event["node"], event["seq"], event["clock"], event["term"]) == (3, 3, 3, 1)


def test_everything_the_model_writes_fits_the_schema(model):
    node = model(1)
    node.start()
    node.campaign()
    node.win()
    node.append(3)
    node.progress(2, 2)
    node.commit_to(2)
    node.truncate(1)
    node.follow(2)
    node.stop()
    node.writer.close()
    events = list(read(node.path))
    assert len(events) > 10
    assert [problem for event in events for problem in problems(event)] == []


def test_first_line_is_the_state_and_so_is_the_one_after_start(model):
    node = model()
    node.start()
    node.writer.close()
    assert [event["event"] for event in lines_of(node.path)] == ["state", "start", "state"]


@given(why=st.text(), what=st.text(), number=st.integers(-(2**70), 2**70))
def test_any_text_and_number_comes_back(why, what, number):
    writer = EventWriter(1, None, max_bytes=1, keep=0, ring=10, whole_state=dict)
    writer.write("odd", 1, why, what=what, number=number, nested=[{"a": (what, None, True)}])
    writer.flush()
    line = writer.since(1, 5)[0][0]
    event = json.loads(line)
    assert line.isascii()
    assert "\n" not in line
    assert event.get("why", "") == why
    assert (event["what"], event["number"], event["nested"]) == (what, number, [{"a": [what, None, True]}])


def test_what_json_cannot_say_is_written_as_text(model):
    node = model()
    node.write("timer", kind="election", duration=float("inf"))
    node.write("odd", thing={1, 2}, path=pathlib.PurePosixPath("a"))
    node.writer.close()
    assert [event.get("duration") for event in read(node.path)][1] == "inf"


def test_seq_and_clock_go_on_after_a_restart(model):
    node = model()
    node.start()
    node.writer.heard(500)
    node.append(1)
    node.writer.close()
    node.kill_and_restart()
    node.writer.close()
    events = lines_of(node.path)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    clocks = [event["clock"] for event in events]
    assert clocks == sorted(set(clocks))
    assert clocks[3] == 501


def test_heard_raises_the_clock_and_never_lowers_it(model):
    node = model()
    node.writer.heard(41)
    node.writer.heard(7)
    node.write("leader", leader_id=2)
    assert node.writer.clock == 43  # 42 is the state line


@pytest.mark.parametrize(
    "torn", [b'{"ts":1.0,"seq":99', b"\0" * 5000, b'{"seq": 7}\n', b"[]\n", b"x" * 200_000, b"\xff\xfe\n{"]
)
def test_a_torn_end_is_cut_off_and_numbers_go_on_above_the_last_whole_line(model, torn):
    node = model()
    node.start()
    node.writer.close()
    whole = node.path.read_bytes()
    node.path.write_bytes(whole + torn)
    node.kill_and_restart()
    node.writer.close()
    assert node.path.read_bytes().startswith(whole)
    assert [event["seq"] for event in lines_of(node.path)] == [1, 2, 3, 4, 5]


def test_a_file_that_is_nothing_but_torn_begins_anew(model):
    node = model()
    node.writer.close()
    node.path.write_bytes(b"no newline at all" * 10_000)
    node.open()
    node.start()
    node.writer.close()
    assert [event["seq"] for event in lines_of(node.path)] == [1, 2, 3]


def test_lines_longer_than_a_chunk_are_found_from_the_end(model):
    node = model()
    node.append(1)
    node.append(20_000)
    node.writer.close()
    assert node.path.stat().st_size > 400_000
    node.open()
    assert node.writer.seq == 3


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_kill_9_leaves_whole_lines_that_can_be_gone_on_from(tmp_path):
    program = textwrap.dedent(
        """
        import pathlib, sys
        from glassraft.events import EventWriter
        writer = EventWriter(1, pathlib.Path(sys.argv[1]), max_bytes=20_000, keep=2, ring=100,
                             whole_state=lambda: {"term": 1, "log": []})
        print("up", flush=True)
        while True:
            writer.write("leader", 1, leader_id=1)
            writer.flush()
        """
    )
    path = tmp_path / "node-1.jsonl"
    seen = 0
    for _round in range(3):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"up"
        while not path.exists() or max((e["seq"] for e in read(path)), default=0) < seen + 50:
            assert process.poll() is None
        process.kill()
        process.wait()
        process.stdout.close()
        events = list(read_node(tmp_path, 1))
        numbers = [event["seq"] for event in events]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert events[0]["event"] == "state"
        seen = numbers[-1]


def test_rotation_keeps_so_many_files_and_each_begins_with_the_state(model):
    node = model(max_bytes=2000, keep=2)
    for _ in range(200):
        node.append(1)
        node.writer.flush()
    node.writer.close()
    names = sorted(path.name for path in node.path.parent.iterdir())
    assert names == ["node-1.1.jsonl", "node-1.2.jsonl", "node-1.jsonl"]
    for name in names:
        events = lines_of(node.path.with_name(name))
        assert events[0]["event"] == "state"
        assert events[0]["last_log_index"] == events[1]["entries"][0][0] - 1 if len(events) > 1 else True
    numbers = [event["seq"] for event in read_node(node.path.parent, 1)]
    assert numbers == list(range(numbers[0], node.writer.seq + 1))


def test_keep_0_keeps_the_current_file_alone(model):
    node = model(max_bytes=500, keep=0)
    for _ in range(20):
        node.append(1)
        node.writer.flush()
    node.writer.close()
    assert [path.name for path in node.path.parent.iterdir()] == ["node-1.jsonl"]


def test_killed_between_rotation_and_first_line_numbers_go_on_from_the_rotated_file(model):
    node = model()
    node.start()
    node.writer.close()
    node.path.rename(node.path.with_name("node-1.1.jsonl"))
    node.open()
    assert node.writer.seq == 3


def test_a_reader_that_keeps_the_file_open_does_not_stop_the_writer(model, monkeypatch, capsys):
    node = model(max_bytes=500, keep=100)
    real = os.replace

    def refuse(*_names: object) -> None:
        raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr(os, "replace", refuse)
    for _ in range(10):
        node.append(1)
        node.writer.flush()
    monkeypatch.setattr(os, "replace", real)
    for _ in range(10):
        node.append(1)
        node.writer.flush()
    node.writer.close()
    assert node.path.with_name("node-1.1.jsonl").exists()
    numbers = [event["seq"] for event in read_node(node.path.parent, 1)]
    assert numbers == list(range(1, node.writer.seq + 1))
    assert capsys.readouterr().err.count("used by another process") == 1


def test_a_flush_is_one_write(model, monkeypatch):
    node = model()
    calls = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: calls.append(len(data)) or real(fd, data))
    for _ in range(50):
        node.append(1)
    node.writer.flush()
    node.writer.flush()
    assert len(calls) == 1


def test_a_full_disk_is_counted_and_reported_once_and_the_log_begins_again(model, monkeypatch, capsys):
    node = model()
    node.append(1)
    node.writer.flush()
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        if descriptor == 2 or len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    for _ in range(5):
        node.append(1)
        node.writer.flush()
    assert node.writer.dropped == 5
    node.now += 2
    node.append(1)
    node.writer.flush()
    monkeypatch.setattr(os, "write", real)
    node.now += 2
    node.append(1)
    node.writer.flush()
    node.append(1)
    node.writer.close()
    events = lines_of(node.path)
    assert [event["event"] for event in events] == ["state", "append", "state", "append"]
    assert events[2]["last_log_index"] == 8
    assert capsys.readouterr().err.count("No space left on device") == 1
    assert len(node.writer.since(0, 100)[0]) == node.writer.seq  # the ring has them all


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match=r"cannot write the event log .*node-1.jsonl.*folders.logs"):
        EventWriter(1, tmp_path / "logs" / "node-1.jsonl", max_bytes=1, keep=1, ring=1, whole_state=dict)


def numbers(lines: list[str]) -> list[int]:
    return [json.loads(line)["seq"] for line in lines]


def test_since_hands_out_flushed_lines_in_pieces(model):
    node = model()
    for _ in range(9):
        node.append(1)
    assert node.writer.since(0, 100) == ([], 0)
    node.writer.flush()
    node.append(1)
    lines, then = node.writer.since(0, 4)
    assert (numbers(lines), then) == ([1, 2, 3, 4], 4)
    lines, then = node.writer.since(then, 100)
    assert (numbers(lines), then) == ([5, 6, 7, 8, 9, 10], 10)
    assert node.writer.since(then, 100) == ([], 10)


@pytest.mark.parametrize("asked", [0, 3, 10_000])
def test_a_gap_is_answered_from_the_latest_state_line(model, asked):
    node = model(ring=20)
    for _ in range(100):
        node.append(1)
        node.writer.flush()
    lines, then = node.writer.since(asked, 100)
    first = json.loads(lines[0])
    assert first["event"] == "state"
    assert then == node.writer.seq
    assert numbers(lines) == list(range(first["seq"], then + 1))
    assert len(lines) <= 11


def test_a_gap_while_no_state_is_in_the_ring_waits_for_the_next_flush(model):
    node = model(ring=20)
    node.writer.flush()
    for _ in range(100):
        node.append(1)
    node.writer.flush()
    lines, _then = node.writer.since(0, 100)
    assert json.loads(lines[0])["event"] == "state"
    assert json.loads(lines[0])["last_log_index"] == 100


def test_lines_of_an_earlier_process_are_a_gap(model):
    node = model()
    node.start()
    node.writer.close()
    node.kill_and_restart()
    node.writer.flush()
    assert numbers(node.writer.since(3, 100)[0]) == [4, 5]
    assert numbers(node.writer.since(1, 100)[0]) == [5]


def test_without_a_file_events_go_to_the_ring(tmp_path):
    writer = EventWriter(1, None, max_bytes=1, keep=1, ring=10, whole_state=dict)
    writer.write("leader", 1, leader_id=2)
    writer.flush()
    writer.close()
    assert numbers(writer.since(0, 10)[0]) == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_many_threads_write_flush_and_read_without_a_line_lost(model):
    node = model(max_bytes=5000, keep=1000, ring=5000)
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        then = 0
        while not done.is_set() or then < node.writer.seq:
            lines, then = node.writer.since(then, 50)
            seen.extend(numbers(lines))
            done.wait(0.001)

    def write() -> None:
        for _ in range(200):
            node.write("leader", leader_id=1)
            node.writer.flush()

    reader = threading.Thread(target=follow)
    writers = [threading.Thread(target=write) for _ in range(4)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    node.writer.close()
    everything = list(range(1, node.writer.seq + 1))
    assert seen == everything
    assert [event["seq"] for event in read_node(node.path.parent, 1)] == everything
