"""What a simulated cluster is made of: the real parts, any of which a run may replace by a broken one.

A broken rule is a subclass or a function put here in place of one of these. Runs with one leave
the servers' own assertions out, so that the checks from outside must see it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from glassraft.jobqueue.rules import QueueRules
from glassraft.raft.assertions import Assertions
from glassraft.raft.rules import Rules
from glassraft.replica.rules import TurnRules
from glassraft.simulation.disks import Disk, Effect, RaftDisk

MakeDisk = Callable[[Effect], Disk]


@dataclass(frozen=True)
class Parts:
    """The rules of the algorithm, the turn and the machine, the servers' assertions, and the raft disk."""

    rules: Rules = field(default_factory=Rules)
    assertions: Assertions = field(default_factory=Assertions)
    turn_rules: TurnRules = field(default_factory=TurnRules)
    queue_rules: QueueRules = field(default_factory=QueueRules)
    make_disk: MakeDisk = RaftDisk


REAL = Parts()
