"""What people do to jobs by hand: cancel them, try them again, remove or change them.

Each job of a command is answered on its own, as running.py's are: {"jobs": [{"job", "ok": true,
"state", ...} or {"job", "ok": false, "why", "message", "state"}, ...]}. Next: removal.py, which
takes a finished job out of the tables.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from glassraft.jobqueue import ids, keys
from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.changing import Changes, change
from glassraft.jobqueue.dependencies import is_needed
from glassraft.jobqueue.removal import remove
from glassraft.jobqueue.retrying import key_holder, retry_job
from glassraft.jobqueue.running import CANCELLED_BY_HAND, ask_to_stop, end_unstarted
from glassraft.jobqueue.states import (
    CANCELLED,
    FINISHED,
    NOWHERE,
    READY,
    RUNNING,
    SCHEDULED,
    SUCCEEDED,
    WAITING,
)
from glassraft.jobqueue.submitting import no_room


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
    and a deadline that has passed is dropped. With `dependents` (the default), those that were
    cancelled because of a job run again after it. An item's answer holds the state.
    """
    attempts: int | None = arguments.get("attempts")
    dependents: bool = arguments.get("dependents", True)

    def retry_one(text: str, job: Job) -> dict[str, Any]:
        if job.state not in FINISHED or job.state == SUCCEEDED:
            return _wrong_state(text, job, "and only a dead or cancelled job can be tried again")
        holder = key_holder(book, job)
        if holder is not None:
            return _key_held(text, job, job.queue, holder)
        return {"job": text, "ok": True, "state": retry_job(book, job, attempts, dependents=dependents)}

    return _each(book, arguments["jobs"], retry_one)


def purge(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Finished jobs are removed, with their results and histories. An item's answer holds the state ""."""

    def purge_one(text: str, job: Job) -> dict[str, Any]:
        if job.state not in FINISHED:
            return _wrong_state(text, job, "and only a finished job can be purged: cancel it first")
        if is_needed(book, job):
            return _wrong_state(text, job, "but a job that comes after it is not finished")
        remove(book, [job], "purged")
        return {"job": text, "ok": True, "state": NOWHERE}

    return _each(book, arguments["jobs"], purge_one)


def update(book: Book, arguments: dict[str, Any]) -> dict[str, Any]:
    """Changes jobs that are waiting, scheduled or ready. An item's answer holds the state."""

    def update_one(item: dict[str, Any], text: str, job: Job) -> dict[str, Any]:
        if job.state not in (WAITING, SCHEDULED, READY):
            return _wrong_state(text, job, "so it can no longer be changed")
        queue = item.get("queue", job.queue)
        if queue != job.queue:
            refusal = no_room(book, [queue])
            if refusal is not None:
                return _refused(text, job, refusal.code_name, refusal.message)
            held = None if job.key is None else keys.holder(book, queue, job.key)
            if held is not None:
                return _key_held(text, job, queue, held.job)
        at_ms = book.now_ms + item["delay_ms"] if "delay_ms" in item else item.get("at_ms")
        changes = Changes(item.get("args"), item.get("kwargs"), item.get("priority"), at_ms, queue)
        return {"job": text, "ok": True, "state": change(book, job, changes)}

    return {"jobs": [_one(book, item["job"], partial(update_one, item)) for item in arguments["items"]]}


def _each(book: Book, texts: list[str], act: Callable[[str, Job], dict[str, Any]]) -> dict[str, Any]:
    return {"jobs": [_one(book, text, act) for text in texts]}


def _one(book: Book, text: str, act: Callable[[str, Job], dict[str, Any]]) -> dict[str, Any]:
    job = book.job(ids.from_text(text))
    return _refused(text, None, "not_found", f"there is no job {text}") if job is None else act(text, job)


def _key_held(text: str, job: Job, queue: str, holder: int) -> dict[str, Any]:
    message = f"the key {job.key!r} of job {text} is held in queue {queue!r} by job {ids.to_text(holder)}"
    return _refused(text, job, "key_held", message)


def _wrong_state(text: str, job: Job, because: str) -> dict[str, Any]:
    return _refused(text, job, "wrong_state", f"job {text} is {job.state}, {because}")


def _refused(text: str, job: Job | None, why: str, message: str) -> dict[str, Any]:
    state = "" if job is None else job.state
    return {"job": text, "ok": False, "why": why, "message": message, "state": state}
