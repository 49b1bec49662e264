"""Runs a whole cluster on this machine: spawns the nodes of config.json, watches them, opens the window.

    python cluster.py                  five nodes, one worker, the window
    python cluster.py --headless       the same without a window
    python cluster.py --nodes 3        another number of nodes, without editing a file
    python cluster.py --fresh          begin anew, without the old data
    python cluster.py members          who belongs to the cluster that runs
    python cluster.py remove 2         let n2 be no member any more, once that is committed
    python cluster.py add 6 HOST:PORT  let a server that runs there be a member, once it has caught up
                                       (node.py --join starts a new one, and asks that by itself)

It reads from top to bottom: check first, so that what cannot work is said in one line before
anything is started; then start, report, and stop everything. The processes themselves are
glassraft/supervisor's work, and the window is visualizer.py's.
"""

import argparse
import contextlib
import errno
import secrets
import socket
import sys
import threading
import time
from collections.abc import Sequence

from glassraft import config as configuration
from glassraft.config import Config, NodeAddress
from glassraft.errors import ConfigError, GlassraftError
from glassraft.jobqueue.client import JobQueue
from glassraft.rpc.leader import LeaderCalls
from glassraft.storage.identity import (
    DiskFailed,
    Identity,
    describe_members,
    read_identity,
    read_newest_members,
)
from glassraft.supervisor import Exit, LeaderWatch, Picture, StopSignals, Supervisor
from glassraft.supervisor.membership import add_server, make_leader, members_of, remove_server
from glassraft.window import DisplayMissing
from glassraft.window.controls import Action
from visualizer import run_window

START_TIMEOUT_S = 20.0
"""How long a node may take until it serves: with a million jobs to read, on a busy machine."""

CONNECT_TIMEOUT_S = 0.5
SUBMIT_TIMEOUT_S = 5.0
"""How long a click on "Submit jobs" may look for a leader before it says that there is none."""

CHANGE_TIMEOUT_S = 120.0
"""How long adding or removing a member may take until the command gives up waiting for it."""

SHOWN_ERROR_LINES = 12

REFUSED = 2

SAMPLES = [
    ("primes", [1, 200_000]),
    ("word_count", [__file__]),
    ("pi", [300_000]),
    ("mandelbrot", ["", 320, 240]),
    ("collatz", [50_000]),
    ("sorting_race", [1_000]),
    ("flaky", [0.5]),
    ("nap", [1.0]),
]
"""What a click on "Submit jobs" submits: one of each of jobs.py's tasks."""

OUTPUT = threading.Lock()


def main() -> int:
    """Run a cluster until it is told to stop. 0 after a clean stop, 2 where it cannot be started."""
    arguments = parse_arguments()
    try:
        if arguments.command:
            return COMMANDS[arguments.command](configuration.load(arguments.config), arguments)
        config = prepare(arguments)
    except GlassraftError as error:
        complain(str(error))
        return REFUSED
    signals = StopSignals()
    reporter = Reporter(config)
    with Supervisor(config, on_exit=reporter.exited, on_line=reporter.said) as supervisor:
        try:
            if not start(supervisor, reporter, signals):
                return REFUSED
            watch = LeaderWatch(config, reporter.leads)
            try:
                if not arguments.no_worker:
                    supervisor.worker.start()
                run(arguments.headless, supervisor, signals)
            finally:
                watch.close()
        finally:
            stop(supervisor, reporter, signals)
    return 0


def parse_arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Run a Glassraft cluster on this machine.")
    parser.add_argument("--config", metavar="FILE", help="the configuration (default: the config.json here)")
    parser.add_argument("--headless", action="store_true", help="without a window")
    parser.add_argument("--nodes", type=int, metavar="N", help="a cluster of N nodes, whatever is listed")
    parser.add_argument("--fresh", action="store_true", help="remove the old cluster's data and logs first")
    parser.add_argument("--no-worker", action="store_true", help="no worker: jobs wait for one of yours")
    commands = parser.add_subparsers(dest="command", metavar="members | add | remove")
    commands.add_parser("members", help="who belongs to the cluster that runs")
    add = commands.add_parser("add", help="make a server that runs a member, once it has caught up")
    add.add_argument("id", type=int)
    add.add_argument("address", metavar="HOST:PORT", type=address)
    remove = commands.add_parser("remove", help="let a member be none any more, once that is committed")
    remove.add_argument("id", type=int)
    return parser.parse_args()


def address(text: str) -> tuple[str, int]:
    """HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


# The members of a cluster that runs, here or elsewhere.


def show_members(config: Config, arguments: argparse.Namespace) -> int:
    """One line a member."""
    with contextlib.closing(LeaderCalls(list(config.addresses().values()))) as calls:
        leader, places = members_of(calls)
    for id, (place, votes) in places.items():
        say(f"n{id}  {place}  {'votes' if votes else 'learns'}{', leads' if id == leader else ''}")
    return 0


def add_member(config: Config, arguments: argparse.Namespace) -> int:
    """Returns when the server votes."""
    with contextlib.closing(LeaderCalls(list(config.addresses().values()))) as calls:
        add_server(calls, arguments.id, arguments.address, CHANGE_TIMEOUT_S, say)
    say(f"n{arguments.id} is a member, and votes.")
    return 0


def remove_member(config: Config, arguments: argparse.Namespace) -> int:
    """Returns when that is committed."""
    with contextlib.closing(LeaderCalls(list(config.addresses().values()))) as calls:
        remove_server(calls, arguments.id, CHANGE_TIMEOUT_S)
    say(f"n{arguments.id} is no member any more. Its process may be stopped, and its files removed.")
    return 0


COMMANDS = {"members": show_members, "add": add_member, "remove": remove_member}


# Before anything is started: each of these raises GlassraftError with one clear line.


def prepare(arguments: argparse.Namespace) -> Config:
    """The configuration to run, once everything that can be checked before is found to be right."""
    config = configuration.load(arguments.config)
    if arguments.nodes is not None:
        config = config.with_nodes(arguments.nodes)
    for warning in config.warnings:
        say(f"Warning: {warning}")
    check_ports(config.nodes)
    config.make_folders()
    if arguments.fresh:
        remove_old_files(config)
    changed = stored_members(config)
    if changed is not None:
        say(f"The cluster has other members by now than {config.path} says: {names(changed.members())}.")
        check_ports([node for node in changed.nodes if node not in config.nodes])
        return hand_over(changed)
    check_identities(config)
    return hand_over(config) if arguments.nodes is not None else config


def stored_members(config: Config) -> Config | None:
    """The same with the members that the nodes' files know of; None where these were never changed."""
    newest: tuple[int, dict[int, tuple[str, int]]] = (0, {})
    for file in config.raft_files():
        try:
            newest = max(newest, read_newest_members(file), key=lambda members: members[0])
        except DiskFailed:
            raise
        except GlassraftError:
            continue  # what is wrong with one node's files, that node says itself
    return config.with_members(newest[1]) if newest[0] else None


def check_ports(nodes: Sequence[NodeAddress]) -> None:
    """Refuse ports that somebody uses, and addresses that are another machine's."""
    used = [node.port for node in nodes if is_used(node)]
    if used:
        ports = ", ".join(str(port) for port in used)
        which = f"port {ports} is" if len(used) == 1 else f"ports {ports} are"
        raise ConfigError(
            f"{which} in use: is another cluster running here? Stop it, or change the ports in config.json"
        )


def is_used(node: NodeAddress) -> bool:
    """Whether somebody listens at a node's address. Raises ConfigError where no node could listen there."""
    try:
        family, _, _, _, address = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)[0]
        # Both ways: a socket that accepts on all addresses does not everywhere keep others from binding one.
        with socket.socket(family, socket.SOCK_STREAM) as knocking:
            knocking.settimeout(CONNECT_TIMEOUT_S)
            if knocking.connect_ex(address) == 0:
                return True
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            if sys.platform != "win32":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return True
        raise ConfigError(
            f"{node.name} cannot listen at {node}: {error.strerror or error}; cluster.py runs all nodes on "
            "this machine. For several machines, run on each: python node.py --id N"
        ) from error
    return False


def remove_old_files(config: Config) -> None:
    """--fresh: remove what the old cluster's nodes wrote, and nothing else."""
    for node_id in config.nodes_with_files():
        try:
            read_identity(config.raft_file(node_id))
        except DiskFailed:
            raise
        except GlassraftError:
            pass  # damaged or another's: then it is well that it goes
    files = config.written_files()
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            raise ConfigError(f"--fresh cannot remove {file}: {error.strerror or error}") from error
    if files:
        say(f"Removed {len(files)} files of the old cluster.")


def check_identities(config: Config) -> None:
    """Refuse data that was made for another list of nodes, once for all of them.

    What is wrong with one node's files alone, that node says itself when it starts.
    """
    cluster_id = ""
    for node_id in config.nodes_with_files():
        file = config.raft_file(node_id)
        try:
            stored = read_identity(file)
        except DiskFailed:
            raise
        except GlassraftError:
            continue
        if stored is None:
            continue
        members = {node.id: str(node) for node in config.nodes}
        if dict(stored.members) != members and stored.node_id == node_id:
            raise ConfigError(other_members(config, stored, members))
        Identity(cluster_id, config.cluster, node_id, members).check(stored, file)
        cluster_id = stored.cluster_id


def other_members(config: Config, stored: Identity, members: dict[int, str]) -> str:
    """Why data of another list of nodes is refused, and with which options it goes."""
    count = len(stored.members)
    same_start = all(members.get(node_id) in (address, None) for node_id, address in stored.members.items())
    back = f"--nodes {count}" if same_start and count != len(members) else "the old list in config.json"
    return (
        f"{config.folders.data} holds the data of {describe_members(stored.members)}, and now "
        f"{describe_members(members)} are asked for: a quorum changed by hand loses what was committed. "
        f"Start with {back}, or with --fresh to begin anew without that data"
    )


def hand_over(config: Config) -> Config:
    """Write a configuration that no file holds, where the nodes can read it; return it as they will."""
    file = config.derived_file()
    try:
        file.write_text(config.to_json(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror or error}") from error
    return configuration.load(file)


# From the first process to the last.


def start(supervisor: Supervisor, reporter: "Reporter", signals: StopSignals) -> bool:
    """Spawn the nodes. False, once everything is said, where too few start for anything to be committed."""
    config = supervisor.config
    with_files = config.nodes_with_files()
    supervisor.start_all("" if with_files else secrets.token_hex(16))
    deadline = time.monotonic() + START_TIMEOUT_S
    while "starting" in supervisor.statuses().values() and time.monotonic() < deadline:
        if signals.wait():
            return False
    serving = [node_id for node_id, status in supervisor.statuses().items() if status == "running"]
    reporter.started(serving)
    if len(serving) >= config.majority:
        return True
    missing = (
        ""
        if with_files in ((), config.members())
        else (
            f" Only {names(with_files)} have files: where the others' are lost, so is what they promised; "
            "restore them, or begin anew with --fresh."
        )
    )
    complain(f"{len(serving)} of {len(config.nodes)} nodes started, {config.majority} are needed.{missing}")
    return False


def run(headless: bool, supervisor: Supervisor, signals: StopSignals) -> None:
    """Show the window, or wait, until a signal or the window's closing ends it."""
    if not headless:
        addresses = tuple(supervisor.config.addresses().values())
        try:
            with JobQueue(addresses, timeout_s=SUBMIT_TIMEOUT_S) as queue, signals.interrupting():
                run_window(supervisor.config, WindowControls(supervisor, queue))
            return
        except DisplayMissing as error:
            complain(str(error))
        except KeyboardInterrupt:
            return
    say("Running without a window; Ctrl-C stops the cluster.")
    while not signals.wait():
        pass


def stop(supervisor: Supervisor, reporter: "Reporter", signals: StopSignals) -> None:
    """Stop every process; at once where a second signal comes. Returns when all are gone."""
    reporter.stopping = True
    if supervisor.alive():
        say("Stopping the nodes (Ctrl-C again: at once).")
    stopping = threading.Thread(target=supervisor.stop_all, name="stopping")
    stopping.start()
    while stopping.is_alive():
        if signals.wait():
            supervisor.kill_all()


class WindowControls:
    """What the window's clicks do: glassraft.window.controls.Controls on real processes."""

    def __init__(self, supervisor: Supervisor, queue: JobQueue) -> None:
        self._queue = queue
        self._supervisor = supervisor
        self.kill = supervisor.kill
        self.restart = supervisor.start
        self.pause = supervisor.pause
        self.resume = supervisor.resume
        self.log_path = supervisor.config.log_file

    def can(self, action: Action, id: int) -> tuple[bool, str]:
        """Whether the action is possible now, and the reason if not."""
        if action == "submit":
            return True, ""
        if id not in self._supervisor.config.members():
            return action == "make_leader", "it was started elsewhere"
        if action == "make_leader":
            possible = self._supervisor.can("kill", id)  # for both it must run
        else:
            possible = self._supervisor.can("start" if action == "restart" else action, id)
        return bool(possible), possible.reason

    def make_leader(self, id: int) -> None:
        """Let the leader hand its lead over to the node."""
        with contextlib.closing(LeaderCalls(list(self._supervisor.config.addresses().values()))) as calls:
            make_leader(calls, id)

    def submit_samples(self) -> str:
        """Submit a handful of the sample jobs, and say how many."""
        jobs = self._queue.submit_many(SAMPLES)
        return f"{len(jobs)} sample jobs submitted"


class Reporter:
    """Says what happens, a line each. Called from many threads."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stopping = False
        self._started = False

    def started(self, serving: Sequence[int]) -> None:
        """After the start: who serves where."""
        self._started = True
        for node_id in serving:
            say(f"n{node_id} serves {self.config.node(node_id)}")

    def leads(self, picture: Picture) -> None:
        """A leader was elected, or there has been none for a while."""
        if self.stopping:
            return
        if picture.leader is not None:
            say(f"n{picture.leader.id} leads in term {picture.leader.term}.")
            return
        what = "No quorum" if picture.answering < picture.majority else "No leader"
        say(
            f"{what}: {picture.answering} of {picture.voters} nodes answer, {picture.majority} are needed "
            "to commit anything."
        )

    def exited(self, end: Exit) -> None:
        """A process ended: why, its last lines where it failed, and how it comes back."""
        if self.stopping and end.ending is not None:
            return
        lines = [f"{end.name} ended: {end.reason}."]
        if end.ending is None and len(end.last_errors) > 1:
            lines += [f"    {line}" for line in end.last_errors[-SHOWN_ERROR_LINES:-1]]
        if end.again_s is not None:
            lines.append(f"    It is started again in {end.again_s:g} s.")
        elif end.ending is None and self._started and not self.stopping:
            lines.append(f"    It is not started again by itself. To do so: {self.command(end.name)}")
        say("\n".join(lines))

    def command(self, name: str) -> str:
        """What starts a node by hand."""
        config = "" if self.config.path == configuration.DEFAULT_PATH else f" --config {self.config.path}"
        return f"python node.py --id {name[1:]}{config}"

    def said(self, name: str, line: str) -> None:
        """A line of output that a process wrote."""
        say(f"{name}: {line}")


def say(text: str) -> None:
    """Write whole lines, from any thread, whether anybody still reads them or not."""
    with OUTPUT, contextlib.suppress(OSError):
        print(text, flush=True)


def complain(text: str) -> None:
    """The same for what went wrong."""
    with OUTPUT, contextlib.suppress(OSError):
        print(f"cluster: {text}", file=sys.stderr, flush=True)


def names(node_ids: Sequence[int]) -> str:
    """n1, n2 and n3."""
    return ", ".join(f"n{node_id}" for node_id in node_ids)


if __name__ == "__main__":
    sys.exit(main())
