"""A real cluster whose leaders are killed fires each due time of a schedule once."""

from glassraft.jobqueue.client import JobQueue
from tests.conftest import MakeCluster
from tests.live import eventually

EVERY_MS = 1_000


def test_each_due_time_fires_once_though_leaders_are_killed(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    with JobQueue(cluster.config.path) as queue:
        first_ms = queue.schedules.set("s", "nothing", every=1, overlap="allow", catch_up="all")["due_ms"]
        for fired in (2, 4):
            eventually(lambda fired=fired: len(queue.schedules.get("s")["history"]) >= fired)
            leader = cluster.leader()
            cluster.kill(leader.id)
            cluster.leader(other_than=leader.id)
            cluster.restart(leader.id)
        eventually(lambda: len(queue.schedules.get("s")["history"]) >= 6)
        queue.schedules.set("s", "nothing", every=3_600, overlap="allow")
        history = queue.schedules.get("s")["history"]
        due = [row["due_ms"] for row in history]
        assert due == [first_ms + n * EVERY_MS for n in range(len(due))]
        assert {row["event"] for row in history} == {"fired"}
        jobs = {job["id"] for job in queue.list()["jobs"]}
        assert jobs == {row["job"] for row in history}
