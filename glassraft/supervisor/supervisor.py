"""All processes of a cluster on this machine: its nodes, and a worker that is kept alive.

What may be done with which node, and starting and stopping all of them together, belongs here.
A node that ends is never started again by itself: whoever watches wants to see what the others
do without it. Next: process.py, one of them; leaders.py, who leads.
"""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from glassraft.config import Config, NodeAddress
from glassraft.supervisor.child import CAN_PAUSE, Spawner
from glassraft.supervisor.keeper import Keeper
from glassraft.supervisor.process import NO_PAUSE, STOP_GRACE_S, Exit, ManagedProcess, Status, SupervisorError

Action = Literal["start", "kill", "pause", "resume", "restart", "stop"]
Command = Callable[[int], Sequence[str]]

PROGRAMS = Path(__file__).resolve().parents[2]
"""The folder of node.py and jobs.py: a checkout's, since the wheel has no programs."""

SERVES = re.compile(r"n\d+ serves ")
"""The line of output with which a node says that it is there."""


@dataclass(frozen=True, slots=True)
class Possible:
    """Whether something can be done now (true or false as itself); where not, `reason` says why."""

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


class Supervisor:
    """Starts, watches and ends the nodes of one configuration. A context manager, or `close` it.

    Nodes are named by their ids. Methods may be called from any thread, and `on_exit` and
    `on_line` (a process's name and a line of its output) are called from the processes' own.
    """

    def __init__(
        self,
        config: Config,
        *,
        node_command: Command | None = None,
        worker_command: Sequence[str] | None = None,
        on_exit: Callable[[Exit], None] = lambda end: None,
        on_line: Callable[[str, str], None] = lambda name, line: None,
    ) -> None:
        """Nothing is started yet. The commands are node.py's and jobs.py's, unless others are given."""
        self.config = config
        self._tell_exit = on_exit
        self._node_command = node_command or self._usual_node_command
        self._spawner = Spawner("spawner")
        self._closed = False
        self._new_cluster: dict[int, str] = {}
        self._joins: dict[int, NodeAddress] = {}
        self._make_process = partial(
            ManagedProcess, spawner=self._spawner, ready=SERVES, on_exit=on_exit, on_line=on_line
        )
        self._nodes = {node.id: self._make_process(node.name) for node in config.nodes}
        self.worker = Keeper(
            ManagedProcess("worker", self._spawner, on_exit=self._worker_exited, on_line=on_line),
            worker_command or self._usual_worker_command(),
        )

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def node(self, node_id: int) -> ManagedProcess:
        """One node's process: its status, pid, last end and last lines of error output."""
        try:
            return self._nodes[node_id]
        except KeyError:
            raise SupervisorError(f"there is no node n{node_id} in this cluster") from None

    def statuses(self) -> dict[int, Status]:
        """What each node does now."""
        return {node_id: process.status for node_id, process in self._nodes.items()}

    def alive(self) -> list[int]:
        """The nodes that have a process, paused or not."""
        return [node_id for node_id, process in self._nodes.items() if process.alive]

    def start(self, node_id: int, new_cluster: str = "") -> None:
        """Spawn a node and return at once. `new_cluster` is the id of a cluster that begins with it."""
        process = self.node(node_id)
        if self._closed:
            raise SupervisorError(f"{process.name} cannot be started: the cluster is stopping")
        if new_cluster:
            self._new_cluster[node_id] = new_cluster
        process.start(self._node_command(node_id))

    def join(self, node: NodeAddress, contact: int) -> None:
        """Spawn a new server, which asks the cluster to add it by way of the node `contact`."""
        if node.id not in self._nodes:
            self._nodes = {**self._nodes, node.id: self._make_process(node.name)}
            self.config = self.config.with_members(
                {**self.config.addresses(), node.id: (node.host, node.port)}
            )
        self._joins[node.id] = self.config.node(contact)
        self.start(node.id)

    def start_all(self, new_cluster: str = "") -> None:
        """Spawn every node that has no process."""
        for node_id, process in self._nodes.items():
            if not process.alive:
                self.start(node_id, new_cluster)

    def wait_ready(self, node_id: int, timeout_s: float) -> bool:
        """Wait until a node serves. False where it ended before, or takes longer."""
        return self.node(node_id).wait_ready(timeout_s)

    def kill(self, node_id: int) -> None:
        """End a node at once, as a power failure would: it comes back only when it is started."""
        self.node(node_id).kill()

    def pause(self, node_id: int) -> None:
        """Stop a node where it is; it keeps its connections and stays silent."""
        self.node(node_id).pause()

    def resume(self, node_id: int) -> None:
        """Let a paused node go on."""
        self.node(node_id).resume()

    def stop(self, node_id: int, grace_s: float = STOP_GRACE_S) -> None:
        """Ask a node to stop, and kill it where it still runs after `grace_s` seconds."""
        self.node(node_id).stop(grace_s)

    def restart(self, node_id: int) -> None:
        """Start a node again, after stopping it where it runs."""
        if not self._closed:
            self.node(node_id).stop()
        self.start(node_id)

    def can(self, action: Action, node_id: int) -> Possible:
        """Whether an action makes sense for a node as it is now, and if not, why."""
        process = self.node(node_id)
        if self._closed:
            return Possible("the cluster is stopping")
        if action in ("pause", "resume") and not CAN_PAUSE:
            return Possible(NO_PAUSE)
        if action == "resume" and process.status != "paused":
            return Possible(f"{process.name} is not paused")
        if action == "pause" and process.status == "paused":
            return Possible(f"{process.name} is paused already")
        if action == "start" and process.alive:
            return Possible(f"{process.name} runs already")
        if action not in ("start", "restart") and not process.alive:
            return Possible(f"{process.name} is not running")
        return Possible()

    def stop_all(self, grace_s: float = STOP_GRACE_S) -> None:
        """Stop the worker, then every node; what still runs after `grace_s` seconds each is killed."""
        self._closed = True
        self.worker.stop(grace_s)
        deadline = time.monotonic() + grace_s
        for process in self._nodes.values():
            with contextlib.suppress(SupervisorError):  # it is gone already
                process.ask_to_stop()
        for process in self._nodes.values():
            process.finish(deadline - time.monotonic())

    def kill_all(self) -> None:
        """End everything at once."""
        self._closed = True
        self.worker.kill()
        for process in self._nodes.values():
            with contextlib.suppress(SupervisorError):  # it is gone already
                process.kill()

    def close(self) -> None:
        """Stop everything, and end the threads: nothing is left behind."""
        self.stop_all()
        self._spawner.close()

    def _worker_exited(self, end: Exit) -> None:
        self._tell_exit(replace(end, again_s=self.worker.ended(end)))

    def _usual_node_command(self, node_id: int) -> list[str]:
        command = [sys.executable, str(PROGRAMS / "node.py"), "--id", str(node_id)]
        command += ["--config", str(self.config.path), "--supervised"]
        # A node that ended before it ever served has promised nothing, so it may begin anew.
        begins = not self.node(node_id).was_ever_ready and not self.config.raft_file(node_id).exists()
        if begins and node_id in self._new_cluster:
            command += ["--new", self._new_cluster[node_id]]
        if node_id in self._joins:
            node = self.config.node(node_id)
            command += ["--join", str(self._joins[node_id]), "--host", node.host, "--port", str(node.port)]
        return command

    def _usual_worker_command(self) -> list[str]:
        command = [sys.executable, str(PROGRAMS / "jobs.py"), "worker", "--supervised"]
        return [*command, "--config", str(self.config.path)]
