"""Words about nodes: timers, time, processes that end, begin, stand still, and clocks."""

from typing import TYPE_CHECKING

from glassraft.simulation.node import ArmedCut
from glassraft.simulation.scenario.vocabulary import ScenarioError, count, one_of, positive, whole, word
from glassraft.simulation.schedule import EFFECTS

if TYPE_CHECKING:
    from glassraft.simulation.scenario.scenario import Scenario


@word("timeout n1 n2")
def timeout(scenario: "Scenario", words: list[str]) -> None:
    """their election timers run out"""
    count(words, 1)
    for node in scenario.running(words):
        if node.server.role == "leader":
            raise ScenarioError(f"n{node.id} leads: it has no election timer")
        scenario.world.fire_timer(node)


@word("heartbeat n1")
def heartbeat(scenario: "Scenario", words: list[str]) -> None:
    """its heartbeat is due"""
    count(words, 1)
    for node in scenario.running(words):
        if node.server.role != "leader":
            raise ScenarioError(f"n{node.id} does not lead: it has no heartbeat")
        scenario.world.fire_timer(node)


@word("wait 0.5")
def wait(scenario: "Scenario", words: list[str]) -> None:
    """so many seconds pass; a timer that is due runs out with its node's next turn"""
    count(words, 1, 1)
    scenario.world.stand_still(positive(words[0], "the time to wait"))


@word("run 5")
def run(scenario: "Scenario", words: list[str]) -> None:
    """so many seconds pass, and each timer runs out when it is due"""
    count(words, 1, 1)
    scenario.world.let_run(positive(words[0], "the time to run"))


@word("crash n1 n2", "crash n1 before send [3]")
def crash(scenario: "Scenario", words: list[str]) -> None:
    """their processes end: at once, or before the next (the third) such effect"""
    count(words, 1)
    if "before" in words:
        return _crash_before(scenario, words)
    for node in scenario.running(words):
        scenario.world.end(node, power=False)


def _crash_before(scenario: "Scenario", words: list[str]) -> None:
    count(words, 3, 4)
    if words[1] != "before":
        raise ScenarioError(f"one process can end before an effect, not {words[: words.index('before')]}")
    effect = one_of(words[2], EFFECTS, "effect")
    which = whole(words[3], "which of them") if len(words) == 4 else 1
    scenario.running(words[:1])[0].armed.append(ArmedCut(effect, which - 1, 0.0, power=False))


@word("unplug n1 n2")
def unplug(scenario: "Scenario", words: list[str]) -> None:
    """their power fails: what was not synced is lost, too"""
    count(words, 1)
    for node in scenario.running(words):
        scenario.world.end(node, power=True)


@word("restart n1 n2")
def restart(scenario: "Scenario", words: list[str]) -> None:
    """they start from what their disks have"""
    count(words, 1)
    for node in scenario.nodes(words):
        if node.replica is not None:
            raise ScenarioError(f"n{node.id} is up already")
        node.start()


@word("pause n1")
def pause(scenario: "Scenario", words: list[str]) -> None:
    """its process stands still, and its connections stay open"""
    count(words, 1)
    for node in scenario.running(words):
        node.paused = True


@word("resume n1")
def resume(scenario: "Scenario", words: list[str]) -> None:
    """it goes on, with all that arrived meanwhile"""
    count(words, 1)
    for node in scenario.running(words):
        if not node.paused:
            raise ScenarioError(f"n{node.id} is not paused")
        node.resume()


@word("rate n1 0.5")
def rate(scenario: "Scenario", words: list[str]) -> None:
    """its clocks show so many seconds in one"""
    count(words, 2, 2)
    scenario.nodes(words[:1])[0].clock.set_rate(positive(words[1], "a clock's rate"))
