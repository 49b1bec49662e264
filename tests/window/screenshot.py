"""Takes the README's picture: a real cluster of five under load, one node killed, in the real window.

    python -m tests.window.screenshot docs/window.png

Needs Xvfb and ImageMagick's `import`. Not a test; the folder of the run is a temporary one.
"""

import _thread
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import visualizer
from cluster import SAMPLES
from glassraft.jobqueue.client import JobQueue
from glassraft.window.controls import Action
from tests.live import Cluster, Ports, write_config

SCREEN = "1360x900x24"
SUBMIT_EVERY_S = 0.7
KILL_AT_S, RESTART_AT_S, KILL_AGAIN_AT_S = 6.0, 11.0, 18.0
TAKE_AFTER_S = 0.45
"""So soon after the second election its votes are still on their way."""


class Buttons:
    """Controls that can all be used, so that the picture shows them; nobody does."""

    def __init__(self, cluster: Cluster) -> None:
        supervisor = cluster.supervisor
        self.kill, self.restart = supervisor.kill, supervisor.start
        self.pause, self.resume = supervisor.pause, supervisor.resume
        self.log_path = cluster.config.log_file

    def make_leader(self, id: int) -> None:
        """Nobody presses it."""

    def submit_samples(self) -> str | None:
        """Nobody presses it."""
        return None

    def can(self, action: Action, id: int) -> tuple[bool, str]:
        """All of it."""
        return True, ""


def submit(cluster: Cluster, ended: threading.Event) -> None:
    """Sample jobs, one after the other."""
    with JobQueue(tuple(cluster.config.addresses().values())) as queue:
        while not ended.wait(SUBMIT_EVERY_S):
            queue.submit_many(SAMPLES)


def direct(cluster: Cluster, file: Path, ended: threading.Event) -> None:
    """A leader dies, returns, the next one dies; then the picture is taken."""
    began = time.monotonic()

    def at(seconds: float) -> None:
        ended.wait(max(0.0, began + seconds - time.monotonic()))

    at(KILL_AT_S)
    first = cluster.leader().id
    cluster.supervisor.kill(first)
    at(RESTART_AT_S)
    cluster.supervisor.start(first)
    at(KILL_AGAIN_AT_S)
    second = cluster.leader()
    cluster.supervisor.kill(second.id)
    cluster.leader(after_term=second.term)
    ended.wait(TAKE_AFTER_S)
    subprocess.run(["import", "-window", "root", "-crop", "1360x860+0+0", "+repage", str(file)], check=True)
    _thread.interrupt_main()


def main() -> int:
    """Take the picture; returns the exit status."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    ended, ports = threading.Event(), Ports()
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", SCREEN],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    try:
        os.environ["DISPLAY"] = ":" + os.read(read, 16).decode().strip()
        with tempfile.TemporaryDirectory() as folder:
            calm = {"heartbeat_ms": 100, "election_timeout_ms": [600, 1200]}
            cluster = Cluster(write_config(Path(folder), ports.take(5), **calm))
            cluster.start()
            cluster.supervisor.worker.start()
            for work in (submit, direct):
                arguments = (
                    (cluster, ended) if work is submit else (cluster, Path(sys.argv[1]).resolve(), ended)
                )
                threading.Thread(target=work, args=arguments, daemon=True).start()
            try:
                with contextlib.suppress(KeyboardInterrupt):
                    visualizer.run_window(cluster.config, Buttons(cluster))
            finally:
                ended.set()
                cluster.close()
    finally:
        server.terminate()
        server.wait()
        ports.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
