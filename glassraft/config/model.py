"""A configuration as typed values: which nodes there are, how fast they are, where their files lie.

Everything that is known before a node starts belongs here, and this is the one place that
knows the names of files. Reading and checking the JSON text is reader.py's work.
"""

import ipaddress
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from glassraft.errors import ConfigError

MAX_PORT = 65535

# What a node may leave behind, for any id: SQLite's companions and the snapshots' files with them.
_DATA_NAMES = re.compile(r"node-(\d+)\.(raft|queue(\.\d+)?|snapshot|incoming\.\d+)\.db(-wal|-shm|-journal)?")
_LOG_NAMES = re.compile(r"node-(\d+)(\.\d+)?\.jsonl")


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node of a new cluster: its number and where it listens."""

    id: int
    host: str
    port: int

    @property
    def name(self) -> str:
        """How people see the node: n1, n2, ..."""
        return f"n{self.id}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Timings:
    """How often a leader is heard, and how long a follower waits for it (§5.2, §5.6)."""

    heartbeat_ms: int = 100
    election_timeout_ms: tuple[int, int] = (600, 1200)

    @property
    def heartbeat_s(self) -> float:
        """The heartbeat's interval in seconds."""
        return self.heartbeat_ms / 1000

    @property
    def election_timeout_s(self) -> tuple[float, float]:
        """The range, in seconds, from which each election timeout is drawn."""
        low, high = self.election_timeout_ms
        return low / 1000, high / 1000


@dataclass(frozen=True, slots=True)
class RaftOptions:
    """What an operator may choose about the algorithm."""

    lease_reads: bool = False
    """Reads at the leader without asking a majority each time: trusts the nodes' clocks (diss. §6.4.1)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep one client, one batch or one log file from taking a node down."""

    max_body_bytes: int = 8 * 1024 * 1024
    max_connections: int = 512
    max_batch_entries: int = 512
    max_batch_bytes: int = 1024 * 1024
    kept_log_entries: int = 10_000
    kept_for_snapshot_entries: int = 200_000
    event_file_bytes: int = 16 * 1024 * 1024
    event_files_kept: int = 4


@dataclass(frozen=True, slots=True)
class Folders:
    """Where nodes keep their files: absolute once read from a file."""

    data: Path
    logs: Path


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The worker that cluster.py starts: how many jobs it runs at a time."""

    slots: int = 2


@dataclass(frozen=True, slots=True)
class Config:
    """One checked configuration. `warnings` are sentences to show once, at start."""

    cluster: str
    nodes: tuple[NodeAddress, ...]
    timings: Timings
    raft: RaftOptions
    limits: Limits
    folders: Folders
    worker: WorkerSettings
    log_events: bool
    path: Path
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def members(self) -> tuple[int, ...]:
        """The ids of the nodes that make a new cluster, in the file's order."""
        return tuple(node.id for node in self.nodes)

    @property
    def majority(self) -> int:
        """How many nodes it takes to elect a leader and to commit an entry."""
        return len(self.nodes) // 2 + 1

    def addresses(self) -> dict[int, tuple[str, int]]:
        """Each node's (host, port) by its id."""
        return {node.id: (node.host, node.port) for node in self.nodes}

    def node(self, node_id: int) -> NodeAddress:
        """The node of that id. ConfigError where there is none."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        known = ", ".join(str(node.id) for node in self.nodes)
        raise ConfigError(f"{self.path}: there is no node with id {node_id}; the ids are {known}")

    def raft_file(self, node_id: int) -> Path:
        """Term, vote and log of a node: what must survive (Figure 2, persistent state)."""
        return self.folders.data / f"node-{node_id}.raft.db"

    def queue_file(self, node_id: int) -> Path:
        """The queue as far as a node has applied it."""
        return self.folders.data / f"node-{node_id}.queue.db"

    def log_file(self, node_id: int) -> Path:
        """A node's newest event file; older ones are node-N.1.jsonl, node-N.2.jsonl, ... beside it."""
        return self.folders.logs / f"node-{node_id}.jsonl"

    def derived_file(self) -> Path:
        """Where cluster.py writes the configuration it made with --nodes, for its nodes to read."""
        return self.folders.data / "cluster.json"

    def nodes_with_files(self) -> tuple[int, ...]:
        """The ids of the listed nodes that have a raft file: those that have been members before."""
        return tuple(node.id for node in self.nodes if self.raft_file(node.id).exists())

    def raft_files(self) -> list[Path]:
        """The raft files in the data folder, of nodes that are listed or not: members change."""
        return sorted(self.folders.data.glob("node-*.raft.db"))

    def written_files(self) -> list[Path]:
        """Every file in the two folders that some node wrote, known by its name: what --fresh removes.

        Nodes that are not listed count too, because a data folder belongs to one cluster.
        """
        found: list[Path] = []
        for folder, names in ((self.folders.data, _DATA_NAMES), (self.folders.logs, _LOG_NAMES)):
            if folder.is_dir():
                found += sorted(path for path in folder.iterdir() if names.fullmatch(path.name))
        return found

    def make_folders(self) -> None:
        """Create both folders where they are missing. ConfigError where they cannot be written."""
        for key, folder in (("data", self.folders.data), ("logs", self.folders.logs)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise ConfigError(
                    f"cannot write in the folder {folder}: {error.strerror or error}; "
                    f"make it writable, or name another under folders.{key} in {self.path}"
                ) from error

    def with_members(self, addresses: Mapping[int, tuple[str, int]]) -> "Config":
        """The same with these nodes instead: those that a running cluster says it has."""
        nodes = tuple(NodeAddress(id, *addresses[id]) for id in sorted(addresses))
        return replace(self, nodes=nodes, warnings=warnings_for(nodes))

    def with_nodes(self, count: int) -> "Config":
        """The same with the first `count` nodes, or with more, made by counting ids and ports upward."""
        if count < 1:
            raise ConfigError(f"a cluster of {count} nodes cannot be; give 1 or more")
        nodes = list(self.nodes[:count])
        while len(nodes) < count:
            nodes.append(_next_node(nodes))
        return replace(self, nodes=tuple(nodes), warnings=warnings_for(nodes))

    def to_json(self) -> str:
        """The text of a config.json that reads as this, wherever it is put: its folders are absolute."""
        timings, limits = self.timings, self.limits
        value = {
            "cluster": self.cluster,
            "nodes": [{"id": node.id, "host": node.host, "port": node.port} for node in self.nodes],
            "timings": {
                "heartbeat_ms": timings.heartbeat_ms,
                "election_timeout_ms": list(timings.election_timeout_ms),
            },
            "raft": {"lease_reads": self.raft.lease_reads},
            "limits": {name: getattr(limits, name) for name in Limits.__slots__},
            "folders": {"data": str(self.folders.data), "logs": str(self.folders.logs)},
            "worker": {"slots": self.worker.slots},
            "log_events": self.log_events,
        }
        return json.dumps(value, indent=2) + "\n"


def warnings_for(nodes: Sequence[NodeAddress]) -> tuple[str, ...]:
    """What is allowed and probably not meant, one sentence each."""
    found = []
    count = len(nodes)
    if count % 2 == 0:
        found.append(
            f"{count} nodes tolerate no more failures than {count - 1} ({_failures(count)}), because "
            f"a majority of {count} is {count // 2 + 1}: use {count - 1} or {count + 1}."
        )
    open_nodes = [node for node in nodes if not node.is_loopback]
    if open_nodes:
        names = ", ".join(f"{node.name} ({node})" for node in open_nodes)
        found.append(
            f"{names} can be reached from other machines, and calls are not authenticated: "
            "use this on a network that you trust, or set the host to 127.0.0.1."
        )
    return tuple(found)


def _failures(count: int) -> str:
    failures = (count - 1) // 2
    return "none" if failures == 0 else str(failures)


def _next_node(nodes: Sequence[NodeAddress]) -> NodeAddress:
    last = nodes[-1]
    port = last.port + 1
    while any(node.host == last.host and node.port == port for node in nodes):
        port += 1
    if port > MAX_PORT:
        raise ConfigError(f"no port above {last} is free for another node; list the nodes in config.json")
    return NodeAddress(max(node.id for node in nodes) + 1, last.host, port)
