"""Real nodes: what they write fits the schema, and folding it gives what they say of themselves."""

import json
import secrets
from typing import Any

import pytest

from glassraft.evaluation.local_cluster import LocalCluster
from glassraft.events import Fold, NodeFold, problems, read_all, read_node
from glassraft.rpc.client import Connection
from glassraft.supervisor import ask_state, wait_for_leader

TIMEOUT_S = 20.0


def submit(cluster: LocalCluster, count: int) -> None:
    """So many jobs in a session of their own, to whoever leads."""
    leader = wait_for_leader(cluster.config, TIMEOUT_S)
    address = cluster.config.node(leader.id)
    connection = Connection(address.host, address.port)
    session = secrets.token_hex(16)
    for number in range(1, count + 1):
        job = json.dumps({"task": "nothing", "args": [number]})
        connection.call("Submit", session, number, number, job, timeout_s=TIMEOUT_S)
    connection.close()


def as_state_says(fold: NodeFold) -> dict[str, Any]:
    """A fold in the words of State, where nobody is 0."""
    whole = fold.whole()
    return {
        **{name: whole[name] for name in COMPARED},
        "voted_for": whole["voted_for"] or 0,
        "leader_id": whole["leader_id"] or 0,
        "peers": {
            str(peer): {"next_index": fold.next_index[peer], "match_index": fold.match_index[peer]}
            for peer in fold.next_index
        },
    }


COMPARED = (
    "role", "term", "commit_index", "last_applied", "last_log_index", "last_log_term", "first_log_index",
    "members", "pid",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A cluster that lost its leader and got it back: its states at a moment, and all its events."""
    with LocalCluster(3) as cluster:
        submit(cluster, 20)
        killed = cluster.kill_leader()
        wait_for_leader(cluster.config, TIMEOUT_S, other_than=killed)
        submit(cluster, 20)
        cluster.restart(killed)
        submit(cluster, 20)
        states = {node: ask_state(cluster.config, node, TIMEOUT_S) for node in (1, 2, 3)}
        cluster.stop()
        events = {node: list(read_node(cluster.logs, node)) for node in (1, 2, 3)}
        merged = list(read_all(cluster.logs))
    return killed, states, events, merged


def test_everything_fits_the_schema(run):
    _killed, _states, events, _merged = run
    found = {problem for each in events.values() for event in each for problem in problems(event)}
    assert found == set()


def test_the_fold_is_what_each_node_says_of_itself(run):
    _killed, states, events, _merged = run
    for node, state in states.items():
        fold = NodeFold(node)
        for event in events[node]:
            if event["seq"] <= state["seq"]:
                fold.apply(event)
        assert as_state_says(fold) == {name: state[name] for name in as_state_says(fold)}


def test_each_state_line_is_what_was_folded_so_far(run):
    _killed, _states, events, _merged = run
    for node, each in events.items():
        fold = NodeFold(node)
        compared = 0
        for event in each:
            before = fold.whole()
            fold.apply(event)
            if event["event"] == "state" and fold.last_seq > 1:
                # A start knows neither what was committed nor, after a kill, all that was applied: both are
                # learnt again from the log.
                anew = {name: event[name] for name in ("pid", "commit_index", "last_applied")}
                assert fold.whole() == {**before, **anew}
                compared += 1
        assert compared >= 1


def test_numbers_rise_by_one_over_the_kill_and_the_kill_can_be_seen(run):
    killed, _states, events, _merged = run
    for each in events.values():
        assert [event["seq"] for event in each] == list(range(1, len(each) + 1))
    names = [event["event"] for event in events[killed]]
    assert names.count("start") == 2
    assert names.count("stop") == 1
    assert names[-1] == "stop"


def test_no_message_is_received_before_it_is_sent(run):
    """But for the killed node's: its last turn may have sent what it had no time to write down."""
    killed, _states, _events, merged = run
    sent: set[str] = set()
    fold = Fold()
    for event in merged:
        fold.apply(event)
        if event["event"] == "send":
            sent.add(event["id"])
        elif event["event"] == "receive":
            assert event["id"] in sent or event["from"] == killed
    assert len(sent) > 100
    assert {flight.kind for flight in fold.messages.values()} == {
        "RequestVote", "RequestVoteReply", "AppendEntries", "AppendEntriesReply",
    }  # fmt: skip
