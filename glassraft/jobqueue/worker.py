"""A worker: takes jobs, runs each in a process of its own, keeps their leases alive, and reports.

It never holds more jobs than it has free slots, and rides out outages and changes of leader: what
it runs goes on, and is reported when that is possible again. Threads: one takes, one extends
leases, and one a slot runs jobs and reports them. slot.py is the process in which a job runs,
tasks.py what it calls; jobs.py at the top is a program around this.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from glassraft.errors import BadArgument, GlassraftError
from glassraft.jobqueue import tasks
from glassraft.jobqueue.canonical import parse
from glassraft.jobqueue.fields import check_name
from glassraft.jobqueue.job_specs import JobSpec
from glassraft.jobqueue.slot import CannotStart, ProcessDied, Slot, TimedOut
from glassraft.jobqueue.tasks import Done, Task
from glassraft.rpc.faults import Fault

LOG: Final = logging.getLogger("glassraft.worker")

LEASE_S: Final = 30.0
GRACE_S: Final = 25.0
"""How long a stopping worker lets jobs finish: under the 30 s that Kubernetes gives a process."""
TAKE_WAIT_S: Final = 2.0
"""How long a Take waits for a job: a worker that stops has to wait for its last one."""
FIRST_EXTEND_S: Final = 1.0
"""A job that still runs after this tells that it was started."""
RETRY_FIRST_S: Final = 0.2
RETRY_LONGEST_S: Final = 5.0
GIVE_BACK_S: Final = 2.0
"""How long a worker that ends tries to give back what it holds."""
DELAY_LONGEST_S: Final = 300.0

_LOST: Final = ("stale_token", "wrong_state", "not_found")
"""Faults that say the job is no longer this worker's."""
_REFUSED: Final = ("bad_argument", "too_large", "full", "key_held", "not_found")
"""Faults that asking again will not mend; not_found where it is a job to come after that is gone."""


class Queue(Protocol):
    """What a worker needs of client.JobQueue. Any of its threads may call."""

    def take(
        self, worker: str, queues: Sequence[str], count: int, *, lease: float, wait: float
    ) -> Sequence[dict[str, Any]]:
        """Leases up to `count` jobs, waiting up to `wait` seconds for the first."""

    def extend(self, worker: str, items: Iterable[Sequence[Any]], *, lease: float) -> Any:
        """Keeps leases alive; an answer for each, with "ok", and "cancel_requested" where it is to stop."""

    def complete(self, job: str, token: int, result: Any, submit: Iterable[JobSpec]) -> str:
        """The attempt succeeded, and these jobs come to be with it."""

    def fail(self, job: str, token: int, error: str, traceback: str, *, retry: bool) -> str:
        """The attempt failed; `retry`: another may end otherwise."""

    def release(self, job: str, token: int, delay: float, reason: str) -> str:
        """Gives the job back."""

    def cancel_attempt(self, job: str, token: int, reason: str) -> str:
        """The job's own task wants it cancelled."""


@dataclass(eq=False, slots=True)
class Attempt:
    """One job in one slot. `ended_because` says why its process was ended from outside, if it was."""

    job: Mapping[str, Any]
    slot: Slot
    extend_at: float
    is_over: bool = False
    ended_because: str = ""

    def end(self, why: str) -> None:
        """Ends the job's process, unless the job is over already."""
        if not self.is_over and not self.ended_because:
            self.ended_because = why
            self.slot.kill()


_LEASE_LOST: Final = "its lease is lost"
_WORKER_STOPS: Final = "the worker stops"


class Worker:
    """Runs the jobs of some queues until it is told to stop."""

    def __init__(
        self,
        queue: Queue,
        known: Mapping[str, Task[..., Any]] = tasks.TASKS,
        *,
        queues: Sequence[str] = ("default",),
        slots: int = 0,
        name: str = "",
        lease_s: float = LEASE_S,
    ) -> None:
        """`slots`: how many jobs at a time; 0 for one a processor. `name`: unique; made up if not given."""
        if slots < 0:
            raise BadArgument(f"a worker's slots must be 0 (one a processor) or more, not {slots}")
        self.name = check_name(name or f"{socket.gethostname()}-{os.getpid()}", "a worker's name")
        self.queues = [check_name(each, "queue") for each in queues]
        self.slots = slots or os.cpu_count() or 1
        self._queue = queue
        self._known = known
        self._lease_s = lease_s
        self._changed = threading.Condition()
        self._accepted: list[Mapping[str, Any]] = []
        self._attempts: set[Attempt] = set()
        self._stopping = threading.Event()
        self._stopping_now = threading.Event()
        self._ended = threading.Event()
        self._bug: BaseException | None = None

    # From other threads, and from signal handlers

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Take no more; `run` returns when what runs is done, or its grace is over."""
        self._stopping.set()

    def stop_now(self) -> None:
        """Take no more, end what runs, and give it back: those attempts do not count."""
        self._stopping_now.set()
        self._stopping.set()

    # The worker's life

    def run(self, grace_s: float = GRACE_S) -> None:
        """Work until told to stop, then let jobs finish for `grace_s` seconds and give back the rest."""
        serving = [self._thread(f"slot-{n}", self._serve) for n in range(1, self.slots + 1)]
        taking = self._thread("take", self._take)
        self._thread("extend", self._extend)
        while not self._stopping.wait(0.5):  # on Windows, a wait without an end would not see signals
            pass
        self._until(lambda: self._stopping_now.is_set() or not self._busy(), grace_s)
        self._stopping_now.set()
        with self._changed:
            for attempt in self._attempts:
                attempt.end(_WORKER_STOPS)
        self._until(lambda: not self._busy(), GIVE_BACK_S)
        taking.join(TAKE_WAIT_S + 1.0)  # its last Take may get jobs, even those just given back
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        for thread in serving:
            thread.join(1.0)
        if self._bug is not None:
            raise self._bug

    def _thread(self, name: str, target: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                target()
            except BaseException as error:  # a worker that only seems to work would be worse than none
                self._bug = self._bug or error
                self.stop_now()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _busy(self) -> bool:
        with self._changed:
            return bool(self._attempts or self._accepted)

    # Taking

    def _take(self) -> None:
        retry = _Retry("cannot take jobs", self._stopping)
        while not self._stopping.is_set():
            free = self._free_slots()
            if not free:
                continue
            try:
                jobs = self._queue.take(self.name, self.queues, free, lease=self._lease_s, wait=TAKE_WAIT_S)
            except GlassraftError as error:
                retry.wait(error)
                continue
            retry.succeeded()
            for job in jobs:
                self._accept(job)

    def _free_slots(self) -> int:
        """How many jobs may be taken now; waits a while where there are none."""
        with self._changed:
            self._changed.wait_for(lambda: self._held() < self.slots, 0.5)
            return self.slots - self._held()

    def _held(self) -> int:
        return len(self._attempts) + len(self._accepted)

    def _accept(self, job: Mapping[str, Any]) -> None:
        if self._stopping.is_set():
            self._report(job, "release", 0.0, "")
        elif job["task"] not in self._known:
            self._put_off(job, f"worker {self.name} knows no task {job['task']!r}")
        else:
            with self._changed:
                self._accepted.append(job)
                self._changed.notify_all()

    def _put_off(self, job: Mapping[str, Any], why: str) -> None:
        """Gives a job back that cannot be run here, for longer each time."""
        delay_s = min(2.0 ** min(job.get("releases", 0), 20), DELAY_LONGEST_S)
        LOG.warning("%s %s is given back, for %g s at least: %s", job["id"], job["task"], delay_s, why)
        self._report(job, "release", delay_s, why)

    # Running: one thread a slot

    def _serve(self) -> None:
        slot = Slot(tasks.modules_of(self._known.values()))
        with suppress(CannotStart):  # the first job will say why
            slot.start()
        while (attempt := self._next_attempt(slot)) is not None:
            try:
                self._run(attempt)
            finally:
                with self._changed:
                    self._attempts.discard(attempt)
                    self._changed.notify_all()
        slot.close()

    def _next_attempt(self, slot: Slot) -> Attempt | None:
        with self._changed:
            self._changed.wait_for(lambda: self._accepted or self._ended.is_set())
            if self._ended.is_set():
                return None
            first_extend_at = time.monotonic() + min(FIRST_EXTEND_S, self._lease_s / 3)
            attempt = Attempt(self._accepted.pop(0), slot, first_extend_at)
            self._attempts.add(attempt)
            if self._stopping_now.is_set():
                attempt.end(_WORKER_STOPS)
            return attempt

    def _run(self, attempt: Attempt) -> None:
        job, slot = attempt.job, attempt.slot
        began = time.monotonic()
        try:
            slot.start()
            # Whoever ends the attempt from now on finds a process to end; who did before, found none.
            if attempt.ended_because:
                done = Done(False)
            else:
                LOG.info("%s %s begins (attempt %d)", job["id"], job["task"], job["attempt"])
                done = slot.run(job)
        except CannotStart as error:
            return self._put_off(job, str(error))
        except (ProcessDied, TimedOut) as error:
            done = Done(False, error=str(error))
        with self._changed:
            attempt.is_over = True
            slot.tell(to_stop=False)
        if attempt.ended_because:
            slot.close()  # its process was ended, perhaps just after the job
        self._finish(attempt, done, time.monotonic() - began)
        return None

    def _finish(self, attempt: Attempt, done: Done, took_s: float) -> None:
        job = attempt.job
        if done.ok:
            if self._report(job, "complete", parse(done.result), done.submit):
                LOG.info("%s %s succeeded in %.2f s", job["id"], job["task"], took_s)
        elif attempt.ended_because == _WORKER_STOPS:
            if self._report(job, "release", 0.0, _WORKER_STOPS):
                LOG.info("%s %s is given back: %s", job["id"], job["task"], _WORKER_STOPS)
        elif attempt.ended_because == _LEASE_LOST:
            LOG.warning("%s %s was ended after %.2f s: %s", job["id"], job["task"], took_s, _LEASE_LOST)
        elif done.snooze_s is not None:
            if self._report(job, "release", done.snooze_s, done.error):
                LOG.info("%s %s runs again in %g s: %s", job["id"], job["task"], done.snooze_s, done.error)
        elif done.cancel:
            if self._report(job, "cancel_attempt", done.error):
                LOG.info("%s %s is cancelled by its task: %s", job["id"], job["task"], done.error)
        elif self._report(job, "fail", done.error, done.traceback, retry=done.retry):
            LOG.info("%s %s failed after %.2f s: %s", job["id"], job["task"], took_s, done.error)

    # Reporting

    def _report(self, job: Mapping[str, Any], method: str, *what: Any, **more: Any) -> bool:
        """Tells the queue, as often as it takes; False when the job is no longer this worker's.

        A repeated report gets the first one's answer, so asking again is safe.
        """
        retry = _Retry(f"cannot report job {job['id']} yet", self._stopping_now)
        while True:
            try:
                getattr(self._queue, method)(job["id"], job["token"], *what, **more)
            except GlassraftError as error:
                name = error.name if isinstance(error, Fault) else ""
                if _says_lost(error):
                    LOG.warning("%s %s came too late: %s", job["id"], job["task"], error)
                    return False
                if name in _REFUSED or isinstance(error, BadArgument):
                    LOG.error("%s %s: %s was refused: %s", job["id"], job["task"], method, error)
                    refused = (f"{method} was refused: {error}", "")
                    return method == "complete" and self._report(job, "fail", *refused, retry=True)
                if self._ended.is_set():
                    return False
                retry.wait(error)
            else:
                retry.succeeded()
                return True

    # Keeping leases

    def _extend(self) -> None:
        retry = _Retry("cannot extend leases", self._ended)
        while not self._ended.wait(0.1):
            now = time.monotonic()
            with self._changed:
                due = [each for each in self._attempts if now >= each.extend_at and not each.is_over]
            if not due:
                continue
            items = [(each.job["id"], each.job["token"]) for each in due]
            try:
                answers = self._queue.extend(self.name, items, lease=self._lease_s)
            except GlassraftError as error:
                retry.wait(error)
                continue
            retry.succeeded()
            with self._changed:
                for attempt, answer in zip(due, answers, strict=True):
                    attempt.extend_at = now + self._lease_s / 3
                    if not answer["ok"]:
                        attempt.end(_LEASE_LOST)
                    elif "cancel_requested" in answer and not attempt.is_over:
                        attempt.slot.tell(to_stop=True)  # it may look; its lease ends soon if it does not


def _says_lost(error: GlassraftError) -> bool:
    """Whether the job is no longer this worker's.

    A not_found that knows the job's state found the job, and not what its completion hands on to.
    """
    if not isinstance(error, Fault) or error.name not in _LOST:
        return False
    return error.name != "not_found" or not error.detail.get("state")


class _Retry:
    """Waits longer and longer between tries, and says once what is wrong and once that it is over."""

    def __init__(self, trouble: str, hurry: threading.Event) -> None:
        self._trouble = trouble
        self._hurry = hurry
        self._delay_s = RETRY_FIRST_S
        self._failed = False

    def wait(self, error: GlassraftError) -> None:
        """It failed: wait before the next try, but not for long once somebody is in a hurry."""
        if not self._failed:
            LOG.warning("%s, trying again: %s", self._trouble, error)
        self._failed = True
        if self._hurry.wait(self._delay_s):
            time.sleep(RETRY_FIRST_S)
        self._delay_s = min(self._delay_s * 2, RETRY_LONGEST_S)

    def succeeded(self) -> None:
        """It worked."""
        if self._failed:
            LOG.info("the cluster answers again")
        self._failed = False
        self._delay_s = RETRY_FIRST_S


def stop_on_signals(worker: Worker) -> None:
    """The first SIGTERM or Ctrl-C lets jobs finish, the second gives them back at once."""

    def on_signal(number: int, frame: object) -> None:
        # On a thread of its own: the signal may have come while the main thread held the very lock.
        stop = worker.stop_now if worker.is_stopping else worker.stop
        threading.Thread(target=stop, daemon=True).start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def stop_with_parent(worker: Worker) -> None:
    """Stop at once when standard input, a pipe from the program that started this one, has ended."""

    def read_to_the_end() -> None:
        with suppress(OSError, ValueError):
            while os.read(0, 4_096):
                pass
        worker.stop_now()

    threading.Thread(target=read_to_the_end, name="parent", daemon=True).start()
