"""A dead or cancelled job runs again: asked for by hand, or because the job it comes after does."""

from glassraft.jobqueue import dependencies, keys
from glassraft.jobqueue.book import Book, Job
from glassraft.jobqueue.running import too_late
from glassraft.jobqueue.states import READY, WAITING


def key_holder(book: Book, job: Job) -> int | None:
    """The other job that holds this job's key by now, so that it cannot run again."""
    held = None if job.key is None else keys.holder(book, job.queue, job.key)
    return None if held is None or held.job == job.id else held.job


def retry_job(book: Book, job: Job, attempts: int | None, *, dependents: bool) -> str:
    """The job is ready, or waits again for jobs that are not finished; returns its state.

    With `dependents`, jobs that were cancelled because of it follow. Nothing is done, and its
    state stays, where another job holds its key.
    """
    if key_holder(book, job) is not None:
        return job.state
    if job.key is not None:
        keys.hold(book, job.queue, job.key, job.id)
    waits_for = dependencies.wait_again(book, job) if job.linked else 0
    after = WAITING if waits_for else READY
    [n] = book.move([job], "retried", after)
    deadline_ms = None if too_late(book, job) else job.deadline_ms
    row = (after, book.now_ms, attempts, waits_for, int(dependents), deadline_ms, n, job.id)
    book.write("job retried", [row])
    if deadline_ms is not None:
        book.set_deadlines([(deadline_ms, job.id)])
    if dependents and job.linked:
        book.cascade(job.id)
    return after
