"""A client's session (diss. §6.3): the numbers of its commands, for any number of threads.

sessions.py is what the nodes keep of it. Next: client.py, whose calls carry the numbers.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from glassraft.jobqueue.commands import MAX_OPEN
from glassraft.jobqueue.fields import HOUR_MS, SECOND_MS

SESSION_TTL_S: Final = HOUR_MS // SECOND_MS


class Session:
    """One session: its numbers, and which of them are open.

    A session begins on the nodes with its number 1, so until that has its answer, others wait.
    """

    def __init__(self, ttl_s: int) -> None:
        self.id = secrets.token_hex(16) + (f"-{ttl_s}" if ttl_s != SESSION_TTL_S else "")
        self.has_begun = False
        self.is_over = False
        self._last = 0
        self._open: set[int] = set()
        self._changed = threading.Condition()

    @contextmanager
    def number(self, timeout_s: float) -> Iterator[tuple[int, int] | None]:
        """A number and the lowest one still waited for; None where there is none in time, or ever."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over or self._may_open(), max(0.0, timeout_s))
            taken = self._take() if not self.is_over and self._may_open() else None
        try:
            yield taken
        finally:
            if taken is not None:
                with self._changed:
                    self._open.discard(taken[0])
                    self.is_over = self.is_over or not self.has_begun
                    self._changed.notify_all()

    def end(self) -> None:
        """The nodes know it no longer."""
        with self._changed:
            self.is_over = True
            self._changed.notify_all()

    def _take(self) -> tuple[int, int]:
        self._last += 1
        self._open.add(self._last)
        return self._last, min(self._open)

    def _may_open(self) -> bool:
        if not self._open:
            return True
        return self.has_begun and self._last + 1 - min(self._open) < MAX_OPEN
