"""A hundred rounds of killed nodes, and what became of the jobs: `python -m glassraft.evaluation.endurance`.

A round is 20 jobs from 4 clients while a node, more often than not the leader, is killed with -9
and started again; a worker runs all the while. At the end every acknowledged job must be there
exactly once and have succeeded with its own result (audit.py). Exit status 1 on any broken promise.
"""

import argparse
import contextlib
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from glassraft.errors import GlassraftError
from glassraft.evaluation import marks
from glassraft.evaluation.analysis import Percentiles, percentiles
from glassraft.evaluation.audit import Audit, Promises, audit
from glassraft.evaluation.clients import Clients
from glassraft.evaluation.local_cluster import LocalCluster
from glassraft.evaluation.progress import Progress
from glassraft.jobqueue.client import JobQueue, OutcomeUnknown
from glassraft.jobqueue.worker import Worker
from glassraft.supervisor import wait_for_leader

NODES = 5
ROUNDS = 100
JOBS_A_ROUND = 20
CLIENTS = 4
SLOTS = 2
LEADER_SHARE = 0.75
"""How often the node that is killed is the leader."""

MOST_DELAY_S = 0.05
"""The kill comes at a random moment in the midst of the submissions: so much after their start at most."""

SUBMIT_TIMEOUT_S = 30.0
LEASE_S = 10.0
FINISH_TIMEOUT_S = 120.0
STOP_GRACE_S = 5.0
PAGE = 500


class Endurance:
    """One run: a cluster, its clients, and what they were promised."""

    def __init__(self, cluster: LocalCluster, queue: JobQueue, chance: random.Random) -> None:
        self.promises = Promises()
        self.leaders_killed = 0
        self.others_killed = 0
        self.times_ms: list[float] = []
        self._cluster = cluster
        self._queue = queue
        self._chance = chance
        self._lock = threading.Lock()
        self._last_mark = 0

    def round(self) -> str:
        """Submit while a node is killed, then start it again. Who was killed, in a few words."""
        first = self._last_mark + 1
        self._last_mark += JOBS_A_ROUND
        leader = wait_for_leader(self._cluster.config, SUBMIT_TIMEOUT_S).id
        clients = Clients(CLIENTS, range(first, self._last_mark + 1), self._submit)
        time.sleep(self._chance.uniform(0, MOST_DELAY_S))
        killed = self._kill(leader)
        clients.join()
        self._cluster.restart(killed)
        return f"n{killed} killed" + (", the leader" if killed == leader else "")

    def wait_until_finished(self, timeout_s: float) -> None:
        """Wait until every acknowledged job is finished, or the time is over; the audit tells."""
        self._queue.wait(self.promises.acknowledged.values(), timeout_s)

    def audit(self) -> Audit:
        """Compare what was promised with every job that the queue has."""
        return audit(self.promises, self._jobs())

    def _submit(self, mark: int) -> None:
        began = time.monotonic()
        try:
            job = self._queue.submit(marks.NAME, mark)
        except OutcomeUnknown:
            with self._lock:
                self.promises.unknown.add(mark)
        except GlassraftError:
            with self._lock:
                self.promises.refused.add(mark)
        else:
            with self._lock:
                self.promises.acknowledged[mark] = job
                self.times_ms.append((time.monotonic() - began) * 1000)

    def _kill(self, leader: int) -> int:
        victim = leader
        if self._chance.random() < LEADER_SHARE:
            self.leaders_killed += 1
        else:
            victim = self._chance.choice([node for node in self._cluster.config.members() if node != leader])
            self.others_killed += 1
        self._cluster.supervisor.kill(victim)
        return victim

    def _jobs(self) -> Iterator[dict[str, Any]]:
        after = ""
        while True:
            page = self._queue.list(limit=PAGE, after=after)
            for row in page["jobs"]:
                job = self._queue.get(row["id"])
                yield {**job, "result": job.get("result")}
            after = page["next"]
            if not after:
                return


@contextlib.contextmanager
def working(queue: JobQueue) -> Iterator[None]:
    """A worker with its own processes, for as long as the block lasts."""
    worker = Worker(queue, marks.KNOWN, slots=SLOTS, lease_s=LEASE_S)
    thread = threading.Thread(target=worker.run, args=(STOP_GRACE_S,), name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(2 * STOP_GRACE_S)


def run(rounds: int, nodes: int, seed: int) -> tuple[Endurance, Audit]:
    """All of it. Raises GlassraftError where a node does not start again, or no leader answers at the end."""
    with LocalCluster(nodes) as cluster, JobQueue(cluster.config.path, timeout_s=SUBMIT_TIMEOUT_S) as queue:
        endurance = Endurance(cluster, queue, random.Random(seed))
        with working(queue):
            with Progress("rounds", rounds) as progress:
                for _ in range(rounds):
                    progress.advance(1, endurance.round())
            endurance.wait_until_finished(FINISH_TIMEOUT_S)
        return endurance, endurance.audit()


def summary(endurance: Endurance, found: Audit, seconds: float) -> str:
    """What happened, for the terminal."""
    promises, times = endurance.promises, percentiles(endurance.times_ms)
    kills = endurance.leaders_killed + endurance.others_killed
    lines = [
        f"{kills} nodes killed with -9 and restarted ({endurance.leaders_killed} leaders) in {seconds:.0f} s",
        f"{len(promises.acknowledged)} jobs acknowledged, {len(promises.unknown)} in doubt, "
        f"{len(promises.refused)} refused",
        _times(times),
        *found.sentences(),
        "every acknowledged job is there exactly once and has succeeded" if found.kept else "BROKEN PROMISES",
    ]
    return "\n".join(lines)


def _times(times: Percentiles) -> str:
    return f"a submission took {times.p50:.1f} ms (p50), {times.p95:.0f} ms (p95), {times.p99:.0f} ms (p99)"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every promise was kept; 1 where one was broken, or the cluster did not go on."""
    parser = argparse.ArgumentParser(
        prog="python -m glassraft.evaluation.endurance",
        description="Kill nodes while jobs are submitted, and count what became of the jobs.",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"one kill each (default {ROUNDS})")
    parser.add_argument("--nodes", type=int, default=NODES, help=f"3 or more (default {NODES})")
    parser.add_argument("--seed", type=int, default=1, help="decides who is killed and when (default 1)")
    options = parser.parse_args(arguments)
    if options.nodes < 3:
        parser.error(f"--nodes {options.nodes}: one of them is down at times, so it takes 3 or more")
    began = time.monotonic()
    try:
        endurance, found = run(options.rounds, options.nodes, options.seed)
    except GlassraftError as error:
        print(f"endurance: {error}", file=sys.stderr)
        return 1
    print(summary(endurance, found, time.monotonic() - began))
    return 0 if found.kept else 1


if __name__ == "__main__":
    sys.exit(main())
