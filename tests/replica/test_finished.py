"""Those who wait for jobs to finish are woken once readers can see the end, and nobody else is."""

import threading

import pytest

from glassraft.jobqueue import commands, ids
from glassraft.replica.arrivals import Applied
from glassraft.replica.finished import FinishedJobs
from tests.replica.parts import Bench


@pytest.fixture
def lone() -> Bench:
    bench = Bench(size=1)
    bench.become_leader()
    return bench


def submitted(bench: Bench) -> int:
    """The number of a new job."""
    waiter = bench.submit()
    assert isinstance(waiter.result, Applied)
    assert waiter.result.outcome.answer is not None
    return ids.from_text(waiter.result.outcome.answer["jobs"][0])


def end(bench: Bench, number: int, op: str = "Complete") -> None:
    """A worker takes the job and ends it."""
    take, waiter = bench.take(wait_s=0)
    bench.turn(take)
    assert isinstance(waiter.result, Applied)
    item = [ids.to_text(number), waiter.result.index]
    arguments = {
        "Complete": lambda: commands.check_complete([[*item, 7]]),
        "Fail": lambda: commands.check_fail([[*item, "broken", "", False]]),
        "Release": lambda: commands.check_release([[*item, 0, ""]]),
    }[op]()
    command, ended = bench.command()
    bench.turn(command._replace(op=op, arguments=arguments))
    assert isinstance(ended.result, Applied)


@pytest.mark.parametrize("op", ["Complete", "Fail"])
def test_the_end_wakes_and_readers_can_see_it(lone: Bench, op: str) -> None:
    number = submitted(lone)
    seen: list[int] = []

    class Seeing(threading.Event):
        def set(self) -> None:
            seen.append(lone.queue.committed_index)
            super().set()

    with lone.finished.watching([number]) as finished:
        lone.finished._watches[number] = {Seeing()}
        end(lone, number, op)
        assert seen == [lone.queue.machine.applied_index], "committed before it is told"
        assert not finished.is_set()


def test_only_a_jobs_end_wakes_only_those_who_wait_for_it(lone: Bench) -> None:
    first, second = submitted(lone), submitted(lone)
    with lone.finished.watching([first]) as of_first, lone.finished.watching([second, 99]) as of_second:
        end(lone, first, "Release")
        assert not of_first.is_set()
        end(lone, first)
        assert of_first.is_set()
        assert not of_second.is_set()


def test_nobody_waits_no_commit(lone: Bench) -> None:
    """Without a waiter, an end shares a commit with what comes after it."""
    number = submitted(lone)
    lone.effects.clear()
    end(lone, number)
    assert not [effect for effect in lone.effects if effect.startswith("commit")]


def test_a_stopping_node_lets_everybody_go() -> None:
    jobs = FinishedJobs()
    with jobs.watching([1, 2]) as early:
        jobs.close()
        assert early.is_set()
    with jobs.watching([1]) as late:
        assert late.is_set()
    assert not jobs._watches


def test_nothing_is_kept_of_those_who_gave_up() -> None:
    jobs = FinishedJobs()
    with jobs.watching([1, 1, 2]), jobs.watching([2]):
        assert set(jobs._watches) == {1, 2}
    assert not jobs._watches


def test_many_threads_may_watch_while_jobs_end(lone: Bench) -> None:
    numbers = [submitted(lone) for _ in range(20)]
    woken = []
    ready = threading.Barrier(21)

    def watch(number: int) -> None:
        with lone.finished.watching([number]) as finished:
            ready.wait(20)
            woken.append(finished.wait(20))

    threads = [threading.Thread(target=watch, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    ready.wait(20)
    for number in numbers:
        end(lone, number)
    for thread in threads:
        thread.join(20)
    assert woken == [True] * 20
