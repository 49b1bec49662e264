"""The live source: asks every node for its events, a thread a node, so that none holds up another.

A node that is killed refuses, one that is paused accepts and says nothing, one behind a broken
network is not to be reached: each becomes a Standing. Whoever the nodes say has joined is asked
from then on, too. Nothing here touches the window; `take` returns at once. Next: source.py, what
is handed over.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from glassraft.rpc.client import Connection, ConnectionFailed
from glassraft.rpc.faults import Fault
from glassraft.window.source import Batch, Item, Overview, Standing, State

POLL_S = 0.06
RETRY_S = 0.3
CONNECT_TIMEOUT_S = 0.5
SILENT_AFTER_S = 0.6
STILL_SILENT_S = 1.5
"""How long a node that was silent is listened to before it is asked again."""

OVERVIEW_S = 1.0
NEWEST_JOBS = 60
MANY_EVENTS = 500
"""An answer with so many may not be all that the node has: it is asked again at once."""

MAX_WAITING = 400
"""Batches that the window has not taken yet; beyond it polling waits, and the node keeps its events."""


class Address(Protocol):
    """A node as the configuration lists it."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def host(self) -> str:
        """Where it listens."""

    @property
    def port(self) -> int:
        """Where it listens."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node that no configuration lists: it joined."""

    id: int
    host: str
    port: int


class LiveSource:
    """Polls Events(since) on every node, these and whoever joins. Starting it needs no node to be up."""

    live = True

    def __init__(self, nodes: Iterable[Address]) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._pollers = {node.id: self._poller(node) for node in nodes}
        self._overview = _OverviewPoller(self._pollers, self._items, self._stopping, self._meet)

    def start(self) -> None:
        """Begin to poll."""
        for poller in self._pollers.values():
            poller.start()
        self._overview.start()

    def _poller(self, node: Address) -> "_Poller":
        return _Poller(node, self._items, self._stopping)

    def _meet(self, members: Iterable[Member]) -> None:
        """These belong to the cluster; called by the overview's thread, the only one that adds pollers."""
        for member in members:
            if member.id not in self._pollers:
                poller = self._poller(member)
                self._pollers = {**self._pollers, member.id: poller}
                self._overview.pollers = self._pollers
                poller.start()

    def take(self) -> list[Item]:
        """What has come in since the last call. Never waits."""
        found = []
        while not self._items.empty():
            found.append(self._items.get())
        return found

    def stop(self) -> None:
        """End the threads; each is a daemon, and one that waits for an answer is not waited for long."""
        self._stopping.set()
        for poller in self._pollers.values():
            poller.join(0.2)


class _Poller(threading.Thread):
    """One node's thread."""

    def __init__(self, node: Address, items: "queue.SimpleQueue[Item]", stopping: threading.Event) -> None:
        super().__init__(name=f"poll n{node.id}", daemon=True)
        self.node = node
        self.state: State | None = None
        self._items, self._stopping = items, stopping
        self._connection = Connection(node.host, node.port, connect_timeout_s=CONNECT_TIMEOUT_S)
        self._since = 0

    def run(self) -> None:
        """Poll until told to stop."""
        while not self._stopping.is_set():
            pause_s = self._poll()
            if pause_s:
                self._stopping.wait(pause_s)
        self._connection.close()

    def _poll(self) -> float:
        """One call; returns how long to wait before the next."""
        if self._items.qsize() > MAX_WAITING:
            return POLL_S
        try:
            timeout_s = STILL_SILENT_S if self.state == "silent" else SILENT_AFTER_S
            more = self._events(timeout_s)
        except ConnectionFailed as error:
            self._stands(_state_of(error), str(error))
            return RETRY_S
        except Fault as fault:
            self._stands("running", str(fault))
            return RETRY_S
        self._stands("running")
        return 0.0 if more else POLL_S

    def _events(self, timeout_s: float) -> bool:
        answer = self._connection.call("Events", self._since, timeout_s=timeout_s)
        events = json.loads(answer["events"])
        self._since = int(answer["next"])
        more = len(events) >= MANY_EVENTS
        if events:
            self._items.put(Batch(self.node.id, events, time.time(), caught_up=not more))
        return more

    def _stands(self, state: State, why: str = "") -> None:
        if state != self.state:
            self.state = state
            self._items.put(Standing(self.node.id, state, time.time(), why))


def _state_of(error: ConnectionFailed) -> State:
    """Refused: nobody listens. Accepted and no answer: it is paused. Otherwise the network."""
    cause = error.__cause__
    if isinstance(cause, ConnectionRefusedError):
        return "refusing"
    if error.sent:
        return "refusing" if isinstance(cause, ConnectionError) else "silent"
    return "unreachable"


class _OverviewPoller(threading.Thread):
    """Asks one node that runs for the queue's counts and the newest jobs, and the next one who is a member."""

    def __init__(
        self,
        pollers: Mapping[int, _Poller],
        items: "queue.SimpleQueue[Item]",
        stopping: threading.Event,
        meet: Callable[[Iterable[Member]], None],
    ) -> None:
        super().__init__(name="poll the queue", daemon=True)
        self.pollers, self._items, self._stopping, self._meet = pollers, items, stopping, meet
        self._connections: dict[int, Connection] = {}
        self._turns = count()

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._stopping.wait(OVERVIEW_S):
            running = [each.node for each in self.pollers.values() if each.state == "running"]
            if not running:
                continue
            with suppress(ConnectionFailed, Fault):
                self._items.put(self._ask(running[0]))
            with suppress(ConnectionFailed, Fault):  # each in turn: some may not know yet, or no longer learn
                self._meet(self._members(running[next(self._turns) % len(running)]))
        for connection in self._connections.values():
            connection.close()

    def _connection(self, node: Address) -> Connection:
        if node.id not in self._connections:
            self._connections[node.id] = Connection(node.host, node.port)
        return self._connections[node.id]

    def _members(self, node: Address) -> Iterable[Member]:
        """Where the members are, as this node has it."""
        addresses = self._connection(node).call("State", timeout_s=2.0)["addresses"]
        for id, address in addresses.items():
            host, _, port = address.rpartition(":")
            yield Member(int(id), host, int(port))

    def _ask(self, node: Address) -> Overview:
        connection = self._connection(node)
        stats = json.loads(connection.call("Stats", True, timeout_s=2.0)["stats"])
        newest = connection.call("List", json.dumps({"limit": NEWEST_JOBS}), True, timeout_s=2.0)
        return Overview(stats["states"], json.loads(newest["jobs"]))
