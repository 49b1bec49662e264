"""A task with its arguments on the command line, checked where this program knows the task.

Next: submitting.py, from_file.py and schedules.py, which make jobs of it.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from glassraft.errors import BadArgument
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.tasks import TASKS


def add_call(made: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """A task with its arguments."""
    made.add_argument("task", metavar="TASK", nargs=nargs, help="its name; `tasks` lists them")
    made.add_argument("args", nargs="*", metavar="ARG", help="JSON where it is JSON, else text")
    made.add_argument("--kwargs", metavar="JSON", help="arguments by name, as a JSON object")
    made.add_argument("--unchecked", action="store_true", help="submit even what this program does not know")


def call_of(options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the task that is to be called, checked unless that is not wanted."""
    kwargs = _kwargs(options.kwargs)
    arguments = [args.json_or_text(text) for text in options.args]
    if not options.unchecked:
        check_call(options.task, arguments, kwargs)
    return arguments, kwargs


def _kwargs(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    value = parse(text)
    if not isinstance(value, dict):
        raise BadArgument(f"--kwargs takes a JSON object such as '{{\"seed\": 7}}', not {text!r}")
    return value


def check_call(name: str, arguments: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raises BadArgument for a call that this program knows to fail. One that knows no task checks nothing."""
    if not TASKS:
        return
    if name not in TASKS:
        known = ", ".join(sorted(TASKS))
        raise BadArgument(
            f"there is no task {name!r} here; those known are {known} (--unchecked submits it still)"
        )
    TASKS[name].check_call(arguments, kwargs)


def options_of(task: str) -> Mapping[str, Any]:
    """The options that @task gives all its jobs; none where this program does not know the task."""
    known = TASKS.get(task)
    return known.job_options if known else {}
