"""Changing a job that is waiting, scheduled or ready: its arguments, priority, time or queue.

Update asks for it (by_hand.py), and a submission that replaces the holder of its key (submitting.py).
"""

from dataclasses import dataclass
from typing import Final

from glassraft.jobqueue import keys
from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.schema import KIND_COMES_DUE
from glassraft.jobqueue.states import NOWHERE, READY, SCHEDULED, WAITING

SIZES: Final = "SELECT length(args), length(kwargs) FROM arguments WHERE job = ?"


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different; None leaves it as it is. `args` and `kwargs` are JSON texts."""

    args: str | None = None
    kwargs: str | None = None
    priority: int | None = None
    at_ms: int | None = None
    queue: str | None = None


def change(book: Book, job: Job, changes: Changes) -> str:
    """The job is as the changes say; returns the state it is in then. Its key, if any, is free in the new queue."""
    at_ms = job.at_ms if changes.at_ms is None else max(changes.at_ms, book.now_ms)
    after = job.state
    if job.state != WAITING:
        after = SCHEDULED if at_ms > book.now_ms else READY
    if changes.queue is not None and changes.queue != job.queue:
        book.counts.moved(job.queue, "updated", job.state, NOWHERE)
        book.counts.moved(changes.queue, "updated", NOWHERE, job.state)
        keys.move(book, job, changes.queue)
        job = job._replace(queue=changes.queue)
    [n] = book.move([job], "updated", after)
    if job.state == WAITING and changes.at_ms is not None:
        book.write("job waits until", [(job.id,)])
    book.write(
        "job changed", [(after, job.queue, changes.priority, at_ms, _new_size(book, job, changes), n, job.id)]
    )
    if changes.args is not None or changes.kwargs is not None:
        book.write("arguments changed", [(changes.args, changes.kwargs, job.id)])
    if job.state == SCHEDULED:
        book.write("due done", [(job.at_ms, KIND_COMES_DUE, job.id)])
        book.expect_less()
    if after == SCHEDULED:
        book.schedule([(at_ms, job.id)])
    return after


def _new_size(book: Book, job: Job, changes: Changes) -> int:
    args, kwargs = book.read(SIZES, (job.id,)).fetchone()
    new_args = args if changes.args is None else len(changes.args)
    return int(new_args + (kwargs if changes.kwargs is None else len(changes.kwargs)))
