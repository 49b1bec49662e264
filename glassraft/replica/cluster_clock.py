"""Cluster time: the median of the nodes' clocks, which no single wrong clock can move.

The leader stamps each command with it. It never goes back: where the last stamp is ahead of
the median, it runs at half speed until the median has caught up. A leader that has not yet
heard a majority goes on from the last stamp with its monotonic clock. So does one that hears an
even number of clocks, as long as that stays between the two in the middle: with one of three nodes
silent nobody can say which of the other two is wrong. Messages that come late move nothing, where
others came in time. Pure: all clocks come in from outside, in seconds (monotonic) and milliseconds (wall).
"""

from collections.abc import Iterable
from typing import NamedTuple

BEST_COUNTS_FOR = 10
"""Times `heard_for_s`: so long the message that came quickest speaks for its sender, though all later ones come late.

A clock that was set back is believed after that, and one that runs slowly by a few milliseconds more than it shows.
"""


class Heard(NamedTuple):
    """What a peer's wall clock is ahead of the own monotonic one (milliseconds), by the message that came quickest."""

    offset_ms: float
    said_at: float
    """When that message came; `last_at`: when any did (monotonic seconds)."""
    last_at: float


class ClusterClock:
    """One node's idea of the cluster's time. `heard_for_s`: how long a peer's clock counts after it was heard."""

    def __init__(self, node: int, members: Iterable[int], heard_for_s: float) -> None:
        self._node = node
        self._members = frozenset(members)
        self._heard_for_s = heard_for_s
        self._heard: dict[int, Heard] = {}
        self._stamp_ms = 0.0
        self._stamped_at = 0.0

    def counts(self, members: Iterable[int]) -> None:
        """A majority of these is one from now on."""
        self._members = frozenset(members)

    def heard(self, node: int, wall_ms: int, now: float) -> None:
        """A message of this node's said what its wall clock showed when it was sent.

        A late one says less than the clock shows by now, so what an earlier one said counts on if it was more, for
        some time: after that the clock was set back.
        """
        offset_ms, said_at = wall_ms - now * 1000, now
        before = self._heard.get(node)
        if (
            before
            and before.offset_ms > offset_ms
            and now - before.said_at <= BEST_COUNTS_FOR * self._heard_for_s
        ):
            offset_ms, said_at = before.offset_ms, before.said_at
        self._heard[node] = Heard(offset_ms, said_at, now)

    def goes_on_from(self, stamp_ms: int, now: float) -> None:
        """A new leader begins at the last stamp in its log."""
        if stamp_ms > self._stamp_ms:
            self._stamp_ms, self._stamped_at = float(stamp_ms), now

    def stamp(self, now: float, wall_ms: int) -> int:
        """The cluster's time for a command, milliseconds UTC; never below an earlier one."""
        self._stamp_ms, self._stamped_at = self._read(now, wall_ms), now
        return int(self._stamp_ms)

    def read_ms(self, now: float, wall_ms: int) -> int:
        """What stamp() would say now."""
        return int(self._read(now, wall_ms))

    def _read(self, now: float, wall_ms: int) -> float:
        since_stamp_ms = (now - self._stamped_at) * 1000
        middle = self._middle(now, wall_ms)
        if not self._stamp_ms:
            return middle[0] if middle else float(wall_ms)
        goes_on = self._stamp_ms + since_stamp_ms
        if middle is None:
            return goes_on
        earliest, latest = middle
        return max(min(max(goes_on, earliest), latest), self._stamp_ms + since_stamp_ms / 2)

    def _middle(self, now: float, wall_ms: int) -> tuple[float, float] | None:
        """What the two clocks in the middle of those that count show, or the one; None without a majority."""
        offsets = [
            heard.offset_ms
            for node, heard in self._heard.items()
            if node != self._node and now - heard.last_at <= self._heard_for_s
        ]
        offsets.append(wall_ms - now * 1000)
        if len(offsets) <= len(self._members) // 2:
            return None
        offsets.sort()
        return offsets[(len(offsets) - 1) // 2] + now * 1000, offsets[len(offsets) // 2] + now * 1000
