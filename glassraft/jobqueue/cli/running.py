"""The commands of those who run jobs: worker, tasks."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from glassraft.config import WorkerSettings, load
from glassraft.errors import BadArgument
from glassraft.jobqueue import display
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli.options import Commands, seconds
from glassraft.jobqueue.cli.output import show
from glassraft.jobqueue.tasks import TASKS
from glassraft.jobqueue.worker import GRACE_S, Worker, stop_on_signals, stop_with_parent

TASKS_VARIABLE: Final = "GLASSRAFT_TASKS"
SUPERVISED_GRACE_S: Final = 2.0
"""A worker that another program started is given little time to stop."""


def add_commands(commands: Commands) -> None:
    """worker, tasks."""
    made = commands.add("tasks", _tasks, "list the tasks that this program can run")
    add_task_modules(made)
    made = commands.add("worker", _worker, "run jobs here until stopped")
    add_task_modules(made)
    made.add_argument(
        "--slots", type=int, metavar="N", help="jobs at a time; 0: one a processor (config.json's, or 2)"
    )
    made.add_argument("--queues", default="default", metavar="A,B", help="served in this order (default)")
    made.add_argument("--name", default="", help="unique; made of host and process if not given")
    made.add_argument(
        "--grace", type=seconds, metavar="S", help=f"for jobs to finish at a stop ({GRACE_S:g} s)"
    )
    made.add_argument("--supervised", action="store_true", help="stop when standard input ends")


def add_task_modules(made: argparse.ArgumentParser) -> None:
    """Where the functions are that are marked with @task."""
    made.add_argument(
        *("--tasks",),
        action="append",
        metavar="MODULE",
        help=f"a module or FILE.py with tasks, again for more ({TASKS_VARIABLE}, with commas)",
    )


def load_tasks(options: argparse.Namespace) -> None:
    """Registers the tasks of the modules that are named. BadArgument where one cannot be imported."""
    named: Sequence[str] = options.tasks or os.environ.get(TASKS_VARIABLE, "").split(",")
    for module in filter(None, map(str.strip, named)):
        _import(module)


def _import(module: str) -> None:
    """By its name, from this folder or where Python looks; or by its file. A worker's processes find it alike."""
    is_file = module.endswith(".py")
    folder = Path(module).resolve().parent if is_file else Path.cwd()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        importlib.import_module(Path(module).stem if is_file else module)
    except ImportError as error:
        raise BadArgument(f"--tasks {module}: {error}; it is looked for in {folder}") from None


def _tasks(options: argparse.Namespace) -> int:
    load_tasks(options)
    known = [{"task": each.name, "call": each.call, "about": each.summary} for each in TASKS.values()]
    show(options, known, display.tasks)
    return 0


def _worker(options: argparse.Namespace) -> int:
    load_tasks(options)
    cluster = args.cluster_of(options)
    slots = options.slots
    if slots is None:
        slots = load(cluster).worker.slots if isinstance(cluster, Path) else WorkerSettings().slots
    if not TASKS:
        raise BadArgument(f"this program knows no tasks: name a module with --tasks or {TASKS_VARIABLE}")
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    queues = [name.strip() for name in options.queues.split(",")]
    with args.queue_of(options) as queue:
        worker = Worker(queue, queues=queues, slots=slots, name=options.name)
        stop_on_signals(worker)
        if options.supervised:
            stop_with_parent(worker)
        at_a_time = "1 job" if worker.slots == 1 else f"{worker.slots} jobs"
        print(f"worker {worker.name} runs {at_a_time} at a time from {', '.join(worker.queues)}", flush=True)
        worker.run(_grace_s(options))
    return 0


def _grace_s(options: argparse.Namespace) -> float:
    if options.grace is not None:
        return float(options.grace)
    return SUPERVISED_GRACE_S if options.supervised else GRACE_S
