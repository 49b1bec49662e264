"""For tests of programs that submit jobs: what was submitted, running it in the test, and a clock to move.

    def test_a_new_user_is_welcomed(job_queue, job_clock):      # of glassraft.pytest_plugin
        sign_up("ada@example.org")
        assert_submitted(send_welcome, "ada@example.org")
        job_clock.move(3600)
        drain(job_queue)

`JobQueue.embedded(clock=ManualClock())` is such a queue. drain and assert_submitted take any queue, a cluster's too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.client import JobQueue
from glassraft.jobqueue.clock import ManualClock
from glassraft.jobqueue.default_queue import default_queue
from glassraft.jobqueue.inline import run_ready
from glassraft.jobqueue.job import Job
from glassraft.jobqueue.tasks import Submittable

__all__ = ["ManualClock", "assert_submitted", "drain", "submitted"]


def drain(queue: JobQueue | None = None) -> Sequence[Job[Any]]:
    """Runs all jobs that are ready, and those that become ready meanwhile, in this thread. Returns what it ran.

    Of the queue that was configured, where none is given. A job that comes due later is not waited for: move the clock.
    A task that raises fails its job, as in a worker, and nothing here.
    """
    drained = queue or default_queue()
    return [drained.job(job) for job in run_ready(drained)]


def submitted(
    task: Submittable[Any, Any] | str, queue: JobQueue | None = None
) -> Iterator[tuple[Job[Any], Mapping[str, Any]]]:
    """Every job of this task that there is, the newest first, with all about it as JobQueue.get tells it."""
    asked = queue or default_queue()
    name = task if isinstance(task, str) else task.name
    after = ""
    while True:
        page = asked.list(task=name, after=after)
        for shown in page["jobs"]:
            job = asked.job(shown["id"])
            yield job, job.refresh()
        after = page["next"]
        if not after:
            return


def assert_submitted(task: Submittable[Any, Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
    """Asserts that a job of this task is in the configured queue, whatever became of it. Returns the newest.

    With arguments, it must have been submitted with those, however they were spelt. Options count as
    well: assert_submitted(task.options(queue="mail"), ...) looks for that queue, priority, key or number of attempts.
    """
    wanted = _arguments(task, args, kwargs) if args or kwargs else None
    seen = []
    for job, shown in submitted(task):
        found = _arguments(task, shown["args"], shown["kwargs"])
        if wanted in (None, found) and all(
            shown.get(option) == task.job_options[option]
            for option in _COMPARED
            if option in task.job_options
        ):
            return job
        seen.append(f"{shown['queue']}: {task.name}({', '.join(_spelt(shown))})")
    there = "; there are " + ", ".join(seen[:10]) if seen else "; there is none"
    raise AssertionError(f"no job was submitted of {task.name} as expected{there}")


_COMPARED = ("queue", "priority", "max_attempts", "key")


def _arguments(task: Submittable[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What each parameter gets, as JSON keeps it: there a tuple is a list."""
    return canonical(task.arguments(args, kwargs))


def _spelt(shown: Mapping[str, Any]) -> Sequence[str]:
    return [*map(repr, shown["args"]), *(f"{name}={value!r}" for name, value in shown["kwargs"].items())]
