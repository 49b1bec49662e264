"""The live source: asks every node for its events, a thread a node, so that none holds up another.

A node that is killed refuses, one that is paused accepts and says nothing, one behind a broken
network is not to be reached: each becomes a Standing. Nothing here touches the window; `take`
returns at once. Next: source.py, what is handed over.
"""

import json
import queue
import threading
import time
from collections.abc import Iterable
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


class LiveSource:
    """Polls Events(since) on every node. Starting it needs no node to be up."""

    live = True

    def __init__(self, nodes: Iterable[Address]) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._pollers = [_Poller(node, self._items, self._stopping) for node in nodes]
        self._overview = _OverviewPoller(self._pollers, self._items, self._stopping)

    def start(self) -> None:
        """Begin to poll."""
        for poller in self._pollers:
            poller.start()
        self._overview.start()

    def take(self) -> list[Item]:
        """What has come in since the last call. Never waits."""
        found = []
        while not self._items.empty():
            found.append(self._items.get())
        return found

    def stop(self) -> None:
        """End the threads; each is a daemon, and one that waits for an answer is not waited for long."""
        self._stopping.set()
        for poller in self._pollers:
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
    """Asks one node that runs for the queue's counts and the newest jobs, now and then."""

    def __init__(
        self, pollers: list[_Poller], items: "queue.SimpleQueue[Item]", stopping: threading.Event
    ) -> None:
        super().__init__(name="poll the queue", daemon=True)
        self._pollers, self._items, self._stopping = pollers, items, stopping
        self._connections: dict[int, Connection] = {}

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._stopping.wait(OVERVIEW_S):
            poller = next((each for each in self._pollers if each.state == "running"), None)
            if poller is None:
                continue
            try:
                self._items.put(self._ask(poller.node))
            except (ConnectionFailed, Fault):
                continue
        for connection in self._connections.values():
            connection.close()

    def _ask(self, node: Address) -> Overview:
        connection = self._connections.get(node.id)
        if connection is None:
            connection = self._connections[node.id] = Connection(node.host, node.port)
        stats = json.loads(connection.call("Stats", True, timeout_s=2.0)["stats"])
        newest = connection.call("List", json.dumps({"limit": NEWEST_JOBS}), True, timeout_s=2.0)
        return Overview(stats["states"], json.loads(newest["jobs"]))
