"""A real cluster for one test: processes of node.py in a folder of their own, on ports of their own.

Tests get one from the fixture `make_cluster`. Ports come from blocks that one test process holds
as long as it lives, so that tests that run at the same time, also those of another session on
this machine, never get the same.
"""

import contextlib
import json
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from glassraft.config import Config, load
from glassraft.errors import GlassraftError
from glassraft.rpc.client import Connection
from glassraft.supervisor import Exit, Leader, Supervisor, ask_state, find_leader, wait_for_leader

FIRST_PORT = 12_000
LAST_PORT = 32_000
"""Below where systems choose the ports of outgoing connections (32768 on Linux, 49152 elsewhere)."""
BLOCK = 50

HEARTBEAT_MS = 40
ELECTION_MS = (200, 400)
START_S = 20.0
ELECT_S = 10.0
"""Far more than an election takes, because a test may share two cores with others."""


T = TypeVar("T")


class Ports:
    """Hands out ports, each only once."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self._free: list[int] = []

    def take(self, count: int) -> list[int]:
        """So many ports on which nothing listens."""
        taken: list[int] = []
        while len(taken) < count:
            if not self._free:
                self._claim_block()
            port = self._free.pop(0)
            with contextlib.suppress(OSError):
                _bound(port).close()
                taken.append(port)
        return taken

    def close(self) -> None:
        """Give the blocks back."""
        for held in self._held:
            held.close()

    def _claim_block(self) -> None:
        """Whoever holds a block's first port has the block; that ends by itself with the process."""
        starts = list(range(FIRST_PORT, LAST_PORT, BLOCK))
        random.SystemRandom().shuffle(starts)
        for start in starts:
            try:
                held = _bound(start)
            except OSError:
                continue
            held.listen(1)
            self._held.append(held)
            self._free = list(range(start + 1, start + BLOCK))
            return
        raise RuntimeError(f"no block of ports is free between {FIRST_PORT} and {LAST_PORT}")


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        if sys.platform == "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound


def write_config(folder: Path, ports: list[int], **settings: Any) -> Config:
    """A config.json in `folder` for nodes at these ports, with fast timings unless `settings` differ."""
    folder.mkdir(parents=True, exist_ok=True)
    timings = {
        "heartbeat_ms": settings.pop("heartbeat_ms", HEARTBEAT_MS),
        "election_timeout_ms": list(settings.pop("election_timeout_ms", ELECTION_MS)),
    }
    nodes = [{"id": id, "host": "127.0.0.1", "port": port} for id, port in enumerate(ports, start=1)]
    file = folder / "config.json"
    file.write_text(json.dumps({"nodes": nodes, "timings": timings, **settings}), encoding="utf-8")
    return load(file)


class Cluster:
    """Running nodes. `ends` collects each process's end, `said` the workers' lines."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ends: list[Exit] = []
        self.said: list[str] = []
        self.supervisor = Supervisor(
            config, on_exit=self.ends.append, on_line=lambda name, line: self.said.append(f"{name}: {line}")
        )

    def start(self) -> None:
        """Start every node, as a new cluster where none has files, and wait until all serve."""
        self.config.make_folders()
        self.supervisor.start_all("" if self.config.nodes_with_files() else "c0ffee")
        for node_id in self.config.members():
            assert self.supervisor.wait_ready(node_id, START_S), self.supervisor.node(node_id).last_errors()

    def close(self) -> None:
        """End every process at once."""
        self.supervisor.kill_all()
        self.supervisor.close()

    def leader(self, timeout_s: float = ELECT_S, *, other_than: int = 0, after_term: int = 0) -> Leader:
        """Wait for a leader."""
        return wait_for_leader(self.config, timeout_s, other_than=other_than, after_term=after_term)

    def followers(self) -> list[int]:
        """The living nodes but the leader."""
        leader = self.leader()
        return [node_id for node_id in self.supervisor.alive() if node_id != leader.id]

    def no_leader(self) -> bool:
        """Whether nobody says of itself that it leads."""
        return find_leader(self.config) is None

    def state(self, node_id: int) -> dict[str, Any]:
        """A node's State."""
        return ask_state(self.config, node_id, timeout_s=5.0)

    def kill(self, node_id: int) -> None:
        """SIGKILL."""
        self.supervisor.kill(node_id)

    def restart(self, node_id: int) -> None:
        """Start a node again and wait until it serves."""
        self.supervisor.restart(node_id)
        assert self.supervisor.wait_ready(node_id, START_S), self.supervisor.node(node_id).last_errors()

    @contextlib.contextmanager
    def connection(self, node_id: int) -> Iterator[Connection]:
        """A connection to one node."""
        node = self.config.node(node_id)
        connection = Connection(node.host, node.port)
        try:
            yield connection
        finally:
            connection.close()

    def caught_up(self, timeout_s: float = ELECT_S) -> dict[int, dict[str, Any]]:
        """Wait until every living node has applied what the leader has, and return their States."""

        def states() -> dict[int, dict[str, Any]]:
            found = {node_id: self.state(node_id) for node_id in self.supervisor.alive()}
            places = {(state["term"], state["last_log_index"]) for state in found.values()}
            applied = {(state["term"], state["last_applied"]) for state in found.values()}
            return found if len(places) == 1 and applied == places else {}

        return eventually(states, timeout_s)


def eventually(condition: Callable[[], T], timeout_s: float = ELECT_S) -> T:
    """Wait until a condition is true, and return what it gave. Errors of ours count as not yet."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(GlassraftError):
            if value := condition():
                return value
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s:g} s"
        time.sleep(0.02)
