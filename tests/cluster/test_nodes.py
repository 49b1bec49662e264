"""Real node processes: killed, paused and restarted, they lose nothing that was acknowledged."""

import json
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from glassraft.errors import GlassraftError
from glassraft.rpc.client import Connection
from glassraft.rpc.faults import Fault
from tests.conftest import MakeCluster
from tests.live import Cluster, eventually

ROOT = Path(__file__).parents[2]
JOB = '{"task": "primes", "args": [1, 100]}'


class Submitter:
    """Submits jobs one after another, each until it is acknowledged, under one session."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.session = secrets.token_hex(16)
        self.number = 0

    def submit(self) -> str:
        """The id of a new job, once it is acknowledged."""
        self.number += 1
        return eventually(self._try_all, timeout_s=20)

    def _try_all(self) -> str:
        for node_id in self.cluster.supervisor.alive():
            try:
                with self.cluster.connection(node_id) as connection:
                    return self._try(connection)
            except GlassraftError:
                continue
        return ""

    def _try(self, connection: Connection) -> str:
        answer = connection.call("Submit", self.session, self.number, self.number, JOB, timeout_s=8)
        return str(answer["job"])


def jobs_of(cluster: Cluster) -> set[str]:
    """The ids of all jobs, from the leader."""
    with cluster.connection(cluster.leader().id) as connection:
        page = connection.call("List", '{"limit": 500}', False, timeout_s=8)
    return {job["id"] for job in json.loads(page["jobs"])}


def test_one_node_alone_is_a_cluster(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    assert cluster.leader().id == 1
    assert Submitter(cluster).submit()


def test_a_new_leader_follows_a_killed_one_and_has_its_jobs(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    old = cluster.leader()
    submitter = Submitter(cluster)
    jobs = {submitter.submit() for _ in range(5)}
    cluster.kill(old.id)
    new = cluster.leader(other_than=old.id, after_term=old.term)
    assert new.id != old.id
    jobs.add(submitter.submit())
    assert jobs_of(cluster) == jobs


def test_a_killed_node_goes_on_where_it_was(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    leader = cluster.leader()
    submitter = Submitter(cluster)
    submitter.submit()
    before = cluster.state(leader.id)
    cluster.kill(leader.id)
    jobs = [submitter.submit() for _ in range(3)]
    cluster.restart(leader.id)
    states = cluster.caught_up()
    after = states[leader.id]
    assert after["term"] >= before["term"]
    assert after["last_log_index"] >= before["last_log_index"] + len(jobs)
    assert len({state["digest"] for state in states.values()}) == 1


def test_all_killed_at_once_come_back_with_everything(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    submitter = Submitter(cluster)
    jobs = {submitter.submit() for _ in range(5)}
    for node_id in (1, 2, 3):
        cluster.kill(node_id)
    cluster.start()
    cluster.leader()
    jobs.add(submitter.submit())
    assert jobs_of(cluster) == jobs


def test_without_a_quorum_submitting_fails_clearly_and_goes_on_after_one_returns(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(3)
    leader = cluster.leader()
    followers = cluster.followers()
    for node_id in followers:
        cluster.kill(node_id)
    submitter = Submitter(cluster)
    with cluster.connection(leader.id) as connection, pytest.raises(Fault) as refused:
        connection.call("Submit", submitter.session, 1, 1, JOB, timeout_s=10)
    assert refused.value.name in ("no_quorum", "outcome_unknown", "not_leader")
    cluster.restart(followers[0])
    assert submitter.submit()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot pause a process")
def test_a_paused_leader_is_replaced_and_steps_down_when_it_goes_on(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    old = cluster.leader()
    cluster.supervisor.pause(old.id)
    new = cluster.leader(other_than=old.id, after_term=old.term)
    cluster.supervisor.resume(old.id)
    eventually(lambda: cluster.state(old.id)["role"] == "follower")
    assert cluster.leader().term >= new.term
    cluster.caught_up()


def test_a_port_in_use_is_told_by_the_node(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1, start=False)
    cluster.config.make_folders()
    with socket.create_server(("127.0.0.1", cluster.config.node(1).port)):
        cluster.supervisor.start_all("c0ffee")
        assert not cluster.supervisor.wait_ready(1, 20)
    eventually(lambda: cluster.ends)
    assert cluster.ends[0].returncode == 3
    assert f"port {cluster.config.node(1).port}" in cluster.ends[0].reason


def test_a_node_asked_to_stop_exits_with_0(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    cluster.leader()
    cluster.supervisor.stop(1)
    assert [(end.name, end.returncode, end.reason) for end in cluster.ends] == [("n1", 0, "stopped")]


def test_a_node_started_by_hand_needs_no_parent(make_cluster: MakeCluster) -> None:
    """Its standard input may end, or be none: only --supervised ties it to who started it."""
    cluster = make_cluster(1)
    cluster.supervisor.stop(1)
    command = [sys.executable, str(ROOT / "node.py"), "--id", "1", "--config", str(cluster.config.path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"n1 serves")
            assert cluster.leader().id == 1
        finally:
            process.terminate()
        assert process.wait(20) == 0 or sys.platform == "win32"
