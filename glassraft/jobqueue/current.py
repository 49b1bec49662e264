"""What a task can learn of the job that it is run for.

    from glassraft import current_job

    @task
    def export(rows):
        for row in rows:
            if current_job().cancelled():
                return "stopped"

slot.py sets it before a task is called, in the process that runs it; inline.py, which runs tasks in their
callers' threads, for one context.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ctypes import c_byte
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, overload

from glassraft.errors import NoJob
from glassraft.jobqueue.job_specs import spec_of

if TYPE_CHECKING:
    from glassraft.jobqueue.tasks import Submittable

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class CurrentJob:
    """`attempt` counts from 1. An outside store can refuse a `token` below the last it saw of this job."""

    id: str
    attempt: int
    token: int
    _on_success: list[Mapping[str, Any]] = field(default_factory=list, repr=False)

    @overload
    def submit_on_success(
        self, task: "Submittable[P, Any]", /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def submit_on_success(
        self, task: str, /, *args: Any, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> None: ...
    def submit_on_success(self, task: Any, /, *args: Any, **kwargs: Any) -> None:
        """Submit a job together with this one's completion: exactly once, and only if it succeeds.

        What it takes is what JobQueue.submit takes.
        """
        self._on_success.append(spec_of(task, args, kwargs))

    def cancelled(self) -> bool:
        """Whether somebody wants it to stop. It may still return a result; after 30 s it is ended."""
        return bool(_told_to_stop.value)


_of_process: CurrentJob | None = None
_of_context: ContextVar[CurrentJob | None] = ContextVar("current job", default=None)
_told_to_stop = c_byte(0)


def current_job() -> CurrentJob:
    """The job that is being run. Raises NoJob outside of a worker."""
    current = _of_context.get() or _of_process  # a task's own threads ask for that of their process
    if current is None:
        raise NoJob("no job is being run here: this function was called, not submitted")
    return current


def told_to_stop_by(memory: c_byte) -> None:
    """First in a worker's process: the worker writes 1 to this memory when the job is to stop."""
    global _told_to_stop
    _told_to_stop = memory


def begin(job: Mapping[str, Any]) -> None:
    """This process runs this job from now on."""
    global _of_process
    _of_process = CurrentJob(job["id"], job["attempt"], job["token"])


@contextmanager
def running(job: Mapping[str, Any]) -> Iterator[None]:
    """What is called inside, in this thread, is called for this job."""
    before = _of_context.set(CurrentJob(job["id"], job["attempt"], job["token"]))
    try:
        yield
    finally:
        _of_context.reset(before)


def jobs_on_success() -> Sequence[Mapping[str, Any]]:
    """What the job that was run last wants to be submitted."""
    return tuple(current_job()._on_success)
