"""One node as a process: how it starts, is refused, serves, stops and comes back."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from glassraft.config import Config
from glassraft.rpc.client import ConnectionFailed
from glassraft.rpc.faults import Fault
from glassraft.storage.identity import read_identity
from tests.live import Ports, eventually, write_config
from tests.node.conftest import RunNode
from tests.node.hand import ROOT, Hand

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
REFUSED, PORT_IN_USE, DISK_FAILED = 2, 3, 4


def one_line(hand: Hand) -> tuple[int, str]:
    """The exit status, and the error output, which must be one line."""
    status, errors = hand.end_with_errors()
    assert errors.startswith("n1: "), errors
    assert errors.count("\n") == 1, errors
    return status, errors


# Alone


def test_a_lone_node_works_alone(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new").leads()
    job = node.submit(args=[1])
    taken = node.call("Take", "", 1, 1, "w1", '["default"]', 1, 30_000, 0)
    [leased] = json.loads(taken["jobs"])
    assert leased["id"] == job
    assert node.call("Complete", job, leased["token"], "7") == {"state": "succeeded"}
    [done] = json.loads(node.call("Wait", json.dumps([job]), 1000)["jobs"])
    assert done == {"id": job, "state": "succeeded", "result": 7}
    assert node.stop() == 0 or sys.platform == "win32"


def test_its_files_say_whose_they_are(config: Config, run_node: RunNode) -> None:
    run_node(config, "--new", "abc123").serves().stop()
    identity = read_identity(config.raft_file(1))
    assert identity is not None
    assert (identity.cluster_id, identity.node_id, identity.cluster) == ("abc123", 1, config.cluster)


def test_without_an_id_every_machine_makes_the_same_cluster(
    ports: Ports, tmp_path: Path, run_node: RunNode
) -> None:
    """Each machine has its own copy of config.json, and nobody copies an id around."""
    taken = ports.take(3)
    found = set()
    for id in (1, 2):
        config = write_config(tmp_path / str(id), taken)
        run_node(config, "--new", id=id).serves().stop()
        identity = read_identity(config.raft_file(id))
        assert identity is not None
        found.add(identity.cluster_id)
    assert len(found) == 1


# Stopping


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(config: Config, run_node: RunNode, number: signal.Signals) -> None:
    node = run_node(config, "--new").leads()
    node.submit()
    began = time.monotonic()
    node.signal(number)
    assert node.end_with_errors() == (0, "")
    assert time.monotonic() - began < 3.0
    last = node.events()[-1]
    assert (last["event"], last["reason"]) == ("stop", f"stopped by {number.name}")
    with closing(sqlite3.connect(config.queue_file(1))) as connection:
        assert connection.execute("SELECT applied_index FROM applied").fetchone()[0] == 2


@POSIX
def test_whoever_waits_is_told_that_it_stops(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new").leads()
    job = node.submit(queue="other")
    with open_call(config, "Take") as take, open_call(config, "Wait", job) as wait:
        assert take.stdout is not None
        assert wait.stdout is not None
        assert take.stdout.readline() == wait.stdout.readline() == "calling\n"
        node.signal(signal.SIGTERM)
        assert node.end() == 0
        # A call that had not quite arrived finds its connection closed.
        assert take.stdout.read().strip() in ("fault 8", "broken")
        assert wait.stdout.read().strip() in ("[]", "broken")


def open_call(config: Config, *words: str) -> "subprocess.Popen[str]":
    """A client in a process of its own that says what came of its call."""
    command = [sys.executable, "-c", CALLER, str(config.node(1)), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


CALLER = """
import http.client, sys, xmlrpc.client
proxy = xmlrpc.client.ServerProxy(f"http://{sys.argv[1]}/RPC2")
proxy.Ping()
print("calling", flush=True)
try:
    if sys.argv[2] == "Take":
        print(proxy.Take("", 1, 1, "w1", '["default"]', 1, 30000, 30000)["jobs"])
    else:
        print(proxy.Wait(f'["{sys.argv[3]}"]', 30000)["jobs"])
except xmlrpc.client.Fault as fault:
    print("fault", fault.faultCode)
except (OSError, http.client.HTTPException):
    print("broken")
"""


@POSIX
def test_a_second_signal_ends_it_at_once(config: Config, run_node: RunNode) -> None:
    """Though a client that does not go away keeps the first from being over soon."""
    node = run_node(config, "--new").leads()
    with node.open_socket() as stalled:
        stalled.sendall(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        node.signal(signal.SIGTERM)
        with suppress(ProcessLookupError):
            for _ in range(100):
                node.signal(signal.SIGTERM)
                time.sleep(0.002)
        assert node.end() in (0, 128 + signal.SIGTERM)


def test_a_node_killed_and_started_again_carries_on(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new").leads()
    jobs = [node.submit(args=[n]) for n in range(5)]
    before = node.state()
    node.process.kill()
    node.end()
    node = run_node(config).leads()
    after = node.state()
    assert after["term"] == before["term"] + 1
    assert after["last_log_index"] == before["last_log_index"] + 1
    found = json.loads(node.call("List", "{}", False)["jobs"])
    assert [job["id"] for job in found] == jobs[::-1]
    names = [event["event"] for event in node.events()]
    assert names.count("start") == 2
    assert "stop" not in names


def test_without_supervision_the_end_of_its_input_means_nothing(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new").leads()
    node.end_of_input()
    assert node.submit()
    assert node.process.poll() is None


def test_supervised_it_ends_with_its_input(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new", "--supervised").serves()
    node.end_of_input()
    assert node.end_with_errors() == (0, "")
    assert node.events()[-1]["reason"] == "the program that started it has ended"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_supervised_it_does_not_outlive_its_parent_even_if_somebody_holds_its_input(
    config: Config, tmp_path: Path
) -> None:
    """Its parent is killed with -9 while a third process has the other end of the pipe."""
    parent = (
        "import subprocess, sys, time\n"
        "node = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "node.stdout.readline()\n"
        "holder = subprocess.Popen(['sleep', '60'], stdout=node.stdin.fileno())\n"
        "print(node.pid, holder.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, str(ROOT / "node.py"), "--id", "1", "--config", str(config.path)]
    with subprocess.Popen(
        [sys.executable, "-c", parent, *command, "--new", "--supervised"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        node, holder = map(int, process.stdout.readline().split())
        process.kill()
    try:
        eventually(lambda: not Path(f"/proc/{node}").exists() or "Z" in state_of(node))
    finally:
        with suppress(ProcessLookupError):
            subprocess.run(["kill", "-9", str(holder)], check=False)


def state_of(pid: int) -> str:
    """A process's state, as Linux tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


# Refused


def test_a_new_node_is_made_only_once(config: Config, run_node: RunNode) -> None:
    run_node(config, "--new").serves().stop()
    status, errors = one_line(run_node(config, "--new"))
    assert status == REFUSED
    assert "must not write over it" in errors


def test_a_node_without_files_is_refused(config: Config, run_node: RunNode) -> None:
    status, errors = one_line(run_node(config))
    assert status == REFUSED
    assert "start it with --new" in errors
    assert not config.raft_file(1).exists()


def test_a_node_whose_files_are_gone_is_refused(config: Config, run_node: RunNode) -> None:
    run_node(config, "--new").serves().stop()
    config.raft_file(1).unlink()
    status, errors = one_line(run_node(config))
    assert status == REFUSED
    assert "must not come back under its old id" in errors


def test_files_of_other_members_are_refused(config: Config, run_node: RunNode, ports: Ports) -> None:
    run_node(config, "--new").serves().stop()
    other = write_config(config.path.parent, [config.node(1).port, *ports.take(2)])
    status, errors = one_line(run_node(other))
    assert status == REFUSED
    assert "was made for 1 nodes" in errors
    assert "a quorum changed by hand loses what was committed" in errors


def test_damaged_files_are_refused(config: Config, run_node: RunNode) -> None:
    run_node(config, "--new").serves().stop()
    config.raft_file(1).write_bytes(b"x" * 10_000)
    status, errors = one_line(run_node(config))
    assert status == REFUSED
    assert "is damaged" in errors


def test_a_node_that_runs_already_is_refused(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new").leads()
    status, errors = one_line(run_node(config))
    assert status == REFUSED
    assert "is in use by another process: stop that node first" in errors
    assert node.submit()


def test_a_port_in_use_is_told(config: Config, run_node: RunNode) -> None:
    run_node(config, "--new").serves().stop()
    with socket.create_server((config.node(1).host, config.node(1).port)):
        status, errors = one_line(run_node(config))
    assert status == PORT_IN_USE
    assert f"port {config.node(1).port} on 127.0.0.1 is in use: stop the program that has it" in errors


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:-3], "config.json"),
        (lambda text: text.replace('"nodes"', '"nodez"'), "nodez"),
        (lambda text: text.replace('"port": ', '"port": -'), "port"),
    ],
    ids=["not JSON", "unknown key", "no port"],
)
def test_a_bad_config_is_one_clear_line(
    config: Config, run_node: RunNode, change: Callable[[str], str], says: str
) -> None:
    config.path.write_text(change(config.path.read_text()))
    status, errors = one_line(run_node(config, "--new"))
    assert status == REFUSED
    assert says in errors


def test_an_id_that_is_not_configured_is_told(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new", id=9)
    assert node.end() == REFUSED
    assert node.errors.startswith("n9: ")
    assert "there is no node with id 9; the ids are 1" in node.errors


def test_no_config_at_all_is_told(config: Config, run_node: RunNode) -> None:
    config.path.unlink()
    status, errors = one_line(run_node(config))
    assert status == REFUSED
    assert str(config.path) in errors


def test_a_data_folder_that_cannot_be_is_told(ports: Ports, tmp_path: Path, run_node: RunNode) -> None:
    (tmp_path / "file").write_text("in the way")
    config = write_config(tmp_path, ports.take(1), folders={"data": "file/data", "logs": "logs"})
    status, errors = one_line(run_node(config, "--new"))
    assert status == DISK_FAILED
    assert "choose another data folder" in errors


@POSIX
def test_a_full_disk_stops_the_node_and_nothing_acknowledged_is_lost(
    config: Config, run_node: RunNode
) -> None:
    """A limit on the size of its files stands for the end of the disk."""
    run_node(config, "--new").serves().stop()
    node = run_node(config, preexec_fn=no_large_files).leads()
    acknowledged = []
    with suppress(ConnectionFailed, Fault):
        for n in range(1_000):
            acknowledged.append(node.submit(args=[n, "x" * 20_000]))
    status, errors = node.end_with_errors()
    assert status == DISK_FAILED, errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("n1: ")
    assert "check the disk's space and permissions" in last
    assert 0 < len(acknowledged) < 1_000
    again = run_node(config).leads()
    page = again.call("List", '{"limit": 1000}', False)
    found = [job["id"] for job in json.loads(page["jobs"])]
    assert found[::-1][: len(acknowledged)] == acknowledged
    assert len(found) - len(acknowledged) <= 1, "only the one that was under way may be there beside"


def no_large_files() -> None:
    """In the node's process, before it begins: no file of it may grow beyond this."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (6 << 20, resource.RLIM_INFINITY))


# Serving


def test_a_stock_client_calls_it(config: Config, run_node: RunNode) -> None:
    run_node(config, "--new").leads()
    with xmlrpc.client.ServerProxy(f"http://{config.node(1)}/RPC2") as proxy:
        job = str(proxy.Submit("", 1, 1, '{"task": "nothing"}')["job"])  # type: ignore[index,call-overload]
        ping, state = proxy.Ping(), proxy.State(0)
        assert ping["role"] == state["role"] == "leader"  # type: ignore[index,call-overload]
        wanted = {"id", "role", "term", "voted_for", "leader_id", "commit_index", "last_applied", "pid"}
        wanted |= {"last_log_index", "last_log_term", "first_log_index", "peers", "members", "seq", "clock"}
        assert wanted <= set(state)  # type: ignore[arg-type]
        assert json.loads(proxy.Get(job)["job"])["id"] == job  # type: ignore[index,call-overload,arg-type]
        assert json.loads(proxy.List()["jobs"])[0]["id"] == job  # type: ignore[index,call-overload,arg-type]
        assert json.loads(proxy.Stats(True)["stats"])["states"]["ready"] == 1  # type: ignore[index,call-overload,arg-type]
        assert len(proxy.system.listMethods()) > 15  # type: ignore[arg-type]


def test_events_go_on_where_they_were(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new").leads()
    first = node.call("Events", 0)
    events = json.loads(first["events"])
    assert first["next"] == events[-1]["seq"]
    node.submit()
    later = eventually(lambda: json.loads(node.call("Events", first["next"])["events"]))
    assert later[0]["seq"] == first["next"] + 1
    assert "append" in [event["event"] for event in later]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\0" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /RPC2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n",
        b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n<xml>",
        b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf",
        b"POST /RPC2 HTTP/1.1\r\nHost: x",
    ],
)
def test_what_is_no_call_leaves_it_serving(config: Config, run_node: RunNode, request_bytes: bytes) -> None:
    node = run_node(config, "--new").leads()
    with node.open_socket() as stalled:
        stalled.sendall(request_bytes)
        assert node.submit(), "another client is served while this one stalls"
    assert node.submit()


def test_its_queue_is_readable_with_plain_sqlite_while_it_runs(config: Config, run_node: RunNode) -> None:
    node = run_node(config, "--new").leads()
    job = node.submit(task="count", args=[1, 2])
    with closing(sqlite3.connect(config.queue_file(1))) as connection:
        row = eventually(
            lambda: connection.execute(
                "SELECT task, state, args FROM jobs JOIN arguments ON job = id"
            ).fetchone()
        )
        assert row == ("count", "ready", "[1,2]")
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM jobs").fetchall()
        assert node.submit() != job, "a reader in the middle of a transaction holds nobody up"
