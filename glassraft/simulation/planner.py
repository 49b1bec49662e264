"""Somebody who sets schedules, runs them by hand and drops them, one call at a time; at the end drops them all.

The schedules go by seconds, since a run is too short for a calendar. Next: schedule_checks.py, which
looks at what comes of them.
"""

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from glassraft.jobqueue import schedule_options
from glassraft.replica.arrivals import CommandArrived
from glassraft.simulation.calls import Answer, Call
from glassraft.simulation.clients import Session

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

EVERY_MS = (1_000, 1_000, 1_700, 2_500)
OVERLAP = ("skip", "allow")
"""Not "cancel": the picture that the checks keep of a job knows no cancellation."""

GAP_S = 0.8
"""On average, between two of its calls."""


class Planner:
    """Keeps up to so many schedules."""

    def __init__(self, world: "World", random: Random, schedules: int) -> None:
        self._world = world
        self._random = random
        self._names = [f"s{number}" for number in range(1, schedules + 1)]
        self._session = Session(random)
        self.stopped = False
        self._pause()

    @property
    def is_done(self) -> bool:
        """Whether all is dropped, and nothing under way that could set one again."""
        return self.stopped and not self._session.is_open and not self._world.queue_checks.schedules.seen

    def _pause(self) -> None:
        gap_s = 0.1 if self.stopped else self._random.expovariate(1 / GAP_S)
        self._world.after(gap_s, self._next)

    def _next(self) -> None:
        if self._world.finished:
            return
        left = sorted(self._world.queue_checks.schedules.seen)
        name = self._random.choice(self._names)
        fate = self._random.random()
        if self.stopped:
            if not left:
                return self._pause()
            self._call("DropSchedule", schedule_options.check_named(left[0]))
        elif fate < 0.6 or name not in left:
            self._call("SetSchedule", schedule_options.check_set_schedule(name, self._schedule()))
        else:
            op = "RunSchedule" if fate < 0.85 else "DropSchedule"
            self._call(op, schedule_options.check_named(name))

    def _schedule(self) -> dict[str, Any]:
        random = self._random
        return {
            "every_ms": random.choice(EVERY_MS),
            "overlap": random.choice(OVERLAP),
            "catch_up": random.choice(schedule_options.CATCH_UP),
            "job": {"task": "work", "max_attempts": random.choice((1, 2)), "backoff": {"base_ms": 50}},
        }

    def _call(self, op: str, arguments: str) -> None:
        session = self._session
        number, low = session.open()

        def arrival(node: "Node", ticket: Any) -> CommandArrived:
            return CommandArrived(op, arguments, ticket, session.id, number, low)

        Call(self._world, arrival, partial(self._answered, session, number))

    def _answered(self, session: Session, number: int, answer: Answer) -> None:
        refusal = answer.refusal
        was_answered = answer.value is not None or (refusal is not None and refusal.code_name == "not_found")
        session.close(number, was_answered=was_answered)
        if session.is_over or (refusal is not None and refusal.code_name == "session_expired"):
            self._session = Session(self._random)
        self._pause()
