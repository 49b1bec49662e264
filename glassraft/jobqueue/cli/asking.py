"""The commands that ask and wait: list, show, stats, wait, result."""

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from glassraft.errors import BadArgument
from glassraft.jobqueue import display
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli import statuses
from glassraft.jobqueue.cli.options import Commands, seconds
from glassraft.jobqueue.cli.output import show, width
from glassraft.jobqueue.client import JobFailed, JobQueue, NotFinished
from glassraft.jobqueue.states import STATES, SUCCEEDED

PAGE: Final = 1_000
"""The most jobs that a node lists at once."""


def add_commands(commands: Commands) -> None:
    """list, show, stats, wait, result."""
    made = commands.add("list", _list, "list jobs, the newest first")
    add_filters(made)
    made.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (20)")
    args.add_stale(made)
    made = commands.add("show", _show, "show all about a job, with its history")
    made.add_argument("id", metavar="ID")
    args.add_stale(made)
    args.add_stale(commands.add("stats", _stats, "count jobs by queue and state"))
    made = commands.add("wait", _wait, "wait until jobs have finished")
    args.add_ids(made)
    args.add_within(made)
    made = commands.add("result", _result, "wait for a job and print its result")
    made.add_argument("id", metavar="ID")
    args.add_within(made)


def add_filters(made: argparse.ArgumentParser) -> None:
    """Which jobs are meant."""
    made.add_argument("--state", choices=STATES)
    made.add_argument("--queue")
    made.add_argument("--task")
    made.add_argument("--newer", type=seconds, metavar="S", help="submitted no longer ago: 90, 10m, 2h, 7d")
    made.add_argument("--older", type=seconds, metavar="S", help="submitted longer ago")
    made.add_argument("--after", metavar="ID", help="go on below this job")


def _list(options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise BadArgument(f"--limit must be 1 or more, not {options.limit}")
    with args.queue_of(options) as queue:
        jobs = list(wanted_jobs(queue, options, min(options.limit + 1, PAGE), options.limit + 1))
    page = {"jobs": jobs[: options.limit], "next": ""}
    if len(jobs) > options.limit:
        page["next"] = jobs[options.limit - 1]["id"]
    show(options, page, lambda page: display.jobs(page, width()))
    return 0


def wanted_jobs(
    queue: JobQueue, options: argparse.Namespace, page: int, limit: int | None
) -> Iterator[Mapping[str, Any]]:
    """The jobs that add_filters' options mean, the newest first, `page` in a call, up to `limit`.

    Their age is looked at here: the nodes list by submission, so what is too old ends the list.
    """
    wanted = args.given(options, ("state", "queue", "task"))
    now_ms = time.time_ns() // 1_000_000
    oldest_ms = now_ms - options.newer * 1_000 if options.newer is not None else 0
    newest_ms = now_ms - options.older * 1_000 if options.older is not None else float("inf")
    after, count = options.after or "", 0
    while True:
        found = queue.list(stale=options.stale, limit=page, after=after, **wanted)
        for job in found["jobs"]:
            if job["submitted_ms"] < oldest_ms:
                return
            if job["submitted_ms"] <= newest_ms:
                yield job
                count += 1
                if count == limit:
                    return
        after = found["next"]
        if not after:
            return


def _show(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        job = queue.get(options.id, stale=options.stale)
    show(options, job, display.job)
    return 0


def _stats(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        stats = queue.stats(stale=options.stale)
    show(options, stats, display.stats)
    return 0


def _wait(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        finished = queue.wait(options.ids, options.within)
    outcomes = list(finished.values())
    if outcomes or options.json:
        show(options, outcomes, display.outcomes)
    if len(finished) < len(set(options.ids)):
        missing = len(set(options.ids)) - len(finished)
        raise NotFinished(f"{missing} of {len(set(options.ids))} jobs have not finished; they go on")
    return 0 if all(each["state"] == SUCCEEDED for each in outcomes) else statuses.JOB_FAILED


def _result(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        return answer_with_result(queue, options.id, options)


def answer_with_result(queue: JobQueue, job: str, options: argparse.Namespace) -> int:
    """Wait for a job and print its result. Raises JobFailed or, after --within, NotFinished."""
    finished = queue.wait([job], options.within)
    if not finished:
        raise NotFinished(f"job {job} has not finished within {options.within:g} s; it goes on")
    (outcome,) = finished.values()
    if options.json:
        show(options, outcome, str)
        return 0 if outcome["state"] == SUCCEEDED else statuses.JOB_FAILED
    if outcome["state"] != SUCCEEDED:
        raise JobFailed(outcome["id"], outcome["state"], outcome.get("error", ""))
    print(display.value(outcome["result"]))
    return 0
