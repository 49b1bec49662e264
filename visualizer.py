#!/usr/bin/env python3
"""The window on a running cluster, or on the log files of one that has ended.

    python visualizer.py [--config FILE]     attach to the nodes that config.json lists
    python visualizer.py --logs DIR          show a recorded run: its end and its history

cluster.py opens the same window with `run_window`, and gives it controls over its processes.
This file puts a window together; what it shows is glassraft/window/.
"""

import argparse
import sys
from pathlib import Path

from glassraft.config import DEFAULT_PATH, Config, load
from glassraft.errors import GlassraftError
from glassraft.window import DisplayMissing
from glassraft.window.controls import Controls, LookingOn
from glassraft.window.poller import LiveSource
from glassraft.window.source import RecordedSource, Source

SWITCH_INTERVAL_S = 0.001
"""Threads that parse events hand over to the drawing sooner than Python's 5 ms."""


def run_window(config: Config, controls: Controls | None = None, sources: Source | None = None) -> None:
    """Show the cluster until the window is closed.

    Without `sources` the configured nodes are polled; without `controls` one can only look on.
    Raises DisplayMissing where no window can be opened, and KeyboardInterrupt after Ctrl-C.
    """
    controls = controls or LookingOn("this window did not start the nodes", config.folders.logs)
    _show(f"Glassraft: {config.cluster}", config.members(), controls, sources or LiveSource(config.nodes))


def run_recorded(folder: Path) -> None:
    """Show a finished run from its event files until the window is closed. Raises as `run_window` does."""
    source = RecordedSource(folder)
    controls = LookingOn("this is a recorded run", folder)
    _show(f"Glassraft: {folder}", source.ids, controls, source, label=f"recorded in {folder}")


def _show(title: str, members: tuple[int, ...], controls: Controls, source: Source, label: str = "") -> None:
    try:
        from glassraft.window.app import Window
    except ImportError as error:
        raise DisplayMissing(
            f"Python has no tkinter here ({error}): install it (python3-tk on Debian), or use --headless"
        ) from error
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        Window(title, members, controls, source, label).run()
    finally:
        sys.setswitchinterval(interval)


def main() -> int:
    """The command line; returns the exit status: 0 closed, 1 no display, 2 wrong arguments or files."""
    parser = argparse.ArgumentParser(description="The window on a Glassraft cluster, running or recorded.")
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help="the cluster to attach to"
    )
    parser.add_argument(
        "--logs", type=Path, metavar="DIR", help="a finished run's folder of node-N.jsonl files"
    )
    arguments = parser.parse_args()
    try:
        if arguments.logs is not None:
            run_recorded(arguments.logs)
        else:
            run_window(load(arguments.config))
    except DisplayMissing as error:
        print(f"visualizer: {error}", file=sys.stderr)
        return 1
    except GlassraftError as error:
        print(f"visualizer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
