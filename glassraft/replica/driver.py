"""Who runs the turn, and on which thread.

Whoever brings an arrival puts it into the inbox and, if nobody drives, drives: this is flat
combining. Under load arrivals gather while one batch is written, so batches grow by
themselves; an idle node answers without a single hand-over between threads. So server, disk
and queue are used by one thread at a time, and need no lock of their own.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator

from glassraft.replica.arrivals import Arrival, Look, ShutDown, TimePassed
from glassraft.replica.turn import Replica, turn

TURNS_FOR_OTHERS = 8
"""After so many turns a driving thread is relieved, so that its own caller is not kept waiting."""

TURNS_FOR_A_GATHERER = 2
"""Fewer, since others wait to be read meanwhile."""

BATCH_ARRIVALS = 2_000
"""How many arrivals one turn steps at most, so that heartbeats are never held up for long."""

LONGEST_SLEEP_S = 3600.0
NEVER = float("inf")

LOOK_TIMEOUT_S = 10.0


class Driver:
    """Runs turns of one replica. `on_failure` is told once of an error that ends the node."""

    def __init__(self, replica: Replica, on_failure: Callable[[BaseException], None]) -> None:
        self._replica = replica
        self._on_failure = on_failure
        self._inbox: deque[Arrival] = deque()
        self._driving = threading.Lock()
        self._gatherer = 0
        self._stopped = False
        self._failed = False
        self._has_more = False
        self._must_relieve = False
        self._deadline = NEVER  # the replica's, as of the last turn: the timer must not look at it during one
        self._wakes_at = 0.0
        self._timer_wakes = threading.Condition()
        self._timer = threading.Thread(target=self._keep_time, name="timer", daemon=True)

    def start(self) -> None:
        """Begin to keep time: elections, heartbeats, what is due. The first turn records how it starts."""
        self.bring(TimePassed())
        self._timer.start()

    def bring(self, arrival: Arrival) -> None:
        """Something arrived. It is stepped by this thread, or by the one that drives now.

        Safe from any thread, and from within a turn. After a failure nothing is stepped any more.
        """
        self._inbox.append(arrival)
        if threading.get_ident() != self._gatherer:
            self._drive_if_nobody_does()

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """What this thread brings within is stepped at the end, together. For one thread at a time."""
        self._gatherer = threading.get_ident()
        try:
            yield
        finally:
            self._gatherer = 0
            self._drive_if_nobody_does(TURNS_FOR_A_GATHERER)

    def look(self, see: Callable[[Replica], None], timeout_s: float = LOOK_TIMEOUT_S) -> None:
        """Let `see` look at the replica between two turns; returns when it has. TimeoutError after `timeout_s`."""
        seen = threading.Event()
        errors: list[Exception] = []

        def see_and_tell(replica: Replica) -> None:
            try:
                see(replica)
            except Exception as error:  # it is the looker's, and no reason to end the node
                errors.append(error)
            finally:
                seen.set()

        self.bring(Look(see_and_tell))
        if not seen.wait(timeout_s):
            raise TimeoutError("the node is too busy to be looked at")
        if errors:
            raise errors[0]

    def shut_down(self) -> None:
        """Finish the batch under way and tell those who wait; whoever comes after that is told at once.

        Turns go on until stop(), so that nobody's call is left without an answer.
        """
        self._inbox.append(ShutDown())
        with self._driving:
            while self._inbox and not self._replica.stopping and not self._failed:
                self._drive(1)
        self._drive_if_nobody_does()

    def stop(self) -> None:
        """Shut down, and run no more turns."""
        self.shut_down()
        with self._driving:
            self._stopped = True
        self._wake_timer()
        if self._timer.is_alive() and self._timer is not threading.current_thread():
            self._timer.join()

    def _drive_if_nobody_does(self, turns: int = TURNS_FOR_OTHERS) -> None:
        # The inbox is looked at again after the lock is given back: what came in between is not left behind.
        while self._has_work() and not self._stopped and self._driving.acquire(blocking=False):
            try:
                turns -= self._drive(turns)
            finally:
                self._driving.release()
            if turns <= 0 and self._has_work():
                self._ask_for_relief()
                return

    def _has_work(self) -> bool:
        return bool(self._inbox) or self._has_more

    def _drive(self, turns: int) -> int:
        """Run turns until the inbox is empty, or so many. The number that ran."""
        inbox = self._inbox
        done = 0
        while self._has_work() and done < turns and not self._failed:
            arrivals: list[Arrival] = []
            while inbox and len(arrivals) < BATCH_ARRIVALS:
                arrivals.append(inbox.popleft())
            try:
                self._has_more = turn(self._replica, arrivals)
                self._deadline = self._replica.next_deadline
            except BaseException as error:
                self._fail(error)
            done += 1
        if self._failed:
            inbox.clear()
        elif self._deadline < self._wakes_at:
            self._wake_timer()
        return done

    def _fail(self, error: BaseException) -> None:
        self._failed = True
        self._has_more = False
        self._wake_timer()
        self._on_failure(error)

    def _ask_for_relief(self) -> None:
        self._must_relieve = True
        self._wake_timer()

    def _wake_timer(self) -> None:
        with self._timer_wakes:
            self._timer_wakes.notify()

    def _keep_time(self) -> None:
        """The timer's thread: brings the time when a deadline has come, and relieves a thread that drove for long."""
        monotonic = self._replica.clock.monotonic
        while not self._stopped and not self._failed:
            if self._must_relieve:
                self._must_relieve = False
                self._drive_if_nobody_does()
            if self._deadline <= monotonic():
                # The turn that steps it finds the next deadline; until then there is nothing to bring.
                self._deadline = NEVER
                self.bring(TimePassed())
            with self._timer_wakes:
                # From here on, whoever makes an earlier deadline wakes this thread.
                self._wakes_at = NEVER
                if not (self._must_relieve or self._stopped or self._failed):
                    self._wakes_at = self._deadline
                    sleep_s = self._wakes_at - monotonic()
                    self._timer_wakes.wait(min(max(0.0, sleep_s), LONGEST_SLEEP_S))
                self._wakes_at = 0.0
