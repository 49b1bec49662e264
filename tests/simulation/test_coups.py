"""Coups come to their end, and under the real rules nothing breaks by them."""

from collections import Counter

import pytest

from glassraft.simulation.broken import ZOO
from glassraft.simulation.coups import STORIES
from glassraft.simulation.hunt import schedule_for, settings_for
from glassraft.simulation.run import simulate
from glassraft.simulation.schedule import Fault, Storm

SEEDS = 4

AIMED = {
    fault.effect: rule
    for rule in ZOO.values()
    if rule.where.only
    for storm in schedule_for(rule, 0)
    for fault in storm.faults
}
"""By each story, the broken rule that it is aimed at."""


def test_each_story_is_aimed_at_a_broken_rule() -> None:
    assert set(AIMED) == set(STORIES)


@pytest.mark.parametrize("story", STORIES)
def test_it_comes_to_its_end(story: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        rule = AIMED[story]
        result = simulate(seed, settings_for(rule, seed), schedule=schedule_for(rule, seed))
        assert result.failure is None, f"seed {seed} fails {result.failure}"
        seen.update(result.coverage)
    assert seen[story]


def test_the_transcript_tells_who_hears_whom_and_what_was_held_back() -> None:
    rule = AIMED["late_votes"]
    told: list[str] = []
    simulate(
        0,
        settings_for(rule, 0),
        schedule=schedule_for(rule, 0),
        listener=lambda at, text: told.append(text),
    )
    assert "from now on hear each other: none" in told
    assert any(text.endswith("messages that were held back arrive") for text in told)


def test_one_is_under_way_at_a_time() -> None:
    """The second begins when the first is over."""
    rule = AIMED["late_append"]
    coups = tuple(Fault(2.0 + number / 100, "coup", "leader", effect="late_append") for number in range(10))
    result = simulate(0, settings_for(rule, 0), schedule=(Storm(6.0, coups),))
    assert result.failure is None
    assert result.coverage["late_append"] == 1
