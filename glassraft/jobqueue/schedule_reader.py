"""Reading schedules: what ListSchedules and GetSchedule show. reader.py calls these, all at one moment."""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from glassraft.jobqueue import ids
from glassraft.jobqueue.canonical import parse

PAGE: Final = 1_000

_COLUMNS: Final = "name, version, every_ms, cron, zone, overlap, catch_up, job, due_ms, last_job"
PAGE_AFTER: Final = f"SELECT {_COLUMNS} FROM schedules WHERE name > ? ORDER BY name LIMIT ?"
ONE: Final = f"SELECT {_COLUMNS} FROM schedules WHERE name = ?"
FIRINGS: Final = "SELECT n, ms, due_ms, event, job, reason FROM firings WHERE schedule = ? ORDER BY n"


def list_schedules(connection: sqlite3.Connection, after: str) -> dict[str, Any]:
    """A page of schedules by name, those after `after`: {"schedules": [...], "next": name or ""}.

    Of the job each shows task and queue alone.
    """
    shown = []
    for row in _rows(connection.execute(PAGE_AFTER, (after, PAGE))):
        job = row.pop("job")
        shown.append({**row, "task": job["task"], "queue": job.get("queue", "default")})
    return {"schedules": shown, "next": shown[-1]["name"] if len(shown) == PAGE else ""}


def get_schedule(connection: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    """All about one, with its history: {"n", "ms", "due_ms", "event", "job", "reason"}, the last 50; None: no such."""
    found = list(_rows(connection.execute(ONE, (name,))))
    if not found:
        return None
    history = connection.execute(FIRINGS, (name,))
    names = [column[0] for column in history.description]
    rows = [_without_nothing(dict(zip(names, row, strict=True))) for row in history]
    return {**found[0], "history": [_with_id(row, "job") for row in rows]}


def _rows(cursor: sqlite3.Cursor) -> Any:
    names = [column[0] for column in cursor.description]
    for values in cursor:
        row = _with_id(_without_nothing(dict(zip(names, values, strict=True))), "last_job")
        job = parse(row["job"])
        for part in ("args", "kwargs"):
            if part in job:
                job[part] = parse(job[part])
        yield {**row, "job": job}


def _without_nothing(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value not in (None, "")}


def _with_id(row: dict[str, Any], which: str) -> dict[str, Any]:
    return {**row, which: ids.to_text(row[which])} if which in row else row
