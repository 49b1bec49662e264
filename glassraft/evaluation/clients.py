"""Several clients at once: threads that share one list of work.

What they do is given to them; what it was for is told by their callers (scenarios.py, latency.py,
endurance.py).
"""

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

Work = TypeVar("Work")


class Clients:
    """`count` threads that do `do(work)` for each piece of work, until all is done or one fails.

    Started at once; `join` waits for them and raises what the first failure raised.
    """

    def __init__(self, count: int, work: Iterable[Work], do: Callable[[Work], object]) -> None:
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        pieces = iter(work)

        def run() -> None:
            while self._failure is None:
                with self._lock:
                    taken = list(itertools.islice(pieces, 1))
                if not taken:
                    return
                try:
                    do(taken[0])
                except BaseException as error:  # handed on by join, whatever it is
                    self._failure = self._failure or error
                    return

        names = [f"client-{number}" for number in range(1, count + 1)]
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def failed(self) -> bool:
        """Whether a client has given up."""
        return self._failure is not None

    def join(self) -> None:
        """Wait until all work is done."""
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
