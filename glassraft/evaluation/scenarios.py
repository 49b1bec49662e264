"""The course project's two comparisons, on real clusters: few against many submissions, small against large.

Each point is a cluster of its own, so that none inherits another's queue or files. Here they are
only run; the numbers come from the nodes' event files alone (analysis.py).
"""

import random
import threading
import time
from collections.abc import Callable

from glassraft.evaluation.analysis import measure_folder
from glassraft.evaluation.clients import Clients
from glassraft.evaluation.local_cluster import LocalCluster
from glassraft.evaluation.results import Point, Result
from glassraft.jobqueue.client import JobQueue

CLIENTS = 4
SMALL_BYTES = 64
KILL_PAYLOAD_BYTES = 10 * 1024
SUBMIT_TIMEOUT_S = 30.0
"""Long enough for an election or two: a submission that is refused for good ends the run."""

ARRIVAL_S = 0.2
"""What is under way when the last submission is answered gets this long to arrive."""

Advance = Callable[[int, str], None]
"""Told of each acknowledged submission: how many more, and of what run."""


def points(quick: bool) -> list[Point]:
    """What is run. With `quick`, a tenth of it: to see that everything works."""
    counts = (10, 100, 300) if quick else (10, 100, 1000, 5000)
    sizes = (16, 1024, 10 * 1024) if quick else (16, 1024, 10 * 1024, 100 * 1024)
    payload_submissions = 50 if quick else 200
    middle = 150 if quick else 1000
    return [
        *(Point("messages", count, SMALL_BYTES) for count in counts),
        Point("messages", middle, SMALL_BYTES, kill=True),
        *(Point("payload", payload_submissions, size) for size in sizes),
        Point("payload", payload_submissions, KILL_PAYLOAD_BYTES, kill=True),
    ]


def run(point: Point, nodes: int, seed: int, advance: Advance) -> Result:
    """Run one point on a fresh cluster of `nodes` nodes. The payloads follow from `seed`.

    Raises GlassraftError where the cluster does not start, or a submission is refused for good.
    """
    with LocalCluster(nodes) as cluster:
        acknowledged = _Count()
        chance = random.Random(f"{seed} {point}")
        payloads = [payload(chance, point.payload_bytes) for _ in range(min(point.submissions, 50))]
        with JobQueue(cluster.config.path, timeout_s=SUBMIT_TIMEOUT_S) as queue:

            def submit(number: int) -> None:
                queue.submit("measured", payloads[number % len(payloads)])
                acknowledged.up()
                advance(1, str(point))

            clients = Clients(CLIENTS, range(point.submissions), submit)
            if point.kill:
                acknowledged.wait_for(point.submissions // 3, clients)
                killed = cluster.kill_leader()
                acknowledged.wait_for(2 * point.submissions // 3, clients)
                cluster.restart(killed)
            clients.join()
        time.sleep(ARRIVAL_S)
        cluster.stop()
        return Result(point, nodes, seed, acknowledged.value, measure_folder(cluster.logs))


def payload(chance: random.Random, count: int) -> str:
    """A text of exactly `count` bytes that does not compress well."""
    return f"{chance.getrandbits(4 * count):0{count}x}" if count else ""


class _Count:
    """A number that rises, and that can be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.value = 0

    def up(self) -> None:
        with self._changed:
            self.value += 1
            self._changed.notify_all()

    def wait_for(self, value: int, clients: Clients) -> None:
        """Wait until the number is that high, or the clients have failed and it will never be."""
        with self._changed:
            while self.value < value and not clients.failed:
                self._changed.wait(0.1)
