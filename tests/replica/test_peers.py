"""A node's connections to its peers, against a real server in this process, or a socket that misbehaves."""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from glassraft.raft.messages import AppendEntries, AppendEntriesReply, Entry, LogPosition, RequestVote
from glassraft.replica import peers
from glassraft.replica.arrivals import Arrival, MessageArrived, MessageLost, Origin
from glassraft.replica.peers import SMALL_BYTES, Peer, PeerNetwork
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import Call, Method
from glassraft.rpc.raft_calls import APPEND_ENTRIES_SIGNATURE, Context, from_call, to_reply
from glassraft.rpc.server import RpcServer, ServerLimits
from glassraft.rpc.sockets import SEND_BUFFER_BYTES
from tests.replica.parts import accepted, wait_until

CLUSTER = "c0ffee"


class Arrivals(list[Arrival]):
    """What a peer brought."""

    @property
    def lost(self) -> list[tuple[str, str]]:
        return [(arrival.id, arrival.why) for arrival in self if isinstance(arrival, MessageLost)]

    @property
    def rounds(self) -> list[int]:
        """Of the replies."""
        return [
            arrival.message.round
            for arrival in self
            if isinstance(arrival, MessageArrived) and isinstance(arrival.message, AppendEntriesReply)
        ]


class Node:
    """A node that says yes to everything, served for real."""

    def __init__(self, port: int = 0, *, id: int = 2, limits: ServerLimits | None = None) -> None:
        self.id = id
        self.hold = threading.Event()
        self.hold.set()
        self.fault: Fault | None = None
        self.received: list[int] = []
        method = Method(self.append_entries, APPEND_ENTRIES_SIGNATURE, 7, "")
        self.server = RpcServer("127.0.0.1", port, {"AppendEntries": method}, limits=limits)
        self.server.start()

    @property
    def port(self) -> int:
        return self.server.port

    def append_entries(self, call: Call, *params: Any) -> dict[str, Any]:
        message, _ = from_call("AppendEntries", params, self.id)
        assert isinstance(message, AppendEntries)
        self.hold.wait(20)
        self.received.append(message.round)
        if self.fault:
            raise self.fault
        return to_reply(accepted(message), Context("n2-1", 1, 1, self.id, CLUSTER))

    def stop(self) -> None:
        self.hold.set()
        self.server.stop(0.5)


class Silent:
    """Accepts and never answers, as a paused process does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self._listener.getsockname()[1]

    def close(self) -> None:
        self._listener.close()


Connect = Callable[[int], Peer]


@pytest.fixture
def arrivals() -> Arrivals:
    return Arrivals()


@pytest.fixture
def connect(arrivals: Arrivals) -> Iterator[Connect]:
    """`connect(port)`: n1's connections to n2 at that port."""
    made: list[Peer] = []

    def connect_to(port: int) -> Peer:
        peer = Peer(2, "127.0.0.1", port, node=1, cluster_id=CLUSTER, bring=arrivals.append)
        made.append(peer)
        peer.start()
        return peer

    yield connect_to
    for peer in made:
        peer.stop()


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.stop()


def append(round: int, command: str = "x", count: int = 1) -> AppendEntries:
    entries = tuple(Entry(index, 1, "command", command) for index in range(1, count + 1))
    return AppendEntries(1, 2, 1, LogPosition(0, 0), entries, 0, round)


def origin(round: int) -> Origin:
    return Origin(f"n1-{round}", round, 1)


def send(peer: Peer, round: int, command: str = "x", count: int = 1) -> None:
    peer.send(append(round, command, count), origin(round))


def connected(peer: Peer) -> Peer:
    wait_until(lambda: peer._small_is_up)
    return peer


LARGE = "x" * (SMALL_BYTES + 1)


def test_a_reply_comes_back_for_each_message_in_order(
    node: Node, connect: Connect, arrivals: Arrivals
) -> None:
    peer = connected(connect(node.port))
    for round in range(1, 51):
        send(peer, round)
    wait_until(lambda: len(arrivals) == 50)
    assert arrivals.rounds == list(range(1, 51))


def test_large_messages_go_their_own_way(node: Node, connect: Connect, arrivals: Arrivals) -> None:
    peer = connected(connect(node.port))
    send(peer, 1, LARGE)
    wait_until(lambda: arrivals.rounds == [1])
    send(peer, 2, LARGE * 30)
    wait_until(lambda: arrivals.rounds == [1, 2])


def test_a_large_message_holds_no_heartbeat_up(node: Node, connect: Connect, arrivals: Arrivals) -> None:
    peer = connected(connect(node.port))
    node.hold.clear()
    send(peer, 1, LARGE)
    send(peer, 2, LARGE)
    assert arrivals.lost == [("n1-2", "an earlier large message is under way")]
    send(peer, 3)
    node.hold.set()
    wait_until(lambda: sorted(arrivals.rounds) == [1, 3])


def test_nothing_can_be_sent_before_there_is_a_connection(connect: Connect, arrivals: Arrivals) -> None:
    peer = connect(closed_port())
    send(peer, 1)
    assert arrivals.lost == [("n1-1", "not connected")]
    send(peer, 2, LARGE)
    wait_until(lambda: len(arrivals) == 2)
    assert arrivals.lost[1] == ("n1-2", "connection refused")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_what_was_under_way_when_a_peer_dies_is_lost_and_told_once(
    connect: Connect, arrivals: Arrivals
) -> None:
    silent = Silent()
    peer = connected(connect(silent.port))
    for round in range(1, 11):
        send(peer, round)
    send(peer, 11, LARGE)
    wait_until(lambda: peer._bulk.unanswered)
    silent.close()  # the system resets what nobody accepted
    wait_until(lambda: len(arrivals) == 11)
    assert sorted(id for id, _ in arrivals.lost) == sorted(f"n1-{round}" for round in range(1, 12))
    assert {why for _, why in arrivals.lost} == {"connection broke"}
    time.sleep(0.05)
    assert len(arrivals) == 11


def test_it_connects_again_after_the_peers_restart(connect: Connect, arrivals: Arrivals) -> None:
    first = Node()
    port = first.port
    peer = connected(connect(port))
    send(peer, 1)
    send(peer, 2, LARGE)
    wait_until(lambda: sorted(arrivals.rounds) == [1, 2])
    first.stop()
    wait_until(lambda: not peer._small_is_up)
    again = Node(port)
    try:
        connected(peer)
        send(peer, 3)
        wait_until(lambda: 3 in arrivals.rounds)
        send(peer, 4, LARGE)  # finds at the latest by now that its old connection is gone
        wait_until(lambda: len(arrivals) == 4)
        send(peer, 5, LARGE)
        wait_until(lambda: 5 in arrivals.rounds)
    finally:
        again.stop()


@pytest.mark.parametrize(
    "command", ["x" * 100, "&" * SMALL_BYTES, '"' * SMALL_BYTES], ids=["small", "xml", "json"]
)
def test_a_paused_peer_never_blocks_who_sends(connect: Connect, arrivals: Arrivals, command: str) -> None:
    """However much is sent, and however long it gets on the wire: at some point the buffer is called full."""
    silent = Silent()
    try:
        peer = connected(connect(silent.port))
        slowest_s = 0.0
        for round in range(1, 1_001):
            send(peer, round)
        for round in range(1_001, 3_001):
            began = time.monotonic()
            send(peer, round, command)
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert slowest_s < 1.0
        assert ("n1-3000", "buffer full") in arrivals.lost
        assert peer._small.unanswered_bytes <= SEND_BUFFER_BYTES
    finally:
        silent.close()


def test_a_peer_silent_for_long_is_given_up(
    connect: Connect, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "SILENCE_S", 0.05)
    silent = Silent()
    try:
        peer = connected(connect(silent.port))
        send(peer, 1)
        time.sleep(0.06)
        send(peer, 2)
        wait_until(lambda: len(arrivals) == 2)
        assert sorted(arrivals.lost) == [("n1-1", "connection broke"), ("n1-2", "no answer")]
        connected(peer)
        send(peer, 3)
    finally:
        silent.close()


def test_a_fault_is_a_message_lost_with_its_name(node: Node, connect: Connect, arrivals: Arrivals) -> None:
    node.fault = Fault.named("wrong_cluster", "not yours")
    peer = connected(connect(node.port))
    send(peer, 1)
    send(peer, 2, LARGE)
    wait_until(lambda: len(arrivals) == 2)
    assert sorted(arrivals.lost) == [("n1-1", "wrong_cluster"), ("n1-2", "wrong_cluster")]
    node.fault = None
    send(peer, 3)
    wait_until(lambda: arrivals.rounds == [3])


def test_an_answer_from_another_node_counts_for_nothing(connect: Connect, arrivals: Arrivals) -> None:
    """Two addresses are mixed up in a config.json: n3 must not speak for n2."""
    other = Node(id=3)
    try:
        peer = connected(connect(other.port))
        send(peer, 1)
        wait_until(lambda: arrivals)
        assert arrivals.lost == [("n1-1", "answered by n3")]
    finally:
        other.stop()


def test_a_server_that_is_full_is_not_hammered(
    connect: Connect, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and says 503: that is no reason to come again at once."""
    full = Node(limits=ServerLimits(max_connections=1, reserved_connections=0))
    connects: list[float] = []
    accept = full.server._turn_away
    monkeypatch.setattr(
        full.server, "_turn_away", lambda accepted: (connects.append(time.monotonic()), accept(accepted))
    )
    try:
        with socket.create_connection(("127.0.0.1", full.port)):
            wait_until(lambda: full.server.connection_count == 1)
            connect(full.port)
            wait_until(lambda: len(connects) >= 4)
            gaps = [later - earlier for earlier, later in pairwise(connects)]
            assert max(gaps) > 0.015, gaps
            assert sum(gaps) > 0.06, gaps
    finally:
        full.stop()


class Vanishing(deque[Any]):
    """Somebody else takes the one thing out between two looks at it."""

    def __len__(self) -> int:
        length = super().__len__()
        if length:
            self.clear()
        return length

    def __bool__(self) -> bool:
        return len(self) > 0


def test_an_answer_that_comes_while_the_next_is_sent_is_no_error(
    connect: Connect, arrivals: Arrivals
) -> None:
    silent = Silent()
    try:
        peer = connected(connect(silent.port))
        peer._on_small = Vanishing([(append(1), "n1-1", time.monotonic())])
        send(peer, 2)
        peer._on_small = deque()
    finally:
        silent.close()


def test_stop_leaves_no_thread_also_while_nothing_answers(arrivals: Arrivals) -> None:
    """The test's own look for leftovers would find one."""
    silent = Silent()
    try:
        peer = Peer(2, "127.0.0.1", silent.port, node=1, cluster_id=CLUSTER, bring=arrivals.append)
        peer.start()
        connected(peer)
        send(peer, 1)
        send(peer, 2, LARGE)
        wait_until(lambda: peer._bulk.is_open)
        began = time.monotonic()
        peer.stop()
        assert time.monotonic() - began < 1.0
        assert not any(thread.is_alive() for thread in peer._threads)
    finally:
        silent.close()


def test_stop_while_a_large_message_connects_leaves_no_thread(
    arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Silent()
    connecting, may_go_on = threading.Event(), threading.Event()
    try:
        peer = Peer(2, "127.0.0.1", silent.port, node=1, cluster_id=CLUSTER, bring=arrivals.append)
        connect_bulk = peer._bulk.connect

        def connect_slowly(*timeout: float) -> None:
            connecting.set()
            may_go_on.wait(20)
            connect_bulk(*timeout)

        monkeypatch.setattr(peer._bulk, "connect", connect_slowly)
        peer.start()
        send(peer, 1, LARGE)
        assert connecting.wait(20)
        stopping = threading.Thread(target=peer.stop)
        stopping.start()
        wait_until(peer._stopping.is_set)
        may_go_on.set()
        stopping.join(20)
        wait_until(lambda: not any(thread.is_alive() for thread in peer._threads), 3.0)
    finally:
        silent.close()


def test_stop_before_start_is_no_error(arrivals: Arrivals) -> None:
    Peer(2, "127.0.0.1", closed_port(), node=1, cluster_id=CLUSTER, bring=arrivals.append).stop()


def test_replies_go_to_the_calls_that_they_answer() -> None:
    """Each request gets the one reply that the server makes for it, in order, whoever else asked."""
    network = PeerNetwork([])
    answered: list[tuple[str, object]] = []
    for sender, name in ((2, "a"), (3, "b"), (2, "c")):
        request = RequestVote(sender, 1, 1, LogPosition(0, 0)) if name == "c" else append_from(sender)
        network.expect_reply(
            MessageArrived(
                request, origin(1), lambda reply, origin, name=name: answered.append((name, reply))
            )  # type: ignore[misc]
        )
    to_b = AppendEntriesReply(1, 3, 1, True, 1)
    to_a = AppendEntriesReply(1, 2, 1, True, 1)
    network.send(to_b, origin(2))
    network.send(to_a, origin(3))
    assert answered == [("b", to_b), ("a", to_a)]


def append_from(sender: int) -> AppendEntries:
    return AppendEntries(sender, 1, 1, LogPosition(0, 0), (), 0, 1)


def test_many_messages_from_another_thread_are_all_answered_or_lost(
    node: Node, connect: Connect, arrivals: Arrivals
) -> None:
    peer = connected(connect(node.port))
    sender = threading.Thread(target=lambda: [send(peer, round) for round in range(1, 501)])
    sender.start()
    sender.join(20)
    wait_until(lambda: len(arrivals) == 500)
    assert len(set(arrivals.rounds)) + len(arrivals.lost) == 500
