"""Applies commands at once, where a node would replicate them first, and lets time pass.

Whoever brings a command applies it and commits it to the disk before its answer goes out. One thread does what
a leader does when nobody calls: Ticks when something is due, and telling those who wait that there is nothing.
"""

import threading
import time
from contextlib import suppress
from typing import Final

from glassraft.errors import StorageError
from glassraft.jobqueue import commands
from glassraft.jobqueue.clock import Clock
from glassraft.raft.messages import Entry, EntryKind
from glassraft.replica.arrivals import (
    Applied,
    Arrival,
    CommandArrived,
    Confirmed,
    ReadArrived,
    Settles,
    TakeArrived,
    Unserved,
)
from glassraft.replica.finished import FinishedJobs
from glassraft.replica.schedules import Firings, with_first_due
from glassraft.replica.takes import NEVER, WaitingTakes
from glassraft.storage.queue_store import QueueStore

LONGEST_PAUSE_S: Final = 60.0
"""The thread looks again after so long: the clock of the system may have been set."""


class EmbeddedDriver:
    """Drives one open queue file. Any thread may call."""

    def __init__(self, queue: QueueStore, finished: FinishedJobs, clock: Clock) -> None:
        """Time goes on from now: what passed while the file was closed costs no job its lease."""
        self._queue = queue
        self._finished = finished
        self._clock = clock
        self._takes = WaitingTakes(queue.machine)
        self._firings = Firings()
        self._changed = threading.Condition(threading.RLock())
        self._is_closed = False
        self._broken: StorageError | None = None
        self._term = queue.machine.applied_term + 1
        self._apply("noop", commands.opening(self._stamp_ms()))
        self._thread = threading.Thread(target=self._keep_time, name="embedded queue", daemon=True)
        self._thread.start()
        clock.watch(self.time_passed)

    def bring(self, arrival: Arrival) -> None:
        """Serves a command, a Take or a read. Raises StorageError: then the queue must be opened anew."""
        with self._changed:
            if self._broken is not None:
                raise self._broken
            if isinstance(arrival, CommandArrived):
                if self._is_closed:
                    return arrival.ticket.settle(Unserved("shutting_down"))
                self._run(arrival)
            elif isinstance(arrival, TakeArrived):
                if self._is_closed:
                    return arrival.command.ticket.settle(Unserved("shutting_down"))
                self._takes.add(arrival, self._queue.machine.applied_index)
            elif isinstance(arrival, ReadArrived):
                return arrival.ticket.settle(Confirmed(self._queue.machine.applied_index))
            self._do_what_is_due()
            self._changed.notify_all()
        return None

    def time_passed(self) -> None:
        """Do what is due by now."""
        with self._changed:
            if not self._is_closed and self._broken is None:
                self._do_what_is_due()
                self._changed.notify_all()

    def close(self) -> None:
        """Whoever waits is told; then nothing is served any longer."""
        with self._changed:
            self._is_closed = True
            self._takes.refuse_all("shutting_down")
            self._changed.notify_all()
        self._thread.join()
        self._finished.close()

    # With the lock held

    def _run(self, arrival: CommandArrived) -> None:
        stamp_ms, arguments = self._stamp_ms(), arrival.arguments
        if arrival.op == "SetSchedule":
            arguments = with_first_due(arguments, stamp_ms)
        text = commands.envelope(
            arrival.op, arguments, stamp_ms, arrival.session, arrival.number, arrival.low
        )
        self._apply("command", text, arrival.ticket)

    def _apply(self, kind: EntryKind, command: str, ticket: Settles | None = None) -> None:
        """Applied, and on the disk, before anybody is told."""
        index = self._queue.machine.applied_index + 1
        try:
            outcomes = self._queue.apply([Entry(index, self._term, kind, command)])
            self._queue.commit()
        except StorageError as error:
            self._broken = error
            self._takes.refuse_all("shutting_down")
            self._finished.look_again()
            raise
        if ticket is not None:
            ticket.settle(Applied(index, outcomes[0]))
        for waiting in self._finished.waiting_for(outcomes):
            waiting.set()

    def _do_what_is_due(self) -> None:
        machine = self._queue.machine
        while True:
            woken = self._takes.wake(time.monotonic())
            for command in woken:
                self._run(command)
            firings = self._firings.due(machine, time.monotonic(), self._stamp_ms())
            for arguments in firings:
                self._apply("command", commands.envelope("FireSchedule", arguments, self._stamp_ms()))
            is_due = machine.wants_tick(self._stamp_ms())
            if is_due:
                self._apply("command", commands.envelope("Tick", commands.tick(), self._stamp_ms()))
            if not woken and not firings and not is_due:
                return

    def _stamp_ms(self) -> int:
        return max(self._clock.now_ms(), self._queue.machine.now_ms)

    # The thread

    def _keep_time(self) -> None:
        with self._changed, suppress(StorageError):  # the next call says what is wrong with the file
            while not self._is_closed and self._broken is None:
                self._do_what_is_due()
                self._takes.expire(time.monotonic())
                self._changed.wait(max(0.0, self._until_next_s()))

    def _until_next_s(self) -> float:
        takes_s = self._takes.next_deadline
        until_s = takes_s - time.monotonic() if takes_s != NEVER else LONGEST_PAUSE_S
        until_s = min(until_s, LONGEST_PAUSE_S)
        if not self._clock.runs:
            return until_s
        machine = self._queue.machine
        tick_ms, firing_ms = machine.next_tick_ms(), self._firings.next_at_ms(machine)
        if tick_ms is not None:
            until_s = min(until_s, self._until_s(tick_ms))
        if firing_ms is not None:
            until_s = min(until_s, self._firings.wait_s(time.monotonic(), self._until_s(firing_ms)))
        return until_s

    def _until_s(self, at_ms: int) -> float:
        return max(at_ms - self._clock.now_ms(), 1) / 1_000
