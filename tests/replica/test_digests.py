"""Two nodes that differ are found as soon as they applied up to the same index."""

import pytest

from glassraft.replica.digests import REMEMBERED, Digests, QueuesDiffer
from glassraft.replica.turn import Replica
from tests.replica.parts import Bench


def test_the_same_digest_passes_and_another_does_not() -> None:
    digests = Digests()
    digests.remember(5, "aa")
    digests.compare(2, 5, "aa")
    with pytest.raises(QueuesDiffer, match=r"after index 5 .*n2's.*replace this server"):
        digests.compare(2, 5, "bb")


def test_an_index_that_it_did_not_stop_at_passes() -> None:
    digests = Digests()
    digests.remember(5, "aa")
    digests.compare(2, 4, "bb")
    digests.compare(2, 6, "bb")


def test_only_so_many_are_kept() -> None:
    digests = Digests()
    for index in range(REMEMBERED + 10):
        digests.remember(index, str(index))
    assert len(digests._known) == REMEMBERED
    digests.compare(2, 3, "forgotten")
    with pytest.raises(QueuesDiffer):
        digests.compare(2, 20, "other")


def test_a_node_knows_its_digest_from_the_start() -> None:
    """Before it applies anything in this life: its files may have been exchanged."""
    bench = Bench(size=1)
    bench.become_leader()
    bench.submit()
    with pytest.raises(QueuesDiffer):
        bench.replica.digests.compare(2, 2, "other")
    again = Replica(
        make_server=lambda opening: bench.server,
        disk=bench.disk,
        queue=bench.queue,
        network=bench.network,
        clock=bench.clock,
        cluster_clock=bench.replica.cluster_clock,
        make_recorder=lambda replica: bench.replica.recorder,
        watchers=bench.finished,
        snapshots=bench.snapshots,
    )
    with pytest.raises(QueuesDiffer):
        again.digests.compare(2, 2, "other")
