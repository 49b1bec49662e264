"""Real processes: a node for which the log begins too late comes back by a snapshot, while the others go on."""

import threading

from glassraft.events.reader import read_node
from tests.cluster.test_nodes import Submitter, jobs_of
from tests.conftest import MakeCluster
from tests.live import Cluster, eventually

FEW_KEPT = {"kept_log_entries": 40, "kept_for_snapshot_entries": 400}


def files_of(cluster: Cluster, node_id: int) -> set[str]:
    """The names of a node's queue files, snapshots and what is being received, without SQLite's own beside them."""
    names = {path.name for path in cluster.config.folders.data.glob(f"node-{node_id}.*.db")}
    return names - {f"node-{node_id}.raft.db"}


def test_a_node_that_was_down_comes_back_by_a_snapshot_while_the_leader_goes_on(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(3, limits=FEW_KEPT)
    leader = cluster.leader().id
    follower = cluster.followers()[0]
    submitter = Submitter(cluster)
    jobs = {submitter.submit()}
    end = cluster.caught_up()[follower]["last_log_index"]
    cluster.kill(follower)
    for _ in range(120):
        jobs.add(submitter.submit())
    eventually(lambda: cluster.state(leader)["first_log_index"] > end + 1)

    came_back = threading.Event()

    def go_on() -> None:
        while not came_back.is_set():
            jobs.add(submitter.submit())

    going_on = threading.Thread(target=go_on)
    going_on.start()
    try:
        cluster.restart(follower)
        eventually(lambda: cluster.state(follower)["last_applied"] > end + 120)
    finally:
        came_back.set()
        going_on.join()

    states = cluster.caught_up()
    assert len({state["digest"] for state in states.values()}) == 1
    assert jobs_of(cluster) == jobs
    installs = [
        event for event in read_node(cluster.config.folders.logs, follower) if event["event"] == "install"
    ]
    assert installs
    assert states[follower]["first_log_index"] > end + 1
    eventually(lambda: files_of(cluster, follower) == {f"node-{follower}.queue.{installs[-1]['index']}.db"})
    eventually(lambda: files_of(cluster, leader) == {f"node-{leader}.queue.db"})

    cluster.kill(follower)
    cluster.restart(follower)
    assert cluster.caught_up()[follower]["digest"] == cluster.state(leader)["digest"]
