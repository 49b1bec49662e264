"""Rows that a batch of commands writes, gathered so that one statement takes many of them.

A command's own statements cost more than its rows. So what is only ever added to, and what
only the last word counts of, waits until somebody reads the tables or the batch ends. What
the tables hold then is the same as if each command had written at once.
Next: book.py, whose writes these are.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from glassraft.jobqueue.schema import WRITES

Row = tuple[Any, ...]

ONLY_ADDED: Final = ("plain job", "job", "job arguments", "history", "due")
"""Inserts whose order among each other does not matter."""

MANY: Final = 1_000
"""Every job's row comes with one in its history, so no more jobs than that wait for long."""


class WriteBehind:
    """The only way to the tables of one connection, for writing and for reading."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._added: dict[str, list[Row]] = {name: [] for name in ONLY_ADDED}
        self._used: dict[str, Row] = {}  # session: its last row of "session used"
        self._low: dict[str, int] = {}  # session: the number below which no answer is awaited any more
        self._answers: list[Row] = []
        self._waits = False

    def write(self, name: str, rows: Sequence[Row]) -> None:
        """Run the statement of schema.WRITES once for each of the rows, now or before anybody can tell."""
        added = self._added.get(name)
        if added is not None:
            added.extend(rows)
        elif name == "answer":
            self._answers.extend(rows)
        elif name == "session used":
            for row in rows:
                self._used[row[2]] = row
        elif name == "answers below":
            self._low.update(rows)  # a session's low never falls
        else:
            self.drain()
            self._execute(name, rows)
            return
        self._waits = True

    def read(self, query: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Ask the tables; they hold everything that was written."""
        if self._waits:
            self.drain()
        return self._connection.execute(query, parameters)

    def drain_if_many(self) -> None:
        """Drain once so many rows wait that memory, and the turn that drains them, would notice."""
        if len(self._added["history"]) >= MANY:
            self.drain()

    def drain(self) -> None:
        """Bring everything that waits into the tables."""
        if not self._waits:
            return
        self._waits = False
        for name, rows in self._added.items():
            if rows:
                self._execute(name, rows)
                rows.clear()
        if self._used:
            self._execute("session used", list(self._used.values()))
            self._used.clear()
        if self._answers or self._low:
            self._drain_answers()

    def _drain_answers(self) -> None:
        low = self._low
        self._execute("answers below", list(low.items()))
        # A number below its session's low is never run: no answer below it can come later.
        self._execute("answer", [row for row in self._answers if row[1] >= low.get(row[0], 0)])
        low.clear()
        self._answers.clear()

    def _execute(self, name: str, rows: Sequence[Row]) -> None:
        if len(rows) == 1:
            self._connection.execute(WRITES[name], rows[0])
        elif rows:
            self._connection.executemany(WRITES[name], rows)
