"""The commands that ask and wait: list, show, stats, wait, result."""

import argparse

from glassraft.jobqueue import display
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli import statuses
from glassraft.jobqueue.cli.options import Commands
from glassraft.jobqueue.cli.output import show
from glassraft.jobqueue.client import JobFailed, JobQueue, NotFinished
from glassraft.jobqueue.states import STATES, SUCCEEDED


def add_commands(commands: Commands) -> None:
    """list, show, stats, wait, result."""
    made = commands.add("list", _list, "list jobs, the newest first")
    made.add_argument("--state", choices=STATES)
    made.add_argument("--queue")
    made.add_argument("--task")
    made.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (20)")
    made.add_argument("--after", metavar="ID", help="go on below this job")
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


def _list(options: argparse.Namespace) -> int:
    wanted = args.given(options, ("state", "queue", "task", "limit", "after"))
    with args.queue_of(options) as queue:
        page = queue.list(stale=options.stale, **wanted)
    show(options, page, display.jobs)
    return 0


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
