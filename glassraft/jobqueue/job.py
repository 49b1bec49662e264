"""A job as its submitter holds it: its id, which can be asked and told things.

It is a text, so it can be printed, kept, sent as JSON and given to whatever takes a job's id. It knows
nothing of the job's state: each question is asked of the queue. Next: client.py, which answers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from glassraft.jobqueue.client import JobQueue

R_co = TypeVar("R_co", covariant=True)


class Progress(NamedTuple):
    """What a running job told of itself last: a part from 0 to 1, and a note."""

    fraction: float | None
    note: str


def progress_of(shown: Mapping[str, Any]) -> Progress | None:
    """The progress that Get shows of a job; None where it told of none."""
    if "fraction" not in shown and "note" not in shown:
        return None
    return Progress(shown.get("fraction"), shown.get("note", ""))


class JobId(str):
    """A job's id that knows its queue: what Job and async_client.AsyncJob have in common."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The job's id: short, and sortable by submission."""
        return str(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """What another process gets is the id: a queue's connections cannot be sent."""
        return str, (str(self),)


class Job(JobId, Generic[R_co]):
    """One job of a queue; `R_co` is what its task returns. Raises what JobQueue's methods raise."""

    __slots__ = ("_queue",)
    _queue: "JobQueue"

    @classmethod
    def of(cls, queue: "JobQueue", id: str) -> "Job[R_co]":
        """The job of this id. Nobody is asked whether there is one."""
        job: Job[R_co] = cls(id)
        job._queue = queue
        return job

    @property
    def state(self) -> str:
        """The job's state now: waiting, scheduled, ready, running, succeeded, dead or cancelled."""
        return str(self.refresh()["state"])

    @property
    def progress(self) -> Progress | None:
        """What it told of its progress last; None where it has not."""
        return progress_of(self.refresh())

    def refresh(self) -> dict[str, Any]:
        """All about it now, with its history, as JobQueue.get tells it."""
        return self._queue.get(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is finished, or for `timeout` seconds. Returns whether it is finished."""
        return bool(self._queue.wait([self], timeout))

    def result(self, timeout: float | None = None) -> R_co:
        """What it returned, once it has succeeded. Raises JobFailed, or NotFinished after `timeout` seconds."""
        value: R_co = self._queue.result(self, timeout)
        return value

    def cancel(self) -> str:
        """Cancel it: returns "cancelled", or "running" where it runs and was told to stop."""
        return self._queue.cancel(self)

    def retry(self, attempts: int = 0) -> str:
        """Run it again, where it is dead or cancelled, with so many attempts; 0: as many as at first."""
        return self._queue.retry(self, attempts)
