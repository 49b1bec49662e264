"""Finds two nodes whose queues differ, at once: heartbeats carry the leader's digest.

Applying is deterministic, so all nodes that applied index N have the same digest. If two
have not, at least one would give wrong answers from now on: it must stop, and say so.
"""

from collections import OrderedDict

from glassraft.errors import GlassraftError

REMEMBERED = 4_096


class QueuesDiffer(GlassraftError):
    """This node's queue is not the leader's, although both applied the same commands."""


class Digests:
    """The digests at the last indexes that this node applied up to."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, str] = OrderedDict()

    def remember(self, index: int, digest: str) -> None:
        """This node has applied up to `index`, and this is its digest there."""
        self._known[index] = digest
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def compare(self, sender: int, index: int, digest: str) -> None:
        """Raises QueuesDiffer if the sender's digest at this index is another. Unknown indexes pass."""
        mine = self._known.get(index, digest)
        if mine != digest:
            raise QueuesDiffer(
                f"after index {index} this node's queue has the digest {mine[:12]} and n{sender}'s has {digest[:12]}: "
                "keep the files of both and replace this server by a new one"
            )
