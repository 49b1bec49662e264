"""Fixtures for all rooms: ports, real clusters, and the check that a test leaves nothing behind."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Cluster, Ports, write_config

LEAK_GRACE_S = 5.0
"""How long threads and processes that are ending may take to do so."""

MULTIPROCESSING = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Python's own servants, which stay until their process ends."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here and not in tests/raft, because only this file is read before the arguments are."""
    parser.addoption("--update-transcripts", action="store_true", help="rewrite the transcripts")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """No thread and no child process that a test started outlives it."""
    threads = set(threading.enumerate())
    children = child_processes()
    yield
    deadline = time.monotonic() + LEAK_GRACE_S
    while left := leftovers(threads, children):
        if time.monotonic() > deadline:
            pytest.fail("left behind: " + ", ".join(left))
        time.sleep(0.01)


def leftovers(threads: set[threading.Thread], children: dict[int, str]) -> list[str]:
    """What there is now and was not before, by name."""
    new_threads = [f"thread {thread.name}" for thread in threading.enumerate() if thread not in threads]
    new_children = [
        f"process {pid} ({command})"
        for pid, command in child_processes().items()
        if pid not in children and not any(name in command for name in MULTIPROCESSING)
    ]
    return new_threads + new_children


def child_processes() -> dict[int, str]:
    """This process's children and how they were started; only Linux tells that without help."""
    if sys.platform != "linux":
        return {}
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            pids = (task / "children").read_text().split()
        except OSError:  # the thread has just ended
            continue
        for pid in pids:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            found[int(pid)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


@pytest.fixture(scope="session")
def ports() -> Iterator[Ports]:
    """Ports that nobody else has."""
    given = Ports()
    yield given
    given.close()


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """The name of an X display that nobody sees, such as ":7"; it lives as long as the test session."""
    if not shutil.which("Xvfb"):
        pytest.skip("Xvfb is missing")
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with open(reading, "rb") as chosen:
            number = chosen.readline().decode().strip()
        assert number, "Xvfb found no free display"
        yield f":{number}"
        server.terminate()


MakeCluster = Callable[..., Cluster]


@pytest.fixture
def make_cluster(ports: Ports, tmp_path: Path) -> Iterator[MakeCluster]:
    """`make_cluster(3)`: a running cluster of three in the test's own folder, ended after the test.

    Further arguments are settings: `heartbeat_ms`, `election_timeout_ms`, or whole sections of
    config.json. With `start=False` nothing is started yet.
    """
    made: list[Cluster] = []

    def make(count: int = 3, *, start: bool = True, **settings: object) -> Cluster:
        folder = tmp_path / f"cluster{len(made)}"
        cluster = Cluster(write_config(folder, ports.take(count), **settings))
        made.append(cluster)
        if start:
            cluster.start()
        return cluster

    yield make
    for cluster in made:
        cluster.close()
