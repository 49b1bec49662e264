"""Who leads: asks the nodes' own State, once or again and again.

Each node is asked over a connection of its own and waited for briefly, so that a paused or
vanished one delays the others' answers by no more than that. Next: rpc/client.py, the calls.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glassraft.config import Config
from glassraft.errors import GlassraftError
from glassraft.rpc.client import Connection

ASK_TIMEOUT_S = 0.5
"""How long a node may take to say how it is: many times what a busy one needs."""

ASK_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Leader:
    """A node that says of itself that it leads, and its term."""

    id: int
    term: int


def ask_state(config: Config, node_id: int, timeout_s: float = ASK_TIMEOUT_S) -> dict[str, Any]:
    """One node's State, over a connection of its own. Raises GlassraftError where it does not answer."""
    with _connection(config, node_id, timeout_s) as connection:
        state: dict[str, Any] = connection.call("State", 0, timeout_s=timeout_s)
        return state


def find_leader(config: Config) -> Leader | None:
    """The leader of the highest term among the nodes that answer now."""
    found = []
    for node_id in config.members():
        with contextlib.suppress(GlassraftError):
            found += _leader_in(ask_state(config, node_id))
    return max(found, key=_term, default=None)


def wait_for_leader(config: Config, timeout_s: float, *, other_than: int = 0, after_term: int = 0) -> Leader:
    """Wait until a node leads in a term above `after_term`. GlassraftError where that takes longer.

    `other_than` is a node that does not count, because it was just killed or paused.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        leader = find_leader(config)
        if leader is not None and leader.id != other_than and leader.term > after_term:
            return leader
        if time.monotonic() > deadline:
            raise GlassraftError(f"no leader within {timeout_s:g} s")
        time.sleep(ASK_INTERVAL_S / 2)


class LeaderWatch:
    """A thread that asks all the time, and tells of each change: a leader, or None.

    `patience_s` is how long nobody may lead before that is told: a change of leader alone is not
    worth two lines.
    """

    def __init__(
        self, config: Config, on_change: Callable[[Leader | None], None], *, patience_s: float | None = None
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
        known: Leader | None = None
        seen_at = time.monotonic()
        with contextlib.ExitStack() as stack:
            connections = {
                node_id: stack.enter_context(_connection(self._config, node_id, ASK_TIMEOUT_S))
                for node_id in self._config.members()
            }
            while not self._ended.wait(ASK_INTERVAL_S):
                leader = self._ask(connections, known)
                if leader is not None:
                    seen_at = time.monotonic()
                elif time.monotonic() - seen_at < self._patience_s:
                    continue
                if leader != known and not self._ended.is_set():
                    known = leader
                    self._on_change(leader)

    def _ask(self, connections: Mapping[int, Connection], known: Leader | None) -> Leader | None:
        """The one that led last is asked first, and the others only where it does not say so any more."""
        order = sorted(connections, key=lambda node_id: known is None or node_id != known.id)
        found: list[Leader] = []
        for node_id in order:
            if self._ended.is_set():
                break
            with contextlib.suppress(GlassraftError):
                found += _leader_in(connections[node_id].call("State", 0, timeout_s=ASK_TIMEOUT_S))
            if found and known in found:
                break
        return max(found, key=_term, default=None)


def _leader_in(state: Mapping[str, Any]) -> list[Leader]:
    return [Leader(int(state["id"]), int(state["term"]))] if state["role"] == "leader" else []


def _term(leader: Leader) -> int:
    return leader.term


@contextlib.contextmanager
def _connection(config: Config, node_id: int, timeout_s: float) -> Iterator[Connection]:
    node = config.node(node_id)
    connection = Connection(node.host, node.port, connect_timeout_s=timeout_s)
    try:
        yield connection
    finally:
        connection.close()
