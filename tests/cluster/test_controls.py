"""What the window's clicks do to real processes."""

import sys

import pytest

from cluster import SAMPLES, WindowControls
from glassraft.jobqueue.client import JobQueue
from tests.conftest import MakeCluster


def test_clicks_reach_the_processes(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    follower = cluster.followers()[0]
    with JobQueue(cluster.config.path) as queue:
        controls = WindowControls(cluster.supervisor, queue)
        assert controls.can("kill", follower) == (True, "")
        assert controls.can("restart", follower) == (False, f"n{follower} runs already")
        controls.kill(follower)
        assert controls.can("kill", follower) == (False, f"n{follower} is not running")
        controls.restart(follower)
        assert cluster.supervisor.wait_ready(follower, 20)
        assert controls.log_path(follower).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot pause a process")
def test_pausing_and_resuming_take_turns(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    with JobQueue(cluster.config.path) as queue:
        controls = WindowControls(cluster.supervisor, queue)
        assert controls.can("resume", 1) == (False, "n1 is not paused")
        controls.pause(1)
        assert controls.can("pause", 1) == (False, "n1 is paused already")
        assert controls.can("resume", 1) == (True, "")
        controls.resume(1)
        assert cluster.leader().id == 1


def test_sample_jobs_are_submitted(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    cluster.leader()
    with JobQueue(cluster.config.path) as queue:
        controls = WindowControls(cluster.supervisor, queue)
        assert controls.can("submit", 0) == (True, "")
        assert controls.submit_samples() == f"{len(SAMPLES)} sample jobs submitted"
        assert {job["task"] for job in queue.list()["jobs"]} == {task for task, _ in SAMPLES}
