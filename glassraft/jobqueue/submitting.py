"""Submit: all of a command's jobs come to be, or none and a refusal says why.

Next: running.py, what happens to a job from then on.
"""

from typing import Any, Final

from glassraft.jobqueue import ids
from glassraft.jobqueue.book import Book, Refusal
from glassraft.jobqueue.states import NOWHERE, READY, SCHEDULED, check

DEFAULT_QUEUE: Final = "default"
DEFAULT_MAX_ATTEMPTS: Final = 10
"""With the default backoff about two and a half hours, so that people can mend what is broken."""
MAX_UNFINISHED: Final = 10_000_000
"""Unfinished jobs a queue may hold."""
MAX_QUEUES: Final = 10_000


def submit(book: Book, arguments: dict[str, Any]) -> dict[str, Any] | Refusal:
    """Answers {"jobs": [id, ...]}, in the order of the items."""
    items: list[dict[str, Any]] = arguments["jobs"]
    per_queue: dict[str, int] = {}
    for item in items:
        queue = item.get("queue", DEFAULT_QUEUE)
        per_queue[queue] = per_queue.get(queue, 0) + 1
    refusal = _no_room(book, per_queue)
    if refusal is not None:
        return refusal

    now_ms = book.now_ms
    first = ids.number(book.index, 0)
    jobs, payloads, history, due, deadlines = [], [], [], [], []
    moves: dict[tuple[str, str], int] = {}
    for job, item in enumerate(items, start=first):
        get = item.get
        queue = get("queue", DEFAULT_QUEUE)
        at_ms = get("at_ms", 0) or now_ms + get("delay_ms", 0)
        state = SCHEDULED if at_ms > now_ms else READY
        backoff = get("backoff", {})
        deadline_ms = now_ms + item["start_within_ms"] if "start_within_ms" in item else get("deadline_ms")
        args, kwargs = get("args", "[]"), get("kwargs", "{}")
        moves[queue, state] = moves.get((queue, state), 0) + 1
        jobs.append(
            (
                *(job, state, queue, item["task"], get("priority", 0), now_ms, max(at_ms, now_ms)),
                *(get("max_attempts", DEFAULT_MAX_ATTEMPTS), get("timeout_ms"), get("lease_ms")),
                *(backoff.get("base_ms"), backoff.get("factor"), backoff.get("cap_ms")),
                *(deadline_ms, get("retention_ms"), len(args) + len(kwargs)),
            )
        )
        payloads.append((job, args, kwargs))
        history.append((job, 1, now_ms, "submitted", NOWHERE, state, 0, 0, None, None))
        book.transitions.append((job, NOWHERE, state))
        if state == SCHEDULED:
            due.append((at_ms, job))
        if deadline_ms is not None:
            deadlines.append((deadline_ms, job))
    for (queue, state), count in moves.items():
        check("submitted", NOWHERE, state)
        book.counts.moved(queue, "submitted", NOWHERE, state, count)
    book.write("job", jobs)
    book.write("job arguments", payloads)
    book.write("history", history)
    book.schedule(due)
    book.set_deadlines(deadlines)
    return {"jobs": [ids.to_text(job[0]) for job in jobs]}


def _no_room(book: Book, per_queue: dict[str, int]) -> Refusal | None:
    new_queues = [queue for queue in per_queue if not book.counts.knows(queue)]
    if book.counts.queues + len(new_queues) > MAX_QUEUES:
        message = f"there are {book.counts.queues:,} queues, and {MAX_QUEUES:,} may be: use one of them"
        return Refusal("full", message, {"queue": new_queues[0], "queues": MAX_QUEUES})
    for queue, count in per_queue.items():
        unfinished = book.counts.unfinished(queue)
        if unfinished + count > MAX_UNFINISHED:
            message = f"queue {queue!r} holds {unfinished:,} unfinished jobs of at most {MAX_UNFINISHED:,}"
            return Refusal("full", message, {"queue": queue, "unfinished": unfinished})
    return None
