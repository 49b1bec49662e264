"""Clients that submit jobs and ask for them, several calls at a time, under sessions as the real client has them.

Each submission carries its own arguments, which tell it from all others: (client, submission,
position). What a client saw goes into the history of operations. Next: calls.py, one call;
workers.py, who runs the jobs; history.py, what is kept of it.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from glassraft.jobqueue import commands
from glassraft.jobqueue.commands import MAX_OPEN
from glassraft.jobqueue.states import FINISHED
from glassraft.replica.arrivals import CommandArrived, ReadArrived
from glassraft.simulation.calls import Answer, Call

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

Submission = tuple[Any, ...]

LIST_LIMIT = 1_000
"""More than a run submits, so that one page shows all."""

POLL_S = 0.3
"""Between two looks at jobs that a client waits for."""


class Session:
    """A client's session: its numbers, and which of them are open (jobqueue.client has the same over threads)."""

    def __init__(self, random: Random) -> None:
        self.id = f"{random.getrandbits(128):032x}"
        self.has_begun = False
        self.is_over = False
        self._last = 0
        self._open: set[int] = set()

    @property
    def may_open(self) -> bool:
        """A session begins on the nodes with its number 1, so until that is answered others wait."""
        return not self._open or (self.has_begun and self._last + 1 - min(self._open) < MAX_OPEN)

    @property
    def is_open(self) -> bool:
        """Whether an answer is still waited for."""
        return bool(self._open)

    def open(self) -> tuple[int, int]:
        """The next number, and the lowest one that is still waited for."""
        self._last += 1
        self._open.add(self._last)
        return self._last, min(self._open)

    def close(self, number: int, *, was_answered: bool) -> None:
        """Nobody waits for this number any longer."""
        self._open.discard(number)
        self.has_begun = self.has_begun or was_answered
        self.is_over = self.is_over or not self.has_begun


class Client:
    """One client with up to `width` calls at a time, until it is told that it is enough."""

    def __init__(self, world: "World", name: str, random: Random, width: int, gap_s: float) -> None:
        self._world = world
        self.name = name
        self._random = random
        self._gap_s = gap_s
        self._session = Session(random)
        self._submissions = 0
        self._waiting: list[tuple[Sequence[dict[str, Any]], float]] = []
        """Submissions that wait for their session to begin, and when they were called."""
        self.jobs: list[tuple[str, Submission]] = []
        """The jobs that it knows: id and submission."""
        self.stopped = False
        for _ in range(width):
            self._pause()

    @property
    def is_submitting(self) -> bool:
        """Whether a submission is under way, so that its job may still come to be."""
        return self._session.is_open or bool(self._waiting)

    def _pause(self) -> None:
        self._world.after(self._random.expovariate(1 / self._gap_s), self._next)

    def _next(self) -> None:
        if self.stopped:
            return
        fate = self._random.random()
        if fate < 0.5 or not self.jobs:
            self._submit(1)
        elif fate < 0.56:
            self._submit(self._random.randint(2, 4))
        elif fate < 0.84:
            self._get(*self._random.choice(self.jobs[-6:]))
        elif fate < 0.92:
            self._list()
        else:
            self._wait(*self._random.choice(self.jobs[-3:]))

    # Submitting

    def _submit(self, count: int) -> None:
        self._submissions += 1
        items = [self._job(position) for position in range(count)]
        if self._random.random() < 0.5:
            for position in range(1, count):  # a chain, whose jobs run whatever becomes of those before
                items[position] |= {"after": [position - 1], "on_dependency": "run"}
        if self._session.may_open:
            self._send(items, self._world.time.now)
        else:
            self._waiting.append((items, self._world.time.now))

    def _job(self, position: int) -> dict[str, Any]:
        random = self._random
        job: dict[str, Any] = {
            "task": "work",
            "args": [self.name, self._submissions, position],
            "max_attempts": random.choice((1, 2, 2, 3, 10)),
            "backoff": {"base_ms": random.choice((0, 50, 300)), "factor": 2_000, "cap_ms": 1_000},
        }
        if random.random() < 0.15:
            job["delay_ms"] = random.randrange(1, 1_500)
        if random.random() < 0.2:
            job["lease_ms"] = random.randrange(1_000, 3_000)
        if random.random() < 0.2:
            job["priority"] = random.randrange(-3, 4)
        return job

    def _send(self, items: Sequence[dict[str, Any]], called_at: float) -> None:
        session = self._session
        number, low = session.open()
        arguments = commands.check_submit(list(items))

        def arrival(node: "Node", ticket: Any) -> CommandArrived:
            return CommandArrived("Submit", arguments, ticket, session.id, number, low)

        Call(self._world, arrival, partial(self._submitted, session, number, items, called_at))

    def _submitted(
        self, session: Session, number: int, items: Sequence[dict[str, Any]], called_at: float, answer: Answer
    ) -> None:
        refusal = answer.refusal
        expired = refusal is not None and refusal.code_name == "session_expired"
        session.close(number, was_answered=answer.value is not None)
        if session.is_over or expired:
            self._session = Session(self._random)
        if expired and number > 1:
            return self._send(items, called_at)
        submissions = [tuple(item["args"]) for item in items]
        self._world.history.submitted(self.name, called_at, items, answer)
        if answer.value is not None:
            for submission, job in zip(submissions, answer.value["jobs"], strict=True):
                self._world.queue_checks.told_submitted(submission, job)
                self.jobs.append((job, submission))
        self._pause()
        while self._waiting and self._session.may_open:
            self._send(*self._waiting.pop(0))

    # Asking

    def _read(self, look: Any, done: Any) -> None:
        Call(self._world, _read_arrival, done, changes=False, look=look)

    def _get(self, job: str, submission: Submission) -> None:
        self._read(partial(_state_of, job), partial(self._got, submission, self._world.time.now))

    def _got(self, submission: Submission, called_at: float, answer: Answer) -> None:
        if answer.refusal is None and not answer.in_doubt:
            self._world.history.got(self.name, called_at, submission, answer.value)
        self._pause()

    def _list(self) -> None:
        known = [submission for _, submission in self.jobs]
        self._read(_all_states, partial(self._listed, known, self._world.time.now))

    def _listed(self, known: list[Submission], called_at: float, answer: Answer) -> None:
        """A page shows the state of every job at one moment; those that it lacks were not there."""
        if answer.refusal is None and not answer.in_doubt:
            ids_of = {submission: job for job, submission in self.jobs}
            for submission in known:
                state = answer.value.get(ids_of[submission])
                self._world.history.got(self.name, called_at, submission, state)
        self._pause()

    def _wait(self, job: str, submission: Submission) -> None:
        """Look again until the job is finished, a few times."""
        self._read(partial(_state_of, job), partial(self._waited, job, submission, self._world.time.now, 5))

    def _waited(
        self, job: str, submission: Submission, called_at: float, looks_left: int, answer: Answer
    ) -> None:
        if answer.refusal is None and not answer.in_doubt:
            self._world.history.got(self.name, called_at, submission, answer.value)
            if answer.value not in FINISHED and looks_left and not self.stopped:
                again = partial(self._look_again, job, submission, looks_left - 1)
                return self._world.after(POLL_S, again)
        self._pause()

    def _look_again(self, job: str, submission: Submission, looks_left: int) -> None:
        done = partial(self._waited, job, submission, self._world.time.now, looks_left)
        self._read(partial(_state_of, job), done)


def _read_arrival(node: "Node", ticket: Any) -> ReadArrived:
    return ReadArrived(ticket)


def _state_of(job: str, node: "Node") -> str | None:
    outcome = node.reader.outcome(job)
    return None if outcome is None else str(outcome["state"])


def _all_states(node: "Node") -> dict[str, str]:
    page = node.reader.list(limit=LIST_LIMIT)
    return {job["id"]: job["state"] for job in page["jobs"]}
