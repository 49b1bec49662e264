"""Puts many nodes' events into one order in which no effect comes before its cause.

Lamport's order: by (clock, node, seq). Events that no message connects are in some order;
their `ts` may tell a likelier one, no better than the nodes' clocks agree.
"""

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path

from glassraft.events.reader import Event, nodes, read_node


def merge(iterables: Iterable[Iterable[Event]]) -> Iterator[Event]:
    """One stream from several, each of one node and in its own order. Lazy: files of any size will do."""
    return heapq.merge(*iterables, key=_position)


def read_all(folder: Path) -> Iterator[Event]:
    """The events of every node with files in this folder, merged."""
    return merge(read_node(folder, node) for node in nodes(folder))


def _position(event: Event) -> tuple[int, int, int]:
    return event["clock"], event["node"], event["seq"]
