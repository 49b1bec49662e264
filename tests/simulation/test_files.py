"""The simulated machines' real files: what crashes leave of them."""

from pathlib import Path
from random import Random

from glassraft.jobqueue import commands
from glassraft.raft.messages import Entry
from glassraft.simulation.files import FileDisk, FileQueue
from glassraft.storage.identity import Identity


class Worst(Random):
    """As little is left as may be."""

    def randint(self, a: int, b: int) -> int:
        return a


def no_cut(name: str) -> None:
    """Nothing ends the process here."""


def test_what_was_synced_outlives_every_later_power_failure(tmp_path: Path) -> None:
    disk = FileDisk(tmp_path, Identity("c0ffee", "simulation", 1, {1: "sim:1"}), no_cut, lambda: False)
    queue = FileQueue(disk, no_cut)
    log = [Entry(index, 1, "noop", commands.opening(index)) for index in (1, 2, 3)]
    left = []
    for life in range(3):
        disk.open()
        queue.open()
        left.append(queue.machine.applied_index)
        if life == 0:
            disk.save(None, None, log)
            queue.apply(log[:2])
            queue.commit()
            queue.sync()
            queue.apply(log[2:])
            queue.commit()
        queue.stop(Worst(), power=True)
        disk.stop(Worst(), power=True)
    assert left == [0, 2, 2]
