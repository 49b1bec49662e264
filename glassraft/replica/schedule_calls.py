"""The commands of schedules, as a node takes them from clients.

What a user wrote is checked here, the time zone by the system of this node; when a schedule is first
due is worked out as the command is proposed (schedules.py). Reading them is queue_reads.py's.
"""

from collections.abc import Mapping

from glassraft.jobqueue import commands, schedule_options
from glassraft.jobqueue.canonical import canonical
from glassraft.replica.answers import Finish, LaterAnswer, MakeAnswer
from glassraft.replica.arrivals import CommandArrived
from glassraft.replica.behind import BehindQueue, from_json
from glassraft.replica.schedules import time_zone
from glassraft.rpc.methods import LATER, Call, Later, Method


class ScheduleCalls:
    """One node's. `finish` answers a call with what came of its command."""

    def __init__(self, behind: BehindQueue, finish: Finish) -> None:
        self._behind = behind
        self._finish = finish

    def methods(self) -> Mapping[str, Method]:
        """By name."""
        named = ("struct", "string", "int", "int", "string")
        return {
            "SetSchedule": Method.of(self.set_schedule, (*named, "string"), 5),
            "DropSchedule": Method.of(self.drop_schedule, named, 4, short=True),
            "RunSchedule": Method.of(self.run_schedule, named, 4, short=True),
        }

    def set_schedule(
        self, call: Call, session: str, number: int, low: int, name: str, schedule: str
    ) -> Later:
        """Make or change a schedule: a JSON object of its times, overlap, catch_up, and the job to submit."""
        asked = from_json(schedule, "schedule")
        arguments = schedule_options.check_set_schedule(name, asked)
        if asked.get("zone") is not None:
            time_zone(asked["zone"])
        return self._command(
            call,
            "SetSchedule",
            arguments,
            lambda _, answer: {"schedule": canonical(answer)},
            (session, number, low),
        )

    def drop_schedule(self, call: Call, session: str, number: int, low: int, name: str) -> Later:
        """Remove a schedule and its history; the jobs that it submitted stay."""
        arguments = schedule_options.check_named(name)
        return self._command(
            call, "DropSchedule", arguments, lambda _, answer: answer, (session, number, low)
        )

    def run_schedule(self, call: Call, session: str, number: int, low: int, name: str) -> Later:
        """Fire a schedule now, whenever it is due."""
        arguments = schedule_options.check_named(name)
        return self._command(call, "RunSchedule", arguments, lambda _, answer: answer, (session, number, low))

    def _command(
        self, call: Call, op: str, arguments: str, answer: MakeAnswer, numbered: tuple[str, int, int]
    ) -> Later:
        commands.check_session(*numbered)
        later = LaterAnswer(self._finish, call, answer)
        self._behind.bring(CommandArrived(op, arguments, later, *numbered))
        return LATER
