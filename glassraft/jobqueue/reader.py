"""Reading the queue: what Get, List, Stats and a Take's answer show, from a connection of its own.

Nothing here writes, and no query scans: each goes by an index, and a page of a list looks at no
more than 5,000 rows, so it may be short and still have a `next`. One reader serves one thread at
a time.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from glassraft.errors import BadArgument
from glassraft.jobqueue import ids, schedule_reader
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.fields import check_name
from glassraft.jobqueue.states import FINISHED, READY, RUNNING, STATES, SUCCEEDED

PAGE: Final = 100
MAX_PAGE: Final = 1_000
ROWS_LOOKED_AT: Final = 5_000
ARGUMENTS_SHOWN: Final = 200
"""Characters of the arguments' JSON that a list shows."""

_LISTED: Final = (
    "id, state, queue, task, priority, submitted_ms, at_ms, attempt, failures, max_attempts, worker,"
    " fraction, note, error, finished_ms"
)
_LISTED_NAMES: Final = _LISTED.split(", ")

ONE: Final = "SELECT * FROM jobs WHERE id = ?"
HISTORY: Final = (
    "SELECT history.*, traceback FROM history LEFT JOIN tracebacks USING (job, n)"
    " WHERE history.job = ? ORDER BY history.n"
)
APPLIED: Final = "SELECT applied_index, now_ms, lease_gap_ms FROM applied WHERE one = 1"
ALL: Final = f"SELECT {_LISTED} FROM jobs WHERE id < ? ORDER BY id DESC LIMIT ?"
BY_STATE: Final = (
    f"SELECT {_LISTED} FROM jobs INDEXED BY jobs_by_state"
    " WHERE state = ? AND queue = ? AND id < ? ORDER BY id DESC LIMIT ?"
)
BY_TASK: Final = (
    f"SELECT {_LISTED} FROM jobs INDEXED BY jobs_by_task WHERE task = ? AND id < ? ORDER BY id DESC LIMIT ?"
)
ARGUMENTS: Final = (
    "SELECT substr(args, 2, min(?, length(args) - 2)), substr(kwargs, 2, min(?, length(kwargs) - 2))"
    " FROM arguments WHERE job = ?"
)
DETAILS: Final = (
    "SELECT token, queue, task, args, kwargs, attempt, failures, max_attempts, releases, priority,"
    " timeout_ms, submitted_ms, lease_until_ms, linked FROM jobs JOIN arguments ON arguments.job = jobs.id"
    " WHERE jobs.id = ?"
)
COUNTS: Final = "SELECT queue, what, n FROM counts ORDER BY queue, what"
OLDEST_READY: Final = (
    "SELECT submitted_ms FROM jobs INDEXED BY jobs_by_state"
    " WHERE state = 'ready' AND queue = ? ORDER BY id LIMIT 1"
)
AFTER: Final = "SELECT after FROM dependencies INDEXED BY dependencies_of_jobs WHERE job = ? ORDER BY after"
SETTINGS: Final = "SELECT queue, paused, max_running, starts, per_ms FROM queues ORDER BY queue"
QUEUES: Final = "SELECT queue FROM counts WHERE what = ?"
STATE: Final = "SELECT state, error FROM jobs WHERE id = ?"
RESULT: Final = "SELECT result FROM results WHERE job = ?"

_HIDDEN: Final = ("token", "lease_cap_ms", "started", "history_n", "linked", "brings_back", "size")
"""Columns that are the machine's own affair, or shown only while a job runs."""


class QueueReader:
    """Reads the queue's tables through `connection`, as of the last transaction committed there."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, job: str) -> dict[str, Any] | None:
        """Everything about a job, with its history; None when there is none with this id.

        Holds at least id, state, queue, task, args and kwargs (values), priority, submitted_ms,
        at_ms, max_attempts, attempt, failures, and history: a list of {"n", "ms", "event", "from",
        "to", "attempt", "token", "worker", "error", "traceback"}, the last 50. Where it applies:
        token, worker and lease_until_ms (running), result (succeeded), error, finished_ms.
        What was not given or does not apply is left out.
        """
        number = ids.from_text(job)
        with self._one_moment():
            row = _as_dict(self._connection.execute(ONE, (number,)))
            if row is None:
                return None
            shown = {key: value for key, value in row.items() if value is not None and key not in _HIDDEN}
            shown["id"] = ids.to_text(number)
            if "fraction" in shown:
                shown["fraction"] /= 1_000
            args, kwargs = self._connection.execute(
                "SELECT args, kwargs FROM arguments WHERE job = ?", (number,)
            ).fetchone()
            shown["args"], shown["kwargs"] = parse(args), parse(kwargs)
            if row["linked"]:
                shown["after"] = self._after(number)
            if row["state"] == RUNNING:
                _, _, gap_ms = self._connection.execute(APPLIED).fetchone()
                shown["token"] = row["token"]
                shown["lease_until_ms"] = row["lease_until_ms"] + gap_ms
            if row["state"] == SUCCEEDED:
                shown.pop("error", None)
                shown["result"] = parse(self._connection.execute(RESULT, (number,)).fetchone()[0])
            shown["history"] = self._history(number)
            return shown

    def _after(self, number: int) -> Sequence[str]:
        """The jobs that this one comes after."""
        return [ids.to_text(earlier) for (earlier,) in self._connection.execute(AFTER, (number,))]

    def _history(self, number: int) -> list[dict[str, Any]]:
        cursor = self._connection.execute(HISTORY, (number,))
        names = [column[0] for column in cursor.description]
        rows = []
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            del row["job"]
            row["from"], row["to"] = row.pop("before"), row.pop("after")
            rows.append({key: value for key, value in row.items() if value is not None})
        return rows

    def outcome(self, job: str) -> dict[str, Any] | None:
        """{"id", "state"} of a job, and "result" or "error" once finished; None if there is no such job."""
        number = ids.from_text(job)
        with self._one_moment():
            row = self._connection.execute(STATE, (number,)).fetchone()
            if row is None:
                return None
            state, error = row
            shown: dict[str, Any] = {"id": ids.to_text(number), "state": state}
            if state == SUCCEEDED:
                shown["result"] = parse(self._connection.execute(RESULT, (number,)).fetchone()[0])
            elif state in FINISHED:
                shown["error"] = error or ""
            return shown

    def list(
        self,
        state: str | None = None,
        queue: str | None = None,
        task: str | None = None,
        limit: int = PAGE,
        after: str = "",
    ) -> dict[str, Any]:
        """A page of jobs, the newest first: {"jobs": [...], "next": id or ""}.

        Give `next` as `after` for the next page; "" says that there is none. A page may be short.
        `arguments` shows the beginning of the call's JSON. Raises BadArgument for an unknown state,
        a limit out of range or a wrong `after`.
        """
        if state is not None and state not in STATES:
            raise BadArgument(f"there is no state {state!r}; the states are {', '.join(STATES)}")
        for what, name in (("queue", queue), ("task", task)):
            if name is not None:
                check_name(name, what)
        if type(limit) is not int or not 1 <= limit <= MAX_PAGE:
            raise BadArgument(f"limit must be a whole number from 1 to {MAX_PAGE}, not {limit!r}")
        below = ids.from_text(after) if after else 2**63 - 1
        with self._one_moment():
            jobs: list[dict[str, Any]] = []
            looked_at = 0
            last = 0
            for row in islice(self._walk(state, queue, task, below), ROWS_LOOKED_AT):
                looked_at += 1
                last = row["id"]
                if queue in (None, row["queue"]) and task in (None, row["task"]):
                    jobs.append(self._listed(row))
                    if len(jobs) == limit:
                        break
            ended = len(jobs) < limit and looked_at < ROWS_LOOKED_AT
            return {"jobs": jobs, "next": "" if ended else ids.to_text(last)}

    def _walk(
        self, state: str | None, queue: str | None, task: str | None, below: int
    ) -> Iterator[dict[str, Any]]:
        """Rows from the newest on, by the index that leaves the fewest to be passed over."""
        if state is None and queue is None:
            if task is None:
                return self._rows(ALL, below)
            return self._rows(BY_TASK, task, below)
        states = STATES if state is None else (state,)
        queues = [row[0] for row in self._connection.execute(QUEUES, states)] if queue is None else [queue]
        walks = [self._rows(BY_STATE, one, other, below) for one in states for other in queues]
        return heapq.merge(*walks, key=lambda row: -row["id"])

    def _rows(self, query: str, *values: object) -> Iterator[dict[str, Any]]:
        for row in self._connection.execute(query, (*values, ROWS_LOOKED_AT)):
            yield dict(zip(_LISTED_NAMES, row, strict=True))

    def _listed(self, row: dict[str, Any]) -> dict[str, Any]:
        parts = self._connection.execute(ARGUMENTS, (ARGUMENTS_SHOWN, ARGUMENTS_SHOWN, row["id"])).fetchone()
        shown = {key: value for key, value in row.items() if value is not None}
        shown["id"] = ids.to_text(row["id"])
        shown["arguments"] = ",".join(part for part in parts if part)[:ARGUMENTS_SHOWN]
        if "fraction" in shown:
            shown["fraction"] /= 1_000
        if row["state"] == SUCCEEDED:
            shown.pop("error", None)
        return shown

    def schedules(self, after: str = "") -> dict[str, Any]:
        """A page of schedules: see schedule_reader.py, for `schedule` too."""
        with self._one_moment():
            return schedule_reader.list_schedules(self._connection, after)

    def schedule(self, name: str) -> dict[str, Any] | None:
        """One schedule with its history; None where there is none of this name."""
        with self._one_moment():
            return schedule_reader.get_schedule(self._connection, name)

    def stats(self) -> dict[str, Any]:
        """{"queues": {name: {state or total: n}}, "states": {state: n}, "oldest_ready_ms": {name: age}, ...}.

        The totals of a queue's whole life are "submitted", "failed" (attempts that count) and
        "completed"; rates are their differences over time. Also settings (by queue), now_ms and applied_index.
        """
        with self._one_moment():
            index, now_ms, _ = self._connection.execute(APPLIED).fetchone()
            queues: dict[str, dict[str, int]] = {}
            states = dict.fromkeys(STATES, 0)
            oldest = {}
            for queue, what, n in self._connection.execute(COUNTS):
                queues.setdefault(queue, {})[what] = n
                if what in states:
                    states[what] += n
                if what == READY:
                    (submitted_ms,) = self._connection.execute(OLDEST_READY, (queue,)).fetchone()
                    oldest[queue] = max(0, now_ms - submitted_ms)
            return {
                "queues": queues,
                "states": states,
                "oldest_ready_ms": oldest,
                "settings": self._settings(),
                "now_ms": now_ms,
                "applied_index": index,
            }

    def _settings(self) -> dict[str, Any]:
        """Of the queues that have any: paused, max_running and rate ([starts, ms]), those that apply."""
        settings: dict[str, Any] = {}
        for queue, paused, max_running, starts, per_ms in self._connection.execute(SETTINGS):
            limits = {"max_running": max_running, "rate": None if starts is None else [starts, per_ms]}
            shown = {"paused": True} if paused else {}
            settings[queue] = shown | {name: limit for name, limit in limits.items() if limit is not None}
        return settings

    def details(self, numbers: Sequence[int]) -> Sequence[dict[str, Any]]:
        """What a worker needs of the jobs it took, in the order given; those that are gone are left out.

        Each holds id, token, queue, task, args, kwargs, attempt, failures, max_attempts, releases,
        priority, timeout_ms (None without one), submitted_ms, lease_until_ms (cluster time) and after (ids).
        """
        with self._one_moment():
            _, _, gap_ms = self._connection.execute(APPLIED).fetchone()
            jobs = []
            for number in numbers:
                job = _as_dict(self._connection.execute(DETAILS, (number,)))
                if job is not None and job["lease_until_ms"] is not None:
                    job["id"] = ids.to_text(number)
                    job["args"], job["kwargs"] = parse(job["args"]), parse(job["kwargs"])
                    job["lease_until_ms"] += gap_ms
                    job["after"] = self._after(number) if job.pop("linked") else []
                    jobs.append(job)
            return jobs

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """All queries inside see the same state, though the machine goes on."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")


def _as_dict(cursor: sqlite3.Cursor) -> dict[str, Any] | None:
    row = cursor.fetchone()
    if row is None:
        return None
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
