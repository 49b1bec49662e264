"""The command `queues`: list them, pause and resume them, limit what runs of them."""

import argparse
from typing import Any, Final

from glassraft.errors import BadArgument
from glassraft.jobqueue import display
from glassraft.jobqueue.cli import options as args
from glassraft.jobqueue.cli.options import Commands
from glassraft.jobqueue.cli.output import show

NO_LIMIT: Final = "none"


def add_commands(commands: Commands) -> None:
    """queues, with list, pause, resume and limit."""
    queues = commands.group("queues", _list, "list queues with their settings; pause, resume or limit one")
    queues.add("list", _list, "list queues with their settings, and what waits in them")
    made = queues.add("pause", _pause, "hand out no more jobs of a queue")
    made.add_argument("name", metavar="QUEUE")
    made = queues.add("resume", _resume, "hand out a queue's jobs again")
    made.add_argument("name", metavar="QUEUE")
    made = queues.add("limit", _limit, "limit how many jobs of a queue run, or start")
    made.add_argument("name", metavar="QUEUE")
    made.add_argument("--max-running", metavar="N", help=f"how many run at a time, or {NO_LIMIT}")
    made.add_argument("--rate", metavar="N/S", help=f"so many starts in so many seconds, or {NO_LIMIT}")


def _list(options: argparse.Namespace) -> int:
    with args.queue_of(options) as queue:
        stats = queue.stats()
    listed = [
        {"queue": name, **stats["queues"].get(name, {}), "settings": stats["settings"].get(name, {})}
        for name in sorted({*stats["queues"], *stats["settings"]})
    ]
    show(options, listed, display.queues)
    return 0


def _pause(options: argparse.Namespace) -> int:
    return _set(options, paused=True)


def _resume(options: argparse.Namespace) -> int:
    return _set(options, paused=False)


def _limit(options: argparse.Namespace) -> int:
    wanted: dict[str, Any] = {}
    if options.max_running is not None:
        wanted["max_running"] = None if options.max_running == NO_LIMIT else _number(options.max_running)
    if options.rate is not None:
        wanted["rate"] = None if options.rate == NO_LIMIT else _rate(options.rate)
    if not wanted:
        raise BadArgument("say what to limit: --max-running N or --rate N/S")
    return _set(options, **wanted)


def _set(options: argparse.Namespace, **wanted: Any) -> int:
    with args.queue_of(options) as queue:
        settings = queue.set_queue(options.name, **wanted)
    show(options, settings, display.settings)
    return 0


def _number(text: str) -> int:
    if not text.isdecimal():
        raise BadArgument(f"--max-running takes a whole number, or {NO_LIMIT}, not {text!r}")
    return int(text)


def _rate(text: str) -> tuple[int, float]:
    starts, _, per_s = text.partition("/")
    try:
        return int(starts), float(per_s)
    except ValueError:
        raise BadArgument(
            f"--rate takes starts/seconds such as 100/60, or {NO_LIMIT}, not {text!r}"
        ) from None
