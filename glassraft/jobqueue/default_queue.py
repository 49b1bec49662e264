"""Which queue `task.submit(...)` goes to: the one that the program named once, or a test for a while.

There is one for the whole process, over all threads. A worker's processes name their own, where the
modules of their tasks are imported. Without one, a submission is refused: nothing is guessed from files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from glassraft.errors import NoQueue

if TYPE_CHECKING:
    from glassraft.jobqueue.client import JobQueue

_queue: "JobQueue | None" = None


def configure(queue: "JobQueue | None") -> None:
    """From now on tasks are submitted to this queue; None: to none."""
    global _queue
    _queue = queue


@contextmanager
def using(queue: "JobQueue") -> "Iterator[JobQueue]":
    """While inside, tasks are submitted to this queue; then as before."""
    before = _queue
    configure(queue)
    try:
        yield queue
    finally:
        configure(before)


def default_queue() -> "JobQueue":
    """The queue that was named. Raises NoQueue."""
    if _queue is None:
        raise NoQueue(
            'no queue is named for tasks: glassraft.configure(JobQueue("config.json")) once, where the program'
            " begins; or name it here, as in queue.submit(task, ...)"
        )
    return _queue
