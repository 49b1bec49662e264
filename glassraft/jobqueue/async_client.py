"""The asyncio twin of client.py: the same names, to be awaited.

    async with AsyncJobQueue("config.json") as queue:
        job = await queue.submit(primes, 1, 100)
        print(await job.result())

Its calls are JobQueue's, on threads of their own: so there is one client, with one way to find the leader and
to try again. A wait is cut into short calls, so that one that is cancelled leaves no thread behind for long.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, overload

from glassraft.errors import NotFinished
from glassraft.jobqueue import ids
from glassraft.jobqueue.calls import Calls
from glassraft.jobqueue.client import JobQueue, Nodes, value_of
from glassraft.jobqueue.clock import Clock
from glassraft.jobqueue.job import JobId, Progress, progress_of
from glassraft.jobqueue.job_specs import JobSpec

if TYPE_CHECKING:
    from glassraft.jobqueue.tasks import Submittable

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

THREADS: Final = 32
"""So many calls are under way at a time; further ones wait for a thread."""

POLL_S: Final = 1.0
"""A call that waits is answered after this, so that others get its thread."""


class AsyncJob(JobId, Generic[R_co]):
    """One job, as jobqueue.job.Job: its id, which can be asked. `await job.state` is a call, too."""

    __slots__ = ("_queue",)
    _queue: "AsyncJobQueue"

    @classmethod
    def of(cls, queue: "AsyncJobQueue", id: str) -> "AsyncJob[R_co]":
        """The job of this id. Nobody is asked whether there is one."""
        job: AsyncJob[R_co] = cls(id)
        job._queue = queue
        return job

    @property
    async def state(self) -> str:
        """The job's state now."""
        return str((await self.refresh())["state"])

    @property
    async def progress(self) -> Progress | None:
        """What it told of its progress last."""
        return progress_of(await self.refresh())

    async def refresh(self) -> dict[str, Any]:
        """All about it now."""
        return await self._queue.get(self)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is finished, or for `timeout` seconds. Returns whether it is finished."""
        return bool(await self._queue.wait([self], timeout))

    async def result(self, timeout: float | None = None) -> R_co:
        """What it returned. Raises JobFailed, or NotFinished after `timeout` seconds."""
        value: R_co = await self._queue.result(self, timeout)
        return value

    async def cancel(self) -> str:
        """Cancel it."""
        return await self._queue.cancel(self)

    async def retry(self, attempts: int = 0) -> str:
        """Run it again, where it is dead or cancelled."""
        return await self._queue.retry(self, attempts)


class AsyncJobQueue:
    """A queue for programs with asyncio. Each method is JobQueue's of that name, and raises what that does."""

    def __init__(self, nodes: Nodes | Calls | JobQueue, **options: Any) -> None:
        """As JobQueue; or around a JobQueue that is there, which this leaves open when it is closed."""
        self._is_borrowed = isinstance(nodes, JobQueue)
        self.sync = nodes if isinstance(nodes, JobQueue) else JobQueue(nodes, **options)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="glassraft-async")

    @classmethod
    def embedded(
        cls, path: str | os.PathLike[str] | None = None, *, clock: Clock | None = None
    ) -> "AsyncJobQueue":
        """As JobQueue.embedded."""
        return cls._owning(JobQueue.embedded(path, clock=clock))

    @classmethod
    def inline(cls) -> "AsyncJobQueue":
        """As JobQueue.inline; jobs are run by the thread that submits them, and the event loop goes on."""
        return cls._owning(JobQueue.inline())

    @classmethod
    def _owning(cls, queue: JobQueue) -> "AsyncJobQueue":
        made = cls(queue)
        made._is_borrowed = False
        return made

    async def __aenter__(self) -> "AsyncJobQueue":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections. Calls under way fail."""
        if not self._is_borrowed:
            await asyncio.to_thread(self.sync.close)
        await asyncio.to_thread(self._threads.shutdown)

    # Submitting

    @overload
    async def submit(
        self, task: "Submittable[P, R]", /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncJob[R]: ...
    @overload
    async def submit(
        self, task: str, /, *args: Any, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncJob[Any]: ...
    async def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> AsyncJob[Any]:
        """Submit one job."""
        return self.job(await self._run(lambda: self.sync.submit(task, *args, **kwargs)))

    async def submit_many(self, jobs: Iterable[JobSpec]) -> list[AsyncJob[Any]]:
        """Submit many jobs."""
        return [self.job(job) for job in await self._run(lambda: self.sync.submit_many(jobs))]

    # Asking

    def job(self, id: str) -> AsyncJob[Any]:
        """The job of this id."""
        return AsyncJob.of(self, str(id))

    async def get(self, job: str, *, stale: bool = False) -> dict[str, Any]:
        """All about a job."""
        return await self._run(lambda: self.sync.get(job, stale=stale))

    async def list(self, *, stale: bool = False, **wanted: Any) -> dict[str, Any]:
        """A page of jobs."""
        return await self._run(lambda: self.sync.list(stale=stale, **wanted))

    async def stats(self, *, stale: bool = False) -> dict[str, Any]:
        """How many jobs there are by queue and state."""
        return await self._run(lambda: self.sync.stats(stale=stale))

    async def wait(self, jobs: Iterable[str], timeout_s: float | None = None) -> dict[str, dict[str, Any]]:
        """Wait until all these jobs are finished, or the time is over."""
        waiting = dict.fromkeys(ids.to_text(ids.from_text(job)) for job in jobs)
        finished: dict[str, dict[str, Any]] = {}
        async for outcomes in self._finished_of(waiting, timeout_s):
            finished |= {outcome["id"]: outcome for outcome in outcomes}
        return finished

    async def as_finished(
        self, jobs: Iterable[AsyncJob[R]], timeout: float | None = None
    ) -> AsyncIterator[AsyncJob[R]]:
        """The jobs, each as soon as it is finished."""
        known = {ids.to_text(ids.from_text(job)): job for job in jobs}
        waiting = dict.fromkeys(known)
        async for outcomes in self._finished_of(waiting, timeout):
            for outcome in outcomes:
                yield known[outcome["id"]]
        if waiting:
            raise NotFinished(f"{len(waiting)} jobs have not finished within {timeout:g} s; they go on")

    async def result(self, job: str, timeout_s: float | None = None) -> Any:
        """The result of a job."""
        return value_of(job, await self.wait([job], timeout_s), timeout_s)

    async def _finished_of(
        self, waiting: dict[str, None], timeout_s: float | None
    ) -> AsyncIterator[Sequence[dict[str, Any]]]:
        """What finishes of these until all are or the time is over; it is taken out of `waiting`."""
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        while waiting:
            left_s = max(0.0, deadline - time.monotonic())
            call = partial(self.sync.finished_of, list(waiting), min(left_s, POLL_S))
            outcomes = await self._run(call)
            for outcome in outcomes:
                del waiting[outcome["id"]]
            yield outcomes
            if left_s == 0.0 and not outcomes:
                return

    # By hand

    async def cancel(self, job: str) -> str:
        """Cancel a job."""
        return await self._run(lambda: self.sync.cancel(job))

    async def cancel_many(self, jobs: Iterable[str]) -> Sequence[dict[str, Any]]:
        """Cancel jobs."""
        return await self._run(lambda: self.sync.cancel_many(jobs))

    async def retry(self, job: str, attempts: int = 0, *, dependents: bool = True) -> str:
        """Run a dead or cancelled job again."""
        return await self._run(lambda: self.sync.retry(job, attempts, dependents=dependents))

    async def retry_many(
        self, jobs: Iterable[str], attempts: int = 0, *, dependents: bool = True
    ) -> Sequence[dict[str, Any]]:
        """Run dead or cancelled jobs again."""
        return await self._run(lambda: self.sync.retry_many(jobs, attempts, dependents=dependents))

    async def purge(self, job: str) -> None:
        """Remove a finished job."""
        await self._run(lambda: self.sync.purge(job))

    async def purge_many(self, jobs: Iterable[str]) -> Sequence[dict[str, Any]]:
        """Remove finished jobs."""
        return await self._run(lambda: self.sync.purge_many(jobs))

    async def update(self, job: str, **changes: Any) -> str:
        """Change a job that does not run yet."""
        return await self._run(lambda: self.sync.update(job, **changes))

    async def set_queue(self, queue: str, **settings: Any) -> dict[str, Any]:
        """Change a queue's settings."""
        return await self._run(lambda: self.sync.set_queue(queue, **settings))

    async def _run(self, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
