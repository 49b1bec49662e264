"""Keeps one process running: starts it again when it ends by itself, later and later.

For the worker alone: it holds no promises, and jobs would wait for ever without one. Nodes are
not kept. Next: supervisor.py.
"""

import threading
import time
from collections.abc import Sequence

from glassraft.supervisor.process import Exit, ManagedProcess, SupervisorError

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_S = 60.0
"""Whoever ran for so long did not fail at its start: the delay begins anew."""


class Keeper:
    """One process and the timer that starts it again. All methods may be called from any thread."""

    def __init__(
        self, process: ManagedProcess, command: Sequence[str], first_delay_s: float = FIRST_DELAY_S
    ) -> None:
        self.process = process
        self.first_delay_s = first_delay_s
        self._command = command
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._wanted = False
        self._delay_s = 0.0
        self._started_at = 0.0

    def start(self) -> None:
        """Start it, and keep it running from now on."""
        with self._lock:
            self._wanted = True
            self._start()

    def ended(self, end: Exit) -> float | None:
        """To be told of the process's end. Returns in how many seconds it is started again, if at all."""
        with self._lock:
            if not self._wanted or end.ending is not None:
                return None
            self._plan()
            return self._delay_s

    def stop(self, grace_s: float) -> None:
        """Stop keeping it, ask it to stop, and kill it where it still runs after `grace_s` seconds."""
        self._give_up()
        self.process.stop(grace_s)

    def kill(self) -> None:
        """Stop keeping it, and end it at once."""
        self._give_up()
        if self.process.alive:
            self.process.kill()

    def _give_up(self) -> None:
        with self._lock:
            self._wanted = False
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()

    def _plan(self) -> None:
        steady = time.monotonic() - self._started_at > STEADY_S
        first = steady or not self._delay_s
        self._delay_s = self.first_delay_s if first else min(self._delay_s * 2, LONGEST_DELAY_S)
        self._timer = threading.Timer(self._delay_s, self._again)
        self._timer.name = f"{self.process.name}-keeper"
        self._timer.daemon = True
        self._timer.start()

    def _again(self) -> None:
        with self._lock:
            if not self._wanted:
                return
            try:
                self._start()
            except SupervisorError:
                self._plan()

    def _start(self) -> None:
        self._started_at = time.monotonic()
        self.process.start(self._command)
