"""The command line from its first argument to its exit status.

A group of commands is a module with `add_commands`; GROUPS lists them. Every error is one line on
the error output, and has its exit status in statuses.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from glassraft.errors import GlassraftError
from glassraft.jobqueue.cli import (
    asking,
    by_hand,
    completion,
    queues,
    running,
    schedules,
    statuses,
    submitting,
    watching,
)
from glassraft.jobqueue.cli.options import Commands, OneLineParser, everywhere

GROUPS: Final = (submitting, asking, watching, by_hand, queues, schedules, running, completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command with the tasks that are registered; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        return statuses.INTERRUPTED
    except BrokenPipeError:  # the reader of the output, such as head, has seen enough
        sys.stderr.close()
        return 0
    except GlassraftError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return statuses.status_of(error)


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    made = OneLineParser(
        description="Submit jobs to a Glassraft cluster, see what becomes of them, and run them.",
        epilog=statuses.TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[everywhere()],
    )
    # A command's own copies leave alone what was said before its name.
    shared = everywhere(argument_default=argparse.SUPPRESS)
    commands = Commands(made.add_subparsers(metavar="COMMAND", required=True), shared)
    for group in GROUPS:
        group.add_commands(commands)
    made.set_defaults(parser=parser)  # for `completion`, which shows it
    return made
