"""Clients share the work, and a failure reaches whoever waits for them."""

import threading

import pytest

from glassraft.evaluation.clients import Clients


def test_each_piece_of_work_is_done_once_by_all_together():
    done: list[int] = []
    barrier = threading.Barrier(4)

    def do(work: int) -> None:
        if work < 4:
            barrier.wait(10)  # only four at once get past
        done.append(work)

    clients = Clients(4, range(100), do)
    clients.join()
    assert sorted(done) == list(range(100))
    assert not clients.failed


def test_a_failure_stops_the_others_and_is_raised():
    done: list[int] = []

    def do(work: int) -> None:
        if work == 5:
            raise ValueError("five")
        done.append(work)

    clients = Clients(1, range(100), do)
    with pytest.raises(ValueError, match="five"):
        clients.join()
    assert done == [0, 1, 2, 3, 4]
    assert clients.failed
