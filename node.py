"""One server of the cluster: a process that keeps its part of the log and answers calls.

    python node.py --id 1                  start the node that config.json lists as 1
    python node.py --id 1 --new            the same, for the first time: makes its files
    python node.py --id 6 --join 127.0.0.1:7401 --port 7406
                                           a new server for the cluster of which a node serves there

`python cluster.py` starts all of them. Here one process is put together: its files, its
server with the driver around it, its peers, the methods it serves, its signals and its end.
The methods are in glassraft/replica/service.py, the algorithm in glassraft/raft/.

Exit status: 0 stopped as asked; 2 refused (arguments, config.json, or files that are not this
node's); 3 the port is in use; 4 the disk failed; 70 a bug: what must hold did not.
"""

import argparse
import contextlib
import ctypes
import hashlib
import os
import random
import signal
import sqlite3
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from glassraft import __version__
from glassraft.config import Config, NodeAddress, load
from glassraft.errors import ConfigError, GlassraftError, StorageError
from glassraft.events.writer import EventWriter
from glassraft.raft.ready import Settings
from glassraft.raft.server import Server
from glassraft.replica.cluster_clock import ClusterClock
from glassraft.replica.driver import Driver
from glassraft.replica.peers import Peer, PeerNetwork
from glassraft.replica.recorder import Recorder
from glassraft.replica.service import Service
from glassraft.replica.snapshots import OwnThread, SnapshotKeeper
from glassraft.replica.state import event_state
from glassraft.replica.turn import Replica
from glassraft.rpc.leader import LeaderCalls
from glassraft.rpc.server import RpcServer, ServerLimits
from glassraft.rpc.sockets import AddressInUse
from glassraft.storage import node_files
from glassraft.storage.identity import DiskFailed, FileInUse, Identity
from glassraft.supervisor.membership import add_server, cluster_of

EXIT_REFUSED = 2
EXIT_PORT_IN_USE = 3
EXIT_DISK_FAILED = 4
EXIT_BUG = 70

EVENTS_IN_MEMORY = 8_192
"""How many of its latest events a node can tell a watcher without reading its file."""

CONTACT_TIMEOUT_S = 10.0
"""How long a new server tries to reach the node that it was told of."""

JOIN_TIMEOUT_S = 3600.0
"""How long a new server asks to be added: much longer than a large log takes to arrive."""

CLOCKS_HEARD_FOR_HEARTBEATS = 5
STOP_GRACE_S = 1.0
SWITCH_INTERVAL_S = 0.001
"""A hand-over between two busy threads costs up to this; Python's default of 5 ms is five commits."""


class SystemClock:
    """The clocks of this machine."""

    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def wall_ms() -> int:
        """UTC in whole milliseconds."""
        return time.time_ns() // 1_000_000


@dataclass
class Ending:
    """Why the process ends, told by whoever finds out first; the main thread waits for it."""

    status: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        self.told = threading.Event()

    def tell(self, status: int, reason: str) -> None:
        """The first reason stands."""
        if not self.told.is_set():
            self.status, self.reason = status, reason
            self.told.set()


class Node:
    """Everything of one node, put together but not yet started. Opening its files locks them."""

    def __init__(self, config: Config, id: int, ending: Ending, address: NodeAddress | None = None) -> None:
        """`address` is where it serves, where neither its files nor config.json say so."""
        self.config = config
        self.id = id
        self.ending = ending
        self.files = node_files.open_files(config.raft_file(id), identity_of(config, id, ""))
        try:
            self.addresses = self.files.raft.load_addresses()
            known = self.addresses.get(id)
            self.address = address or (NodeAddress(id, *known) if known else config.node(id))
            self._put_together()
        except BaseException:
            self.files.close()
            raise

    def _put_together(self) -> None:
        cluster_id = self.files.raft.identity.cluster_id
        limits = self.config.limits
        clock = SystemClock()
        network = PeerNetwork(
            make_peer=lambda id, address: Peer(
                id,
                *address,
                node=self.id,
                cluster_id=cluster_id,
                bring=lambda arrival: self.driver.bring(arrival),
            )
        )
        self.network = network
        self.service = Service(self.id, cluster_id)
        # Bound before anything else that another start of the same node would fight over.
        self.rpc = RpcServer(
            self.address.host,
            self.address.port,
            self.service.methods(),
            limits=ServerLimits(max_body=limits.max_body_bytes, max_connections=limits.max_connections),
            name=self.address.name,
            on_error=lambda method, error: traceback.print_exception(error),
            gathering=lambda: self.driver.gathering(),
            pages=self.service.pages(),
        )
        self.writer = EventWriter(
            self.id,
            self.config.log_file(self.id) if self.config.log_events else None,
            max_bytes=limits.event_file_bytes,
            keep=limits.event_files_kept,
            ring=EVENTS_IN_MEMORY,
            whole_state=lambda: event_state(self.replica),
        )
        self.own_thread = OwnThread(lambda arrival: self.driver.bring(arrival))
        self.snapshots = SnapshotKeeper(
            node_files.SnapshotNames(self.config.raft_file(self.id)),
            self.files.raft.identity,
            self.files.queue,
            self.own_thread.later,
        )
        self.replica = Replica(
            make_server=lambda opening: Server(
                self.id,
                (),
                random=random.Random(),
                now=clock.monotonic(),
                hard_state=self.files.raft.hard_state,
                log=self.files.log,
                applied=self.files.queue.machine.applied_index,
                history=self.files.raft.load_history(),
                settings=settings_of(self.config),
                opening=opening,
                read_chunk=self.snapshots.read,
            ),
            disk=self.files.raft,
            queue=self.files.queue,
            network=network,
            clock=clock,
            cluster_clock=ClusterClock(
                self.id, (), CLOCKS_HEARD_FOR_HEARTBEATS * self.config.timings.heartbeat_s + 1.0
            ),
            make_recorder=lambda replica: Recorder(
                self.id, self.writer, lambda: replica.server.current_term, life=f"{clock.wall_ms():x}"
            ),
            watchers=self.service.finished,
            snapshots=self.snapshots,
            addresses=self.addresses,
            meet=network.meet,
        )
        self.driver = Driver(self.replica, self._failed)
        self.service.serve(self.replica, self.driver, self.files.queue, self.writer)

    def _failed(self, error: BaseException) -> None:
        """A turn could not be finished: nothing may be promised any more, so the process ends."""
        if isinstance(error, StorageError | sqlite3.Error):
            self.ending.tell(EXIT_DISK_FAILED, str(error))
        else:
            self.ending.tell(
                EXIT_BUG, f"stopped rather than carry on wrongly: {type(error).__name__}: {error}"
            )
            if not isinstance(error, GlassraftError):
                sys.excepthook(type(error), error, error.__traceback__)

    def start(self) -> None:
        """Serve, and take part."""
        members = self.replica.server.members
        addresses = {
            str(id): f"{host}:{port}" for id, (host, port) in self.addresses.items() if id in members
        }
        self.writer.write(
            "start",
            self.replica.server.current_term,
            pid=os.getpid(),
            version=__version__,
            host=self.address.host,
            port=self.address.port,
            cluster=self.config.cluster,
            members=list(self.replica.server.configuration.voters),
            names=addresses,
            reason="started",
        )
        self.own_thread.start()
        self.replica.meet_members()
        self.rpc.start()
        self.driver.start()
        print(f"{self.address.name} serves {self.address} (pid {os.getpid()})", flush=True)

    def stop(self, reason: str) -> None:
        """Finish the batch under way, answer those who wait, close the files, and write a last event."""
        self.driver.shut_down()
        self.service.finished.close()
        self.rpc.stop(STOP_GRACE_S)
        self.network.stop()
        self.driver.stop()
        self.own_thread.stop()
        self.writer.write("stop", self.replica.server.current_term, reason=reason)
        self.writer.close()
        self.files.close()


def settings_of(config: Config) -> Settings:
    """What the algorithm may know of config.json."""
    shortest_s, longest_s = config.timings.election_timeout_s
    return Settings(
        heartbeat_s=config.timings.heartbeat_s,
        election_shortest_s=shortest_s,
        election_longest_s=longest_s,
        batch_entries=config.limits.max_batch_entries,
        batch_bytes=config.limits.max_batch_bytes,
        kept_entries=config.limits.kept_log_entries,
        kept_for_snapshot=config.limits.kept_for_snapshot_entries,
        compact_entries=min(Settings().compact_entries, max(1, config.limits.kept_log_entries // 10)),
        chunk_bytes=min(Settings().chunk_bytes, config.limits.max_batch_bytes),
        lease_reads=config.raft.lease_reads,
    )


def identity_of(config: Config, id: int, cluster_id: str) -> Identity:
    """Whose files config.json says these should be."""
    return Identity(cluster_id, config.cluster, id, {node.id: str(node) for node in config.nodes})


def make_joining_files(config: Config, id: int, cluster_id: str) -> None:
    """The files of a new server for a cluster that is there: it learns who its members are from their log."""
    identity = Identity(cluster_id, config.cluster, id, {})
    node_files.create(config.raft_file(id), config.queue_file(id), identity)


def make_files(config: Config, id: int, cluster_id: str) -> None:
    """A new node's files. Without a cluster id it is made from config.json, alike on every machine."""
    identity = identity_of(config, id, cluster_id)
    if not cluster_id:
        text = f"{config.cluster}\n{identity.members_text()}"
        identity = identity_of(config, id, hashlib.sha256(text.encode()).hexdigest()[:32])
    node_files.create(config.raft_file(id), config.queue_file(id), identity)


# Joining a cluster that is there


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"--join wants the HOST:PORT of a node of the cluster, not {text!r}")
    return host, int(port)


def address_for_join(config: Config, options: argparse.Namespace) -> NodeAddress:
    """Where a new server is to serve: as the command line says, or else config.json."""
    listed = config.addresses().get(options.id)
    host = options.host or (listed[0] if listed else "127.0.0.1")
    port = options.port or (listed[1] if listed else None)
    if port is None:
        raise ConfigError(
            f"n{options.id} is not listed in {config.path}: say with --port where it is to serve"
        )
    return NodeAddress(options.id, host, port)


def ask_to_be_added(node: Node, contact: tuple[str, int]) -> None:
    """Ask the cluster, on a thread of its own, until this node votes."""

    def ask() -> None:
        calls = LeaderCalls([contact])
        try:
            add_server(calls, node.id, (node.address.host, node.address.port), JOIN_TIMEOUT_S, say)
            say("it is a member of the cluster, and votes")
        except GlassraftError as error:
            say(f"it was not added: {error}")
        finally:
            calls.close()

    def say(text: str) -> None:
        print(f"{node.address.name}: {text}", flush=True)

    threading.Thread(target=ask, name="join", daemon=True).start()


# Starting and ending


def end_with_parent(ending: Ending) -> None:
    """Stop when the parent has gone: its pipe, our standard input, then ends. No orphans on any system.

    A paused process cannot read, so on Linux it also asks for a signal at its parent's death.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            set_parent_death_signal = 1
            ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)

    def read_to_the_end() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(0, 4096):
                pass
        ending.tell(0, "the program that started it has ended")

    threading.Thread(target=read_to_the_end, name="parent", daemon=True).start()


def end_on_signals(ending: Ending) -> None:
    """SIGTERM and SIGINT stop cleanly; a second one at once."""

    def on_signal(number: int, frame: object) -> None:
        if ending.told.is_set():
            os._exit(128 + number)
        # On a thread of its own: the main thread, which runs this, may hold the very lock that told needs.
        reason = f"stopped by {signal.Signals(number).name}"
        threading.Thread(target=ending.tell, args=(0, reason), name="signal", daemon=True).start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description="One node of a Glassraft cluster.")
    parser.add_argument("--id", type=int, required=True, help="which of config.json's nodes this is")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "config.json", metavar="FILE")
    parser.add_argument(
        "--new",
        nargs="?",
        const="",
        metavar="CLUSTER_ID",
        help="make this node's files: only for a node that has never run",
    )
    parser.add_argument(
        "--join",
        metavar="HOST:PORT",
        help="make this a new server of the cluster of which a node serves there; once it is one, not needed",
    )
    parser.add_argument("--host", help="where a new server serves (default: as in config.json, or 127.0.0.1)")
    parser.add_argument("--port", type=int, help="its port, unless config.json lists it")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input ends")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, ending: Ending) -> int:
    """From the files to the end; the exit status."""
    config = load(options.config)
    address = address_for_join(config, options) if options.join else None
    if options.join:
        contact = parse_address(options.join)
        if not config.raft_file(options.id).exists():
            make_joining_files(config, options.id, cluster_of(contact, CONTACT_TIMEOUT_S))
    elif options.new is not None:
        config.node(options.id)
        make_files(config, options.id, options.new)
    node = Node(config, options.id, ending, address)
    node.start()
    if address is not None and not node.replica.server.members:
        ask_to_be_added(node, contact)
    while not ending.told.wait(1.0):  # on Windows, a wait without an end would not see signals
        pass
    node.stop(ending.reason)
    return ending.status


def status_of(error: GlassraftError) -> int:
    """The exit status of a node that could not start."""
    if isinstance(error, AddressInUse):
        return EXIT_PORT_IN_USE
    return (
        EXIT_DISK_FAILED
        if isinstance(error, DiskFailed) and not isinstance(error, FileInUse)
        else EXIT_REFUSED
    )


def main() -> int:
    """Run one node until it is told to stop."""
    options = parse_arguments()
    ending = Ending()
    if options.supervised:
        end_with_parent(ending)
    end_on_signals(ending)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    name = f"n{options.id}"
    try:
        status = run(options, ending)
    except GlassraftError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return status_of(error)
    if status:
        print(f"{name}: {ending.reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
