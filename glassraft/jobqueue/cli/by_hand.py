"""The commands that change jobs by hand: cancel, retry, purge, update."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from glassraft.jobqueue import display
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli import statuses
from glassraft.jobqueue.cli.options import Commands, instant, seconds
from glassraft.jobqueue.cli.output import show


def add_commands(commands: Commands) -> None:
    """cancel, retry, purge, update."""
    args.add_ids(
        commands.add("cancel", _cancel, "cancel jobs; what runs is told to stop, and has 30 s for it")
    )
    made = commands.add("retry", _retry, "run dead or cancelled jobs again")
    args.add_ids(made)
    made.add_argument("--attempts", type=int, default=0, metavar="N", help="how many each gets (as at first)")
    made.add_argument("--alone", action="store_true", help="not the jobs that were cancelled because of it")
    args.add_ids(commands.add("purge", _purge, "remove finished jobs, with their results and histories"))
    made = commands.add("update", _update, "change a job that does not run yet")
    made.add_argument("id", metavar="ID")
    made.add_argument("--args", metavar="JSON", help="its arguments, as a JSON list")
    made.add_argument("--kwargs", metavar="JSON", help="its arguments by name, as a JSON object")
    made.add_argument("--priority", type=int)
    start = made.add_mutually_exclusive_group()
    start.add_argument("--delay", type=seconds, metavar="S", help="how long from now before it may run")
    start.add_argument("--at", type=instant, metavar="TIME", help="when it may run")
    made.add_argument("--queue")


def _cancel(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        return _answer(options, queue.cancel_many(options.ids))


def _retry(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        return _answer(options, queue.retry_many(options.ids, options.attempts, dependents=not options.alone))


def _purge(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        return _answer(options, queue.purge_many(options.ids))


def _answer(options: argparse.Namespace, answers: Sequence[Mapping[str, Any]]) -> int:
    show(options, answers, display.done_by_hand)
    return 0 if all(answer["ok"] for answer in answers) else statuses.REFUSED


def _update(options: argparse.Namespace) -> int:
    wanted = args.given(options, ("priority", "delay", "at", "queue"))
    for name, text in args.given(options, ("args", "kwargs")).items():
        wanted[name] = parse(text)
    with args.queue_of(options) as queue:
        state = queue.update(options.id, **wanted)
    show(options, {"job": options.id, "state": state}, lambda _: f"{options.id}  {state}")
    return 0
