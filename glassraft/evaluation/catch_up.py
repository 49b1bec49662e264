"""A node comes back when what it needs is gone from the log: `python -m glassraft.evaluation.catch_up`.

Three nodes hold a queue of many jobs. A follower is killed; the others go on until their log is
compacted beyond its end; then it is started again, while as many entries come in as the cluster
takes. Printed are how long it takes to have a snapshot and all that was committed since, how many
entries a second that was, and the longest that any client waited meanwhile, beside the longest before.
Exit status 1 if it comes back any other way.
"""

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from glassraft.config import NodeAddress
from glassraft.errors import GlassraftError
from glassraft.evaluation.clients import Clients
from glassraft.evaluation.local_cluster import LocalCluster
from glassraft.evaluation.progress import Progress
from glassraft.events.reader import read_node
from glassraft.jobqueue.client import JobQueue
from glassraft.rpc.client import Connection
from glassraft.supervisor import wait_for_leader
from glassraft.supervisor.leaders import ask_state

NODES = 3
JOBS = 100_000
BATCH = 500
IN_FLIGHT = 64
"""Submissions under way at a time: more would wait longer, and not be committed sooner."""

THREADS = 2
JOB = '{"task": "primes", "args": [1, 10]}'
NO_SESSION = ("", 0, 0)
"""Whether a submission whose answer is lost came to be is not asked here, and a session costs rows."""

CALL_TIMEOUT_S = 10.0
BEFORE_S = 5.0
"""How long the leader is watched before the follower comes back, to compare with."""

AFTER_S = 2.0
"""How long it is watched when the follower has caught up."""

NEAR_ENTRIES = 500
"""A follower so close behind the leader's commit index has caught up: a fraction of a second of load."""

ASK_S = 0.02
STATE_TIMEOUT_S = 5.0
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Submission:
    """One acknowledged submission: when it was asked, and when it was answered (monotonic seconds)."""

    asked_at: float
    answered_at: float


class Load:
    """Submissions to the leader, one job and so one entry each, IN_FLIGHT at a time until stopped."""

    def __init__(self, leader: NodeAddress) -> None:
        self.submissions: list[Submission] = []
        self._stopped = threading.Event()
        connections = [Connection(leader.host, leader.port) for _ in range(IN_FLIGHT)]
        groups = [connections[first::THREADS] for first in range(THREADS)]
        self._clients = Clients(THREADS, groups, self._submit)

    def _submit(self, connections: Sequence[Connection]) -> None:
        """Keep a submission under way on each connection: threads that wait for one each would be the bottleneck."""
        with contextlib.ExitStack() as stack:
            asked_at: dict[Connection, float] = {}
            for connection in connections:
                stack.callback(connection.close)
                connection.connect()
                asked_at[connection] = self._ask(connection)
            while asked_at:
                for connection in list(asked_at):
                    connection.receive(CALL_TIMEOUT_S)
                    self.submissions.append(Submission(asked_at.pop(connection), time.monotonic()))
                    if not self._stopped.is_set():
                        asked_at[connection] = self._ask(connection)

    def _ask(self, connection: Connection) -> float:
        connection.send("Submit", (*NO_SESSION, JOB))
        return time.monotonic()

    def stop(self) -> None:
        """Wait for the last answers. Raises what a client failed with."""
        self._stopped.set()
        self._clients.join()

    def between(self, begin: float, end: float) -> list[Submission]:
        """Those that were answered in this time, in order."""
        answered = sorted(self.submissions, key=lambda each: each.answered_at)
        return [each for each in answered if begin <= each.answered_at <= end]


def longest_wait_ms(submissions: Sequence[Submission]) -> float:
    """The longest that a client waited for its answer."""
    return max(((each.answered_at - each.asked_at) * 1000 for each in submissions), default=0.0)


def longest_pause_ms(submissions: Sequence[Submission]) -> float:
    """The longest time in which the leader answered nobody at all."""
    answered = [each.answered_at for each in submissions]
    return max(((later - earlier) * 1000 for earlier, later in pairwise(answered)), default=0.0)


class CatchUp:
    """One run."""

    def __init__(self, cluster: LocalCluster, jobs: int) -> None:
        self._cluster = cluster
        self._jobs = jobs

    def run(self) -> None:
        """Everything, in order; prints what came of it."""
        leader = wait_for_leader(self._cluster.config, TIMEOUT_S).id
        follower = next(node for node in self._cluster.config.members() if node != leader)
        with JobQueue(self._cluster.config.path) as queue:
            self._fill(queue)
            end = self._state(follower)["last_log_index"]
            self._cluster.supervisor.kill(follower)
            load = Load(self._cluster.config.node(leader))
            try:
                self._wait(
                    lambda: bool(self._state(leader)["first_log_index"] > end + 1),
                    "the log was not compacted",
                )
                watched_from = time.monotonic()
                time.sleep(BEFORE_S)
                committed = self._state(leader)["commit_index"]
                behind = committed - end
                began = time.monotonic()
                self._cluster.supervisor.start(follower)
                self._wait(
                    lambda: self._has_caught_up(follower, leader, committed), "the follower did not catch up"
                )
                caught_up = time.monotonic()
                time.sleep(AFTER_S)
            finally:
                load.stop()
        snapshot = self._install_of(follower)
        print(f"entries behind when started    {behind:>10,}")
        self._print(load, watched_from, began, caught_up, snapshot)

    def _fill(self, queue: JobQueue) -> None:
        with Progress("filling", self._jobs) as progress:
            for first in range(0, self._jobs, BATCH):
                count = min(BATCH, self._jobs - first)
                queue.submit_many({"task": "primes", "args": [1, 200_000]} for _ in range(count))
                progress.advance(count)

    def _state(self, node: int) -> dict[str, Any]:
        return ask_state(self._cluster.config, node, STATE_TIMEOUT_S)

    def _has_caught_up(self, follower: int, leader: int, committed: int) -> bool:
        """Whether it has all that was committed when it was started, and nearly all that was since."""
        applied = self._state(follower)["last_applied"]
        return bool(applied >= max(committed, self._state(leader)["commit_index"] - NEAR_ENTRIES))

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except GlassraftError:  # it is starting
                pass
            time.sleep(ASK_S)
        raise GlassraftError(f"{otherwise} within {TIMEOUT_S:g} s")

    def _install_of(self, node: int) -> dict[str, Any]:
        self._cluster.stop()
        installs = [event for event in read_node(self._cluster.logs, node) if event["event"] == "install"]
        if not installs:
            raise GlassraftError(f"n{node} caught up without a snapshot")
        return installs[-1]

    def _print(
        self, load: Load, watched_from: float, began: float, caught_up: float, snapshot: dict[str, Any]
    ) -> None:
        before, during = load.between(watched_from, began), load.between(began, caught_up)
        took = caught_up - began
        print(f"jobs in the queue              {self._jobs + len(load.submissions):>10,}")
        print(f"snapshot                       {snapshot['size'] / 1e6:>10.1f} MB")
        print(f"started until caught up        {took:>10.2f} s")
        print(f"entries a second before        {len(before) / (began - watched_from):>10.0f}")
        print(f"entries a second meanwhile     {len(during) / took:>10.0f}")
        print(f"longest answer before          {longest_wait_ms(before):>10.1f} ms")
        print(f"longest answer meanwhile       {longest_wait_ms(during):>10.1f} ms")
        print(f"worst pause before             {longest_pause_ms(before):>10.1f} ms")
        print(f"worst pause meanwhile          {longest_pause_ms(during):>10.1f} ms")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the follower came back by a snapshot; 1 else, with a line that says why."""
    parser = argparse.ArgumentParser(
        prog="python -m glassraft.evaluation.catch_up",
        description="Measure how a node comes back by a snapshot while the others go on.",
    )
    parser.add_argument(
        "--jobs", type=int, default=JOBS, metavar="N", help=f"jobs in the queue (default {JOBS:,})"
    )
    options = parser.parse_args(arguments)
    try:
        with LocalCluster(NODES) as cluster:
            CatchUp(cluster, options.jobs).run()
    except GlassraftError as error:
        print(f"catch_up: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
