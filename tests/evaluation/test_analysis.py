"""From events to numbers, on logs small enough to check by hand."""

import json
import math

import pytest

from glassraft.evaluation.analysis import UNREPORTED, MessageCount, measure, measure_folder, percentiles


def event(node: int, at: float, name: str, **fields: object) -> dict[str, object]:
    return {
        "ts": 1000.0 + at, "mono": at, "clock": 1, "node": node, "seq": 1, "event": name, "term": 1, **fields,
    }  # fmt: skip


def send(node: int, at: float, id: str, kind: str = "AppendEntries") -> dict[str, object]:
    return event(node, at, "send", to=2, kind=kind, id=id)


def receive(node: int, at: float, id: str, kind: str = "AppendEntries") -> dict[str, object]:
    return event(node, at, "receive", kind=kind, id=id, sent=1, sent_ts=1000.0 + at - 0.001, **{"from": 1})


def leads(node: int = 1, at: float = 0.0) -> dict[str, object]:
    return event(node, at, "role", role="leader", was="candidate", leader_id=node)


def append(at: float, *indexes: int, what: str = "Submit", node: int = 1) -> dict[str, object]:
    return event(node, at, "append", entries=[[index, 1, "command", what] for index in indexes])


def commit(at: float, was: int, index: int, node: int = 1) -> dict[str, object]:
    return event(node, at, "commit", index=index, was=was)


def answer(at: float, ms: float, outcome: str = "ok", method: str = "Submit", **more: object):
    return event(1, at, "answer", method=method, ms=ms, outcome=outcome, **more)


def test_percentiles_are_samples_by_nearest_rank():
    numbers = percentiles([float(n) for n in range(200, 0, -1)])
    assert (numbers.p50, numbers.p95, numbers.p99, numbers.count) == (100, 190, 198, 200)
    assert percentiles([7.0]).p99 == 7.0
    assert math.isnan(percentiles([]).p50)


def test_messages_are_sent_received_and_lost_by_kind():
    numbers = measure(
        [
            send(1, 0.1, "a"),
            send(1, 0.2, "b"),
            send(1, 0.3, "c"),
            event(1, 0.4, "lost", to=2, kind="AppendEntries", id="b", why="connection refused"),
            send(1, 0.5, "d", "RequestVote"),
            receive(2, 0.2, "a"),
            receive(2, 0.6, "d", "RequestVote"),
        ]
    )
    assert numbers.messages == {"AppendEntries": MessageCount(3, 1), "RequestVote": MessageCount(1, 1)}
    assert numbers.messages["AppendEntries"].lost == 2
    assert numbers.lost_why == {"connection refused": 1, UNREPORTED: 1}


def test_a_receipt_proves_a_send_that_a_kill_kept_from_the_file():
    numbers = measure([receive(2, 0.2, "a")])
    assert numbers.messages["AppendEntries"] == MessageCount(1, 1)


def test_a_message_that_was_given_up_and_yet_arrived_is_not_lost():
    given_up = event(1, 0.4, "lost", to=2, kind="AppendEntries", id="a", why="no answer")
    numbers = measure([send(1, 0.1, "a"), given_up, receive(2, 0.3, "a")])
    assert numbers.messages["AppendEntries"].lost == 0
    assert numbers.lost_why == {}


def test_what_was_sent_after_the_last_answer_is_no_loss():
    sent = [send(1, at / 10, f"m{at}") for at in range(1, 6)]
    numbers = measure([*sent, receive(2, 0.11, "m1"), answer(0.31, 2.0), receive(3, 0.61, "late")])
    assert numbers.messages["AppendEntries"] == MessageCount(3, 1)
    assert numbers.lost_why == {UNREPORTED: 2}


def test_commit_latency_is_from_the_leaders_append_to_its_commit():
    numbers = measure(
        [
            leads(),
            append(0.010, 1, what="Noop"),
            append(0.020, 2, 3),
            commit(0.022, 0, 2),
            append(0.023, 4),
            commit(0.030, 2, 4),
        ]
    )
    assert numbers.commit_ms.count == 3
    assert numbers.commit_ms.p50 == pytest.approx(7.0)
    assert numbers.commit_ms.p99 == pytest.approx(10.0)
    assert numbers.elections == 1


def test_followers_and_deposed_leaders_give_no_commit_latency():
    follower = [append(0.01, 1, node=2), commit(0.02, 0, 1, node=2)]
    deposed = [
        leads(),
        append(0.01, 1),
        event(1, 0.02, "role", role="follower", was="leader", leader_id=2),
        commit(0.03, 0, 1),
        leads(at=0.04),
        commit(0.05, 0, 1),
    ]
    assert measure([*follower, *deposed]).commit_ms.count == 0


def test_a_new_process_has_another_clock():
    events = [leads(), append(50.0, 1), event(1, 0.1, "start"), leads(at=0.2), commit(0.3, 0, 1)]
    assert measure(events).commit_ms.count == 0


def test_calls_give_latency_throughput_and_refusals():
    numbers = measure(
        [
            answer(1.000, 100.0, jobs=1),
            answer(1.900, 2.0, method="SubmitMany", jobs=50),
            answer(1.950, 3.0, outcome="not_leader"),
            answer(1.960, 3.0, outcome="not_leader"),
            answer(5.000, 9.0, method="Stats"),
        ]
    )
    assert (numbers.calls, numbers.jobs, numbers.refused) == (2, 51, {"not_leader": 2})
    assert numbers.duration_s == pytest.approx(1.0)
    assert numbers.jobs_per_s == pytest.approx(51.0)
    assert (numbers.call_ms.p50, numbers.call_ms.p99) == (2.0, 100.0)


def test_an_empty_log_gives_empty_numbers():
    numbers = measure([])
    assert (numbers.jobs, numbers.messages, numbers.duration_s) == (0, {}, 0.0)
    assert math.isnan(numbers.jobs_per_s)


def test_files_of_all_nodes_in_a_folder_are_read(tmp_path):
    for node, events in {1: [send(1, 0.1, "a")], 2: [receive(2, 0.2, "a")]}.items():
        text = "".join(json.dumps(each) + "\n" for each in events)
        (tmp_path / f"node-{node}.jsonl").write_text(text)
    assert measure_folder(tmp_path).messages == {"AppendEntries": MessageCount(1, 1)}
