"""The command `submit`."""

import argparse
import sys
from typing import Final

from glassraft.errors import BadArgument
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli.asking import answer_with_result
from glassraft.jobqueue.cli.calls import add_call, call_of, options_of
from glassraft.jobqueue.cli.from_file import submit_from
from glassraft.jobqueue.cli.options import Commands, instant, seconds
from glassraft.jobqueue.cli.output import show
from glassraft.jobqueue.job_options import ON_CONFLICT, ON_DEPENDENCY

JOB_OPTIONS: Final = (
    *("queue", "priority", "delay", "at", "deadline", "start_within", "timeout", "lease", "max_attempts"),
    *("retention", "after", "on_dependency", "key", "on_conflict", "unique_for"),
)
"""A job's options that are given on the command line under the name that the client has for them."""


def add_commands(commands: Commands) -> None:
    """submit."""
    made = commands.add("submit", _submit, "submit a job; prints its id, or with --wait its result")
    add_call(made, nargs="?")
    many = made.add_argument_group("many jobs from a file, instead of one task")
    many.add_argument(
        "--from",
        dest="source",
        metavar="FILE.jsonl",
        help='a job a line: {"task": "primes", "args": [1, 100], "delay": 60}; "-" is standard input',
    )
    many.add_argument("--skip", type=int, default=0, metavar="N", help="not the file's first N jobs")
    _add_job_options(made)
    made.add_argument("--wait", action="store_true", help="wait for the job and print its result")
    args.add_within(made)


def _add_job_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--queue", help="(default)")
    made.add_argument("--priority", type=int, help="-1000 to 1000, higher first (0)")
    start = made.add_mutually_exclusive_group()
    start.add_argument("--delay", type=seconds, metavar="S", help="how long before it may run: 90, 10m, 2h")
    start.add_argument("--at", type=instant, metavar="TIME", help="when it may run: 2026-12-24T18:00")
    end = made.add_mutually_exclusive_group()
    end.add_argument("--start-within", type=seconds, metavar="S", help="after which it is not started")
    end.add_argument("--deadline", type=instant, metavar="TIME", help="when it is not started any more")
    made.add_argument("--timeout", type=seconds, metavar="S", help="how long an attempt may run")
    made.add_argument("--lease", type=seconds, metavar="S", help="after which a silent worker loses it (30)")
    made.add_argument("--max-attempts", type=int, metavar="N", help="how often it is tried (10)")
    made.add_argument("--retention", type=seconds, metavar="S", help="how long it is kept once finished")
    made.add_argument("--after", action="append", metavar="ID", help="a job that has to succeed first")
    made.add_argument("--on-dependency", choices=ON_DEPENDENCY, help="if one of those does not (cancel)")
    made.add_argument("--key", help="unique in its queue while the job is not finished")
    made.add_argument("--on-conflict", choices=ON_CONFLICT, help="if another job holds the key (return it)")
    made.add_argument(
        "--unique-for", type=seconds, metavar="S", help="how long it keeps its key once finished"
    )


def _submit(options: argparse.Namespace) -> int:
    if (options.task is None) == (options.source is None):
        raise BadArgument("submit takes a task with its arguments, or --from FILE.jsonl")
    if options.source is not None:
        return submit_from(options, args.given(options, JOB_OPTIONS))
    arguments, kwargs = call_of(options)
    wanted = {**options_of(options.task), **args.given(options, JOB_OPTIONS)}
    with args.queue_of(options) as queue:
        job = queue.submit(options.task, *arguments, kwargs=kwargs or None, **wanted)
        if not options.wait:
            show(options, {"id": job}, lambda _: job)
            return 0
        if not options.json:
            print(f"submitted {job}", file=sys.stderr)
        return answer_with_result(queue, job, options)
