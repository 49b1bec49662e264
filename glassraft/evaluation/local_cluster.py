"""A real cluster of real processes for one measurement: own temporary folder, own free ports, then gone.

The user's config.json, data and ports are never touched. Next: supervisor/, which it uses.
"""

import contextlib
import json
import secrets
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from glassraft.config import Config, load
from glassraft.errors import GlassraftError
from glassraft.supervisor import Supervisor, wait_for_leader

START_TIMEOUT_S = 20.0
LEADER_TIMEOUT_S = 20.0
PORT_IN_USE = 3
"""node.py's exit status where somebody took the port between our look and its start."""
TRIES = 3

EVENT_LIMITS = {"event_file_bytes": 256 * 1024 * 1024, "event_files_kept": 4}
"""No event may be rotated away before it was counted."""


NO_LIMITS: Mapping[str, int] = MappingProxyType({})


class LocalCluster:
    """`nodes` processes on this machine, all of them syncing, started and with a leader once entered.

    A context manager. Raises GlassraftError where the cluster does not come up. The folder with
    its event files lasts until the end of the `with` block, longer than the processes (`stop`).
    """

    def __init__(self, nodes: int, *, log_events: bool = True, limits: Mapping[str, int] = NO_LIMITS) -> None:
        """`limits` are some of config.json's."""
        self._nodes = nodes
        self._limits = limits
        self._log_events = log_events
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="glassraft-evaluation-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for _try in range(TRIES):
                self.config = self._make_config()
                self.supervisor = stack.enter_context(Supervisor(self.config))
                if self._start():
                    break
                self.supervisor.close()
            else:
                raise GlassraftError(f"no free ports for {self._nodes} nodes in {TRIES} tries; try again")
            wait_for_leader(self.config, LEADER_TIMEOUT_S)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def logs(self) -> Path:
        """Where the nodes' event files are."""
        return self.config.folders.logs

    def kill_leader(self) -> int:
        """Kill whoever leads now with -9; its id."""
        leader = wait_for_leader(self.config, LEADER_TIMEOUT_S).id
        self.supervisor.kill(leader)
        return leader

    def restart(self, node: int) -> None:
        """Start a killed node again and wait until it serves. GlassraftError where it does not."""
        self.supervisor.start(node)
        self._wait_ready(node)

    def stop(self) -> None:
        """Stop all processes cleanly, so that every event is in the files."""
        self.supervisor.stop_all()

    def _start(self) -> bool:
        """Start all nodes; False where a port was taken meanwhile."""
        self.supervisor.start_all(secrets.token_hex(16))
        for node in self.config.members():
            if not self.supervisor.wait_ready(node, START_TIMEOUT_S):
                end = self.supervisor.node(node).last_exit
                if end is not None and end.returncode == PORT_IN_USE:
                    return False
                self._fail(node)
        return True

    def _wait_ready(self, node: int) -> None:
        if not self.supervisor.wait_ready(node, START_TIMEOUT_S):
            self._fail(node)

    def _fail(self, node: int) -> None:
        process = self.supervisor.node(node)
        reason = process.last_exit.reason if process.last_exit else "it does not answer"
        errors = "".join(f"\n    {line}" for line in process.last_errors())
        raise GlassraftError(f"n{node} did not start within {START_TIMEOUT_S:g} s: {reason}{errors}")

    def _make_config(self) -> Config:
        ports = free_ports(self._nodes)
        value = {
            "cluster": "evaluation",
            "nodes": [{"id": n, "host": "127.0.0.1", "port": port} for n, port in enumerate(ports, 1)],
            "limits": {**EVENT_LIMITS, **self._limits},
            "log_events": self._log_events,
        }
        path = self.folder / "config.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        return load(path)


def free_ports(count: int) -> list[int]:
    """So many ports on 127.0.0.1 that nobody used a moment ago."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            taken = stack.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))
            ports.append(int(taken.getsockname()[1]))
        return ports
