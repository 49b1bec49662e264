"""Submit: all of a command's jobs come to be, or none and a refusal says why.

A job whose key is held already does what its `on_conflict` says. Next: running.py, what happens
to a job from then on; changing.py, how it is changed before it runs.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from glassraft.jobqueue import dependencies, ids, keys
from glassraft.jobqueue.book import Book, Refusal
from glassraft.jobqueue.changing import Changes, change
from glassraft.jobqueue.dependencies import Links
from glassraft.jobqueue.states import FINISHED, NOWHERE, READY, RUNNING, SCHEDULED, WAITING, check

DEFAULT_QUEUE: Final = "default"
DEFAULT_MAX_ATTEMPTS: Final = 10
"""With the default backoff about two and a half hours, so that people can mend what is broken."""
MAX_UNFINISHED: Final = 10_000_000
"""Unfinished jobs a queue may hold."""
MAX_QUEUES: Final = 10_000

Item: TypeAlias = dict[str, Any]

PLAIN: Final = frozenset(
    (
        "task",
        "args",
        "kwargs",
        "queue",
        "priority",
        "at_ms",
        "max_attempts",
        "timeout_ms",
        "lease_ms",
        "backoff",
    )
)
"""Nearly every job has none but these options: its row is written with fewer columns, in less time."""


def submit(book: Book, arguments: dict[str, Any]) -> dict[str, Any] | Refusal:
    """Answers {"jobs": [id, ...]}, in the order of the items.

    Where a key was held it is the holder's id, and "how" says of each item: new, existing or replaced.
    """
    return submit_items(book, arguments["jobs"])


def submit_items(book: Book, items: Sequence[Item], position: int = 0) -> dict[str, Any] | Refusal:
    """As `submit`; the first of the items gets the id of this position in the command."""
    first = ids.number(book.index, position)
    numbers = list(range(first, first + len(items)))
    if any("key" in item for item in items):
        refusal = _find_holders(book, items, numbers)
        if refusal is not None:
            return refusal
    refusal = dependencies.find_missing(book, items, numbers, first)
    if refusal is not None:
        return refusal
    new = [(job, item) for job, item in enumerate(items, start=first) if numbers[job - first] == job]
    refusal = no_room(book, (item.get("queue", DEFAULT_QUEUE) for _, item in new))
    if refusal is not None:
        return refusal
    _add(book, new, numbers, first)
    answer: dict[str, Any] = {"jobs": [ids.to_text(job) for job in numbers]}
    if len(new) < len(items):
        answer["how"] = _meet_holders(book, items, numbers, first)
    return answer


def _add(book: Book, new: Sequence[tuple[int, Item]], numbers: Sequence[int], first: int) -> None:
    now_ms = book.now_ms
    plain_jobs, jobs, payloads, history, due, deadlines, claims = [], [], [], [], [], [], []
    moves: dict[tuple[str, str], int] = {}
    links: list[Links] = []
    for job, item in new:
        get = item.get
        queue = get("queue", DEFAULT_QUEUE)
        at_ms = get("at_ms", 0) or now_ms + get("delay_ms", 0)
        state = SCHEDULED if at_ms > now_ms else READY
        waits_for = 0
        if "after" in item:
            links.append(dependencies.links(book, job, item, numbers, first))
            waits_for = links[-1].waits_for
            if waits_for:
                state = WAITING
                at_ms = get("at_ms", 0)
        backoff = get("backoff", {})
        deadline_ms = now_ms + item["start_within_ms"] if "start_within_ms" in item else get("deadline_ms")
        args, kwargs = get("args", "[]"), get("kwargs", "{}")
        moves[queue, state] = moves.get((queue, state), 0) + 1
        row = (
            *(job, state, queue, item["task"], get("priority", 0), now_ms, max(at_ms, now_ms)),
            *(get("max_attempts", DEFAULT_MAX_ATTEMPTS), get("timeout_ms"), get("lease_ms")),
            *(backoff.get("base_ms"), backoff.get("factor"), backoff.get("cap_ms"), len(args) + len(kwargs)),
        )
        if item.keys() <= PLAIN:
            plain_jobs.append(row)
        else:
            more = (get("key"), get("unique_for_ms"), waits_for, get("delay_ms"), int("after" in item))
            jobs.append((*row, deadline_ms, get("retention_ms"), *more, get("on_dependency")))
        payloads.append((job, args, kwargs))
        history.append((job, 1, now_ms, "submitted", NOWHERE, state, 0, 0, None, None))
        book.transitions.append((job, NOWHERE, state))
        if state == SCHEDULED:
            due.append((at_ms, job))
        if deadline_ms is not None:
            deadlines.append((deadline_ms, job))
        if "key" in item:
            claims.append((queue, item["key"], job, None))
    for (queue, state), count in moves.items():
        check("submitted", NOWHERE, state)
        book.counts.moved(queue, "submitted", NOWHERE, state, count)
    book.write("plain job", plain_jobs)
    book.write("job", jobs)
    book.write("job arguments", payloads)
    book.write("history", history)
    book.schedule(due)
    book.set_deadlines(deadlines)
    if links:
        dependencies.add(book, links)
    book.write("key", claims)


def _find_holders(book: Book, items: Sequence[Item], numbers: list[int]) -> Refusal | None:
    """Puts the holder's number in the place of each job whose key is held; in one command the first wins."""
    claimed: dict[tuple[str, str], int] = {}
    for position, item in enumerate(items):
        if "key" not in item:
            continue
        queue, key = item.get("queue", DEFAULT_QUEUE), item["key"]
        held = claimed.get((queue, key))
        if held is None:
            known = keys.holder(book, queue, key)
            held = None if known is None else known.job
        if held is None:
            held = numbers[position]
        elif item.get("on_conflict") == "refuse":
            holder = ids.to_text(held)
            message = f"item {position}: the key {key!r} of queue {queue!r} is held by job {holder}"
            return Refusal("key_held", message, {"item": position, "key": key, "holder": holder})
        claimed[queue, key] = numbers[position] = held
    return None


def _meet_holders(book: Book, items: Sequence[Item], numbers: Sequence[int], first: int) -> list[str]:
    """What became of each submission: new, existing or replaced."""
    how = []
    met = set()
    for position, (item, number) in enumerate(zip(items, numbers, strict=True)):
        if number == first + position:
            how.append("new")
        else:
            how.append("existing" if number in met else _replace(book, number, item))
        met.add(number)
    return how


def _replace(book: Book, holder: int, item: Item) -> str:
    """What became of a submission whose key an older job holds."""
    job = book.job(holder)
    if item.get("on_conflict") != "replace" or job is None or job.state in (RUNNING, *FINISHED):
        return "existing"
    at_ms = item.get("at_ms", 0) or book.now_ms + item.get("delay_ms", 0)
    args, kwargs = item.get("args", "[]"), item.get("kwargs", "{}")
    change(book, job, Changes(args, kwargs, item.get("priority", 0), at_ms))
    return "replaced"


def no_room(book: Book, queues: Iterable[str]) -> Refusal | None:
    """Why so many more unfinished jobs, each named by its queue, cannot be taken in; None if they can."""
    per_queue: dict[str, int] = {}
    for queue in queues:
        per_queue[queue] = per_queue.get(queue, 0) + 1
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
