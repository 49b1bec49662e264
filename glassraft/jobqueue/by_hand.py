"""What people do to jobs by hand: cancel them, try them again, remove them.

Each job of a command is answered on its own, as running.py's are: {"jobs": [{"job", "ok": true,
"state", ...} or {"job", "ok": false, "why", "message", "state"}, ...]}. Next: removal.py, which
takes a finished job out of the tables.
"""

from collections.abc import Callable
from typing import Any

from glassraft.jobqueue import ids
from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.removal import remove
from glassraft.jobqueue.running import CANCELLED_BY_HAND, ask_to_stop, end_unstarted, too_late
from glassraft.jobqueue.states import CANCELLED, FINISHED, NOWHERE, READY, RUNNING, SUCCEEDED


def cancel(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """What does not run is cancelled at once; what runs is told to stop, and goes on for a while.

    An item's answer holds the state: of one that was told, "running", with "cancel_requested" true.
    """

    def cancel_one(text: str, job: Job) -> dict[str, Any]:
        if job.state == RUNNING:
            ask_to_stop(book, job)
            return {"job": text, "ok": True, "state": RUNNING, "cancel_requested": True}
        if job.state in FINISHED and job.state != CANCELLED:
            return _wrong_state(text, job, "so it can no longer be cancelled")
        if job.state != CANCELLED:
            end_unstarted(book, job, "cancelled", CANCELLED, CANCELLED_BY_HAND)
        return {"job": text, "ok": True, "state": CANCELLED}

    return _each(book, arguments["jobs"], cancel_one)


def retry(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Dead and cancelled jobs run again, with as many attempts as each was submitted with, or `attempts`.

    Attempt numbers and tokens only rise; the backoff begins anew,
    and a deadline that has passed is dropped. An item's answer holds the state.
    """
    attempts: int | None = arguments.get("attempts")

    def retry_one(text: str, job: Job) -> dict[str, Any]:
        if job.state not in FINISHED or job.state == SUCCEEDED:
            return _wrong_state(text, job, "and only a dead or cancelled job can be tried again")
        [n] = book.move([job], "retried", READY)
        deadline_ms = None if too_late(book, job) else job.deadline_ms
        book.write("job retried", [(READY, book.now_ms, attempts, deadline_ms, n, job.id)])
        if deadline_ms is not None:
            book.set_deadlines([(deadline_ms, job.id)])
        return {"job": text, "ok": True, "state": READY}

    return _each(book, arguments["jobs"], retry_one)


def purge(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Finished jobs are removed, with their results and histories. An item's answer holds the state ""."""

    def purge_one(text: str, job: Job) -> dict[str, Any]:
        if job.state not in FINISHED:
            return _wrong_state(text, job, "and only a finished job can be purged: cancel it first")
        remove(book, [job], "purged")
        return {"job": text, "ok": True, "state": NOWHERE}

    return _each(book, arguments["jobs"], purge_one)


def _each(book: Book, texts: list[str], act: Callable[[str, Job], dict[str, Any]]) -> dict[str, Any]:
    answers = []
    for text in texts:
        job = book.job(ids.from_text(text))
        answers.append(_not_found(text) if job is None else act(text, job))
    return {"jobs": answers}


def _not_found(text: str) -> dict[str, Any]:
    message = f"there is no job {text}"
    return {"job": text, "ok": False, "why": "not_found", "message": message, "state": ""}


def _wrong_state(text: str, job: Job, because: str) -> dict[str, Any]:
    message = f"job {text} is {job.state}, {because}"
    return {"job": text, "ok": False, "why": "wrong_state", "message": message, "state": job.state}
