"""Calls to whichever node leads: finds it, follows it, and tries again until a call has its answer.

What is known of a try whose answer was lost is kept apart from what surely never happened, so
that a caller is never told "nothing was done" of something that was. Sessions, which make trying
again harmless, are their caller's. Next: client.py, one connection; jobqueue/client.py, who calls.
"""

import contextlib
import random
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from glassraft.errors import ConfigError, GlassraftError, NoCluster, NoQuorum, OutcomeUnknown
from glassraft.rpc.client import Connection, ConnectionFailed
from glassraft.rpc.faults import Fault

TRY_TIMEOUT_S = 2.5
"""How long one node may take for one answer: less than a paused leader needs to be forgotten, and
many times what a busy one needs."""

LEAST_TRY_S = 0.25
"""A try that begins has so long, past the call's timeout if need be: cut off, it would be in doubt."""

CONNECT_TIMEOUT_S = 1.0
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.4
"""Between rounds over all nodes, doubling, with jitter: an election takes a second."""

AVOID_SILENT_S = 1.0
"""For so long a node that stayed silent is not asked where others are left, though they still take it for
the leader. One that refuses connections costs nothing to ask again in the next round."""

GIVE_UP_UNSEEN_S = 1.0
"""A cluster that never answered, and whose nodes all refuse connections, is given up after this."""

PROBE_TIMEOUT_S = 0.25

MOST_NODES = 64
"""A client remembers no more nodes than this, whatever it is told."""

NOTHING_DONE = frozenset({"not_leader", "no_quorum", "busy"})
"""Faults that say: not here, or not now, and nothing happened."""

IN_DOUBT = frozenset({"outcome_unknown", "timeout", "shutting_down"})
"""Faults that say: it may still happen."""

SILENT_ON_EARLIER = frozenset({"full", "session_expired", "stale_number"})
"""Faults that refuse this try and say nothing of an earlier one whose answer was lost."""


class LeaderCalls:
    """Calls to one cluster. Thread-safe: each thread has connections of its own, all know one leader."""

    def __init__(
        self,
        nodes: Sequence[tuple[str, int]],
        *,
        timeout_s: float = 15.0,
        try_timeout_s: float = TRY_TIMEOUT_S,
    ) -> None:
        """`timeout_s` is how long a call may look for an answer. ConfigError where there are no nodes."""
        if not nodes:
            raise ConfigError("a client needs the address of at least one node")
        self.nodes = list(nodes)  # grows as faults tell of others; a place in it stays one node's
        self.timeout_s = timeout_s
        self.try_timeout_s = try_timeout_s
        self.leader: int | None = None  # its place in `nodes`
        self.has_answered = False
        self.avoid_until = [0.0] * len(nodes)
        self._local = threading.local()
        self._all: weakref.WeakSet[_Connections] = weakref.WeakSet()
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        *params: Any,
        timeout_s: float | None = None,
        wait_s: float = 0.0,
        changes: bool = True,
    ) -> Any:
        """The answer to a call that only the leader can answer.

        `wait_s` is how long the method itself may wait before it answers; `changes` says whether
        it has an effect: then trying again must be harmless. Raises the Fault that refuses it;
        NoQuorum or NoCluster where it surely had no effect within `timeout_s`; OutcomeUnknown
        where it may have had one.
        """
        patience_s = self.timeout_s if timeout_s is None else timeout_s
        search = _Search(self, method, changes, time.monotonic() + patience_s + wait_s)
        while True:
            node = search.next_node()
            left_s = max(search.deadline - time.monotonic(), LEAST_TRY_S)
            try_s = min(left_s, self.try_timeout_s + wait_s)
            try:
                value = self.connection(node).call(method, *params, timeout_s=try_s)
            except ConnectionFailed as failure:
                search.no_answer(node, failure)
            except Fault as fault:
                search.refused(node, fault)
            else:
                self.leader = node
                self.has_answered = True
                return value

    def connection(self, node: int) -> Connection:
        """This thread's connection to the node at that place."""
        mine: _Connections | None = getattr(self._local, "connections", None)
        if mine is None:
            mine = self._local.connections = _Connections(self.nodes)
            with self._lock:
                self._all.add(mine)
        return mine.to(node)

    def learn(self, fault: Fault) -> None:
        """A fault may name members that were added since this client was told of the nodes."""
        named = [fault.detail.get("nodes"), [[fault.detail.get("host"), fault.detail.get("port")]]]
        for rows in named:
            for row in rows if isinstance(rows, list) else ():
                match row:
                    case [str(host), int(port)] if len(self.nodes) < MOST_NODES:
                        self._learn((host, port))

    def _learn(self, address: tuple[str, int]) -> None:
        with self._lock:
            if address not in self.nodes:
                self.avoid_until.append(0.0)
                self.nodes.append(address)

    def place_of(self, fault: Fault) -> int | None:
        """The place of the leader that a fault names, if it is one of the nodes."""
        address = (fault.detail.get("host"), fault.detail.get("port"))
        return self.nodes.index(address) if address in self.nodes else None

    def close(self) -> None:
        """End the connections of all threads."""
        with self._lock:
            everyone = list(self._all)
        for connections in everyone:
            connections.close()


class _Connections:
    """One thread's connections, which end with their thread."""

    def __init__(self, nodes: Sequence[tuple[str, int]]) -> None:
        self._nodes = nodes
        self._by_node: dict[int, Connection] = {}

    def to(self, node: int) -> Connection:
        if node not in self._by_node:
            host, port = self._nodes[node]
            self._by_node[node] = Connection(host, port, connect_timeout_s=CONNECT_TIMEOUT_S)
        return self._by_node[node]

    def close(self) -> None:
        for connection in list(self._by_node.values()):
            connection.close()

    __del__ = close


class _Search:
    """One call on its way through the nodes: whom to ask next, and what is known so far."""

    def __init__(self, calls: LeaderCalls, method: str, changes: bool, deadline: float) -> None:
        self.deadline = deadline
        self._calls = calls
        self._method = method
        self._changes = changes
        self._began = time.monotonic()
        self._next = calls.leader
        self._tried: set[int] = set()  # in this round over the nodes
        self._answers: dict[int, bool] = {}  # whether a node answered when it was asked last
        self._refusals: set[int] = set()  # those that refused the connection, or broke it at once
        self._start = random.randrange(len(calls.nodes))
        self._pause_s = SHORTEST_PAUSE_S
        self._in_doubt = False
        self._last_words = ""
        self._members = len(calls.nodes)  # until a node says how many there really are

    def next_node(self) -> int:
        """Whom to ask now; pauses between rounds. Raises what a call ends with that had no answer in time."""
        if time.monotonic() >= self.deadline:
            raise self._verdict()
        node = self._next if self._next is not None else self._untried()
        if node is None:
            self._pause()
            node = self._untried()
        if node is None:  # all are to be avoided: still better than none
            node = min(range(len(self._calls.nodes)), key=lambda place: self._calls.avoid_until[place])
        self._next = None
        self._tried.add(node)
        return node

    def no_answer(self, node: int, failure: ConnectionFailed) -> None:
        """The node did not answer; if the call may have reached it, its fate is in doubt from now on."""
        self._in_doubt = self._in_doubt or (failure.sent and self._changes)
        self._answers[node] = False
        self._last_words = str(failure)
        if failure.timed_out:
            self._refusals.discard(node)
            self._calls.avoid_until[node] = time.monotonic() + AVOID_SILENT_S
        else:
            self._refusals.add(node)
        if self._calls.leader == node:
            self._calls.leader = None

    def refused(self, node: int, fault: Fault) -> None:
        """The node answered with a fault: go on elsewhere, or raise it where it is the answer."""
        self._answers[node] = True
        self._calls.has_answered = True
        self._last_words = fault.message
        self._calls.learn(fault)
        members = fault.detail.get("members")
        self._members = members if isinstance(members, int) and members > 0 else self._members
        if fault.name in IN_DOUBT:
            self._in_doubt = self._in_doubt or self._changes
        elif fault.name == "full" and self._in_doubt:
            pass  # the earlier try may be what fills it
        elif fault.name not in NOTHING_DONE:
            if self._in_doubt and fault.name in SILENT_ON_EARLIER:
                raise OutcomeUnknown(
                    f"the outcome of {self._method} is not known: an answer was lost, and now {fault.message}"
                ) from fault
            self._calls.leader = node
            raise fault
        if self._calls.leader == node:
            self._calls.leader = None
        named = self._calls.place_of(fault)
        if named is not None and named not in self._tried and not self._is_avoided(named):
            self._next = named

    def _untried(self) -> int | None:
        count = len(self._calls.nodes)
        for step in range(count):
            node = (self._start + step) % count
            if node not in self._tried and not self._is_avoided(node):
                return node
        return None

    def _is_avoided(self, node: int) -> bool:
        return self._calls.avoid_until[node] > time.monotonic()

    def _pause(self) -> None:
        """Let an election happen before the next round."""
        now = time.monotonic()
        everyone_refuses = len(self._refusals) == len(self._calls.nodes)
        if everyone_refuses and not self._calls.has_answered and now - self._began > GIVE_UP_UNSEEN_S:
            raise self._verdict()
        pause_s = self._pause_s * random.uniform(0.5, 1.5)
        time.sleep(max(0.0, min(pause_s, self.deadline - now)))
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._tried.clear()
        if time.monotonic() >= self.deadline:
            raise self._verdict()

    def _verdict(self) -> GlassraftError:
        """What to tell the caller: how many nodes answer, and whether anything may have happened."""
        nodes = self._calls.nodes
        answering = sum(self._does_answer(node) for node in range(len(nodes)))
        needed = self._members // 2 + 1
        answer = f"{answering} of {self._members} nodes {'answers' if answering == 1 else 'answer'}"
        if answering == 0:
            addresses = ", ".join(f"{host}:{port}" for host, port in nodes)
            said = f"no node answers at {addresses}: is the cluster running? start it with python cluster.py"
        elif answering < needed:
            said = f"no quorum: {answer}, {needed} are needed"
        else:
            said = f"no leader: {answer}, and none serves"
            said += f" ({self._last_words})" if self._last_words else ""
        if self._in_doubt:
            return OutcomeUnknown(f"the outcome of {self._method} is not known: {said}; it may still be done")
        if answering == 0:
            return NoCluster(said)
        done = "submitted" if self._method.startswith("Submit") else "done" if self._changes else "read"
        return NoQuorum(f"{said}; nothing was {done}")

    def _does_answer(self, node: int) -> bool:
        """As it was seen last, where that is certain; else it is asked once more, shortly."""
        if self._answers.get(node) or node in self._refusals:
            return self._answers[node]
        host, port = self._calls.nodes[node]
        probe = Connection(host, port, connect_timeout_s=PROBE_TIMEOUT_S)
        with contextlib.closing(probe):
            try:
                probe.call("system.methodHelp", "Ping", timeout_s=PROBE_TIMEOUT_S)
            except ConnectionFailed:
                return False
            except Fault:
                return True
            return True
