"""The user's side of the queue: submit jobs, ask for them, wait for them, and what workers tell.

Every submission carries a session and a number (diss. §6.3), so that trying again after a lost
answer never submits twice; leader changes are waited out. Times are seconds here, milliseconds
on the wire. Numbers are numbered_calls.py's, finding the leader rpc/leader.py's; what a command
may hold, commands.py's. Next: worker.py, which runs what is submitted here.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias, TypeVar, overload

from glassraft.config import DEFAULT_PATH, load
from glassraft.errors import (
    BadArgument,
    GlassraftError,
    JobFailed,
    NoCluster,
    NoQuorum,
    NotFinished,
    OutcomeUnknown,
    PartlySubmitted,
)
from glassraft.jobqueue import ids
from glassraft.jobqueue.calls import Calls
from glassraft.jobqueue.canonical import canonical
from glassraft.jobqueue.client_schedules import Schedules
from glassraft.jobqueue.client_session import SESSION_TTL_S
from glassraft.jobqueue.clock import Clock, ManualClock
from glassraft.jobqueue.fields import LIMITS
from glassraft.jobqueue.job import Job
from glassraft.jobqueue.job_specs import (
    JobSpec,
    as_mapping,
    as_wire,
    has_positions,
    in_ms,
    job_text,
    spec_of,
    split,
)
from glassraft.jobqueue.numbered_calls import NumberedCalls
from glassraft.jobqueue.states import SUCCEEDED
from glassraft.rpc.codec import carriable
from glassraft.rpc.faults import Fault
from glassraft.rpc.leader import LeaderCalls

if TYPE_CHECKING:
    from glassraft.jobqueue.tasks import Submittable

__all__ = [
    "JobFailed",
    "JobQueue",
    "NoCluster",
    "NoQuorum",
    "NotFinished",
    "OutcomeUnknown",
    "PartlySubmitted",
]

TIMEOUT_S: Final = 15.0
LONGEST_POLL_S: Final = 20.0
"""Wait asks again after so long at most, so that a leader that vanished is noticed."""

SHORT_POLL_S: Final = 1.0
WAIT_AT_ONCE: Final = 100
"""How many jobs one call waits for: their results have to fit into one answer."""

Nodes: TypeAlias = Sequence[tuple[str, int]] | str | os.PathLike[str]

P = ParamSpec("P")
R = TypeVar("R")


class JobQueue:
    """A queue, for any number of threads: a cluster's, where each has connections of its own, or one in this process.

    What can go wrong is a GlassraftError: BadArgument and Fault (refused), NoQuorum and NoCluster
    (surely nothing was done), OutcomeUnknown (it may be done; it is never tried again by itself).
    """

    def __init__(
        self, nodes: Nodes | Calls, *, timeout_s: float = TIMEOUT_S, session_ttl_s: int = SESSION_TTL_S
    ) -> None:
        """`nodes` are (host, port) pairs, or the path of the cluster's config.json; or whatever takes calls.

        `timeout_s` is how long a call looks for a leader and an answer before it fails. Sessions
        unused for `session_ttl_s` (60 s to a day) are forgotten by the nodes, and begun anew.
        """
        if not 60 <= session_ttl_s <= 86_400:
            raise BadArgument(f"session_ttl_s must be from 60 to 86400, not {session_ttl_s}")
        self._calls = _calls_to(nodes, timeout_s)
        self._numbered = NumberedCalls(self._calls, session_ttl_s)
        self.schedules = Schedules(self._in_session, self._read)
        """What submits jobs again and again."""

    @classmethod
    def from_config(cls, path: str | os.PathLike[str] = DEFAULT_PATH, **options: Any) -> "JobQueue":
        """The queue of the cluster that a config.json describes; `options` as for JobQueue."""
        return cls(path, **options)

    @classmethod
    def embedded(
        cls, path: str | os.PathLike[str] | None = None, *, clock: Clock | None = None
    ) -> "JobQueue":
        """A queue in this process, without servers: the same machine on one SQLite file, synced with each command.

        One process at a time may have the file open; workers are started in it. Without a path
        the queue ends with `close`. `clock`: for tests. Raises StorageError where the file cannot be used.
        """
        from glassraft.embedded.calls import (
            EmbeddedCalls,
        )  # servers' code, which a cluster's client needs not

        return cls(EmbeddedCalls(path, clock))

    @classmethod
    def inline(cls) -> "JobQueue":
        """A queue for unit tests, whose jobs are run at once by whoever submits them, in the same thread.

        Its time is what its jobs need: delays and backoffs are over at once. It is gone with `close`.
        """
        from glassraft.embedded.calls import EmbeddedCalls
        from glassraft.jobqueue.inline import InlineJobQueue

        clock = ManualClock()
        return InlineJobQueue(EmbeddedCalls(None, clock), clock)

    def __enter__(self) -> "JobQueue":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all threads' connections. Calls under way fail."""
        self._calls.close()

    # Submitting

    @overload
    def submit(self, task: "Submittable[P, R]", /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def submit(
        self, task: str, /, *args: Any, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Job[Any]: ...
    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Submit one job: when this returns it is durable on a majority of the nodes, exactly once.

        A task takes its own arguments, and its options from `task.options(...)`. A task of another program
        is named: submit("name", 1, kwargs={"by": 2}, delay=60). What is given by name then are

        options: queue, priority, delay (seconds) or at (seconds since the epoch), timeout (seconds
        an attempt may run), max_attempts, backoff ({"base": s, "factor": x, "cap": s}), lease (s),
        deadline (since the epoch) or start_within (s): no attempt starts later, retention (s, once finished),
        key (unique in its queue), on_conflict ("return" the job that holds the key, "replace" it, "refuse"),
        unique_for (s that a finished job still holds its key), after (ids of jobs that must succeed first; in
        submit_many also positions of earlier ones), on_dependency ("cancel" where one does not, or "run" still).
        """
        spec = spec_of(task, args, kwargs)
        return self.job(self._in_session("Submit", job_text(spec))["job"])

    def submit_many(self, jobs: Iterable[JobSpec]) -> list[Job[Any]]:
        """Submit many jobs and return them in order.

        A job is `task.spec(...)`, or a dict of task, args, kwargs and submit's options, or (task, args),
        or (task, args, kwargs). They are split into commands of at most 1,000 jobs and 4 MiB; each command is all
        or none. Raises PartlySubmitted where a later command fails than the first.
        """
        listed = [as_mapping(job) for job in jobs]
        texts = [job_text(job) for job in listed]
        submitted: list[Job[Any]] = []
        commands = list(split(texts))
        if len(commands) > 1 and any(has_positions(job) for job in listed):
            raise BadArgument("jobs that come after one another by position must fit into one command")
        for command in commands:
            try:
                answer = self._in_session("SubmitMany", "[" + ",".join(command) + "]")
            except GlassraftError as error:
                if submitted:
                    raise PartlySubmitted(submitted, len(texts), error) from error
                raise
            submitted += [self.job(job) for job in json.loads(answer["jobs"])]
        return submitted

    # Asking

    def job(self, id: str) -> Job[Any]:
        """The job of this id, to be asked; nobody is asked yet whether there is one."""
        return Job.of(self, id)

    def get(self, job: str, *, stale: bool = False) -> dict[str, Any]:
        """All about a job, with its history. Fault not_found where there is none.

        `stale` takes any node's word, also without a quorum; so for list and stats.
        """
        found: dict[str, Any] = json.loads(self._read("Get", str(job), stale)["job"])
        return found

    def list(self, *, stale: bool = False, **wanted: Any) -> dict[str, Any]:
        """A page of jobs, newest first: {"jobs": [...], "next": ""}; a non-empty `next` is the next `after`.

        `wanted`: state, queue, task, limit (100), after.
        """
        answer = self._read("List", canonical(wanted), stale)
        return {"jobs": json.loads(answer["jobs"]), "next": answer["next"]}

    def stats(self, *, stale: bool = False) -> dict[str, Any]:
        """How many jobs there are by queue and state, and totals."""
        found: dict[str, Any] = json.loads(self._read("Stats", stale)["stats"])
        return found

    def wait(self, jobs: Iterable[str], timeout_s: float | None = None) -> dict[str, dict[str, Any]]:
        """Wait until all these jobs are finished, or the time is over (None: for ever).

        Returns those that are finished, by id: {"id", "state"} and "result" or "error". Leader
        changes are waited out.
        """
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        waiting = dict.fromkeys(ids.to_text(ids.from_text(job)) for job in jobs)
        finished: dict[str, dict[str, Any]] = {}
        is_over = False
        while waiting and not is_over:
            left_s = max(0.0, deadline - time.monotonic())
            is_over = left_s == 0.0
            asked = tuple(waiting)
            wait_s = min(left_s, LONGEST_POLL_S if len(asked) <= WAIT_AT_ONCE else SHORT_POLL_S)
            for start in range(0, len(asked), WAIT_AT_ONCE):
                for outcome in self._finished_of(asked[start : start + WAIT_AT_ONCE], wait_s):
                    finished[outcome["id"]] = outcome
                    del waiting[outcome["id"]]
        return finished

    def as_finished(self, jobs: Iterable[Job[R]], timeout: float | None = None) -> Iterator[Job[R]]:
        """The jobs, each as soon as it is finished. Raises NotFinished when `timeout` seconds are over first."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        waiting: dict[str, Job[R]] = {ids.to_text(ids.from_text(job)): job for job in jobs}
        while waiting:
            left_s = max(0.0, deadline - time.monotonic())
            for finished in self.finished_of(list(waiting), left_s):
                yield waiting.pop(finished["id"])
            if waiting and left_s == 0.0:
                raise NotFinished(f"{len(waiting)} jobs have not finished within {timeout:g} s; they go on")

    def finished_of(self, jobs: Sequence[str], timeout_s: float) -> Sequence[dict[str, Any]]:
        """Those of the jobs that are finished, as `wait` has them: at once if any is, else as soon as one is.

        Of many, a hundred are looked at in one call. Returns none where none is finished within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            parts = [jobs[start : start + WAIT_AT_ONCE] for start in range(0, len(jobs), WAIT_AT_ONCE)]
            longest_s = LONGEST_POLL_S if len(parts) == 1 else SHORT_POLL_S / len(parts)
            for part in parts:
                left_s = max(0.0, deadline - time.monotonic())
                finished: Sequence[dict[str, Any]] = self._finished_of(part, min(left_s, longest_s))
                if finished:
                    return finished
            if time.monotonic() >= deadline:
                return ()

    def _finished_of(self, jobs: Sequence[str], wait_s: float) -> Any:
        answer = self._calls.call("Wait", canonical(jobs), in_ms(wait_s), wait_s=wait_s, changes=False)
        return json.loads(answer["jobs"])

    def result(self, job: str, timeout_s: float | None = None) -> Any:
        """The result of a job, once it has succeeded. Raises JobFailed, or NotFinished after `timeout_s`."""
        return value_of(job, self.wait([job], timeout_s), timeout_s)

    # By hand

    def cancel(self, job: str) -> str:
        """Cancel a job. Returns "cancelled", or "running" where it runs and was told to stop.

        Fault wrong_state where it has finished otherwise, not_found where there is none.
        """
        return str(_only(self.cancel_many([job]))["state"])

    def cancel_many(self, jobs: Iterable[str]) -> Sequence[dict[str, Any]]:
        """Cancel jobs, a thousand a command. An answer for each: {"job", "ok", "state"}, or why not."""
        return self._by_hand("Cancel", jobs)

    def retry(self, job: str, attempts: int = 0, *, dependents: bool = True) -> str:
        """Run a dead or cancelled job again, with `attempts`; 0: as many as it was submitted with.

        `dependents`: jobs that were cancelled because of it run again after it.
        """
        return str(_only(self.retry_many([job], attempts, dependents=dependents))["state"])

    def retry_many(
        self, jobs: Iterable[str], attempts: int = 0, *, dependents: bool = True
    ) -> Sequence[dict[str, Any]]:
        """Run dead or cancelled jobs again. An answer for each, as cancel_many's."""
        return self._by_hand("Retry", jobs, attempts, dependents)

    def purge(self, job: str) -> None:
        """Remove a finished job, with its result and history. Fault wrong_state where it has not finished."""
        _only(self.purge_many([job]))

    def purge_many(self, jobs: Iterable[str]) -> Sequence[dict[str, Any]]:
        """Remove finished jobs. An answer for each, as cancel_many's."""
        return self._by_hand("Purge", jobs)

    def set_queue(self, queue: str, **settings: Any) -> dict[str, Any]:
        """Change what is given of a queue's settings, and return them all.

        paused (True stops only takes), max_running (jobs at a time; None: no limit), rate ((starts,
        seconds): so many starts in so many seconds; None: no limit).
        """
        rate = settings.get("rate")
        if rate is not None:
            starts, seconds = rate
            settings["rate"] = [starts, in_ms(seconds)]
        answer = self._in_session("SetQueue", queue, canonical(settings))
        found: dict[str, Any] = json.loads(answer["settings"])
        return found

    def update(self, job: str, **changes: Any) -> str:
        """Change a job that does not run yet: any of args, kwargs, priority, delay or at, queue. Returns its state.

        Fault wrong_state where it runs or has finished, key_held where its key is taken in that queue.
        """
        wire = canonical([{"job": job, **as_wire(changes)}])
        return str(_only(json.loads(self._in_session("Update", wire)["jobs"]))["state"])

    def _by_hand(self, method: str, jobs: Iterable[str], *params: Any) -> Sequence[dict[str, Any]]:
        asked = list(jobs)
        answers: list[dict[str, Any]] = []
        for start in range(0, len(asked), LIMITS.max_items):
            some = canonical(asked[start : start + LIMITS.max_items])
            answers += json.loads(self._in_session(method, some, *params)["jobs"])
        return answers

    # For workers

    def take(
        self,
        worker: str,
        queues: Sequence[str] = ("default",),
        count: int = 1,
        *,
        lease: float = 30.0,
        wait: float = 0.0,
    ) -> Sequence[dict[str, Any]]:
        """Lease up to `count` ready jobs for `lease` seconds, waiting up to `wait` (60) for the first.

        Each job has id, token, task, args, kwargs, queue, attempt, timeout_ms and more. An answer
        that is lost on its way is asked for again, and is the same jobs.
        """
        params = (worker, canonical(list(queues)), count, in_ms(lease), in_ms(wait))
        answer = self._in_session("Take", *params, wait_s=wait)
        taken: Sequence[dict[str, Any]] = json.loads(answer["jobs"])
        return taken

    def extend(self, worker: str, items: Iterable[Sequence[Any]], *, lease: float = 30.0) -> Any:
        """Keep leases alive: items are (job, token), or with progress (job, token, fraction, note).

        Returns an answer for each: {"job", "ok"} and lease_until_ms, or why not. One that is
        to be cancelled has cancel_requested, true.
        """
        items_text = canonical([tuple(item) for item in items])
        return json.loads(self._calls.call("Extend", worker, in_ms(lease), items_text)["jobs"])

    def complete(self, job: str, token: int, result: Any = None, submit: Iterable[JobSpec] = ()) -> str:
        """The attempt succeeded. Returns the job's state. Fault stale_token where it is another's by now.

        The jobs in `submit` come to be together with the completion, exactly once, or neither does.
        """
        jobs = ",".join(job_text(as_mapping(each)) for each in submit)
        more = (f"[{jobs}]",) if jobs else ()
        return str(self._calls.call("Complete", str(job), token, canonical(result), *more)["state"])

    def complete_many(self, items: Iterable[Sequence[Any]]) -> Any:
        """Many attempts succeeded: (job, token, result) each. Returns an answer for each, as extend does."""
        items_text = canonical([tuple(item) for item in items])
        return json.loads(self._calls.call("CompleteMany", items_text)["jobs"])

    def fail(self, job: str, token: int, error: str, traceback: str = "", *, retry: bool = True) -> str:
        """The attempt failed: the job is tried again after a while, or is dead. Returns its state."""
        params = (str(job), token, carriable(error), carriable(traceback), retry)
        return str(self._calls.call("Fail", *params)["state"])

    def release(self, job: str, token: int, delay: float = 0.0, reason: str = "") -> str:
        """Give a job back, to run in `delay` seconds at the earliest; the attempt does not count."""
        return str(self._calls.call("Release", str(job), token, in_ms(delay), carriable(reason))["state"])

    def cancel_attempt(self, job: str, token: int, reason: str = "") -> str:
        """The attempt's own task wants the job cancelled, for this reason. Returns its state.

        Once that is requested the job can end in no other way, also where this is cut off half way.
        """
        self.cancel(job)
        return self.release(job, token, 0.0, reason)

    # Calls

    def _read(self, method: str, *params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._calls.call(method, *params, changes=False)
        return answer

    def _in_session(self, method: str, *params: Any, wait_s: float = 0.0) -> dict[str, Any]:
        return self._numbered.call(method, *params, wait_s=wait_s)


def _calls_to(nodes: Nodes | Calls, timeout_s: float) -> Calls:
    if isinstance(nodes, Calls):
        return nodes
    if isinstance(nodes, str | os.PathLike):
        nodes = [(node.host, node.port) for node in load(os.fspath(nodes)).nodes]
    return LeaderCalls(nodes, timeout_s=timeout_s)


def _only(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one job's answer; a refusal is raised."""
    [answer] = answers
    if not answer["ok"]:
        raise Fault.named(answer["why"], answer["message"], {"state": answer["state"]})
    return answer


def value_of(job: str, finished: Mapping[str, Mapping[str, Any]], timeout_s: float | None) -> Any:
    """The result in what `wait` returned for one job. Raises JobFailed or NotFinished."""
    for outcome in finished.values():
        if outcome["state"] == SUCCEEDED:
            return outcome["result"]
        raise JobFailed(outcome["id"], outcome["state"], outcome.get("error", ""))
    raise NotFinished(f"job {job} has not finished within {timeout_s:g} s; it goes on")
