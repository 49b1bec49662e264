"""The signals that ask a program to stop, for a main thread that waits or shows a window.

Only the supervising program's own signals belong here; a node has its own, which count otherwise.
"""

import contextlib
import signal
from collections.abc import Iterator
from queue import Empty, SimpleQueue

POLL_S = 0.1


class StopSignals:
    """The signals that ask to stop. Their handler puts them into a queue, which is safe at any moment."""

    def __init__(self) -> None:
        """Take the signals from now on. On the main thread only."""
        self._came: SimpleQueue[int] = SimpleQueue()
        self._interrupts = False
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._take)

    def wait(self) -> bool:
        """Whether one came within a moment. (On Windows, a wait without an end would not see it.)"""
        try:
            self._came.get(timeout=POLL_S)
            return True
        except Empty:
            return False

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """While a window has the main thread, raise KeyboardInterrupt there, which closes it."""
        self._interrupts = True
        try:
            if not self._came.empty():
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False

    def _take(self, number: int, _frame: object) -> None:
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt
        self._came.put(number)
