"""Jobs that are run here: by whoever submits them (JobQueue.inline), or by a test (testing.drain).

The queue is a real one: a job is taken under a lease, its task called in this thread, and reported, as a
worker does. So states, histories, keys, limits and what comes after what are the same; processes, time limits
and cancelling what runs are not. Next: tasks.py, whose `call` runs a task.
"""

from collections.abc import Sequence
from typing import Any, Final

from glassraft.jobqueue import current, tasks
from glassraft.jobqueue.calls import Calls
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.client import JobQueue
from glassraft.jobqueue.clock import ManualClock
from glassraft.jobqueue.fields import HOUR_MS, SECOND_MS
from glassraft.jobqueue.states import READY, SCHEDULED
from glassraft.jobqueue.tasks import Done

WORKER: Final = "in this thread"
LEASE_S: Final = HOUR_MS / SECOND_MS
"""Nobody extends it: the longest there is."""


def run_ready(queue: JobQueue) -> Sequence[str]:
    """Runs all jobs that are ready, in every queue, and those that become ready meanwhile. Returns their ids."""
    ran = []
    while (job := _take_one(queue)) is not None:
        with current.running(job):
            done = tasks.call(job["task"], job["args"], job["kwargs"])
            if done.ok:
                queue.complete(job["id"], job["token"], parse(done.result), current.jobs_on_success())
            else:
                report_unfinished(queue, job, done)
        ran.append(job["id"])
    return ran


def _take_one(queue: JobQueue) -> dict[str, Any] | None:
    names = [name for name, counts in queue.stats()["queues"].items() if counts.get(READY)]
    taken = queue.take(WORKER, names, 1, lease=LEASE_S) if names else ()
    return taken[0] if taken else None


def report_unfinished(queue: JobQueue, job: dict[str, Any], done: Done) -> None:
    """Tells the queue of an attempt that ended without a result."""
    if done.snooze_s is not None:
        queue.release(job["id"], job["token"], done.snooze_s, done.error)
    elif done.cancel:
        queue.cancel_attempt(job["id"], job["token"], done.error)
    else:
        queue.fail(job["id"], job["token"], done.error, done.traceback, retry=done.retry)


def next_scheduled_ms(queue: JobQueue) -> int | None:
    """When the first of the jobs whose time has not come is due; None where there is none."""
    earliest: int | None = None
    after = ""
    while True:
        page = queue.list(state=SCHEDULED, limit=1_000, after=after)
        for job in page["jobs"]:
            earliest = job["at_ms"] if earliest is None else min(earliest, job["at_ms"])
        after = page["next"]
        if not after:
            return earliest


class InlineJobQueue(JobQueue):
    """A queue in this process; after each command that is given here, what can be run is run, in the caller.

    After its answer, and not within the call: what a job submits itself is under the same session.
    """

    def __init__(self, calls: Calls, clock: ManualClock) -> None:
        """`clock` is the time of what `calls` go to."""
        super().__init__(calls)
        self._plain = JobQueue(calls)
        self._clock = clock

    def _in_session(self, method: str, *params: Any, wait_s: float = 0.0) -> dict[str, Any]:
        answer = super()._in_session(method, *params, wait_s=wait_s)
        self._run_all()
        return answer

    def _run_all(self) -> None:
        while True:
            run_ready(self._plain)
            next_ms = next_scheduled_ms(self._plain)
            if next_ms is None:
                return
            self._clock.move(max(0, next_ms - self._clock.now_ms()) / SECOND_MS)
