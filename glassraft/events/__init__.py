"""The structured log: what every node did and why, one JSON object a line in logs/node-N.jsonl.

types.py is the schema, writer.py writes, reader.py and merge.py read many nodes' files in one
order, and fold.py turns them back into state: what the window, replay and evaluation stand on.
"""

from glassraft.events.fold import Flight, Fold, NodeFold
from glassraft.events.merge import merge, read_all
from glassraft.events.reader import Event, nodes, read, read_node
from glassraft.events.types import EVENTS, EventType, problems
from glassraft.events.writer import EventWriter

__all__ = [
    "EVENTS",
    "Event",
    "EventType",
    "EventWriter",
    "Flight",
    "Fold",
    "NodeFold",
    "merge",
    "nodes",
    "problems",
    "read",
    "read_all",
    "read_node",
]
