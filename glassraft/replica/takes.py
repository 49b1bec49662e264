"""Workers that wait for jobs, in the leader's memory: nothing is logged until there is a job.

The oldest waiter is served first, no more are woken than there are jobs, and one whose
connection is gone is not served. Pure: time comes in from outside.
"""

from collections import deque
from collections.abc import Sequence

from glassraft.jobqueue.machine import Machine
from glassraft.replica.arrivals import (
    CommandArrived,
    NothingReady,
    Result,
    Settles,
    TakeArrived,
    Unserved,
)


class WaitingTakes:
    """The waiting workers of one leader, and how many jobs those already woken will take."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._waiting: deque[TakeArrived] = deque()
        self._promised: dict[tuple[str, ...], int] = {}

    @property
    def next_deadline(self) -> float:
        """When expire() has something to do (monotonic seconds)."""
        return min(take.until for take in self._waiting) if self._waiting else float("inf")

    def add(self, take: TakeArrived) -> None:
        """Queue up; wake() serves it at once if there is a job."""
        self._waiting.append(take)

    def wake(self, now: float) -> list[CommandArrived]:
        """The Takes to propose now, oldest first."""
        if not self._waiting:
            return []
        woken = []
        still_waiting: deque[TakeArrived] = deque()
        for take in self._waiting:
            command = take.command
            if self._machine.was_answered(command.session, command.number):
                woken.append(command)
                continue
            available = self._machine.ready_count(take.queues) - self._promised_of(take.queues)
            if available <= 0 and now < take.until:
                still_waiting.append(take)
            elif available > 0 and take.is_alive():
                woken.append(self._promise(take, min(take.count, available)))
            else:
                command.ticket.settle(NothingReady())
        self._waiting = still_waiting
        return woken

    def expire(self, now: float) -> None:
        """Tell those whose time is up that there was nothing."""
        if self.next_deadline > now:
            return
        overdue = [take for take in self._waiting if take.until <= now]
        self._waiting = deque(take for take in self._waiting if take.until > now)
        for take in overdue:
            take.command.ticket.settle(NothingReady())

    def refuse_all(self, why: str) -> None:
        """This node does not lead any longer, or stops."""
        waiting, self._waiting = self._waiting, deque()
        self._promised.clear()
        for take in waiting:
            take.command.ticket.settle(Unserved(why))

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
            _Promised(self, take.queues, count, command.ticket),
            command.session,
            command.number,
            command.low,
        )

    def _kept(self, queues: tuple[str, ...], count: int) -> None:
        left = self._promised.get(queues, 0) - count
        if left > 0:
            self._promised[queues] = left
        else:
            self._promised.pop(queues, None)


class _Promised:
    """A woken Take's ticket: once it is settled, what was promised to it is promised no more."""

    def __init__(self, takes: WaitingTakes, queues: tuple[str, ...], count: int, ticket: Settles) -> None:
        self._takes = takes
        self._queues = queues
        self._count = count
        self._ticket = ticket

    def settle(self, result: Result) -> None:
        """Once, from within the turn."""
        self._takes._kept(self._queues, self._count)
        self._ticket.settle(result)
