"""What the commands' arguments share: how one is added, which cluster is meant, times, JSON.

Next: submitting.py and its neighbours, which add their commands here.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from glassraft.config import DEFAULT_PATH
from glassraft.errors import BadArgument
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.cli import statuses
from glassraft.jobqueue.client import JobQueue, Nodes

CLUSTER_VARIABLE: Final = "GLASSRAFT_CLUSTER"
SESSION_TTL_S: Final = 600
PATIENCE_S: Final = 15.0

_ADDRESS: Final = re.compile(r"(\[[^\]]+\]|[^\s/\\:]+):(\d{1,5})")
_UNITS_S: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([a-z]*)")

Run = Callable[[argparse.Namespace], int]


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every error is said, and where the rest can be read."""

    def error(self, message: str) -> NoReturn:
        """End with the status of what is refused."""
        print(f"{self.prog}: {message}; {self.prog} --help shows what it takes", file=sys.stderr)
        sys.exit(statuses.REFUSED)


class Commands:
    """Where a group of commands adds its own; every one gets the options that all have."""

    def __init__(self, subparsers: Any, everywhere: argparse.ArgumentParser) -> None:
        self._subparsers = subparsers
        self._everywhere = everywhere

    def add(self, name: str, run: Run, about: str) -> argparse.ArgumentParser:
        """One command, and the function that runs it: it is given the arguments, and returns the exit status."""
        made: argparse.ArgumentParser = self._subparsers.add_parser(
            name,
            parents=[self._everywhere],
            help=about,
            description=about[0].upper() + about[1:] + ".",
            epilog=statuses.TEXT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    def group(self, name: str, run: Run, about: str) -> "Commands":
        """A command that has commands of its own; `run` is what it does without one."""
        made = self.add(name, run, about)
        return Commands(made.add_subparsers(metavar="COMMAND", title="commands"), self._everywhere)


def everywhere(**defaults: Any) -> argparse.ArgumentParser:
    """The options that every command takes. Given before and after the command's name, the later counts."""
    parser = argparse.ArgumentParser(add_help=False, **defaults)
    parser.add_argument(
        *("--cluster", "--config"),
        metavar="FILE|HOST:PORT,...",
        help=f"the cluster's config.json, or any of its nodes' addresses ({CLUSTER_VARIABLE})",
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    parser.add_argument("--patience", type=seconds, metavar="S", help="how long to look for a leader (15 s)")
    return parser


def queue_of(options: argparse.Namespace) -> JobQueue:
    """The queue of the cluster that is meant. Raises ConfigError or BadArgument where there is none."""
    patience_s = PATIENCE_S if options.patience is None else options.patience
    return JobQueue(cluster_of(options), timeout_s=patience_s, session_ttl_s=SESSION_TTL_S)


def cluster_of(options: argparse.Namespace) -> Nodes:
    """Its config.json or its nodes' addresses: as said, or as the environment says, or this checkout's."""
    text = options.cluster or os.environ.get(CLUSTER_VARIABLE)
    if not text:
        if not DEFAULT_PATH.exists():
            raise BadArgument(
                f"say which cluster: --cluster FILE or HOST:PORT,HOST:PORT, or {CLUSTER_VARIABLE} alike"
            )
        return DEFAULT_PATH
    matches = [_ADDRESS.fullmatch(part.strip()) for part in text.split(",")]
    addresses = [(match[1].strip("[]"), int(match[2])) for match in matches if match]
    return addresses if len(addresses) == len(matches) else Path(text)


# Values


def seconds(text: str) -> float:
    """A time such as 90, 1.5s, 10m, 2h or 7d, in seconds."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS_S:
        raise argparse.ArgumentTypeError(f"a time is seconds, or a number with s, m, h, d or w, not {text!r}")
    return float(match[1]) * _UNITS_S[match[2]]


def instant(text: str) -> float:
    """A moment such as 2026-12-24T18:00, with an offset if it is not local time; in seconds since 1970."""
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        now = time.strftime("%Y-%m-%dT%H:%M")
        raise argparse.ArgumentTypeError(
            f"a moment is a date with a time such as {now}, or seconds since 1970, not {text!r}"
        ) from None


def json_or_text(text: str) -> Any:
    """A job's argument: JSON where it is JSON, else the text. What begins like JSON must be JSON."""
    try:
        return parse(text)
    except BadArgument as error:
        if text.lstrip()[:1] in ("[", "{", '"'):
            raise BadArgument(f"an argument that begins like JSON is {error}") from None
        return text


def given(options: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


# Arguments that several commands take


def add_ids(made: argparse.ArgumentParser) -> None:
    """Jobs' ids, one at least."""
    made.add_argument("ids", nargs="+", metavar="ID")


def add_within(made: argparse.ArgumentParser) -> None:
    """For commands that wait."""
    made.add_argument("--within", type=seconds, metavar="S", help="wait no longer than this (for ever)")


def add_stale(made: argparse.ArgumentParser) -> None:
    """For commands that read."""
    made.add_argument("--stale", action="store_true", help="take any node's word, also without a quorum")
