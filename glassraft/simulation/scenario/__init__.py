"""Scenarios by hand, on the simulator's own cluster: docs/correctness.md has the words and an example.

`play` plays a transcript, `Scenario` one line after the other. scenario.py comes first.
"""

from glassraft.simulation.scenario.scenario import Scenario, glossary
from glassraft.simulation.scenario.transcript import Block, parse, play, played
from glassraft.simulation.scenario.vocabulary import ScenarioError

__all__ = ["Block", "Scenario", "ScenarioError", "glossary", "parse", "play", "played"]
