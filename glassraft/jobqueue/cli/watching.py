"""The commands of those who look on: watch, workers, export."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from glassraft.errors import BadArgument, NoQuorum
from glassraft.jobqueue import display
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli import terminal
from glassraft.jobqueue.cli.asking import add_filters, wanted_jobs
from glassraft.jobqueue.cli.options import Commands, seconds
from glassraft.jobqueue.cli.output import show
from glassraft.jobqueue.client import JobQueue
from glassraft.jobqueue.states import RUNNING

EVERY_S: Final = 1.0
PAGE: Final = 1_000
RUNNING_SEEN: Final = 1_000
"""Of so many running jobs, the latest, the workers are shown."""

_CLEAR: Final = "\x1b[H\x1b[J"


def add_commands(commands: Commands) -> None:
    """watch, workers, export."""
    made = commands.add("watch", _watch, "show queues, rates and workers until stopped with Ctrl-C")
    made.add_argument("--every", type=seconds, default=EVERY_S, metavar="S", help="how often (1 s)")
    made.add_argument("--times", type=int, default=0, metavar="N", help="how often in all (without end)")
    commands.add("workers", _workers, "list the workers that run jobs now")
    made = commands.add("export", _export, "print jobs as JSON lines, the newest first")
    add_filters(made)
    made.add_argument("--limit", type=int, metavar="N", help="how many at most (all)")
    made.add_argument("--full", action="store_true", help="with arguments, result and history; slower")
    args.add_stale(made)


def _watch(options: argparse.Namespace) -> int:
    if options.every <= 0:
        raise BadArgument("--every must be more than 0 seconds")
    with args.queue_of(options) as queue:
        before: Mapping[str, Any] | None = None
        for count in _times(options.times):
            if count:
                time.sleep(options.every)
            before = _look(queue, before, options)
    return 0


def _times(times: int) -> Iterator[int]:
    count = 0
    while not times or count < times:
        yield count
        count += 1


def _look(
    queue: JobQueue, before: Mapping[str, Any] | None, options: argparse.Namespace
) -> Mapping[str, Any] | None:
    """One look at the queue; where no node leads for a while, that is what is seen."""
    try:
        stats, workers = queue.stats(), workers_of(queue)
    except NoQuorum as error:
        print(f"{error}; still looking", file=sys.stderr, flush=True)
        return before
    if options.json:
        print(json.dumps({**stats, "workers": workers}), flush=True)
    else:
        print(_CLEAR if terminal.is_seen() else "", end="")
        terminal.write(display.watched(stats, before, workers) + "\n")
    return stats


def workers_of(queue: JobQueue) -> Sequence[Mapping[str, Any]]:
    """The workers that have running jobs: worker, running, queues, tasks."""
    found: dict[str, dict[str, Any]] = {}
    for job in queue.list(state=RUNNING, limit=RUNNING_SEEN)["jobs"]:
        new = {"worker": job["worker"], "running": 0, "queues": set(), "tasks": set()}
        worker = found.setdefault(job["worker"], new)
        worker["running"] += 1
        worker["queues"].add(job["queue"])
        worker["tasks"].add(job["task"])
    return [
        {**found[name], "queues": sorted(found[name]["queues"]), "tasks": sorted(found[name]["tasks"])}
        for name in sorted(found)
    ]


def _workers(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        workers = workers_of(queue)
    show(options, workers, display.workers)
    return 0


def _export(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        for job in wanted_jobs(queue, options, PAGE, options.limit):
            whole = queue.get(job["id"], stale=options.stale) if options.full else job
            print(json.dumps(whole))
    return 0
