"""Schedules: what submits a job again and again, as the machine keeps them and applies their commands.

No calendar is read here. When a schedule is due is worked out by the leader and comes with the
command; FireSchedule is applied only where version and due time are still those that the leader
saw, so each due time fires once, over any change of leader or edit. A version is the log index of
the SetSchedule, so that a schedule that was dropped and made anew never has one of the old.
Next: replica/schedules.py, which proposes what is due; schedule_options.py, what can be asked for.
"""

import json
from typing import Any, Final, NamedTuple

from glassraft.jobqueue import ids
from glassraft.jobqueue.book import Book, Refusal
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.running import ask_to_stop, end_unstarted
from glassraft.jobqueue.states import CANCELLED, FINISHED, RUNNING
from glassraft.jobqueue.submitting import submit_items

MAX_SCHEDULES: Final = 10_000
HISTORY_KEPT: Final = 50

SET: Final = "set"
DROPPED: Final = "dropped"
FIRED: Final = "fired"
SKIPPED: Final = "skipped"
REFUSED: Final = "refused"


class Schedule(NamedTuple):
    """A row of schedules."""

    name: str
    version: int
    every_ms: int | None
    cron: str | None
    zone: str | None
    overlap: str
    catch_up: str
    job: str
    due_ms: int | None
    last_job: int | None
    history_n: int

    @property
    def times(self) -> tuple[int | None, str | None, str | None]:
        """What its due times follow from."""
        return self.every_ms, self.cron, self.zone


_COLUMNS: Final = ", ".join(Schedule._fields)
ONE: Final = f"SELECT {_COLUMNS} FROM schedules WHERE name = ?"
DUE: Final = (
    f"SELECT {_COLUMNS} FROM schedules INDEXED BY schedules_due"
    " WHERE due_ms <= ? ORDER BY due_ms, name LIMIT ?"
)
COUNT: Final = "SELECT count(*) FROM schedules"


def set_schedule(book: Book, arguments: dict[str, Any]) -> dict[str, Any] | Refusal:
    """Makes a schedule, or gives one other options. Answers {"version", "due_ms"}.

    Where its times stay the same it is due when it was: whoever sets it each day does not put it off each day.
    """
    name: str = arguments["name"]
    known = find(book, name)
    if known is None and book.read(COUNT).fetchone()[0] >= MAX_SCHEDULES:
        message = f"there are {MAX_SCHEDULES:,} schedules, as many as may be: drop one first"
        return Refusal("full", message, {"schedules": MAX_SCHEDULES})
    get = arguments.get
    schedule = Schedule(
        name,
        book.index,
        get("every_ms"),
        get("cron"),
        get("zone"),
        arguments["overlap"],
        arguments["catch_up"],
        canonical(arguments["job"]),
        get("due_ms"),
        last_job=None if known is None else known.last_job,
        history_n=0 if known is None else known.history_n,
    )
    if known is not None and known.times == schedule.times:
        schedule = schedule._replace(due_ms=known.due_ms)
    book.write("schedule gone", [(name,)])
    book.write("schedule", [tuple(schedule)])
    book.schedules_changed()
    book.schedule_events.append((name, schedule.due_ms, SET, "", ""))
    return {"version": schedule.version, "due_ms": schedule.due_ms}


def drop_schedule(book: Book, arguments: dict[str, Any]) -> dict[str, Any] | Refusal:
    """A schedule and its history are there no more; the jobs that it submitted stay. Answers {}."""
    schedule = find(book, arguments["name"])
    if schedule is None:
        return _not_found(arguments["name"])
    book.write("schedule gone", [(schedule.name,)])
    book.write("firings gone", [(schedule.name,)])
    book.schedules_changed()
    book.schedule_events.append((schedule.name, None, DROPPED, "", ""))
    return {}


def run_schedule(book: Book, arguments: dict[str, Any]) -> dict[str, Any] | Refusal:
    """Fires now, and leaves alone when it is due. Answers {"event", "job", "reason"}: fired, skipped or refused."""
    schedule = find(book, arguments["name"])
    if schedule is None:
        return _not_found(arguments["name"])
    return _fire(book, schedule, None, "")


def fire_schedule(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Fires what is due, if it is still this. Answers as RunSchedule, or {"event": ""}: nothing was changed."""
    schedule = find(book, arguments["name"])
    due_ms: int = arguments["due_ms"]
    if schedule is None or not book.rules.firing_is_due(
        (schedule.version, schedule.due_ms), (arguments["version"], due_ms)
    ):
        return {"event": ""}
    book.write("schedule due", [(arguments["next_ms"], schedule.name)])
    book.schedules_changed()
    for_ms: int | None = arguments["for_ms"]
    if for_ms is None:
        return _note(book, schedule, due_ms, SKIPPED, None, "it was due too long ago, and catch_up is none")
    return _fire(book, schedule, for_ms, "" if for_ms == due_ms else "it stands for what was due before, too")


def find(book: Book, name: str) -> Schedule | None:
    """The schedule's row as it is now."""
    row = book.read(ONE, (name,)).fetchone()
    return None if row is None else Schedule._make(row)


def due(book: Book, now_ms: int, limit: int) -> list[Schedule]:
    """The schedules that are due, the earliest first."""
    return [Schedule._make(row) for row in book.read(DUE, (now_ms, limit))]


def _fire(book: Book, schedule: Schedule, due_ms: int | None, reason: str) -> dict[str, Any]:
    last = None if schedule.last_job is None else book.job(schedule.last_job)
    if last is not None and last.state not in FINISHED:
        if schedule.overlap == "skip":
            text = f"job {ids.to_text(last.id)}, the last one, is {last.state}"
            return _note(book, schedule, due_ms, SKIPPED, None, text)
        if schedule.overlap == "cancel" and last.state == RUNNING:
            ask_to_stop(book, last)
        elif schedule.overlap == "cancel":
            end_unstarted(book, last, "cancelled", CANCELLED, f"schedule {schedule.name!r} fired again")
    answer = submit_items(book, [json.loads(schedule.job)])
    if isinstance(answer, Refusal):
        return _note(book, schedule, due_ms, REFUSED, None, answer.message)
    [job] = answer["jobs"]
    if answer.get("how") == ["existing"]:
        return _note(book, schedule, due_ms, SKIPPED, None, f"job {job} holds its key")
    return _note(book, schedule, due_ms, FIRED, ids.from_text(job), reason)


def _note(
    book: Book, schedule: Schedule, due_ms: int | None, event: str, job: int | None, reason: str
) -> dict[str, Any]:
    """What came of a firing goes into the schedule's history, of which the last 50 rows are kept."""
    n = schedule.history_n + 1
    book.write("firing", [(schedule.name, n, book.now_ms, due_ms, event, job, reason)])
    if n > HISTORY_KEPT:
        book.write("firings cut", [(schedule.name, n - HISTORY_KEPT)])
    book.write("schedule noted", [(n, schedule.last_job if job is None else job, schedule.name)])
    text = "" if job is None else ids.to_text(job)
    book.schedule_events.append((schedule.name, due_ms, event, text, reason))
    return {"event": event, "job": text, "reason": reason}


def _not_found(name: str) -> Refusal:
    return Refusal("not_found", f"there is no schedule {name!r}", {"schedule": name})
