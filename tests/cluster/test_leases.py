"""A real cluster with raft.lease_reads on: it elects, serves, reads and hands over."""

import json

from tests.cluster.test_stock_client import Stock
from tests.conftest import MakeCluster


def test_a_cluster_with_leases_serves_and_hands_over(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3, raft={"lease_reads": True})
    with Stock(cluster) as stock:
        job = stock.numbered("Submit", '{"task": "nothing"}')["job"]
        for _ in range(20):
            assert json.loads(stock.call("Get", job, False)["job"])["state"] == "ready"
        target = stock.leader.id % 3 + 1
        assert stock.call("TransferLeadership", target)["leader_id"] == target
    with Stock(cluster) as stock:
        assert stock.leader.id == target
        assert json.loads(stock.call("Get", job, False)["job"])["state"] == "ready"
