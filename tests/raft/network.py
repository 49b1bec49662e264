"""What carries messages between servers in one thread: first in, first out, unless told otherwise.

A link can be cut, both ways or one; chosen messages can be held, and then dropped or released.
`delays` decides when each copy of a message arrives, so that a test with a seed can delay, lose,
double and reorder. Next: world.py, which delivers.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from glassraft.raft.messages import AppendEntries, InstallSnapshot, Message
from glassraft.raft.ready import (
    SnapshotDamaged,
    SnapshotMade,
    SnapshotVerified,
    StateMachineSynced,
    Undelivered,
)

Link = tuple[int, int]
"""A direction: (sender, receiver)."""

Pick = Callable[[Message], bool]
"""Chooses messages."""

Work = StateMachineSynced | SnapshotMade | SnapshotVerified | SnapshotDamaged
"""What came of work that a server's process does beside its turns; it ends with the process."""

Report = Undelivered | Work
"""What a server learns from its own machine, in its own time."""


def at_once(message: Message) -> Iterable[float]:
    """One copy, without delay."""
    return (0.0,)


def every(message: Message) -> bool:
    """Chooses all messages."""
    return True


@dataclass(order=True, slots=True)
class Arrival:
    """Something reaches a server at a time (seconds); what was sent first arrives first."""

    at: float
    number: int
    receiver: int = field(compare=False)
    what: Message | Report = field(compare=False)


class Network:
    """Messages under way, messages held, and the links that are cut."""

    def __init__(
        self,
        delays: Callable[[Message], Iterable[float]] = at_once,
        on_lost: Callable[[Message], None] = lambda message: None,
    ) -> None:
        self.delays = delays
        self.on_lost = on_lost
        self.cut_links: set[Link] = set()
        self.holding: dict[str, Pick] = {}
        self.held: list[Message] = []
        self._under_way: list[Arrival] = []
        self._number = 0

    def send(self, message: Message, now: float) -> None:
        """Take a message on its way: it is held, lost, or arrives once or more."""
        if any(pick(message) for pick in self.holding.values()):
            return self.held.append(message)
        copies = () if self.is_cut(message) else tuple(self.delays(message))
        if not copies:
            return self.on_lost(message)
        for delay in copies:
            self._put(now + delay, message.receiver, message)

    def report_undelivered(self, message: AppendEntries | InstallSnapshot, at: float) -> None:
        """Let the sender learn, at a time, that this message never arrived."""
        self.report(message.sender, Undelivered(message.receiver, message.round), at)

    def report(self, receiver: int, report: Report, at: float) -> None:
        """Let a server learn of something at a time."""
        self._put(at, receiver, report)

    def forget_work(self, receiver: int) -> None:
        """This server's process is gone, and what it did beside its turns."""
        self._under_way = [
            arrival
            for arrival in self._under_way
            if arrival.receiver != receiver or not isinstance(arrival.what, Work)
        ]
        heapq.heapify(self._under_way)

    def _put(self, at: float, receiver: int, what: Message | Report) -> None:
        self._number += 1
        heapq.heappush(self._under_way, Arrival(at, self._number, receiver, what))

    # Arriving

    @property
    def next_arrival(self) -> float:
        """When the next message arrives (seconds); infinite when none is under way."""
        return self._under_way[0].at if self._under_way else float("inf")

    def take(self, together_s: float = 0.0) -> list[Arrival]:
        """The next arrival, and those for the same server right behind it, within `together_s` seconds.

        None at all when links that were cut meanwhile have lost them.
        """
        taken = [heapq.heappop(self._under_way)]
        first = taken[0]
        while together_s and self._under_way and self._follows(first, self._under_way[0], together_s):
            taken.append(heapq.heappop(self._under_way))
        return [arrival for arrival in taken if self._gets_through(arrival.what)]

    def _follows(self, first: Arrival, other: Arrival, together_s: float) -> bool:
        return other.receiver == first.receiver and other.at <= first.at + together_s

    def _gets_through(self, what: Message | Report) -> bool:
        if isinstance(what, Report) or not self.is_cut(what):
            return True
        self.on_lost(what)
        return False

    # Cutting

    def is_cut(self, message: Message) -> bool:
        """Whether the link that this message takes is cut."""
        return (message.sender, message.receiver) in self.cut_links

    def cut(self, senders: Iterable[int], receivers: Iterable[int], *, one_way: bool = False) -> None:
        """Lose what goes from these senders to these receivers, and the other way unless `one_way`."""
        receivers = tuple(receivers)
        for sender in senders:
            for receiver in receivers:
                self.cut_links.add((sender, receiver))
                if not one_way:
                    self.cut_links.add((receiver, sender))

    def heal(self) -> None:
        """All links carry messages again."""
        self.cut_links.clear()

    # Holding

    def hold(self, name: str, pick: Pick) -> None:
        """From now on keep such messages back."""
        self.holding[name] = pick

    def let_go(self, name: str) -> None:
        """Such messages are not kept back any longer; those held already stay so."""
        self.holding.pop(name, None)

    def release(self, now: float, pick: Pick = every) -> None:
        """Send the held messages that are chosen on their way, in order."""
        for message in self._take_held(pick):
            if self.is_cut(message):
                self.on_lost(message)
            else:
                self._put(now, message.receiver, message)

    def drop(self, pick: Pick = every) -> None:
        """Lose the held messages that are chosen."""
        for message in self._take_held(pick):
            self.on_lost(message)

    def _take_held(self, pick: Pick) -> list[Message]:
        chosen = [message for message in self.held if pick(message)]
        self.held = [message for message in self.held if not pick(message)]
        return chosen
