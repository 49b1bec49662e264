"""Aimed faults of several steps, which chance alone seldom finds: coup.py says what one is.

Each is told in the file of its theme; faults.py begins them among everything else.
"""

from collections.abc import Callable, Mapping
from typing import Final

from glassraft.simulation.coups import elections, leases, membership, reading, replication, snapshots
from glassraft.simulation.coups.coup import Coup, Story

STORIES: Final[Mapping[str, Callable[[Coup], Story]]] = {
    story.__name__: story
    for story in (
        elections.late_votes,
        elections.doubled_votes,
        elections.longer_log,
        replication.figure_8,
        replication.late_acknowledgements,
        replication.late_append,
        membership.several_removed_at_once,
        membership.lost_change,
        membership.change_before_the_first_commit,
        snapshots.cut_at_a_snapshot,
        snapshots.overtaken_snapshot,
        reading.earlier_rounds_answered,
        reading.read_before_the_first_commit,
        leases.forgetful_voters,
        leases.hand_over_unheard,
        leases.late_answers,
    )
}
"""By name, as a fault's `effect` says it; its number decides who plays which part."""
