"""Workers that take jobs, keep their leases or lose them, and report; some die with all that they hold.

A worker's Takes are under a session of its own, one at a time, as the real worker's are. What
becomes of an attempt is drawn from the seed: completed, failed, released, held for too
long. Once faults are over every worker is a good one, so that every job can be finished.
"""

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from glassraft.jobqueue import commands
from glassraft.replica.arrivals import CommandArrived, TakeArrived
from glassraft.simulation.calls import Answer, Call
from glassraft.simulation.clients import Session

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

QUEUE = "default"
LEASES_MS = (1_000, 1_500, 3_000)
COUNTS = (1, 1, 2, 4)
WAIT_S = 0.8
"""How long a Take waits for a job before it is answered with none."""

TOO_LONG_S = 4.0
"""A worker that was held up, by so much at most, comes back with a token that may be over."""

ARGS = "SELECT args FROM arguments WHERE job = ?"


class Worker:
    """One worker process; `stop` lets it die where it stands."""

    def __init__(self, world: "World", name: str, random: Random) -> None:
        self._world = world
        self.name = name
        self._random = random
        self._session = Session(random)
        self.held: set[str] = set()
        self.dead = False
        self._lease_ms = random.choice(LEASES_MS)
        self._next()

    def die(self) -> None:
        """Nothing is heard of it any longer; what it holds is held until its leases end."""
        self.dead = True

    # Taking

    def _next(self) -> None:
        if self.dead or self._world.finished:
            return
        session = self._session
        number, low = session.open()
        count = self._random.choice(COUNTS)
        arguments = commands.check_take(self.name, [QUEUE], count, self._lease_ms)

        def arrival(node: "Node", ticket: Any) -> TakeArrived:
            command = CommandArrived("Take", arguments, ticket, session.id, number, low)
            return TakeArrived(command, (QUEUE,), count, node.clock.monotonic() + WAIT_S)

        done = partial(self._took, session, number, self._world.time.now)
        Call(self._world, arrival, done, wait_s=WAIT_S)

    def _took(self, session: Session, number: int, called_at: float, answer: Answer) -> None:
        session.close(number, was_answered=answer.value is not None)
        if session.is_over or answer.refusal is not None:
            self._session = Session(self._random)
        self._world.history.took(self.name, called_at, (session.id, number), self._lease_ms, answer)
        if self.dead:
            return
        jobs = answer.value["jobs"] if answer.value else []
        for job, token in jobs:
            self._begin(job, token)
        self._world.after(self._random.uniform(0.0, 0.15), self._next)

    # Running

    def _begin(self, job: str, token: int) -> None:
        self.held.add(job)
        lease_s = self._lease_ms / 1000
        fate = self._random.random()
        is_calm = self._world.all_is_calm
        if fate < 0.05 and not is_calm:
            return  # forgotten: never reported, its lease runs out
        if fate < 0.15 and not is_calm:
            runs_s = lease_s + self._random.uniform(0.0, TOO_LONG_S)
        elif fate < 0.35:
            runs_s = self._random.uniform(0.3, 2.0)
        else:
            runs_s = self._random.uniform(0.0, 0.3)
        if fate >= 0.15 and runs_s > lease_s / 4:
            self._keep(job, token, self._world.time.now + runs_s)
        self._world.after(runs_s, partial(self._report, job, token))

    def _keep(self, job: str, token: int, until: float) -> None:
        """Extend the lease each third of it while the job runs."""
        self._world.after(self._lease_ms / 3000, partial(self._extend, job, token, until))

    def _extend(self, job: str, token: int, until: float) -> None:
        if self.dead or job not in self.held or self._world.time.now >= until:
            return
        arguments = commands.check_extend(self.name, [[job, token]], self._lease_ms)
        self._end("Extend", arguments, job, token, token)
        self._keep(job, token, until)

    def _report(self, job: str, token: int) -> None:
        if self.dead:
            return
        self.held.discard(job)
        fate = self._random.random()
        if fate < 0.75 or self._world.all_is_calm:
            self._end("Complete", commands.check_complete([[job, token, self.name]]), job, token, token)
        elif fate < 0.9:
            retry = fate < 0.88
            arguments = commands.check_fail([[job, token, "it went wrong", "", retry]])
            self._end("Fail", arguments, job, token, (token, retry))
        else:
            delay_ms = self._random.choice((0, 200))
            self._end("Release", commands.check_release([[job, token, delay_ms]]), job, token, token)

    def _end(self, op: str, arguments: str, job: str, token: int, argument: Any) -> None:
        """These need no session: the token makes them safe to repeat."""

        def arrival(node: "Node", ticket: Any) -> CommandArrived:
            return CommandArrived(op, arguments, ticket)

        Call(self._world, arrival, partial(self._ended, op, job, token, argument, self._world.time.now))

    def _ended(self, op: str, job: str, token: int, argument: Any, called_at: float, answer: Answer) -> None:
        world = self._world
        world.history.ended(self.name, called_at, op, job, argument, answer)
        if answer.value is None:
            return
        item = answer.value["jobs"][0]
        if not item["ok"]:
            world.coverage.saw("stale_tokens_refused")
        elif op == "Complete":
            world.queue_checks.told_completed(job, token)
