"""A queue in this process, called by the same methods as a node: theirs are served here, on one SQLite file.

A node's own queue_commands.py and queue_reads.py check and answer; only what stands behind them is another:
driver.py instead of a cluster. Next: jobqueue/client.py, which calls.
"""

import os
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from glassraft.embedded.driver import EmbeddedDriver
from glassraft.errors import BadArgument
from glassraft.jobqueue.clock import Clock
from glassraft.jobqueue.fields import TooLarge
from glassraft.replica.arrivals import Applied, Arrival, Result
from glassraft.replica.behind import applied
from glassraft.replica.finished import FinishedJobs
from glassraft.replica.queue_commands import QueueCommands
from glassraft.replica.queue_reads import QueueReads
from glassraft.replica.schedule_calls import ScheduleCalls
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import LATER, Call, MethodTable
from glassraft.storage.identity import FileInUse, Identity, connect, translated_errors
from glassraft.storage.queue_store import QueueStore

TIMEOUT_S: Final = 15.0
IDENTITY: Final = Identity("embedded", "embedded", 1, {})
"""Of no cluster: a node refuses such a file, and this refuses a node's."""


class EmbeddedCalls:
    """One queue file and its methods. Any thread of this process may call; no other process may."""

    def __init__(self, path: str | os.PathLike[str] | None = None, clock: Clock | None = None) -> None:
        """`path` is made if it is not there; None keeps the queue in a folder that is removed by `close`.

        Raises StorageError where the file cannot be used, such as FileInUse.
        """
        self.timeout_s = TIMEOUT_S
        self.finished = FinishedJobs()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="glassraft-")
            path = os.path.join(self._folder.name, "queue.db")
        file = Path(path)
        self._lock = _Lock(file)
        try:
            if not file.exists():
                QueueStore.create(file, IDENTITY)
            self.queue = QueueStore(file, IDENTITY)
        except BaseException:
            self._lock.close()
            raise
        self.queue.connection.execute(f"PRAGMA synchronous = {'FULL' if self._folder is None else 'OFF'}")
        self._is_closed = False
        self._driver = EmbeddedDriver(self.queue, self.finished, clock or Clock())
        queue_commands = QueueCommands(self)
        self._table = MethodTable(
            {
                **queue_commands.methods(),
                **ScheduleCalls(self, queue_commands.finish).methods(),
                **QueueReads(self).methods(),
            }
        )

    def call(
        self,
        method: str,
        *params: Any,
        timeout_s: float | None = None,
        wait_s: float = 0.0,
        changes: bool = True,
    ) -> Any:
        """As jobqueue.calls.Calls. What a command does is on the disk when this returns."""
        if self._is_closed:
            raise Fault.named("shutting_down", "this queue is closed")
        given: list[Any] = []
        call = Call(method, "embedded", self._is_open, lambda _, value: given.append(value))
        try:
            value = self._table.call(call, params)
        except TooLarge as error:
            raise Fault.named("too_large", str(error)) from None
        except BadArgument as error:
            raise Fault.named("bad_argument", str(error)) from None
        if value is LATER:
            [value] = given  # the driver applies at once, so the answer is there
        if isinstance(value, Fault):
            raise value
        return value

    def close(self) -> None:
        """Whoever waits is told; then the file is closed, and another process may open it."""
        if self._is_closed:
            return
        self._is_closed = True
        self._driver.close()
        self.queue.close()
        self._lock.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _is_open(self) -> bool:
        return not self._is_closed

    # What stands behind the methods

    def bring(self, arrival: Arrival) -> None:
        """Apply what arrived."""
        self._driver.bring(arrival)

    def served(self, result: Result | None) -> tuple[int, dict[str, Any]]:
        """A command's index and answer. Raises the Fault that fits."""
        if not isinstance(result, Applied):
            raise self.unserved(result)
        return applied(result)

    def unserved(self, result: Result | None) -> Fault:
        """Without a cluster there is one reason."""
        return Fault.named("shutting_down", "this queue is being closed")

    def no_quorum(self, name: str, fate: str) -> Fault:
        """A read that nobody confirms: the queue is being closed."""
        return self.unserved(None)

    def stale_ms(self) -> int | None:
        """This is who decides."""
        return None

    def record(self, method: str, began: float, outcome: str, fields: Mapping[str, Any]) -> None:
        """Nobody watches: events are a node's."""


class _Lock:
    """Holds a file for this process, on every system, until it is closed or the process ends."""

    def __init__(self, file: Path) -> None:
        lock = file.with_name(f".{file.name}.lock")  # making the file removes whatever begins with its name
        with translated_errors(lock):
            self._connection = connect(lock)
            try:
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                self._connection.close()
                raise FileInUse(
                    f"{file} is open already, here or in another process: an embedded queue belongs to one "
                    "process; close it there, or use a cluster"
                ) from None

    def close(self) -> None:
        self._connection.close()
