"""The command `schedules`: add, list, show, remove, run. What is shown is formatted in display_schedules.py."""

import argparse
from typing import Final

from glassraft.jobqueue import display_schedules
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli import statuses
from glassraft.jobqueue.cli.calls import add_call, call_of
from glassraft.jobqueue.cli.options import Commands, seconds
from glassraft.jobqueue.cli.output import show
from glassraft.jobqueue.job_options import ON_CONFLICT
from glassraft.jobqueue.schedule_options import CATCH_UP, OVERLAP

_OPTIONS: Final = (
    *("every", "cron", "zone", "overlap", "catch_up", "queue", "priority", "start_within", "retention"),
    *("timeout", "max_attempts", "key", "on_conflict"),
)


def add_commands(commands: Commands) -> None:
    """schedules, with add, list, show, remove and run."""
    about = "submit jobs again and again: add, list, show, remove or run schedules"
    add = commands.group("schedules", _list, about).add
    made = add("add", _add, "make a schedule, or change the one of this name")
    made.add_argument("name", metavar="NAME")
    add_call(made)
    times = made.add_mutually_exclusive_group(required=True)
    times.add_argument("--every", type=seconds, metavar="S", help="submit the job so often: 90, 10m, 2h")
    times.add_argument(
        "--cron", metavar="LINE", help="minute hour day month weekday, such as '30 2 * * mon-fri'"
    )
    made.add_argument("--zone", metavar="ZONE", help="whose clocks --cron means, such as Europe/Berlin (UTC)")
    made.add_argument("--overlap", choices=OVERLAP, help="where the last job is unfinished (skip)")
    made.add_argument("--catch-up", choices=CATCH_UP, help="of what was due while no node led (one)")
    _add_job_options(made)
    add("list", _list, "list the schedules, and when each is due")
    made = add("show", _show, "show all about a schedule, with its history")
    made.add_argument("name", metavar="NAME")
    made = add("remove", _remove, "remove a schedule; the jobs that it submitted stay")
    made.add_argument("name", metavar="NAME")
    made = add("run", _run, "fire a schedule now, whenever it is due")
    made.add_argument("name", metavar="NAME")


def _add_job_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--queue", help="(default)")
    made.add_argument("--priority", type=int, help="-1000 to 1000, higher first (0)")
    made.add_argument("--start-within", type=seconds, metavar="S", help="after which it is not started")
    made.add_argument("--retention", type=seconds, metavar="S", help="how long it is kept once finished")
    made.add_argument("--timeout", type=seconds, metavar="S", help="how long an attempt may run")
    made.add_argument("--max-attempts", type=int, metavar="N", help="how often it is tried (10)")
    made.add_argument("--key", help="unique in its queue while the job is not finished")
    made.add_argument("--on-conflict", choices=ON_CONFLICT, help="if another job holds the key (return it)")


def _add(options: argparse.Namespace) -> int:
    arguments, kwargs = call_of(options)
    wanted = args.given(options, _OPTIONS)
    with args.queue_of(options) as queue:
        answer = queue.schedules.set(options.name, options.task, *arguments, kwargs=kwargs or None, **wanted)
    show(options, answer, display_schedules.was_set)
    return 0


def _list(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        listed = queue.schedules.list()
    show(options, listed, display_schedules.schedules)
    return 0


def _show(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        schedule = queue.schedules.get(options.name)
    show(options, schedule, display_schedules.schedule)
    return 0


def _remove(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        queue.schedules.drop(options.name)
    show(options, {"removed": options.name}, lambda _: f"{options.name}  removed")
    return 0


def _run(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        answer = queue.schedules.run(options.name)
    show(options, answer, display_schedules.firing)
    return 0 if answer["event"] == "fired" else statuses.REFUSED
