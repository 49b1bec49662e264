"""Workers that wait for jobs, in the leader's memory: nothing is logged until there is a job.

The oldest waiter is served first, no more are woken than there are jobs, and one whose
connection is gone is not served. Pure: time comes in from outside.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from glassraft.jobqueue.machine import Machine
from glassraft.replica.arrivals import (
    CommandArrived,
    NothingReady,
    Result,
    TakeArrived,
    Unserved,
)

NEVER = float("inf")


@dataclass(slots=True)
class _Waiting:
    """A Take that waits. Once `look_after` is applied, an earlier answer is looked for; None: no need to look."""

    take: TakeArrived
    look_after: int | None


class WaitingTakes:
    """The waiting workers of one leader, and how many jobs those already woken will take."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._waiting: deque[_Waiting] = deque()
        self._promised: dict[tuple[str, ...], int] = {}

    @property
    def next_deadline(self) -> float:
        """When expire() has something to do (monotonic seconds)."""
        if not self._waiting:  # asked after every turn
            return NEVER
        return min(waiting.take.until for waiting in self._waiting)

    def add(self, take: TakeArrived, last_index: int) -> None:
        """Queue up; wake() serves it at once if there is a job. `last_index` is where the log ends.

        It may be a retry: the first one's answer, if it has any, comes of an entry up to there.
        """
        self._waiting.append(_Waiting(take, last_index if take.command.session else None))

    def wake(self, now: float) -> list[CommandArrived]:
        """The Takes to propose now, oldest first."""
        if not self._waiting:
            return []
        woken = []
        still_waiting: deque[_Waiting] = deque()
        for waiting in self._waiting:
            take = waiting.take
            if self._has_answer(waiting):
                woken.append(take.command)
                continue
            available = self._machine.ready_count(take.queues) - self._promised_of(take.queues)
            if available <= 0 and now < take.until:
                still_waiting.append(waiting)
            elif available > 0 and take.is_alive():
                woken.append(self._promise(take, min(take.count, available)))
            else:
                take.command.ticket.settle(NothingReady())
        self._waiting = still_waiting
        return woken

    def _has_answer(self, waiting: _Waiting) -> bool:
        """Whether the command was answered before; looked for once, since only an earlier entry can have done it."""
        if waiting.look_after is None or self._machine.applied_index < waiting.look_after:
            return False
        waiting.look_after = None
        command = waiting.take.command
        return self._machine.was_answered(command.session, command.number)

    def expire(self, now: float) -> None:
        """Tell those whose time is up that there was nothing."""
        if self.next_deadline > now:
            return
        overdue = [waiting for waiting in self._waiting if waiting.take.until <= now]
        self._waiting = deque(waiting for waiting in self._waiting if waiting.take.until > now)
        for waiting in overdue:
            waiting.take.command.ticket.settle(NothingReady())

    def refuse_all(self, why: str) -> None:
        """This node does not lead any longer, or stops."""
        refused, self._waiting = self._waiting, deque()
        self._promised.clear()
        for waiting in refused:
            waiting.take.command.ticket.settle(Unserved(why))

    def _promised_of(self, queues: Sequence[str]) -> int:
        """What is promised to Takes that read one of these queues; never too little."""
        wanted = set(queues)
        return sum(count for others, count in self._promised.items() if wanted.intersection(others))

    def _promise(self, take: TakeArrived, count: int) -> CommandArrived:
        self._promised[take.queues] = self._promised.get(take.queues, 0) + count
        command = take.command
        return CommandArrived(
            command.op,
            command.arguments,
            _Promised(self, take, count),
            command.session,
            command.number,
            command.low,
        )

    def _kept(self, take: TakeArrived, count: int) -> None:
        left = self._promised.get(take.queues, 0) - count
        if left > 0:
            self._promised[take.queues] = left
        else:
            self._promised.pop(take.queues, None)
        if take.command.session:
            self._look_again(take.command)

    def _look_again(self, answered: CommandArrived) -> None:
        """A retry that waits beside the first, whose client is gone unnoticed, has its answer now."""
        for waiting in self._waiting:
            command = waiting.take.command
            if (command.session, command.number) == (answered.session, answered.number):
                waiting.look_after = 0


class _Promised:
    """A woken Take's ticket: once it is settled, what was promised to it is promised no more."""

    def __init__(self, takes: WaitingTakes, take: TakeArrived, count: int) -> None:
        self._takes = takes
        self._take = take
        self._count = count

    def settle(self, result: Result) -> None:
        """Once, from within the turn."""
        self._takes._kept(self._take, self._count)
        self._take.command.ticket.settle(result)
