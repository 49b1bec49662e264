"""Reads event files back: one file, or all that a node has kept, in order.

Only reading; merge.py puts many nodes' events into one order, fold.py makes state of them.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glassraft.events.files import log_files

Event = dict[str, Any]
"""One parsed line; its fields are those of types.EVENTS."""


def read(path: Path) -> Iterator[Event]:
    """The events of one file, in order. A line that a kill or a power failure tore is passed over."""
    with path.open("rb") as file:
        yield from _events(file)


def read_node(folder: Path, node: int) -> Iterator[Event]:
    """All kept events of one node, the oldest first, over its rotated files; nothing if there are none.

    Safe while the node runs: a rotation meanwhile neither repeats nor skips events, except
    those rotated away. Raises OSError where a file or the folder cannot be read.
    """
    with contextlib.ExitStack() as stack:
        # Newest first: a file renamed in between is then met twice and passed over, never missed.
        files = []
        for _age, path in log_files(folder).get(node, []):
            with contextlib.suppress(FileNotFoundError):
                files.append(stack.enter_context(path.open("rb")))
        last = 0
        for file in reversed(files):
            for event in _events(file):
                if event["seq"] > last:
                    last = event["seq"]
                    yield event


def nodes(folder: Path) -> list[int]:
    """The ids of the nodes that have event files in this folder, in order."""
    return list(log_files(folder))


def _events(lines: Iterator[bytes]) -> Iterator[Event]:
    for line in lines:
        if not line.endswith(b"\n"):
            return
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("seq"), int):
            yield event
