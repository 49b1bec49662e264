"""The word that makes a cluster, and its options: the paper's own elections unless it says otherwise."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from glassraft.raft.log import Log
from glassraft.raft.messages import LogPosition
from glassraft.raft.ready import Settings
from glassraft.raft.rules import Rules
from glassraft.simulation.broken import ZOO
from glassraft.simulation.parts import REAL, Parts
from glassraft.simulation.scenario.vocabulary import (
    ScenarioError,
    count,
    node_id,
    one_of,
    options,
    switch,
    whole,
    word,
)
from glassraft.simulation.scenario.world import ScenarioWorld

if TYPE_CHECKING:
    from glassraft.simulation.scenario.scenario import Scenario

AS_PRINTED: Final = Settings(pre_vote=False, check_quorum=False)
"""A candidate stands at once, and a leader leads until it hears of a newer term."""


class NoEmptyEntries(Rules):
    """The paper's figures show no empty entry at the start of a term."""

    def opens_term_with_empty_entry(self) -> bool:
        """A leader waits for a client's."""
        return False


class BacksUpOneByOne(Rules):
    """Figure 2 alone: after a refusal nextIndex goes back by one (§5.3)."""

    def conflict(self, log: Log, prev_log: LogPosition) -> LogPosition:
        """A refusal tells nothing of the follower's log."""
        return LogPosition(0, prev_log.index)


FIELDS: Final[dict[str, tuple[str, Callable[[str, str], Any]]]] = {
    "batch": ("batch_entries", whole),
    "chunk": ("chunk_bytes", whole),
    "kept": ("kept_entries", whole),
    "compact": ("compact_entries", whole),
    "pre_vote": ("pre_vote", switch),
    "check_quorum": ("check_quorum", switch),
    "leases": ("lease_reads", switch),
}
"""Options that are a server's settings, as numbers or switches."""

OTHERS: Final = ("leader", "spare", "seed", "broken", "empty_entries", "back_up")


@word("cluster 3 [OPTION=VALUE ...]")
def cluster(scenario: "Scenario", words: list[str]) -> None:
    """a new cluster of n1 to n3, all of them followers in term 0"""
    count(words, 1)
    given = options(words[1:])
    for key in given:
        one_of(key, (*OTHERS, *FIELDS), "option of a cluster")
    scenario.take_up(
        partial(
            ScenarioWorld,
            whole(words[0], "a cluster's size"),
            _settings(given),
            _parts(given),
            scenario,
            spares=whole(given["spare"], "spare") if "spare" in given else 0,
            seed=given.get("seed", 0),
            record=scenario.record,
        )
    )
    if "leader" in given:
        with scenario.silence():
            _elect(scenario, given["leader"])


def _settings(given: dict[str, str]) -> Settings:
    changes = {field: parse(given[key], key) for key, (field, parse) in FIELDS.items() if key in given}
    try:
        return replace(AS_PRINTED, **changes)
    except ValueError as error:
        raise ScenarioError(str(error)) from None


def _parts(given: dict[str, str]) -> Parts:
    """The real parts, or a broken rule's; and what a figure leaves out, on top of them."""
    parts = ZOO[one_of(given["broken"], ZOO, "broken rule")].parts if "broken" in given else REAL
    figure: list[type[Rules]] = []
    if not switch(given.get("empty_entries", "on"), "empty_entries"):
        figure.append(NoEmptyEntries)
    if one_of(given.get("back_up", "by_term"), ("by_term", "one_by_one"), "way to back up") == "one_by_one":
        figure.append(BacksUpOneByOne)
    bases = (*figure, type(parts.rules))
    return replace(parts, rules=type("Rules", bases, {})()) if figure else parts


def _elect(scenario: "Scenario", name: str) -> None:
    """Its election timer runs out, and everybody hears of what comes of it."""
    [node] = scenario.running([name])
    if scenario.world.settings.raft.lease_reads:  # who has just started votes for nobody (diss. §6.4.1)
        scenario.world.stand_still(scenario.world.settings.raft.election_shortest_s)
    for _ in range(2):
        scenario.world.fire_timer(node)
        scenario.world.settle()
    if node.server.role != "leader":
        raise ScenarioError(f"n{node_id(name)} was not elected")
