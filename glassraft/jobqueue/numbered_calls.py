"""Calls under a client's sessions, each with its number, so that trying again never does anything twice (diss. §6.3).

client_session.py counts the numbers; sessions.py is what the nodes keep of them. Next: client.py, who calls.
"""

import threading
import time
from typing import Any, Final

from glassraft.jobqueue.calls import Calls
from glassraft.jobqueue.client_session import Session
from glassraft.rpc.faults import Fault

_NOTHING: Final = "[]"


class NumberedCalls:
    """One client's, for any number of threads."""

    def __init__(self, calls: Calls, ttl_s: int) -> None:
        """A session that is unused for `ttl_s` is forgotten by the nodes, and begun anew here."""
        self._calls = calls
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._submits = Session(ttl_s)
        self._local = threading.local()

    def call(self, method: str, *params: Any, wait_s: float = 0.0) -> dict[str, Any]:
        """Call under a session's next number; with a new session where the nodes know the old one no more."""
        deadline = time.monotonic() + self._calls.timeout_s
        while True:
            session = self._session_for(method)
            left_s = deadline - time.monotonic()
            with session.number(left_s) as taken:
                if taken is None and left_s > 0:
                    continue
                # Without time or number left, nothing is sent: the call fails, and says why.
                number, low = taken or (0, 0)
                timeout_s = max(0.0, deadline - time.monotonic()) if taken else 0.0
                try:
                    answer: dict[str, Any] = self._calls.call(
                        method, session.id, number, low, *params, timeout_s=timeout_s, wait_s=wait_s
                    )
                except Fault as fault:
                    if fault.name == "session_expired" and number > 1:  # it says that this was not run
                        session.end()
                        continue
                    raise
                if answer.get("jobs") != _NOTHING:  # a Take that got nothing was not logged
                    session.has_begun = True
                return answer

    def _session_for(self, method: str) -> Session:
        """One for all submissions; for Takes one a thread, as a waiting one would hold the others up."""
        if method == "Take":
            mine: Session | None = getattr(self._local, "takes", None)
            if mine is None or mine.is_over:
                mine = self._local.takes = Session(self._ttl_s)
            return mine
        with self._lock:
            if self._submits.is_over:
                self._submits = Session(self._ttl_s)
            return self._submits
