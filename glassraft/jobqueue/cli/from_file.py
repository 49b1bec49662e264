"""`submit --from`: many jobs from a file of JSON lines, with a progress bar.

All lines are read and checked before the first is submitted. Next: submitting.py, one job.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any, Final

from glassraft.errors import BadArgument, PartlySubmitted
from glassraft.jobqueue import display
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli import statuses
from glassraft.jobqueue.cli.calls import check_call, options_of
from glassraft.jobqueue.cli.output import Progress, show
from glassraft.jobqueue.client import JobQueue
from glassraft.jobqueue.job_specs import has_positions, job_text
from glassraft.jobqueue.states import SUCCEEDED

AT_ONCE: Final = 1_000
"""How many lines are submitted between two looks of the progress bar: a command's worth."""


def submit_from(options: argparse.Namespace, wanted: Mapping[str, Any]) -> int:
    """Submits the file's jobs; `wanted` are options for those lines that do not say otherwise."""
    read = read_jobs(options.source, is_checked=not options.unchecked)
    jobs = [{**options_of(job["task"]), **wanted, **job} for job in read]
    jobs = jobs[options.skip :]
    with args.queue_of(options) as queue:
        ids = _submit(queue, jobs, options.skip)
        if options.wait:
            return _wait(queue, ids, options)
    show(options, ids, "\n".join)
    return 0


def read_jobs(source: str, is_checked: bool = True) -> list[dict[str, Any]]:
    """The file's jobs, "-" for standard input. Empty lines are passed over. BadArgument names the line.

    `is_checked`: calls of tasks that this program knows have to fit their signatures.
    """
    try:
        with open(0 if source == "-" else source, encoding="utf-8", closefd=source != "-") as lines:
            numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(f"{source} cannot be read: {error}") from None
    return [_job(line, f"{source}:{number}", is_checked) for number, line in numbered]


def _job(line: str, where: str, is_checked: bool) -> dict[str, Any]:
    try:
        job = parse(line)
        if not isinstance(job, dict) or "task" not in job:
            raise BadArgument(
                'a line is an object such as {"task": "primes", "args": [1, 100], "queue": "q"}'
            )
        job_text(job)
        if is_checked:
            check_call(job["task"], job.get("args") or (), job.get("kwargs") or {})
    except BadArgument as error:
        raise BadArgument(f"{where}: {error}") from None
    return job


def _submit(queue: JobQueue, jobs: list[dict[str, Any]], skipped: int) -> list[str]:
    """A command's worth at a time; jobs that name each other by position have to go in one."""
    at_once = len(jobs) if any(map(has_positions, jobs)) else AT_ONCE
    ids: list[str] = []
    with Progress("submitted", len(jobs)) as progress:
        try:
            for start in range(0, len(jobs), max(at_once, 1)):
                ids += map(str, queue.submit_many(jobs[start : start + at_once]))
                progress.is_at(len(ids))
        except PartlySubmitted as error:
            ids += map(str, error.submitted)
            raise
        finally:
            if len(ids) < len(jobs):
                for id in ids:
                    print(id)
                at = f"the first {skipped + len(ids)} jobs of the file are in"
                print(f"{at}; --skip {skipped + len(ids)} goes on after them", file=sys.stderr)
    return ids


def _wait(queue: JobQueue, ids: list[str], options: argparse.Namespace) -> int:
    finished = queue.wait(ids, options.within)
    outcomes = [finished[id] for id in dict.fromkeys(ids) if id in finished]
    show(options, outcomes, display.outcomes)
    if len(outcomes) < len(set(ids)):
        print(f"{len(set(ids)) - len(outcomes)} jobs have not finished; they go on", file=sys.stderr)
        return statuses.NOT_FINISHED
    return 0 if all(each["state"] == SUCCEEDED for each in outcomes) else statuses.JOB_FAILED
