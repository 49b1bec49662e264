"""What the clients and workers of a run saw, as operations on single jobs: the checker of linearizability reads it.

A job is known by its submission, since the client of one whose answer was lost never learned its id.
Next: linearizability.py, the search; job_model.py, which kinds there are and what they answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from glassraft.jobqueue import ids
from glassraft.simulation.calls import Answer
from glassraft.simulation.job_model import REFUSED, Submission
from glassraft.simulation.linearizability import Operation

if TYPE_CHECKING:
    from glassraft.simulation.world import World

NO_EFFECT = frozenset({"no_quorum"})
"""Refusals that never reached the log."""


class History:
    """The operations of one run, in the order in which they ended."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.operations: list[Operation] = []
        self._doubtful_takes: list[tuple[str, float, tuple[str, int], int, set[Any]]] = []

    def _note(
        self,
        client: str,
        called_at: float,
        answer: Answer | None,
        kind: str,
        key: Any,
        argument: Any,
        result: Any,
    ) -> None:
        in_doubt = answer is not None and answer.in_doubt
        self._world.coverage.saw("outcomes_unknown" if in_doubt else "operations")
        return_at = None if in_doubt else self._world.time.now
        self.operations.append(
            Operation(client, called_at, return_at, kind, key, argument, None if in_doubt else result)
        )

    def submitted(
        self, client: str, called_at: float, items: Sequence[dict[str, Any]], answer: Answer
    ) -> None:
        """A submission of one or many jobs."""
        result = REFUSED if answer.refusal is not None else "submitted"
        for item in items:
            argument = Submission(item["max_attempts"], "delay_ms" in item, "after" in item)
            self._note(client, called_at, answer, "submit", tuple(item["args"]), argument, result)

    def got(self, client: str, called_at: float, submission: Any, state: str | None) -> None:
        """A job's state was read."""
        self._note(client, called_at, None, "get", submission, None, state)

    def took(
        self, worker: str, called_at: float, call: tuple[str, int], lease_ms: int, answer: Answer
    ) -> None:
        """A Take was answered with some jobs, or none, or its answer never came. `call`: its session and number."""
        told = set()
        for job, token in answer.value["jobs"] if answer.value else []:
            seen = self._world.queue_checks.jobs[ids.from_text(job)]
            lease_s = (seen.lease_ms or lease_ms) / 1000
            told.add(seen.submission)
            self._note(worker, called_at, answer, "take", seen.submission, lease_s, token)
        if answer.in_doubt or answer.repeated:
            self._doubtful_takes.append((worker, called_at, call, lease_ms, told))

    def whole(self) -> list[Operation]:
        """At the end: also the jobs that Takes leased without their workers' being told.

        A worker never learns which; the log says it. So the search need not try every job for each.
        """
        untold = [
            Operation(worker, called_at, None, "take", job.submission, (job.lease_ms or lease_ms) / 1000)
            for worker, called_at, call, lease_ms, told in self._doubtful_takes
            for job in self._world.queue_checks.takes.get(call, ())
            if job.submission not in told
        ]
        return self.operations + untold + self._fired()

    def _fired(self) -> list[Operation]:
        """What schedules submitted: nobody called, and schedule_checks.py looks at when."""
        jobs = self._world.queue_checks.jobs.items()
        fired = [(number, job.max_attempts) for number, job in jobs if job.submission == number]
        return [
            Operation("schedule", 0.0, None, "submit", number, Submission(max_attempts))
            for number, max_attempts in fired
        ]

    def ended(self, worker: str, called_at: float, op: str, job: str, argument: Any, answer: Answer) -> None:
        """A worker extended a lease, or ended an attempt."""
        if answer.refusal is not None and answer.refusal.code_name in NO_EFFECT:
            return
        key = self._world.queue_checks.jobs[ids.from_text(job)].submission
        result: Any = REFUSED
        if answer.value is not None and answer.value["jobs"][0]["ok"]:
            result = answer.value["jobs"][0].get("state", "running")
        self._note(worker, called_at, answer, op.lower(), key, argument, result)
