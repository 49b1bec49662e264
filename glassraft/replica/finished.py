"""Those who wait for jobs to finish, on this node: told as soon as the end of one is applied here."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from glassraft.jobqueue.machine import Outcome
from glassraft.jobqueue.states import FINISHED


class FinishedJobs:
    """Watches by jobs' numbers. `waiting_for` belongs to the driver, `watching` to any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[int, set[threading.Event]] = {}
        self._closed = False

    @contextmanager
    def watching(self, numbers: Sequence[int]) -> Iterator[threading.Event]:
        """An event that is set once one of these jobs finishes, or the node stops.

        Watch first, then look whether one has finished already: what ends in between is not missed.
        """
        finished = threading.Event()
        with self._lock:
            if self._closed:
                finished.set()
            for number in numbers:
                self._watches.setdefault(number, set()).add(finished)
        try:
            yield finished
        finally:
            with self._lock:
                for number in numbers:
                    watches = self._watches.get(number, set())
                    watches.discard(finished)
                    if not watches:
                        self._watches.pop(number, None)

    def waiting_for(self, outcomes: Sequence[Outcome]) -> list[threading.Event]:
        """The events to set because of what was applied, once readers can see it."""
        if not self._watches:
            return []
        with self._lock:
            return [
                finished
                for outcome in outcomes
                for number, _, state in outcome.transitions
                if state in FINISHED
                for finished in self._watches.get(number, ())
            ]

    def look_again(self) -> None:
        """Everybody looks for themselves: jobs may have finished without a word."""
        with self._lock:
            for watches in self._watches.values():
                for finished in watches:
                    finished.set()

    def close(self) -> None:
        """The node stops: nobody waits any longer."""
        self._closed = True  # first: who comes now is told at once
        self.look_again()
