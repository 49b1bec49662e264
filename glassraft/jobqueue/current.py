"""What a task can learn of the job that it is run for.

    from glassraft.jobqueue.current import current_job

    @task
    def export(rows):
        for row in rows:
            if current_job().cancelled():
                return "stopped"

slot.py sets it before a task is called, in the process that runs it.
"""

from collections.abc import Mapping, Sequence
from ctypes import c_byte
from dataclasses import dataclass
from typing import Any

from glassraft.errors import GlassraftError


class NoJob(GlassraftError):
    """A function asked for its job, and was not called for one."""


@dataclass(frozen=True, slots=True)
class CurrentJob:
    """`attempt` counts from 1. An outside store can refuse a `token` below the last it saw of this job."""

    id: str
    attempt: int
    token: int

    def submit_on_success(
        self, task: str, *args: Any, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        """Submit a job together with this one's completion: exactly once, and only if it succeeds.

        `options` as for JobQueue.submit.
        """
        _on_success.append({"task": task, "args": args, "kwargs": kwargs, **options})

    def cancelled(self) -> bool:
        """Whether somebody wants it to stop. It may still return a result; after 30 s it is ended."""
        return bool(_told_to_stop.value)


_current: CurrentJob | None = None
_told_to_stop = c_byte(0)
_on_success: list[Mapping[str, Any]] = []


def current_job() -> CurrentJob:
    """The job that is being run. Raises NoJob outside of a worker."""
    if _current is None:
        raise NoJob("no job is being run here: this function was called, not submitted")
    return _current


def told_to_stop_by(memory: c_byte) -> None:
    """First in a worker's process: the worker writes 1 to this memory when the job is to stop."""
    global _told_to_stop
    _told_to_stop = memory


def begin(job: Mapping[str, Any]) -> None:
    """This process runs this job from now on."""
    global _current
    _current = CurrentJob(job["id"], job["attempt"], job["token"])
    _on_success.clear()


def jobs_on_success() -> Sequence[Mapping[str, Any]]:
    """What the job that was run last wants to be submitted."""
    return tuple(_on_success)
