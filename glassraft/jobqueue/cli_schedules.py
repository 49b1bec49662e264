"""The commands of schedules: add, list, show, remove, run.

cli.py puts them into its own, and hands over what all commands share. What is shown is formatted in
display_schedules.py.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from glassraft.jobqueue import display_schedules
from glassraft.jobqueue.client import JobQueue
from glassraft.jobqueue.job_options import ON_CONFLICT
from glassraft.jobqueue.schedule_options import CATCH_UP, OVERLAP

EXIT_NOT_FIRED: Final = 2

_OPTIONS: Final = (
    *("every", "cron", "zone", "overlap", "catch_up", "queue", "priority", "start_within", "retention"),
    *("timeout", "max_attempts", "key", "on_conflict"),
)


@dataclass(frozen=True, slots=True)
class Shared:
    """What commands of cli.py have in common."""

    queue: Callable[[argparse.Namespace], JobQueue]
    show: Callable[[argparse.Namespace, Any, Callable[[Any], str]], None]
    call: Callable[[argparse.Namespace], tuple[list[Any], dict[str, Any]]]
    """The arguments, checked, of the task that is to be called."""


Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a command by its name, what it does, and a line about it."""


def add_commands(add: Add, shared: Shared) -> None:
    """add, list, show, remove, run."""
    made = add("add", partial(_add, shared), "make a schedule, or change the one of this name")
    made.add_argument("name", metavar="NAME")
    _add_call(made)
    times = made.add_mutually_exclusive_group(required=True)
    times.add_argument("--every", type=float, metavar="S", help="submit the job each so many seconds")
    times.add_argument(
        "--cron", metavar="LINE", help="minute hour day month weekday, such as '30 2 * * mon-fri'"
    )
    made.add_argument("--zone", metavar="ZONE", help="whose clocks --cron means, such as Europe/Berlin (UTC)")
    made.add_argument("--overlap", choices=OVERLAP, help="where the last job is unfinished (skip)")
    made.add_argument("--catch-up", choices=CATCH_UP, help="of what was due while no node led (one)")
    _add_job_options(made)
    add("list", partial(_list, shared), "list the schedules, and when each is due")
    made = add("show", partial(_show, shared), "show all about a schedule, with its history")
    made.add_argument("name", metavar="NAME")
    made = add("remove", partial(_remove, shared), "remove a schedule; the jobs that it submitted stay")
    made.add_argument("name", metavar="NAME")
    made = add("run", partial(_run, shared), "fire a schedule now, whenever it is due")
    made.add_argument("name", metavar="NAME")


def _add_call(made: argparse.ArgumentParser) -> None:
    made.add_argument("task", metavar="TASK", help="its name; `tasks` lists them")
    made.add_argument("args", nargs="*", metavar="ARG", help="JSON where it is JSON, else text")
    made.add_argument("--kwargs", metavar="JSON", help="arguments by name, as a JSON object")
    made.add_argument("--unchecked", action="store_true", help="submit even what this program does not know")


def _add_job_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--queue", help="(default)")
    made.add_argument("--priority", type=int, help="-1000 to 1000, higher first (0)")
    made.add_argument("--start-within", type=float, metavar="S", help="seconds after which it is not started")
    made.add_argument("--retention", type=float, metavar="S", help="seconds that it is kept once finished")
    made.add_argument("--timeout", type=float, metavar="S", help="seconds that an attempt may run")
    made.add_argument("--max-attempts", type=int, metavar="N", help="how often it is tried (10)")
    made.add_argument("--key", help="unique in its queue while the job is not finished")
    made.add_argument("--on-conflict", choices=ON_CONFLICT, help="if another job holds the key (return it)")


def _add(shared: Shared, options: argparse.Namespace) -> int:
    args, kwargs = shared.call(options)
    wanted: Mapping[str, Any] = {
        name: getattr(options, name) for name in _OPTIONS if getattr(options, name) is not None
    }
    with shared.queue(options) as queue:
        answer = queue.schedules.set(options.name, options.task, *args, kwargs=kwargs or None, **wanted)
    shared.show(options, answer, display_schedules.was_set)
    return 0


def _list(shared: Shared, options: argparse.Namespace) -> int:
    with shared.queue(options) as queue:
        listed = queue.schedules.list()
    shared.show(options, listed, display_schedules.schedules)
    return 0


def _show(shared: Shared, options: argparse.Namespace) -> int:
    with shared.queue(options) as queue:
        schedule = queue.schedules.get(options.name)
    shared.show(options, schedule, display_schedules.schedule)
    return 0


def _remove(shared: Shared, options: argparse.Namespace) -> int:
    with shared.queue(options) as queue:
        queue.schedules.drop(options.name)
    shared.show(options, {"removed": options.name}, lambda _: f"{options.name}  removed")
    return 0


def _run(shared: Shared, options: argparse.Namespace) -> int:
    with shared.queue(options) as queue:
        answer = queue.schedules.run(options.name)
    shared.show(options, answer, display_schedules.firing)
    return 0 if answer["event"] == "fired" else EXIT_NOT_FIRED
