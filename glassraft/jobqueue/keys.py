"""Keys make a job unique in its queue: which job holds a key, and until when.

A key is held from submission until its job is finished and, where the job was submitted with
unique_for, that long has passed since. A row of its own holds it, so that pruning frees nothing early.
"""

from typing import Final, NamedTuple

from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.schema import KIND_KEY

HELD: Final = "SELECT job, free_ms FROM keys WHERE queue = ? AND key = ?"
HELD_BY: Final = "SELECT queue, key, free_ms FROM keys INDEXED BY keys_of_jobs WHERE job = ?"
UNIQUE_FOR: Final = "SELECT unique_for_ms FROM jobs WHERE id = ?"


class Holder(NamedTuple):
    """The job that holds a key. `free_ms`: when it is free again; None while the job is not finished."""

    job: int
    free_ms: int | None


def holder(book: Book, queue: str, key: str) -> Holder | None:
    """Who holds the key in this queue."""
    row = book.read(HELD, (queue, key)).fetchone()
    return None if row is None else Holder(*row)


def hold(book: Book, queue: str, key: str, job: int) -> None:
    """The job holds the key from now on; nobody else does."""
    known = holder(book, queue, key)
    if known is not None:
        _let_go(book, queue, key, known)
    book.write("key", [(queue, key, job, None)])


def move(book: Book, job: Job, queue: str) -> None:
    """The unfinished job goes to another queue, and its key with it."""
    if job.key is not None:
        book.write("key gone", [(job.queue, job.key)])
        book.write("key", [(queue, job.key, job.id, None)])


def job_finished(book: Book, job: Job) -> None:
    """Its key, if it has one, is free now, or in a while."""
    if job.key is None:
        return
    (unique_for_ms,) = book.read(UNIQUE_FOR, (job.id,)).fetchone()
    if not unique_for_ms:
        book.write("key gone", [(job.queue, job.key)])
        return
    free_ms = book.now_ms + unique_for_ms
    book.write("key free at", [(free_ms, job.queue, job.key)])
    book.write("due", [(free_ms, KIND_KEY, job.id)])
    book.expect(free_ms)


def come_free(book: Book, at_ms: int, job: int) -> None:
    """The time is over for which a finished job still held its key."""
    for queue, key, free_ms in book.read(HELD_BY, (job,)).fetchall():
        if free_ms == at_ms:
            book.write("key gone", [(queue, key)])


def _let_go(book: Book, queue: str, key: str, known: Holder) -> None:
    book.write("key gone", [(queue, key)])
    if known.free_ms is not None:
        book.write("due done", [(known.free_ms, KIND_KEY, known.job)])
        book.expect_less()
