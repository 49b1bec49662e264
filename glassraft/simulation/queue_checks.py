"""The queue's promises (docs/queue.md), checked from outside each time an entry is applied or a client is answered.

Each entry is read once, when the first node applies it; what the others make of it must be the
same, down to the digest. From the entries and their outcomes a small picture of each job is kept:
its state, the one token that is valid, when its lease ends, and how many attempts have failed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glassraft.jobqueue import ids, states
from glassraft.jobqueue.machine import Machine, Outcome
from glassraft.jobqueue.running import MAX_NEVER_STARTED
from glassraft.raft.messages import Entry
from glassraft.simulation.checks import Broken
from glassraft.simulation.schedule_checks import ScheduleChecks

if TYPE_CHECKING:
    from glassraft.simulation.node import Node

ENDS = ("Complete", "Fail", "Release")


@dataclass(slots=True)
class JobSeen:
    """What the applied entries say of one job."""

    submission: Any
    max_attempts: int
    lease_ms: int | None
    state: str
    token: int = 0
    lease_until_ms: int = 0
    """Lease time; of the token, while the job runs."""
    extended: bool = False
    failures: int = 0
    never_started: int = 0
    after: Sequence[int] = ()
    """The jobs that it comes after."""


class QueueChecks:
    """What was applied, what was acknowledged, and the check of each promise."""

    def __init__(self) -> None:
        self.jobs: dict[int, JobSeen] = {}
        self.schedules = ScheduleChecks()
        self.by_submission: dict[Any, int] = {}
        """The job of each submission; a submission's `args` tell it from every other."""
        self.digests: dict[int, str] = {}
        self.answers: dict[int, dict[str, Any] | None] = {}
        self.acknowledged: dict[Any, str] = {}
        """Of each submission that was answered, the job's id."""
        self.takes: dict[tuple[str, int], list[JobSeen]] = {}
        """Of each Take, by session and number: the jobs that it leased."""
        self.completed: dict[str, int] = {}
        """Of each completion that was answered, the job's id and the token."""
        self.unfinished = 0
        self.expired = 0
        self.answered_again = 0

    # Applying

    def applied(self, node: "Node", entry: Entry, outcome: Outcome) -> None:
        """Deterministic: the same entry leaves the same queue and gives the same answer on every node."""
        digest = node.machine.digest
        known = self.digests.get(entry.index)
        if known is None:
            self.digests[entry.index] = digest
            self.answers[entry.index] = outcome.answer
            if entry.kind == "command":
                self._first_applied(node.machine, entry, outcome)
            return
        if known != digest:
            raise Broken(
                "All nodes hold the same queue",
                f"after {entry.index} n{node.id} has another digest than the others",
            )
        if self.answers[entry.index] != outcome.answer:
            raise Broken(
                "All nodes hold the same queue",
                f"n{node.id} answers {entry.index} with {outcome.answer}, another with {self.answers[entry.index]}",
            )

    def installed(self, node: "Node") -> None:
        """A snapshot is the queue as it was after its index, nothing else (§7)."""
        index = node.machine.applied_index
        if self.digests.get(index) != node.machine.digest:
            raise Broken(
                "All nodes hold the same queue", f"n{node.id} installs a snapshot that differs at {index}"
            )

    def _first_applied(self, machine: Machine, entry: Entry, outcome: Outcome) -> None:
        command = json.loads(entry.command)
        op, arguments = command["op"], command["a"]
        created = [move for move in outcome.transitions if move[1] == states.NOWHERE]
        if created:
            jobs = arguments["jobs"] if op == "Submit" else self.schedules.job_of(command)
            self._submitted(jobs, created, op)
        elif op == "Submit" and outcome.answer is not None:
            self.answered_again += 1
        answers = {} if outcome.answer is None else {item["job"]: item for item in _items(op, outcome.answer)}
        ended = self._ended_by_workers(op, arguments, answers)
        for number, was, state in outcome.transitions:
            if was != states.NOWHERE:
                self._moved(machine, entry.index, number, was, state, ended, arguments)
        if op == "Take" and outcome.answer is not None:
            self._taken(entry.index, outcome)
            leased = [number for number, _, state in outcome.transitions if state == states.RUNNING]
            if leased:
                self.takes[command["s"], command["n"]] = [self.jobs[number] for number in leased]
        elif op == "Extend":
            self._extended(machine, arguments, answers)
        self.schedules.applied(entry.index, command, outcome, self.jobs)

    def _submitted(
        self, jobs: Sequence[dict[str, Any]], created: Sequence[tuple[int, str, str]], op: str
    ) -> None:
        if len(created) != len(jobs):
            raise Broken("A submission is whole or absent", f"{op} of {jobs} made {created}")
        for (number, _, state), job in zip(created, jobs, strict=True):
            submission = tuple(json.loads(job["args"])) if job.get("args") else number
            first = self.by_submission.setdefault(submission, number)
            if first != number:
                raise Broken(
                    "Exactly once",
                    f"{submission} is there as {ids.to_text(first)} and as {ids.to_text(number)}",
                )
            self.unfinished += 1
            after = [created[position][0] for position in job.get("after", ())]
            self.jobs[number] = JobSeen(
                submission, job.get("max_attempts", 10), job.get("lease_ms"), state, after=after
            )

    def _ended_by_workers(
        self, op: str, arguments: dict[str, Any], answers: dict[str, dict[str, Any]]
    ) -> dict[int, str]:
        """The jobs that this command ends, by a token that was valid until now."""
        if op not in ENDS:
            return {}
        ended = {}
        for item in arguments["items"]:
            number = ids.from_text(item[0])
            job = self.jobs.get(number)
            if (
                job is not None
                and job.state == states.RUNNING
                and job.token == item[1]
                and item[0] in answers
            ):
                ended[number] = op
        return ended

    def _moved(
        self,
        machine: Machine,
        index: int,
        number: int,
        was: str,
        state: str,
        ended: dict[int, str],
        arguments: dict[str, Any],
    ) -> None:
        """One job went from one state to another: was it allowed to, and by whom?"""
        job = self.jobs[number]
        name = ids.to_text(number)
        if was != job.state:
            raise Broken("One state at a time", f"{index} moves {name} from {was}, but it was {job.state}")
        if was in states.FINISHED:
            raise Broken("What is finished stands", f"{index} moves {name} from {was} to {state}")
        if was == states.WAITING and any(self.jobs[each].state not in states.FINISHED for each in job.after):
            raise Broken("A job waits for those before it", f"{index} moves {name} to {state} too early")
        job.state = state
        self.unfinished -= state in states.FINISHED
        if was != states.RUNNING:
            if state == states.RUNNING:
                self._granted(machine, index, number, job, arguments)
            return
        # A lease that is over was ended before the command was run: by lease time, not by the worker.
        by_time = job.lease_until_ms <= machine.lease_now_ms
        if by_time:
            self._lease_ended(index, number, job, ended.get(number))
        elif number not in ended:
            raise Broken(
                "A lease lasts", f"{index} ends the lease of {name}, which lasts until {job.lease_until_ms}"
            )
        elif ended[number] == "Fail":
            job.failures += 1
            job.never_started = 0
        else:
            job.never_started = 0
        if job.failures > job.max_attempts:
            raise Broken("Attempts are limited", f"{name} failed {job.failures} times of {job.max_attempts}")
        if state != states.DEAD and job.failures >= job.max_attempts and state != states.SUCCEEDED:
            raise Broken("Attempts are limited", f"{name} goes on after {job.failures} failures")

    def _lease_ended(self, index: int, number: int, job: JobSeen, op: str | None) -> None:
        if op is not None and job.state == states.SUCCEEDED:
            raise Broken(
                "A lease that ran out is over",
                f"{index} completes {ids.to_text(number)} after its lease ended at {job.lease_until_ms}",
            )
        self.expired += 1
        if job.extended:
            job.failures += 1
            job.never_started = 0
        else:
            job.never_started += 1
            if job.never_started > MAX_NEVER_STARTED:
                raise Broken("Attempts are limited", f"{ids.to_text(number)} was never started too often")

    def _granted(
        self, machine: Machine, index: int, number: int, job: JobSeen, arguments: dict[str, Any]
    ) -> None:
        """A new lease: its token is above every earlier one of this job."""
        if index <= job.token:
            raise Broken("Tokens rise", f"{ids.to_text(number)} gets token {index} after {job.token}")
        job.token = index
        job.extended = False
        job.lease_until_ms = machine.lease_now_ms + (job.lease_ms or arguments["lease_ms"])

    def _taken(self, index: int, outcome: Outcome) -> None:
        """What a Take answers is leased under these very tokens, new or as the first time it was asked."""
        assert outcome.answer is not None
        started = {number for number, _, state in outcome.transitions if state == states.RUNNING}
        for text, token in outcome.answer["jobs"]:
            job = self.jobs[ids.from_text(text)]
            if job.state != states.RUNNING or job.token != token:
                raise Broken(
                    "At most one valid lease",
                    f"{index} hands out {text} under {token}, but it is {job.state} under {job.token}",
                )
            if token == index and ids.from_text(text) not in started:
                raise Broken("At most one valid lease", f"{index} hands out {text} a second time")

    def _extended(
        self, machine: Machine, arguments: dict[str, Any], answers: dict[str, dict[str, Any]]
    ) -> None:
        for item in arguments["items"]:
            text, token = item[0], item[1]
            job = self.jobs.get(ids.from_text(text))
            is_valid = job is not None and job.state == states.RUNNING and job.token == token
            if (text in answers) != is_valid:
                raise Broken(
                    "A stale token changes nothing", f"Extend of {text} under {token}: {answers.get(text)}"
                )
            if job is not None and is_valid:
                job.extended = True
                job.never_started = 0
                until_ms = machine.lease_now_ms + (job.lease_ms or arguments["lease_ms"])
                job.lease_until_ms = max(job.lease_until_ms, until_ms)

    # What clients were told

    def told_submitted(self, submission: Any, job: str) -> None:
        """A client was told that its submission is this job: it must be applied somewhere, as this very job."""
        number = self.by_submission.get(submission)
        if number != ids.from_text(job):
            raise Broken(
                "What was acknowledged is there", f"{submission} was acknowledged as {job}, and is not there"
            )
        self.acknowledged[submission] = job

    def told_completed(self, job: str, token: int) -> None:
        """A worker was told that its completion stands."""
        seen = self.jobs[ids.from_text(job)]
        if seen.state != states.SUCCEEDED or seen.token != token:
            raise Broken(
                "A completion stands",
                f"{job} was completed under {token}, but is {seen.state} under {seen.token}",
            )
        self.completed[job] = token

    # At the end

    def at_the_end(self, node: "Node") -> None:
        """A node's own tables hold what its clients were told, once each, all of it finished."""
        rows = node.queue.connection.execute(
            "SELECT id, state, args FROM jobs JOIN arguments ON job = id ORDER BY id"
        ).fetchall()
        held = {
            tuple(json.loads(args)) or number: (ids.to_text(number), state) for number, state, args in rows
        }
        if len(held) != len(rows):
            raise Broken("Exactly once", f"n{node.id} holds {len(rows)} jobs for {len(held)} submissions")
        for submission, job in self.acknowledged.items():
            if submission not in held or held[submission][0] != job:
                raise Broken(
                    "What was acknowledged is there", f"n{node.id} has lost {job}, which was {submission}"
                )
        by_id = dict(held.values())
        for job in self.completed:
            if by_id[job] != states.SUCCEEDED:
                raise Broken("A completion stands", f"{job} was completed, but is {by_id[job]} on n{node.id}")
        unfinished = [job for job, state in held.values() if state not in states.FINISHED]
        if unfinished:
            raise Broken(
                "Every job is finished", f"n{node.id} still holds {', '.join(unfinished[:5])} unfinished"
            )
        counts = node.machine.counts()
        if sum(counts.values()) != len(rows):
            raise Broken("Counts are right", f"n{node.id} counts {counts}, and holds {len(rows)} jobs")


def _items(op: str, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of an answer that were accepted."""
    if op not in (*ENDS, "Extend"):
        return []
    return [item for item in answer["jobs"] if item["ok"]]
