"""What a simulated cluster is made of: the real parts, any of which a run may replace by a broken one.

A broken rule is a subclass or a function put here in place of one of these. Runs with one leave
the servers' own assertions out, so that the checks from outside must see it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from glassraft.jobqueue.machine import Machine
from glassraft.raft.assertions import Assertions
from glassraft.raft.rules import Rules
from glassraft.replica.arrivals import Arrival
from glassraft.replica.turn import Replica, turn
from glassraft.simulation.disks import Disk, Effect, MakeMachine, RaftDisk

RunTurn = Callable[[Replica, Iterable[Arrival]], bool]
MakeDisk = Callable[[Effect], Disk]


@dataclass(frozen=True)
class Parts:
    """The algorithm's rules, the order of the turn, the machine and the raft disk."""

    rules: Rules = field(default_factory=Rules)
    assertions: Assertions = field(default_factory=Assertions)
    run_turn: RunTurn = turn
    make_machine: MakeMachine = Machine
    make_disk: MakeDisk = RaftDisk


REAL = Parts()
