"""Calls to whichever node leads: found, followed, tried again; and what is said when there is none."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glassraft.errors import ConfigError, NoCluster, NoQuorum, OutcomeUnknown
from glassraft.rpc.faults import Fault
from glassraft.rpc.leader import LeaderCalls
from glassraft.rpc.server import Call, Method, RpcServer

Behaviour = Callable[[], str]


class Nodes:
    """Servers whose one method does what the test says, and a log of which was asked."""

    def __init__(self, count: int) -> None:
        self.asked: list[int] = []
        self.behaviours: list[Behaviour] = [self.not_leader(None)] * count
        self.servers: list[RpcServer | None] = []
        for place in range(count):
            self.servers.append(self._server(place, 0))
        self.addresses = [("127.0.0.1", server.port) for server in self.servers if server]

    def _server(self, place: int, port: int) -> RpcServer:
        def act(call: Call) -> str:
            self.asked.append(place)
            return self.behaviours[place]()

        def ping(call: Call) -> str:
            return "here"

        methods = {
            "Act": Method(act, ("string",), 0, "Does as the test says."),
            "Ping": Method(ping, ("string",), 0, "Says that it is here."),
        }
        server = RpcServer("127.0.0.1", port, methods, name="node")
        server.start()
        return server

    def not_leader(self, leader: int | None) -> Behaviour:
        def refuse() -> str:
            host, port = self.addresses[leader] if leader is not None else ("", 0)
            raise Fault.named("not_leader", "n does not lead", {"leader_id": 1, "host": host, "port": port})

        return refuse

    def lead(self, leader: int) -> None:
        """Everyone knows that this one leads, and it answers."""
        self.behaviours = [self.not_leader(leader)] * len(self.servers)
        self.behaviours[leader] = lambda: f"from {leader}"

    def kill(self, place: int) -> None:
        server, self.servers[place] = self.servers[place], None
        if server is not None:
            server.stop(0)

    def start(self, place: int) -> None:
        self.servers[place] = self._server(place, self.addresses[place][1])


def fault(name: str) -> Behaviour:
    def refuse() -> str:
        raise Fault.named(name, f"because of {name}")

    return refuse


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    three = Nodes(3)
    yield three
    for place in range(3):
        three.kill(place)


@pytest.fixture
def calls(nodes: Nodes) -> Iterator[LeaderCalls]:
    """A client with room for an election, whose tries are short."""
    client = LeaderCalls(nodes.addresses, timeout_s=20.0, try_timeout_s=2.0)
    yield client
    client.close()


def hasty(nodes: Nodes, timeout_s: float = 0.3, try_timeout_s: float = 10.0) -> LeaderCalls:
    return LeaderCalls(nodes.addresses, timeout_s=timeout_s, try_timeout_s=try_timeout_s)


@pytest.mark.parametrize("leader", [0, 1, 2])
def test_the_leader_is_found_and_remembered(nodes: Nodes, calls: LeaderCalls, leader: int) -> None:
    nodes.lead(leader)
    assert calls.call("Act") == f"from {leader}"
    assert len(nodes.asked) <= 2
    nodes.asked.clear()
    assert [calls.call("Act") for _ in range(3)] == [f"from {leader}"] * 3
    assert nodes.asked == [leader] * 3


def test_a_new_leader_is_followed(nodes: Nodes, calls: LeaderCalls) -> None:
    nodes.lead(0)
    assert calls.call("Act") == "from 0"
    nodes.lead(2)
    assert calls.call("Act") == "from 2"


def test_a_killed_leader_is_left_for_the_next(nodes: Nodes, calls: LeaderCalls) -> None:
    nodes.lead(0)
    assert calls.call("Act") == "from 0"
    nodes.kill(0)
    nodes.lead(1)
    assert calls.call("Act") == "from 1"


def test_an_election_is_waited_out(nodes: Nodes, calls: LeaderCalls) -> None:
    """All know the dead leader only, until one of them is elected."""
    nodes.lead(0)
    assert calls.call("Act") == "from 0"
    nodes.kill(0)
    rounds = [0]

    def until_elected() -> str:
        rounds[0] += 1
        if rounds[0] == 5:
            nodes.lead(1)
        return nodes.not_leader(0)()

    nodes.behaviours[1] = nodes.behaviours[2] = until_elected
    assert calls.call("Act") == "from 1"


@pytest.mark.parametrize("name", ["no_quorum", "busy", "outcome_unknown", "timeout", "shutting_down"])
def test_what_may_pass_is_tried_again(nodes: Nodes, calls: LeaderCalls, name: str) -> None:
    nodes.lead(1)
    refused = [fault(name), fault(name)]
    nodes.behaviours[1] = lambda: refused.pop()() if refused else "after all"
    assert calls.call("Act") == "after all"


@pytest.mark.parametrize(
    "name", ["bad_argument", "not_found", "stale_token", "full", "internal", "too_large"]
)
def test_what_is_refused_is_not_tried_again(nodes: Nodes, calls: LeaderCalls, name: str) -> None:
    nodes.lead(1)
    nodes.behaviours[1] = fault(name)
    with pytest.raises(Fault) as caught:
        calls.call("Act")
    assert caught.value.name == name
    assert nodes.asked.count(1) == 1


@pytest.mark.parametrize("name", ["session_expired", "stale_number"])
def test_a_refusal_says_nothing_of_an_earlier_try(nodes: Nodes, calls: LeaderCalls, name: str) -> None:
    nodes.lead(1)
    answers = [fault(name), fault("outcome_unknown")]
    nodes.behaviours[1] = lambda: answers.pop()()
    with pytest.raises(OutcomeUnknown, match="the outcome of Act is not known: an answer was lost"):
        calls.call("Act")


def test_no_quorum_says_how_many_answer(nodes: Nodes) -> None:
    nodes.kill(0)
    nodes.kill(2)
    with pytest.raises(NoQuorum) as caught:
        hasty(nodes).call("Act")
    assert str(caught.value) == "no quorum: 1 of 3 nodes answers, 2 are needed; nothing was done"
    with pytest.raises(NoQuorum, match="nothing was read"):
        hasty(nodes).call("Act", changes=False)


def test_no_quorum_after_a_doubt_is_no_promise(nodes: Nodes) -> None:
    nodes.kill(0)
    nodes.kill(2)
    nodes.behaviours[1] = fault("outcome_unknown")
    with pytest.raises(OutcomeUnknown) as caught:
        hasty(nodes).call("Act")
    assert str(caught.value) == (
        "the outcome of Act is not known: no quorum: 1 of 3 nodes answers, 2 are needed; it may still be done"
    )
    with pytest.raises(NoQuorum, match="nothing was read"):
        hasty(nodes).call("Act", changes=False)


def test_nobody_leads(nodes: Nodes) -> None:
    with pytest.raises(
        NoQuorum, match=r"no leader: 3 of 3 nodes answer, and none serves \(n does not lead\)"
    ):
        hasty(nodes).call("Act")


def test_no_cluster_is_told_soon_with_its_addresses(nodes: Nodes) -> None:
    """Long before the timeout, where no node ever answered: most likely nothing runs."""
    for place in range(3):
        nodes.kill(place)
    client = LeaderCalls(nodes.addresses, timeout_s=100.0)
    began = time.monotonic()
    with pytest.raises(NoCluster) as caught:
        client.call("Act")
    assert time.monotonic() - began < 50
    addresses = ", ".join(f"127.0.0.1:{port}" for _, port in nodes.addresses)
    assert str(caught.value) == (
        f"no node answers at {addresses}: is the cluster running? start it with python cluster.py"
    )


def test_a_cluster_that_answered_before_is_waited_for(nodes: Nodes, calls: LeaderCalls) -> None:
    nodes.lead(1)
    assert calls.call("Act") == "from 1"
    for place in range(3):
        nodes.kill(place)
    restart = threading.Timer(1.5, lambda: [nodes.start(place) for place in range(3)])
    restart.start()
    assert calls.call("Act", changes=False) == "from 1"
    restart.join()


def test_a_silent_leader_is_left_for_the_next(nodes: Nodes) -> None:
    """A paused process: its system still accepts, and nobody answers."""
    with socket.socket() as paused:
        paused.bind(("127.0.0.1", 0))
        paused.listen()
        nodes.kill(0)
        nodes.addresses[0] = ("127.0.0.1", paused.getsockname()[1])
        nodes.lead(1)
        client = LeaderCalls(nodes.addresses, timeout_s=20.0, try_timeout_s=0.1)
        client.leader = 0
        assert client.call("Act") == "from 1"
        client.leader = None
        assert client.call("Act") == "from 1"
        client.close()


def test_silent_nodes_do_not_count_as_answering(nodes: Nodes) -> None:
    with socket.socket() as paused:
        paused.bind(("127.0.0.1", 0))
        paused.listen()
        nodes.kill(0)
        nodes.kill(1)
        nodes.addresses[0] = ("127.0.0.1", paused.getsockname()[1])
        with pytest.raises(OutcomeUnknown, match="1 of 3 nodes answers"):
            hasty(nodes, 0.6, 0.1).call("Act")


def test_a_slow_leader_that_still_lives_counts_as_answering(nodes: Nodes) -> None:
    """Its answer comes after our patience; that it answers at all, a probe shows."""
    released = threading.Event()
    nodes.lead(1)
    nodes.behaviours[1] = lambda: str(released.wait(20))
    with pytest.raises(OutcomeUnknown, match="3 of 3 nodes answer"):
        hasty(nodes).call("Act")
    released.set()


def test_a_method_that_waits_is_given_its_time(nodes: Nodes) -> None:
    nodes.lead(1)

    def slow() -> str:
        time.sleep(0.3)
        return "waited"

    nodes.behaviours[1] = slow
    assert hasty(nodes, 20.0, 0.1).call("Act", wait_s=10.0) == "waited"
    assert nodes.asked.count(1) == 1


def test_without_time_nothing_is_sent(nodes: Nodes, calls: LeaderCalls) -> None:
    nodes.lead(1)
    with pytest.raises(NoQuorum, match="no leader: 3 of 3 nodes answer"):
        calls.call("Act", timeout_s=0.0)
    assert nodes.asked == []


def test_threads_share_the_leader_and_no_connection(nodes: Nodes, calls: LeaderCalls) -> None:
    nodes.lead(2)
    assert calls.call("Act") == "from 2"
    nodes.asked.clear()
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(calls.call("Act"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == ["from 2"] * 8
    assert nodes.asked == [2] * 8


def test_a_client_needs_nodes() -> None:
    with pytest.raises(ConfigError, match="at least one node"):
        LeaderCalls([])


def test_a_client_of_old_nodes_learns_of_new_ones(nodes: Nodes) -> None:
    def refuse() -> str:
        detail = {"leader_id": 0, "members": 3, "nodes": [list(address) for address in nodes.addresses]}
        raise Fault.named("not_leader", "n does not lead, and no leader is known yet", detail)

    nodes.behaviours = [refuse, refuse, lambda: "from 2"]
    client = LeaderCalls(nodes.addresses[:1], timeout_s=20.0)
    assert client.call("Act") == "from 2"
    assert client.nodes == nodes.addresses
    nodes.kill(0)
    assert client.call("Act") == "from 2"
    client.close()


def test_what_is_no_address_is_not_remembered(nodes: Nodes) -> None:
    def refuse() -> str:
        raise Fault.named("not_leader", "n does not lead", {"nodes": [["h", "1"], "x", None, ["h"]]})

    nodes.behaviours[0] = refuse
    client = LeaderCalls(nodes.addresses[:1], timeout_s=0.3)
    with pytest.raises(NoQuorum):
        client.call("Act")
    assert client.nodes == nodes.addresses[:1]
    client.close()
