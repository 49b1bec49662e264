"""What a durable submission costs, and its floor: `python -m glassraft.evaluation.latency`.

Three nodes on this machine, all of them syncing. Each figure is the median of several short
runs; the floor, a bare SQLite commit and an empty call, is measured in the same folder and on the same node.
"""

import argparse
import contextlib
import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glassraft.errors import GlassraftError
from glassraft.evaluation.analysis import Percentiles, percentiles
from glassraft.evaluation.clients import Clients
from glassraft.evaluation.local_cluster import LocalCluster
from glassraft.evaluation.progress import Progress
from glassraft.jobqueue.client import JobQueue
from glassraft.rpc.client import Connection
from glassraft.supervisor import wait_for_leader

NODES = 3
RUNS = 5
WARM_UP = 50
SEQUENTIAL = 300
THREADS = 16
CONCURRENT = 1600
BATCH = 1000
BATCHES = 6
FLOOR_SAMPLES = 300
LEADER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One cluster's: medians over the runs."""

    ping_ms: float
    sequential_ms: Percentiles
    concurrent_per_s: float
    batch_jobs_per_s: float


def sqlite_commits_ms(folder: Path, samples: int) -> list[float]:
    """Bare commits of one row with WAL and synchronous=FULL: what one durable write costs here."""
    file = folder / "floor.db"
    file.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE log (idx INTEGER PRIMARY KEY, command TEXT)")

        def commit(number: int) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO log VALUES (?, ?)", (number, "x" * 200))
            connection.execute("COMMIT")

        return _times_ms(commit, samples)


def _times_ms(do: Callable[[int], object], count: int) -> list[float]:
    times = []
    for number in range(count):
        began = time.perf_counter()
        do(number)
        times.append((time.perf_counter() - began) * 1000)
    return times


class Bench:
    """One cluster, its client, and the runs so far."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._config = cluster.config
        self._queue = JobQueue(cluster.config.path)
        self._pings: list[float] = []
        self._sequential: list[Percentiles] = []
        self._concurrent: list[float] = []
        self._batches: list[float] = []
        for _ in range(WARM_UP):
            self._submit(0)

    def run(self) -> None:
        """One short run of each measurement."""
        leader = self._config.node(wait_for_leader(self._config, LEADER_TIMEOUT_S).id)
        connection = Connection(leader.host, leader.port)
        self._pings.append(percentiles(_times_ms(lambda _: connection.call("Ping"), FLOOR_SAMPLES)).p50)
        connection.close()
        self._sequential.append(percentiles(_times_ms(self._submit, SEQUENTIAL)))
        concurrent_s = _took_s(lambda: Clients(THREADS, range(CONCURRENT), self._submit).join())
        self._concurrent.append(CONCURRENT / concurrent_s)
        jobs = [{"task": "measured", "args": [number]} for number in range(BATCH)]
        batches_s = _took_s(lambda: [self._queue.submit_many(jobs) for _ in range(BATCHES)])
        self._batches.append(BATCH * BATCHES / batches_s)

    def figures(self) -> Figures:
        """The medians."""
        return Figures(
            statistics.median(self._pings),
            Percentiles(
                statistics.median(run.p50 for run in self._sequential),
                statistics.median(run.p95 for run in self._sequential),
                statistics.median(run.p99 for run in self._sequential),
                sum(run.count for run in self._sequential),
            ),
            statistics.median(self._concurrent),
            statistics.median(self._batches),
        )

    def close(self) -> None:
        """End the client's connections."""
        self._queue.close()

    def _submit(self, number: int) -> None:
        self._queue.submit("measured", number)


def _took_s(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def measure(runs: int) -> tuple[Percentiles, Figures, Figures]:
    """The floor, and a cluster's figures with and without event files.

    Run by turns, so that whatever else the machine does meets all of them alike.
    """
    floor: list[float] = []
    with contextlib.ExitStack() as stack:
        clusters = [stack.enter_context(LocalCluster(NODES, log_events=each)) for each in (True, False)]
        benches = [stack.enter_context(contextlib.closing(Bench(cluster))) for cluster in clusters]
        progress = stack.enter_context(Progress("latency", 2 * runs))
        for _ in range(runs):
            floor += sqlite_commits_ms(clusters[0].folder, FLOOR_SAMPLES)
            for bench, what in zip(benches, ("with event files", "without"), strict=True):
                bench.run()
                progress.advance(1, what)
        return percentiles(floor), benches[0].figures(), benches[1].figures()


def report(commit_ms: Percentiles, with_events: Figures, without: Figures) -> str:
    """The figures for the terminal."""
    both = (with_events, without)
    lines = [
        f"{NODES} nodes on this machine, each syncing every batch; medians of several runs",
        _line("", "with event files", "without", "cost of them"),
    ]
    for level in ("p50", "p95", "p99"):
        slow, fast = (getattr(each.sequential_ms, level) for each in both)
        lines.append(_line(f"one client, {level}", f"{slow:.2f} ms", f"{fast:.2f} ms", _more(slow, fast)))
    concurrent = [each.concurrent_per_s for each in both]
    batches = [each.batch_jobs_per_s for each in both]
    for name, unit, rates in (
        (f"{THREADS} threads of one process", "submissions/s", concurrent),
        (f"SubmitMany of {BATCH:,}", "jobs/s", batches),
    ):
        low, high = rates
        lines.append(_line(name, f"{low:,.0f} {unit}", f"{high:,.0f} {unit}", _more(high, low)))
    lines.append(_line("floor: an empty call (Ping), p50", *(f"{each.ping_ms:.2f} ms" for each in both)))
    lines.append(_line("floor: a bare SQLite commit, p50", f"{commit_ms.p50:.2f} ms"))
    lines.append(_line("floor: a bare SQLite commit, p99", f"{commit_ms.p99:.2f} ms"))
    return "\n".join(lines)


def _line(name: str, with_events: str, without: str = "", cost: str = "") -> str:
    return f"{name:<34}{with_events:>22}{without:>22}{cost:>14}".rstrip()


def _more(value: float, base: float) -> str:
    """By how much `value` is more than `base`."""
    return f"{100 * (value / base - 1):+.0f} %"


def as_json(commit_ms: Percentiles, with_events: Figures, without: Figures) -> str:
    """The figures for a program: milliseconds and numbers a second."""

    def figures(each: Figures) -> dict[str, float]:
        times = each.sequential_ms
        return {
            "ping_ms": each.ping_ms,
            "sequential_p50_ms": times.p50,
            "sequential_p95_ms": times.p95,
            "sequential_p99_ms": times.p99,
            "concurrent_per_s": each.concurrent_per_s,
            "batch_jobs_per_s": each.batch_jobs_per_s,
        }

    value = {
        "sqlite_commit_p50_ms": commit_ms.p50,
        "with_event_files": figures(with_events),
        "without_event_files": figures(without),
    }
    return json.dumps(value, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 once the figures are printed; 1 where the cluster did not come up or broke."""
    parser = argparse.ArgumentParser(
        prog="python -m glassraft.evaluation.latency", description="What a durable submission costs here."
    )
    parser.add_argument("--runs", type=int, default=RUNS, help=f"short runs of each (default {RUNS})")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    try:
        figures = measure(options.runs)
    except GlassraftError as error:
        print(f"latency: {error}", file=sys.stderr)
        return 1
    print(as_json(*figures) if options.json else report(*figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
