"""The command line of the queue: submit, list, show, stats, wait, result, cancel, retry, purge, update, queue,
schedules (cli_schedules.py), tasks, worker.

jobs.py at the top calls `main` after it has registered its tasks; a program of your own does the
same. Every error is one line on the error output, and has its exit status below. What is shown is
formatted in display.py; what is asked is client.py's.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from glassraft.config import DEFAULT_PATH, load
from glassraft.errors import BadArgument, GlassraftError
from glassraft.jobqueue import cli_schedules, display
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.client import JobFailed, JobQueue, NoQuorum, NotFinished, OutcomeUnknown
from glassraft.jobqueue.job_options import ON_CONFLICT, ON_DEPENDENCY
from glassraft.jobqueue.states import STATES, SUCCEEDED
from glassraft.jobqueue.tasks import TASKS
from glassraft.jobqueue.worker import GRACE_S, Worker, stop_on_signals, stop_with_parent

EXIT_JOB_FAILED: Final = 1
EXIT_REFUSED: Final = 2
EXIT_NO_QUORUM: Final = 3
EXIT_UNKNOWN: Final = 4
EXIT_NOT_FINISHED: Final = 5
EXIT_INTERRUPTED: Final = 130

EXIT_STATUSES: Final = """exit status:
  0  done; a job that was waited for has succeeded
  1  a job that was waited for is dead or cancelled
  2  refused: wrong arguments, no such job or task, a broken config.json
  3  no cluster answers, or it has no quorum: nothing was done
  4  the outcome is not known: look with `list` before you submit again
  5  a job has not finished in the time given; it goes on
"""

NO_LIMIT: Final = "none"
_KEYS: Final = ("key", "on_conflict", "unique_for")

SESSION_TTL_S: Final = 600
SUPERVISED_GRACE_S: Final = 2.0
"""A worker that another program started is given little time to stop."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command with the tasks that are registered; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of the output, such as head, has seen enough
        sys.stderr.close()
        return 0
    except GlassraftError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return _status_of(error)


def _status_of(error: GlassraftError) -> int:
    statuses: Sequence[tuple[type[GlassraftError], int]] = (
        (JobFailed, EXIT_JOB_FAILED),
        (NoQuorum, EXIT_NO_QUORUM),
        (OutcomeUnknown, EXIT_UNKNOWN),
        (NotFinished, EXIT_NOT_FINISHED),
    )
    return next((status for kind, status in statuses if isinstance(error, kind)), EXIT_REFUSED)


# The commands


def _submit(options: argparse.Namespace) -> int:
    args, kwargs = _call(options)
    wanted = {
        name: getattr(options, name)
        for name in (
            "queue",
            "priority",
            "delay",
            "start_within",
            "after",
            "on_dependency",
            "max_attempts",
            "timeout",
            "retention",
            *_KEYS,
        )
        if getattr(options, name) is not None
    }
    with _queue(options) as queue:
        job = queue.submit(options.task, *args, kwargs=kwargs or None, **wanted)
        if not options.wait:
            _show(options, {"id": job}, lambda _: job)
            return 0
        if not options.json:
            print(f"submitted {job}", file=sys.stderr)
        return _result_of(queue, job, options)


def _result(options: argparse.Namespace) -> int:
    with _queue(options) as queue:
        return _result_of(queue, options.id, options)


def _result_of(queue: JobQueue, job: str, options: argparse.Namespace) -> int:
    finished = queue.wait([job], options.within)
    if not finished:
        raise NotFinished(f"job {job} has not finished within {options.within:g} s; it goes on")
    (outcome,) = finished.values()
    if options.json:
        _show(options, outcome, str)
        return 0 if outcome["state"] == SUCCEEDED else EXIT_JOB_FAILED
    if outcome["state"] != SUCCEEDED:
        raise JobFailed(outcome["id"], outcome["state"], outcome.get("error", ""))
    print(display.value(outcome["result"]))
    return 0


def _wait(options: argparse.Namespace) -> int:
    with _queue(options) as queue:
        finished = queue.wait(options.ids, options.within)
    outcomes = list(finished.values())
    _show(options, outcomes, display.outcomes)
    if len(finished) < len(set(options.ids)):
        missing = len(set(options.ids)) - len(finished)
        raise NotFinished(f"{missing} of {len(set(options.ids))} jobs have not finished; they go on")
    return 0 if all(each["state"] == SUCCEEDED for each in outcomes) else EXIT_JOB_FAILED


def _list(options: argparse.Namespace) -> int:
    wanted = {
        name: getattr(options, name)
        for name in ("state", "queue", "task", "limit", "after")
        if getattr(options, name) is not None
    }
    with _queue(options) as queue:
        page = queue.list(stale=options.stale, **wanted)
    _show(options, page, display.jobs)
    return 0


def _show_job(options: argparse.Namespace) -> int:
    with _queue(options) as queue:
        job = queue.get(options.id, stale=options.stale)
    _show(options, job, display.job)
    return 0


def _stats(options: argparse.Namespace) -> int:
    with _queue(options) as queue:
        stats = queue.stats(stale=options.stale)
    _show(options, stats, display.stats)
    return 0


def _cancel(options: argparse.Namespace) -> int:
    with _queue(options) as queue:
        return _done_by_hand(options, queue.cancel_many(options.ids))


def _retry(options: argparse.Namespace) -> int:
    with _queue(options) as queue:
        return _done_by_hand(
            options, queue.retry_many(options.ids, options.attempts, dependents=not options.alone)
        )


def _purge(options: argparse.Namespace) -> int:
    with _queue(options) as queue:
        return _done_by_hand(options, queue.purge_many(options.ids))


def _update(options: argparse.Namespace) -> int:
    wanted = {name: getattr(options, name) for name in ("priority", "delay", "queue")}
    for name in ("args", "kwargs"):
        text = getattr(options, name)
        wanted[name] = None if text is None else parse(text)
    with _queue(options) as queue:
        state = queue.update(options.id, **wanted)
    _show(options, {"job": options.id, "state": state}, lambda _: f"{options.id}  {state}")
    return 0


def _set_queue(options: argparse.Namespace) -> int:
    wanted: dict[str, Any] = {}
    if options.paused is not None:
        wanted["paused"] = options.paused
    if options.max_running is not None:
        wanted["max_running"] = None if options.max_running == NO_LIMIT else parse(options.max_running)
    if options.rate is not None:
        wanted["rate"] = None if options.rate == NO_LIMIT else _rate(options.rate)
    with _queue(options) as queue:
        settings = queue.set_queue(options.name, **wanted)
    _show(options, settings, display.settings)
    return 0


def _rate(text: str) -> tuple[int, float]:
    starts, _, seconds = text.partition("/")
    try:
        return int(starts), float(seconds)
    except ValueError:
        raise BadArgument(
            f"--rate takes starts/seconds such as 100/60, or {NO_LIMIT}, not {text!r}"
        ) from None


def _done_by_hand(options: argparse.Namespace, answers: Sequence[Mapping[str, Any]]) -> int:
    _show(options, answers, display.done_by_hand)
    return 0 if all(answer["ok"] for answer in answers) else EXIT_REFUSED


def _tasks(options: argparse.Namespace) -> int:
    known = [{"task": each.name, "call": each.call, "about": each.summary} for each in TASKS.values()]
    _show(options, known, display.tasks)
    return 0


def _worker(options: argparse.Namespace) -> int:
    config = load(options.config)
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    queue = JobQueue.from_config(options.config)
    slots = config.worker.slots if options.slots is None else options.slots
    queues = [name.strip() for name in options.queues.split(",")]
    worker = Worker(queue, queues=queues, slots=slots, name=options.name)
    stop_on_signals(worker)
    if options.supervised:
        stop_with_parent(worker)
    grace_s = (
        options.grace if options.grace is not None else SUPERVISED_GRACE_S if options.supervised else GRACE_S
    )
    jobs_at_a_time = "1 job" if worker.slots == 1 else f"{worker.slots} jobs"
    print(f"worker {worker.name} runs {jobs_at_a_time} at a time from {', '.join(worker.queues)}", flush=True)
    try:
        worker.run(grace_s)
    finally:
        queue.close()
    return 0


# Arguments


def _call(options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the task that is to be called, checked unless that is not wanted."""
    kwargs = _kwargs(options.kwargs)
    args = [_value(text) for text in options.args]
    if not options.unchecked:
        _check_call(options.task, args, kwargs)
    return args, kwargs


def _value(text: str) -> Any:
    """A job's argument: JSON where it is JSON, else the text. What begins like JSON must be JSON."""
    try:
        return parse(text)
    except BadArgument as error:
        if text.lstrip()[:1] in ("[", "{", '"'):
            raise BadArgument(f"an argument that begins like JSON is {error}") from None
        return text


def _kwargs(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    value = parse(text)
    if not isinstance(value, dict):
        raise BadArgument(f"--kwargs takes a JSON object such as '{{\"seed\": 7}}', not {text!r}")
    return value


def _check_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    if name not in TASKS:
        known = ", ".join(sorted(TASKS))
        raise BadArgument(
            f"there is no task {name!r} here; those known are {known} (--unchecked submits it still)"
        )
    TASKS[name].check_call(args, kwargs)


def _queue(options: argparse.Namespace) -> JobQueue:
    return JobQueue.from_config(options.config, timeout_s=options.patience, session_ttl_s=SESSION_TTL_S)


def _show(options: argparse.Namespace, value: Any, as_text: Callable[[Any], str]) -> None:
    print(json.dumps(value, indent=2) if options.json else as_text(value))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Submit jobs to a Glassraft cluster, see what becomes of them, and run them.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help="the cluster's config.json"
    )
    everywhere.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    everywhere.add_argument(
        "--patience", type=float, default=15.0, metavar="S", help="seconds to look for a leader (15)"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], about: str, group: Any = commands
    ) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = group.add_parser(
            name,
            parents=[everywhere],
            help=about,
            description=about[0].upper() + about[1:] + ".",
            epilog=EXIT_STATUSES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    _add_submit(command("submit", _submit, "submit a job; prints its id, or with --wait its result"))
    made = command("list", _list, "list jobs, the newest first")
    made.add_argument("--state", choices=STATES)
    made.add_argument("--queue")
    made.add_argument("--task")
    made.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (20)")
    made.add_argument("--after", metavar="ID", help="go on below this job")
    _add_stale(made)
    made = command("show", _show_job, "show all about a job, with its history")
    made.add_argument("id")
    _add_stale(made)
    _add_stale(command("stats", _stats, "count jobs by queue and state"))
    made = command("wait", _wait, "wait until jobs have finished")
    made.add_argument("ids", nargs="+", metavar="id")
    _add_within(made)
    made = command("result", _result, "wait for a job and print its result")
    made.add_argument("id")
    _add_within(made)
    made = command("cancel", _cancel, "cancel jobs; what runs is told to stop, and has 30 s for it")
    made.add_argument("ids", nargs="+", metavar="id")
    made = command("retry", _retry, "run dead or cancelled jobs again")
    made.add_argument("ids", nargs="+", metavar="id")
    made.add_argument("--attempts", type=int, default=0, metavar="N", help="how many each gets (as at first)")
    made.add_argument("--alone", action="store_true", help="not the jobs that were cancelled because of it")
    made = command("purge", _purge, "remove finished jobs, with their results and histories")
    made.add_argument("ids", nargs="+", metavar="id")
    made = command("update", _update, "change a job that does not run yet")
    made.add_argument("id")
    made.add_argument("--args", metavar="JSON", help="its arguments, as a JSON list")
    made.add_argument("--kwargs", metavar="JSON", help="its arguments by name, as a JSON object")
    made.add_argument("--priority", type=int)
    made.add_argument("--delay", type=float, metavar="S", help="seconds from now before it may run")
    made.add_argument("--queue")
    made = command("queue", _set_queue, "pause, resume or limit a queue; shows its settings")
    made.add_argument("name")
    pause = made.add_mutually_exclusive_group()
    pause.add_argument(
        "--pause", dest="paused", action="store_true", default=None, help="hand out no more jobs"
    )
    pause.add_argument("--resume", dest="paused", action="store_false", help="hand out jobs again")
    made.add_argument("--max-running", metavar="N", help=f"how many run at a time, or {NO_LIMIT}")
    made.add_argument("--rate", metavar="N/S", help=f"so many starts in so many seconds, or {NO_LIMIT}")
    about_schedules = "submit jobs again and again: add, list, show, remove or run schedules"
    made = commands.add_parser("schedules", help=about_schedules, description=about_schedules)
    group = made.add_subparsers(metavar="COMMAND", required=True)
    cli_schedules.add_commands(partial(command, group=group), cli_schedules.Shared(_queue, _show, _call))
    command("tasks", _tasks, "list the tasks that this program can run")
    _add_worker(command("worker", _worker, "run jobs here until stopped"))
    return parser


def _add_submit(made: argparse.ArgumentParser) -> None:
    made.add_argument("task", metavar="TASK", help="its name; `tasks` lists them")
    made.add_argument("args", nargs="*", metavar="ARG", help="JSON where it is JSON, else text")
    made.add_argument("--kwargs", metavar="JSON", help="arguments by name, as a JSON object")
    made.add_argument("--queue", help="(default)")
    made.add_argument("--priority", type=int, help="-1000 to 1000, higher first (0)")
    made.add_argument("--delay", type=float, metavar="S", help="seconds before it may run")
    made.add_argument("--start-within", type=float, metavar="S", help="seconds after which it is not started")
    made.add_argument("--retention", type=float, metavar="S", help="seconds that it is kept once finished")
    made.add_argument("--timeout", type=float, metavar="S", help="seconds that an attempt may run")
    made.add_argument("--max-attempts", type=int, metavar="N", help="how often it is tried (10)")
    made.add_argument("--after", action="append", metavar="ID", help="a job that has to succeed first")
    made.add_argument("--on-dependency", choices=ON_DEPENDENCY, help="if one of those does not (cancel)")
    made.add_argument("--key", help="unique in its queue while the job is not finished")
    made.add_argument("--on-conflict", choices=ON_CONFLICT, help="if another job holds the key (return it)")
    made.add_argument(
        "--unique-for", type=float, metavar="S", help="seconds that it keeps its key once finished"
    )
    made.add_argument("--unchecked", action="store_true", help="submit even what this program does not know")
    made.add_argument("--wait", action="store_true", help="wait for the job and print its result")
    _add_within(made)


def _add_worker(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--slots", type=int, metavar="N", help="jobs at a time; 0: one a processor (config.json's)"
    )
    made.add_argument("--queues", default="default", metavar="A,B", help="served in this order (default)")
    made.add_argument("--name", default="", help="unique; made of host and process if not given")
    made.add_argument(
        "--grace", type=float, metavar="S", help=f"seconds for jobs to finish at a stop ({GRACE_S:g})"
    )
    made.add_argument("--supervised", action="store_true", help="stop when standard input ends")


def _add_within(made: argparse.ArgumentParser) -> None:
    made.add_argument("--within", type=float, metavar="S", help="wait no longer than this (for ever)")


def _add_stale(made: argparse.ArgumentParser) -> None:
    made.add_argument("--stale", action="store_true", help="take any node's word, also without a quorum")
