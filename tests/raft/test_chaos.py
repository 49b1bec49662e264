"""Random faults against the paper's properties, and the proof that this test can fail.

GLASSRAFT_SEEDS=5000 plays more seeds; `python -m tests.raft.chaos` plays them with a count.
A failure says its seed: `play(SEED)` in chaos.py plays the same run again.
"""

import os
from typing import Any

import pytest

from glassraft.raft.assertions import NoAssertions
from glassraft.raft.rules import Rules
from tests.raft import broken
from tests.raft.chaos import play
from tests.raft.properties import Broken
from tests.raft.world import World

SEEDS = int(os.environ.get("GLASSRAFT_SEEDS", "400"))
CHUNKS = 8

CAUGHT_WITHIN = 2000
"""Seeds that a broken rule may survive, at most."""

FOUND_AT: dict[type, int] = {
    broken.OlderTermsCommittedByCounting: 265,
    broken.VotesAgainstALeaderThatItHears: 150,
    broken.LeaseCountsFromTheAnswer: 450,
    broken.LeaseKeptInATransfer: 550,
}
"""Where the search begins for a rule that takes long to catch: a seed that once did. It only saves time."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_properties_hold(chunk: int) -> None:
    for seed in range(chunk, SEEDS, CHUNKS):
        play(seed)


def test_same_seed_same_run() -> None:
    first, second = play(7), play(7)
    assert first.describe() == second.describe()
    assert first.applied_entries == second.applied_entries
    assert first.world.clock == second.world.clock


def first_catch(begin: int, seeds: int, **broken_parts: Any) -> BaseException | None:
    """What stopped the first of these seeds that did not play to its end; None if all did."""
    for seed in range(begin, begin + seeds):
        try:
            play(seed, assertions=NoAssertions(), **broken_parts)
        except Broken as caught:
            return caught.__cause__
    return None


@pytest.mark.parametrize("rules", broken.RULES, ids=lambda rules: rules.__name__)
def test_a_broken_rule_is_caught(rules: type[Rules]) -> None:
    # By a property, not by the accident of an exception.
    assert isinstance(first_catch(FOUND_AT.get(rules, 0), CAUGHT_WITHIN, rules=rules()), Broken)


@pytest.mark.parametrize("make_world", broken.WORLDS, ids=lambda world: world.__name__)
def test_a_broken_disk_is_caught(make_world: type[World]) -> None:
    assert isinstance(first_catch(0, 100, make_world=make_world), Broken)
