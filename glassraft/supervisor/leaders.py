"""Who leads, and how many answer: asks the nodes themselves, once or again and again.

All nodes are asked at the same time and waited for together, briefly, so that paused or vanished
ones delay the picture by no more than that. Ping is asked for, which costs a node nearly nothing.
Next: rpc/client.py, the calls.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from glassraft.config import Config
from glassraft.errors import GlassraftError
from glassraft.rpc.client import Connection

ASK_TIMEOUT_S = 0.5
"""How long a node may take to say how it is: many times what a busy one needs."""

ASK_INTERVAL_S = 0.1
LEARN_INTERVAL_S = 1.0
"""How often a leader is asked who votes: that changes by an operator's hand."""


@dataclass(frozen=True, slots=True)
class Leader:
    """A node that says of itself that it leads, and its term."""

    id: int
    term: int


@dataclass(frozen=True, slots=True)
class Picture:
    """What the voters said: the leader of the highest term, how many answered, and how many there are.

    One that leads may have lost its majority and not know; `leader` alone promises nothing.
    """

    leader: Leader | None
    answering: int
    voters: int

    @property
    def majority(self) -> int:
        """How many must answer for anything to be committed."""
        return self.voters // 2 + 1


def ask_state(config: Config, node_id: int, timeout_s: float = ASK_TIMEOUT_S) -> dict[str, Any]:
    """One node's State, over a connection of its own. Raises GlassraftError where it does not answer."""
    node = config.node(node_id)
    with contextlib.closing(Connection(node.host, node.port, connect_timeout_s=timeout_s)) as connection:
        state: dict[str, Any] = connection.call("State", 0, timeout_s=timeout_s)
        return state


def find_leader(config: Config) -> Leader | None:
    """The leader of the highest term among the nodes that answer now."""
    with _connections(config) as connections:
        return _ask(connections).leader


def wait_for_leader(config: Config, timeout_s: float, *, other_than: int = 0, after_term: int = 0) -> Leader:
    """Wait until a node leads in a term above `after_term`. GlassraftError where that takes longer.

    `other_than` is a node that does not count, because it was just killed or paused.
    """
    deadline = time.monotonic() + timeout_s
    with _connections(config) as connections:
        while True:
            leader = _ask(connections).leader
            if leader is not None and leader.id != other_than and leader.term > after_term:
                return leader
            if time.monotonic() > deadline:
                raise GlassraftError(f"no leader within {timeout_s:g} s")
            time.sleep(ASK_INTERVAL_S / 2)


class LeaderWatch:
    """A thread that asks all the time, and tells of each change: a leader whom a majority can hear, or none.

    Asked are the configured nodes, until a leader says that others vote.

    `patience_s` is how long there may be none before that is told: a change of leader is not
    worth two lines. By default it is two election timeouts.
    """

    def __init__(
        self, config: Config, on_change: Callable[[Picture], None], *, patience_s: float | None = None
    ) -> None:
        self._config = config
        self._on_change = on_change
        self._patience_s = 2 * config.timings.election_timeout_s[1] if patience_s is None else patience_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leader-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; it tells of nothing afterwards."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        told: Leader | None = None
        seen_at = time.monotonic()
        with contextlib.closing(_Voters(self._config)) as voters:
            while not self._ended.wait(ASK_INTERVAL_S):
                picture = _ask(voters.connections.values())
                leads = picture.leader if picture.answering >= picture.majority else None
                if leads is not None:
                    seen_at = time.monotonic()
                    voters.learn(leads.id)
                elif time.monotonic() - seen_at < self._patience_s:
                    continue
                if leads != told and not self._ended.is_set():
                    told = leads
                    self._on_change(replace(picture, leader=leads))


class _Voters:
    """Connections to all who vote, by their ids."""

    def __init__(self, config: Config) -> None:
        self.connections = {node.id: _connection(node.host, node.port) for node in config.nodes}
        self._learnt_at = float("-inf")

    def learn(self, leader: int) -> None:
        """Ask the leader, now and then, who votes; those are connected to from then on."""
        if time.monotonic() - self._learnt_at < LEARN_INTERVAL_S:
            return
        self._learnt_at = time.monotonic()
        try:
            state = self.connections[leader].call("State", 0, timeout_s=ASK_TIMEOUT_S)
        except GlassraftError:
            return  # it is asked again
        for id in state["members"]:
            if id not in self.connections:
                host, _, port = state["addresses"][str(id)].rpartition(":")
                self.connections[id] = _connection(host, int(port))
        for gone in self.connections.keys() - set(state["members"]):
            self.connections.pop(gone).close()

    def close(self) -> None:
        """End the connections."""
        for connection in self.connections.values():
            connection.close()


def _ask(connections: Collection[Connection]) -> Picture:
    """Ping all voters, then wait for all until one common deadline."""
    asked = []
    for connection in connections:
        with contextlib.suppress(GlassraftError):
            connection.connect()
            connection.send("Ping", ())
            asked.append(connection)
    deadline = time.monotonic() + ASK_TIMEOUT_S
    answers: list[dict[str, Any]] = []
    for connection in asked:
        try:
            answers.append(connection.receive(max(deadline - time.monotonic(), 0.001)))
        except GlassraftError:
            connection.close()  # a late answer must not be taken for the next one
    leaders = [Leader(answer["id"], answer["term"]) for answer in answers if answer["role"] == "leader"]
    newest = max(leaders, key=lambda leader: leader.term, default=None)
    return Picture(newest, len(answers), len(connections))


@contextlib.contextmanager
def _connections(config: Config) -> Iterator[list[Connection]]:
    with contextlib.closing(_Voters(config)) as voters:
        yield list(voters.connections.values())


def _connection(host: str, port: int) -> Connection:
    return Connection(host, port, connect_timeout_s=ASK_TIMEOUT_S)
