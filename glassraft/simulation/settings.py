"""What one run is like apart from its faults: how many nodes, how quick, how many clients.

Drawn from the seed like everything else, so that ten thousand seeds are not one cluster ten
thousand times. Next: run.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from glassraft.raft.ready import Settings as RaftSettings

if TYPE_CHECKING:
    from glassraft.simulation.clock import NodeClock
    from glassraft.simulation.node import Node
    from glassraft.simulation.world import World

SIZES: Final = (3, 3, 3, 3, 4, 5, 5, 7)

MakeNode = Callable[["World", int, "NodeClock", Random], "Node"]


@dataclass(frozen=True, slots=True)
class Settings:
    """One run's cluster and its users."""

    nodes: int
    spares: int
    """Machines that are no members at first, and can be added."""
    raft: RaftSettings
    together: float
    """How often an arrival waits a moment, to be stepped together with others."""
    client_widths: tuple[int, ...]
    """For each client: how many calls it has under way at most."""
    client_gap_s: float
    """On average, between a client's calls (seconds)."""
    client_loss: float
    """How often a message between a client and a node is lost while faults go on."""
    clocks_apart_s: float
    """By how much two wall clocks differ at first, at most (seconds)."""
    patience_s: float
    """How long a call looks for its answer."""
    workers: int
    periodic: int = 0
    """Schedules that somebody keeps, at most."""


def draw(random: Random, nodes: int | None = None) -> Settings:
    """Settings of a run; `nodes` where their number is given."""
    shortest_s = random.choice((0.4, 0.5, 0.7))
    check_quorum = random.random() < 0.7
    raft = RaftSettings(
        heartbeat_s=shortest_s / random.choice((2.0, 2.5, 3.0)),
        election_shortest_s=shortest_s,
        election_longest_s=2 * shortest_s,
        batch_entries=random.choice((1, 2, 8, 512)),
        batch_bytes=random.choice((400, 1 << 20)),
        uncommitted_entries=random.choice((4, 10_000, 10_000)),
        pre_vote=random.random() < 0.7,
        check_quorum=check_quorum,
        lease_reads=check_quorum and random.random() < 0.5,
        kept_entries=random.choice((4, 4, 15, 10_000)),
        kept_for_snapshot=random.choice((30, 200)),
        compact_entries=random.choice((3, 10)),
        chunk_bytes=random.choice((2_000, 8_000, 100_000)),
        snapshot_again_s=1.0,
    )
    return Settings(
        nodes=nodes or random.choice(SIZES),
        spares=random.choice((0, 1, 2)),
        raft=raft,
        together=random.choice((0.0, 0.5, 0.9)),
        client_widths=random.choice(((1, 1), (1, 2), (3,))),
        client_gap_s=random.choice((0.3, 0.45, 0.7)),
        client_loss=random.choice((0.0, 0.02, 0.1)),
        clocks_apart_s=random.choice((0.05, 0.05, 4.0)),
        patience_s=random.choice((2.0, 5.0, 15.0)),
        workers=random.choice((1, 2)),
    )
