"""Real node processes are added and removed while jobs are submitted, and nothing is lost (diss. §4)."""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator

import pytest

from glassraft.config import NodeAddress
from glassraft.jobqueue.client import JobQueue
from glassraft.rpc.faults import Fault
from glassraft.rpc.leader import LeaderCalls
from glassraft.supervisor import LeaderWatch, Picture
from glassraft.supervisor.membership import add_server, make_leader, remove_server
from tests.cluster.conftest import MakeConfig, MakeProgram
from tests.conftest import MakeCluster
from tests.live import Cluster, Ports, eventually

CHANGE_S = 60.0
MORE_JOBS = 100


class Load:
    """Submits jobs from some threads until it is stopped; the client knows the first three nodes alone."""

    def __init__(self, cluster: Cluster, threads: int = 3) -> None:
        self.acknowledged: list[str] = []
        self.errors: list[Exception] = []
        self._addresses = list(cluster.config.addresses().values())
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._submit) for _ in range(threads)]

    def _submit(self) -> None:
        with JobQueue(self._addresses, timeout_s=30) as queue:
            while not self._stopping.is_set():
                try:
                    self.acknowledged.append(queue.submit("primes", [1, 10]))
                except Exception as error:
                    self.errors.append(error)

    def goes_on(self) -> None:
        """Wait until MORE_JOBS are acknowledged from now on: the cluster serves."""
        seen = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) >= seen + MORE_JOBS, timeout_s=CHANGE_S)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(60)


def members(cluster: Cluster) -> tuple[list[int], list[int]]:
    """Voters and learners, as the leader has them."""
    state = cluster.state(cluster.leader().id)
    return state["members"], state["learners"]


def all_jobs(cluster: Cluster) -> list[str]:
    """The ids of all jobs that the leader has."""
    found: list[str] = []
    after = ""
    with cluster.connection(cluster.leader().id) as connection:
        while True:
            page = connection.call(
                "List", json.dumps({"limit": 500, "after": after or None}), False, timeout_s=8
            )
            found += [job["id"] for job in json.loads(page["jobs"])]
            after = page["next"]
            if not after:
                return found


def leave(cluster: Cluster, id: int) -> None:
    """Stop a server that was removed."""
    cluster.supervisor.stop(id)
    addresses = cluster.config.addresses()
    del addresses[id]
    cluster.config = cluster.config.with_members(addresses)


def grow(cluster: Cluster, ports: Ports, *ids: int) -> None:
    """Start new servers and wait until they vote."""
    for id in ids:
        (port,) = ports.take(1)
        cluster.supervisor.join(NodeAddress(id, "127.0.0.1", port), cluster.leader().id)
        cluster.config = cluster.supervisor.config
        eventually(lambda id=id: id in members(cluster)[0], timeout_s=CHANGE_S)  # type: ignore[misc]


def test_three_grow_to_five_and_shrink_to_three_under_load(make_cluster: MakeCluster, ports: Ports) -> None:
    cluster = make_cluster(3)
    cluster.leader()
    load = Load(cluster)
    with load.running(), contextlib.closing(LeaderCalls(list(cluster.config.addresses().values()))) as calls:
        load.goes_on()
        grow(cluster, ports, 4, 5)
        assert members(cluster) == ([1, 2, 3, 4, 5], [])
        first = cluster.leader().id
        remove_server(calls, first, CHANGE_S)  # the leader itself
        leave(cluster, first)
        second = min(set(members(cluster)[0]) & {1, 2, 3})
        remove_server(calls, second, CHANGE_S)
        leave(cluster, second)
        load.goes_on()
    left = sorted({1, 2, 3, 4, 5} - {first, second})
    assert members(cluster) == (left, [])
    assert not load.errors
    assert len(load.acknowledged) > 50
    found = all_jobs(cluster)
    assert len(found) == len(set(found))
    assert set(load.acknowledged) <= set(found)
    eventually(lambda: len({cluster.state(id)["digest"] for id in left}) == 1, timeout_s=10)


def test_an_added_server_is_there_after_a_restart_of_all(make_cluster: MakeCluster, ports: Ports) -> None:
    cluster = make_cluster(1)
    cluster.leader()
    grow(cluster, ports, 2)
    for id in (1, 2):
        cluster.supervisor.stop(id)
    for id in (1, 2):
        cluster.supervisor.start(id)
    eventually(lambda: members(cluster) == ([1, 2], []), timeout_s=20)


def test_a_learner_that_nobody_reaches_does_not_count(make_cluster: MakeCluster, ports: Ports) -> None:
    cluster = make_cluster(1)
    with contextlib.closing(LeaderCalls(list(cluster.config.addresses().values()))) as calls:
        (port,) = ports.take(1)
        asking = threading.Thread(target=lambda: _add(calls, 2, port), daemon=True)
        asking.start()
        eventually(lambda: members(cluster) == ([1], [2]), timeout_s=20)
        remove_server(calls, 2, CHANGE_S)
        assert members(cluster) == ([1], [])
        asking.join(20)
        with pytest.raises(Fault, match="n1 is the last voter"):
            remove_server(calls, 1, 1.0)
        with pytest.raises(Fault, match="n7 is no member"):
            remove_server(calls, 7, 1.0)


def _add(calls: LeaderCalls, id: int, port: int) -> None:
    with contextlib.suppress(Fault):
        add_server(calls, id, ("127.0.0.1", port), 1.0)


def test_members_from_the_command_line_and_after_a_restart(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    config = make_config(3)
    program = run_cluster(config, "--no-worker")
    leader = program.leader()
    shown = run_cluster(config, "members")
    assert shown.end() == 0
    assert shown.lines == [
        f"n{node.id}  {node}  votes{', leads' if node.id == leader else ''}" for node in config.nodes
    ]
    removed = run_cluster(config, "remove", str(leader))
    removed.line(f"n{leader} is no member any more")
    again = run_cluster(config, "remove", "9")
    again.line("n9 is no member")
    assert (removed.end(), again.end()) == (0, 2)
    program.signal(signal.SIGINT)
    assert program.end() == 0
    restarted = run_cluster(config, "--no-worker")
    restarted.line("The cluster has other members by now")
    assert restarted.leader() in {1, 2, 3} - {leader}
    assert len(restarted.descendants()) == 2


def test_whoever_watches_for_a_leader_learns_who_votes(make_cluster: MakeCluster) -> None:
    """Its configuration lists two of three voters: with one gone, two are a majority still."""
    cluster = make_cluster(3)
    with contextlib.closing(LeaderCalls(list(cluster.config.addresses().values()))) as calls:
        make_leader(calls, 1)
    pictures: list[Picture] = []
    with contextlib.closing(LeaderWatch(cluster.config.with_nodes(2), pictures.append, patience_s=1.0)):
        eventually(lambda: pictures and pictures[-1].leader is not None)
        cluster.kill(2)
        cluster.kill(3)
        eventually(lambda: pictures[-1].leader is None)
    assert (pictures[-1].answering, pictures[-1].voters, pictures[-1].majority) == (1, 3, 2)
