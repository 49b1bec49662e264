"""How many jobs are in which state, queue by queue: kept as jobs move, so that nothing is ever counted.

In memory they serve Take's waiters and Submit's bounds at once; they reach their table once a
transaction. They follow from the rows in the digest, so they are not in it themselves.
"""

import sqlite3
from typing import Final

from glassraft.jobqueue import states

TOTALS: Final = {
    "submitted": "submitted",
    "completed": "completed",
    "failed": "failed",
    "lease_expired": "failed",
    "timed_out": "failed",
}
"""Events that are also counted over a queue's whole life, and the total's name: rates are differences."""


LARGE: Final = 1_000
"""Counts from here on are kept apart, so that the largest are found without a look at all."""


class Counts:
    """Counts by (queue, state) and totals by (queue, event)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counts: dict[tuple[str, str], int] = {
            (queue, what): n for queue, what, n in connection.execute("SELECT queue, what, n FROM counts")
        }
        self._queues = {queue for queue, _ in self._counts}
        self._changed: dict[tuple[str, str], None] = {}  # in order: a file's bytes depend on no hash
        self._large = {where for where, n in self._counts.items() if n >= LARGE}
        self.running = sum(n for (_, what), n in self._counts.items() if what == states.RUNNING)
        """The number of leased jobs over all queues."""

    def moved(self, queue: str, event: str, before: str, after: str, jobs: int = 1) -> None:
        """`jobs` jobs of `queue` went from one state to another."""
        self._queues.add(queue)
        if before:
            self._add((queue, before), -jobs)
        if after:
            self._add((queue, after), jobs)
        self.running += jobs * ((after == states.RUNNING) - (before == states.RUNNING))
        if event in TOTALS:
            self._add((queue, TOTALS[event]), jobs)

    def _add(self, where: tuple[str, str], jobs: int) -> None:
        n = self._counts[where] = self._counts.get(where, 0) + jobs
        self._changed[where] = None
        if n >= LARGE:
            self._large.add(where)

    def of(self, queue: str, state: str) -> int:
        """The number of jobs of `queue` in `state`."""
        return self._counts.get((queue, state), 0)

    def above(self, limit: int) -> list[tuple[str, str]]:
        """The (queue, finished state) of which there are more than `limit` jobs, LARGE or more."""
        self._large = {where for where in self._large if self._counts.get(where, 0) >= LARGE}
        of = self._counts
        return [where for where in self._large if where[1] in states.FINISHED and of[where] > limit]

    def unfinished(self, queue: str) -> int:
        """The number of jobs of `queue` that are not finished."""
        of = self._counts.get
        return sum([of((queue, state), 0) for state in states.UNFINISHED])

    def knows(self, queue: str) -> bool:
        """Whether the queue was ever used."""
        return queue in self._queues

    @property
    def queues(self) -> int:
        """The number of queues that were ever used."""
        return len(self._queues)

    def by_state(self) -> dict[str, int]:
        """Each state with its number of jobs over all queues."""
        numbers = dict.fromkeys(states.STATES, 0)
        for (_, what), n in self._counts.items():
            if what in numbers:
                numbers[what] += n
        return numbers

    def flush(self) -> None:
        """Writes what changed since the last time. A count of zero has no row."""
        gone = [where for where in self._changed if not self._counts[where]]
        kept = [(*where, self._counts[where]) for where in self._changed if self._counts[where]]
        self._changed.clear()
        if kept:
            self._connection.executemany("REPLACE INTO counts (queue, what, n) VALUES (?,?,?)", kept)
        if gone:
            self._connection.executemany("DELETE FROM counts WHERE queue = ? AND what = ?", gone)
            for where in gone:
                del self._counts[where]
