"""What a long history costs a node: `python -m glassraft.evaluation.footprint`.

A lone node gets a log in which so many jobs were submitted, taken and completed, an entry
each, written through the node's own storage; then its process is started on these files, and
its time to serve and its memory are measured. Linux only: memory is read from /proc.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from glassraft.errors import GlassraftError
from glassraft.evaluation.local_cluster import LocalCluster
from glassraft.evaluation.progress import Progress
from glassraft.jobqueue import commands, ids
from glassraft.jobqueue.client import JobQueue
from glassraft.raft.log import Log
from glassraft.raft.messages import Entry
from glassraft.storage.identity import Identity
from glassraft.storage.node_files import open_files
from glassraft.supervisor import wait_for_leader
from glassraft.supervisor.leaders import ask_state

JOBS = 100_000
BATCH = 1_000
LEADER_TIMEOUT_S = 20.0


def history(log: Log, jobs: int, stamp_ms: int) -> Iterator[Entry]:
    """The entries of so many jobs' lives, going on after `log`'s end."""
    index, term = log.last.index, log.last.term
    submit = commands.check_submit([{"task": "primes", "args": [1, 200_000]}])
    take = commands.check_take("w1", ["default"], 1, 30_000)
    for number in range(jobs):
        stamp = stamp_ms + number
        job = ids.to_text(ids.number(index + 1, 0))
        complete = commands.check_complete([[job, index + 2, 17_984]])
        for op, arguments in (("Submit", submit), ("Take", take), ("Complete", complete)):
            index += 1
            yield Entry(index, term, "command", commands.envelope(op, arguments, stamp))


def fill(cluster: LocalCluster, jobs: int) -> int:
    """Give the killed node of `cluster` its history; the number of entries in its log."""
    config = cluster.config
    members = {node.id: str(node) for node in config.nodes}
    files = open_files(config.raft_file(1), Identity("", config.cluster, 1, members))
    try:
        files.queue.apply(files.raft.read(files.queue.machine.applied_index + 1, files.log.last.index))
        batch: list[Entry] = []
        with Progress("filling", 3 * jobs) as progress:
            for entry in history(files.log, jobs, time.time_ns() // 1_000_000):
                batch.append(entry)
                if len(batch) == BATCH or entry.index == files.log.last.index + 3 * jobs:
                    files.raft.save(None, None, batch)
                    files.queue.apply(batch)
                    files.queue.commit()
                    progress.advance(len(batch))
                    batch.clear()
        return files.queue.machine.applied_index
    finally:
        files.close()


def memory_mb(pid: int) -> float:
    """The resident memory of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise GlassraftError(f"/proc tells no memory of the process {pid}")


def main() -> int:
    """Fill, start, measure, print."""
    parser = argparse.ArgumentParser(description="Measure a node's memory and start with a long history.")
    parser.add_argument(
        "--jobs", type=int, default=JOBS, metavar="N", help=f"finished jobs (default {JOBS:,})"
    )
    jobs = parser.parse_args().jobs
    if sys.platform != "linux":
        print("footprint: only Linux tells a process's memory in /proc", file=sys.stderr)
        return 2
    with LocalCluster(1) as cluster:
        cluster.kill_leader()
        entries = fill(cluster, jobs)
        began = time.perf_counter()
        cluster.restart(1)
        serves_s = time.perf_counter() - began
        wait_for_leader(cluster.config, LEADER_TIMEOUT_S)
        with JobQueue([(node.host, node.port) for node in cluster.config.nodes]) as queue:
            states = queue.stats()["states"]
            queue.list(limit=100)
            queue.submit("primes", 1, 10)
        print(f"jobs succeeded       {states['succeeded']:>10,}")
        print(f"log entries          {entries:>10,}")
        print(f"start until serving  {serves_s:>10.2f} s")
        print(f"memory               {memory_mb(ask_state(cluster.config, 1)['pid']):>10.1f} MB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GlassraftError as error:
        print(f"footprint: {error}", file=sys.stderr)
        sys.exit(1)
