"""Who runs turns and on which thread: every arrival once, in order a thread, nobody left waiting, no spinning timer."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glassraft.replica import driver as drivers
from glassraft.replica.arrivals import Applied, Arrival, Look, TimePassed, Unserved
from glassraft.replica.driver import BATCH_ARRIVALS, TURNS_FOR_OTHERS, Driver
from tests.replica.parts import Bench, MemoryDisk, RealClock, wait_until

ENOUGH_S = 20.0


class Stub:
    """Stands for a replica: `turn` is replaced by what the test wants to happen in one."""

    def __init__(self) -> None:
        self.clock = RealClock()
        self.deadline = float("inf")
        self.turns: list[list[Any]] = []
        self.during: Callable[[list[Any]], None] = lambda arrivals: None
        self.has_more = False
        self.stopping = False
        self.in_a_turn: threading.Thread | None = None
        self.looked_at_during_a_turn = 0

    @property
    def next_deadline(self) -> float:
        if self.in_a_turn not in (None, threading.current_thread()):
            self.looked_at_during_a_turn += 1
        return self.deadline

    def turn(self, replica: object, arrivals: list[Any]) -> bool:
        assert self.in_a_turn is None, "two turns at once"
        self.in_a_turn = threading.current_thread()
        try:
            self.turns.append(list(arrivals))
            self.during(arrivals)
            return self.has_more
        finally:
            self.in_a_turn = None

    @property
    def stepped(self) -> list[Any]:
        """Everything that was stepped, in order, but for the timer's."""
        return [arrival for turn in self.turns for arrival in turn if not isinstance(arrival, TimePassed)]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()
    monkeypatch.setattr(drivers, "turn", made.turn)
    return made


@pytest.fixture
def driver(stub: Stub) -> Iterator[Driver]:
    """A driver of the stub, started, and stopped after the test."""
    failures: list[BaseException] = []
    made = Driver(stub, failures.append)  # type: ignore[arg-type]
    made.failures = failures  # type: ignore[attr-defined]
    made.start()
    yield made
    stub.during = lambda arrivals: None
    stub.has_more = False
    made.stop()


def item(name: object) -> Arrival:
    """Something that arrives; the stub's turn does not care what."""
    return name  # type: ignore[return-value]


def in_threads(*targets: Callable[[], None]) -> None:
    """Run them at the same time, and wait for all."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ENOUGH_S)
        assert not thread.is_alive(), "a thread waits for ever"


# Many threads


def test_an_idle_node_steps_on_the_thread_that_brings(stub: Stub, driver: Driver) -> None:
    threads: list[threading.Thread] = []
    stub.during = lambda arrivals: threads.append(threading.current_thread())
    threads.clear()
    driver.bring(item("x"))
    assert threads == [threading.current_thread()]
    assert stub.stepped == ["x"]


def test_everything_is_stepped_once_and_in_order_for_each_thread(stub: Stub, driver: Driver) -> None:
    names, each = range(8), 400

    def bring(name: int) -> Callable[[], None]:
        return lambda: [driver.bring(item((name, n))) for n in range(each)] and None

    in_threads(*(bring(name) for name in names))
    wait_until(lambda: len(stub.stepped) == len(names) * each)
    by_thread = defaultdict(list)
    for name, n in stub.stepped:
        by_thread[name].append(n)
    assert by_thread == {name: list(range(each)) for name in names}


def test_what_gathers_during_a_turn_is_stepped_together_in_the_next(stub: Stub, driver: Driver) -> None:
    in_first, may_go_on = threading.Event(), threading.Event()

    def hold_the_first(arrivals: list[Any]) -> None:
        if "first" in arrivals:
            in_first.set()
            assert may_go_on.wait(ENOUGH_S)

    stub.during = hold_the_first
    first = threading.Thread(target=driver.bring, args=(item("first"),))
    first.start()
    assert in_first.wait(ENOUGH_S)
    for n in range(5):
        driver.bring(item(n))  # returns at once: another thread drives
    may_go_on.set()
    first.join(ENOUGH_S)
    assert [turn for turn in stub.turns if turn != [TimePassed()]] == [["first"], [0, 1, 2, 3, 4]]


def test_what_a_thread_gathers_is_stepped_in_one_turn(stub: Stub, driver: Driver) -> None:
    with driver.gathering():
        driver.bring(Look(print))
        driver.bring(Look(print))
        assert stub.stepped == []
    assert [len(turn) for turn in stub.turns if TimePassed() not in turn] == [2]


def test_what_others_bring_while_one_gathers_is_stepped_at_once(stub: Stub, driver: Driver) -> None:
    with driver.gathering():
        other = threading.Thread(target=driver.bring, args=(Look(print),))
        other.start()
        other.join(ENOUGH_S)
        assert len(stub.stepped) == 1


def test_what_is_brought_from_within_a_turn_is_stepped_by_the_next(stub: Stub, driver: Driver) -> None:
    stub.during = lambda arrivals: driver.bring(item("inner")) if arrivals == ["outer"] else None
    driver.bring(item("outer"))
    assert stub.stepped == ["outer", "inner"]


def test_one_turn_steps_no_more_than_so_many(stub: Stub, driver: Driver) -> None:
    def bring_many(arrivals: list[Any]) -> None:
        if arrivals == ["go"]:
            for n in range(BATCH_ARRIVALS + 10):
                driver.bring(item(n))

    stub.during = bring_many
    driver.bring(item("go"))
    sizes = [len(turn) for turn in stub.turns if turn != [TimePassed()]]
    assert max(sizes) == BATCH_ARRIVALS
    assert len(stub.stepped) == BATCH_ARRIVALS + 11


def test_a_thread_that_drives_for_others_is_relieved(stub: Stub, driver: Driver) -> None:
    """Each turn brings the next, so the first thread would never get away; the timer's takes over."""
    mine = threading.current_thread()
    by_me = by_others = 0
    enough = threading.Event()

    def bring_another(arrivals: list[Any]) -> None:
        nonlocal by_me, by_others
        if threading.current_thread() is mine:
            by_me += 1
        else:
            by_others += 1
        if by_others < 50:
            driver.bring(item("next"))
        else:
            enough.set()

    stub.during = bring_another
    driver.bring(item("first"))
    assert by_me <= TURNS_FOR_OTHERS
    assert enough.wait(ENOUGH_S), "nobody took over"


def test_a_thread_is_relieved_of_a_long_backlog_too(stub: Stub, driver: Driver) -> None:
    """A turn that stopped half-way has more to do, though nothing arrives."""
    counted = Counter[str]()
    finished = threading.Event()

    def backlog(arrivals: list[Any]) -> None:
        counted["me" if threading.current_thread() is threading.main_thread() else "others"] += 1
        stub.has_more = counted.total() < 40
        if not stub.has_more:
            finished.set()

    stub.has_more = True
    stub.during = backlog
    driver.bring(item("first"))
    assert finished.wait(ENOUGH_S)
    assert counted["me"] <= TURNS_FOR_OTHERS


# The timer


def test_the_timer_brings_the_time_when_a_deadline_comes(stub: Stub, driver: Driver) -> None:
    stub.during = lambda arrivals: setattr(
        stub, "deadline", float("inf") if arrivals == [TimePassed()] else soon
    )
    soon = time.monotonic() + 0.05
    driver.bring(item("a deadline is made"))
    wait_until(lambda: stub.turns[-1] == [TimePassed()])
    assert soon <= time.monotonic() < soon + 5


def test_an_earlier_deadline_wakes_the_timer(stub: Stub, driver: Driver) -> None:
    def make(deadline: float) -> None:
        stub.during = lambda arrivals: setattr(
            stub, "deadline", float("inf") if arrivals == [TimePassed()] else deadline
        )
        driver.bring(item("x"))

    make(time.monotonic() + 3600)
    time.sleep(0.01)  # the timer may be asleep by now or not: either way it must hear of the next
    make(time.monotonic() + 0.02)
    wait_until(lambda: stub.turns[-1] == [TimePassed()])


def test_nobody_looks_at_the_replica_while_a_turn_runs(stub: Stub, driver: Driver) -> None:
    """Its deadlines are made of what a turn changes; the timer must not read them then."""
    stub.deadline = time.monotonic() - 1

    def slow(arrivals: list[Any]) -> None:
        time.sleep(0.05)

    stub.during = slow
    for _ in range(5):
        driver.bring(item("x"))
    stub.deadline = float("inf")
    driver.bring(item("x"))
    assert stub.looked_at_during_a_turn == 0


def test_the_timer_does_not_spin_while_another_thread_drives(stub: Stub, driver: Driver) -> None:
    in_turn, may_go_on = threading.Event(), threading.Event()
    stub.deadline = time.monotonic() + 0.01

    def hold(arrivals: list[Any]) -> None:
        if "hold" in arrivals:
            in_turn.set()
            assert may_go_on.wait(ENOUGH_S)
            stub.deadline = float("inf")

    stub.during = hold
    driver.bring(item("makes the deadline known"))
    holding = threading.Thread(target=driver.bring, args=(item("hold"),))
    holding.start()
    assert in_turn.wait(ENOUGH_S)
    time.sleep(0.3)  # the deadline has long come
    may_go_on.set()
    holding.join(ENOUGH_S)
    assert sum(arrival == TimePassed() for turn in stub.turns for arrival in turn) <= 4


def test_an_idle_timer_sleeps(stub: Stub, driver: Driver) -> None:
    driver.bring(item("x"))
    turns = len(stub.turns)
    time.sleep(0.1)
    assert len(stub.turns) == turns


# Looking


def test_look_shows_the_replica_between_two_turns(stub: Stub, driver: Driver) -> None:
    stub.during = lambda arrivals: (
        [arrival.see(stub) for arrival in arrivals if isinstance(arrival, Look)] and None
    )
    seen: list[object] = []
    driver.look(seen.append)
    assert seen == [stub]


def test_an_error_of_who_looks_is_his_own(stub: Stub, driver: Driver) -> None:
    """It must not reach the turn, which would end the node."""
    stub.during = lambda arrivals: (
        [arrival.see(stub) for arrival in arrivals if isinstance(arrival, Look)] and None
    )

    def break_down(replica: object) -> None:
        raise RuntimeError("cannot see")

    with pytest.raises(RuntimeError, match="cannot see"):
        driver.look(break_down)
    driver.bring(item("still alive"))
    assert "still alive" in stub.stepped
    assert not driver.failures  # type: ignore[attr-defined]


# Failure and stop


def test_a_failure_is_told_once_and_stops_all(stub: Stub, driver: Driver) -> None:
    def fail(arrivals: list[Any]) -> None:
        if "bad" in arrivals:
            raise ValueError("broken")

    stub.during = fail
    in_threads(*[lambda: driver.bring(item("bad"))] * 4)
    assert [str(error) for error in driver.failures] == ["broken"]  # type: ignore[attr-defined]
    turns = len(stub.turns)
    in_threads(*[lambda: driver.bring(item("later"))] * 4)
    assert len(stub.turns) == turns
    wait_until(lambda: not driver._timer.is_alive())
    assert not driver._inbox


def test_stop_ends_the_timer_and_no_turn_follows(stub: Stub) -> None:
    driver = Driver(stub, print)  # type: ignore[arg-type]
    driver.start()
    driver.stop()
    assert not driver._timer.is_alive()
    turns = len(stub.turns)
    driver.bring(item("late"))
    assert len(stub.turns) == turns


def test_stop_without_start_and_twice_is_no_error(stub: Stub) -> None:
    driver = Driver(stub, print)  # type: ignore[arg-type]
    driver.stop()
    driver.stop()


@pytest.fixture
def lone() -> Iterator[tuple[Bench, Driver]]:
    """A real replica alone in its cluster, led and driven."""
    bench = Bench(size=1, clock=RealClock())
    driver = Driver(bench.replica, print)
    driver.start()
    wait_until(lambda: bench.server.role == "leader")
    yield bench, driver
    driver.stop()


def test_real_commands_from_many_threads_are_all_answered(lone: tuple[Bench, Driver]) -> None:
    bench, driver = lone
    waiters = []

    def submit() -> None:
        for _ in range(50):
            arrival, waiter = bench.command()
            waiter.effects = None
            waiters.append(waiter)
            driver.bring(arrival)

    in_threads(*[submit] * 6)
    wait_until(lambda: all(waiter.result is not None for waiter in waiters))
    indexes = [waiter.result.index for waiter in waiters if isinstance(waiter.result, Applied)]
    assert len(set(indexes)) == 300


class SlowDisk(MemoryDisk):
    """One that takes its time."""

    def save(self, *what: Any) -> None:
        time.sleep(0.002)
        super().save(*what)


def test_stop_tells_everybody_though_others_keep_bringing() -> None:
    """None of those who came before the stop is left without an answer, however busy the node is."""
    bench = Bench(size=1, clock=RealClock())
    bench.replica.disk = SlowDisk(bench.effects, bench.disk.hard_state, [])
    driver = Driver(bench.replica, print)
    driver.start()
    wait_until(lambda: bench.server.role == "leader")
    waiters = []
    stopping = threading.Event()

    def submit() -> None:
        while not stopping.is_set():
            arrival, waiter = bench.command()
            waiter.effects = None
            driver.bring(arrival)
            waiters.append(waiter)

    def stop() -> None:
        wait_until(lambda: len(waiters) > 100)
        stopping.set()
        driver.stop()

    in_threads(*[submit] * 4, stop)
    assert {type(waiter.result) for waiter in waiters} <= {Applied, Unserved}


def test_a_deadline_is_not_missed_between_two_threads(lone: tuple[Bench, Driver]) -> None:
    """Jobs that come due are made ready though a thousand other things happen meanwhile."""
    bench, driver = lone
    for n in range(30):
        arrival, waiter = bench.command(delay_ms=20 + n)
        waiter.effects = None
        driver.bring(arrival)
    counts: dict[str, int] = {}

    def look() -> bool:
        driver.look(lambda replica: counts.update(replica.queue.machine.counts()))
        return counts["ready"] == 30

    wait_until(look)
