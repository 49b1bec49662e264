"""Words that look, and change nothing: what is written down, and what the nodes are like."""

from typing import TYPE_CHECKING

from glassraft.simulation.scenario.vocabulary import count, word

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.scenario.scenario import Scenario

MOST_JOBS = 1_000


@word("quiet")
def quiet(scenario: "Scenario", words: list[str]) -> None:
    """write down nothing of what happens, but for a property that breaks"""
    count(words, 0, 0)
    scenario.is_quiet = True


@word("show [n1 n3]")
def show(scenario: "Scenario", words: list[str]) -> None:
    """write it down again: all of it, or what is among these nodes"""
    scenario.is_quiet = False
    scenario.shown = {node.id for node in scenario.nodes(words)}


@word("logs [n1 n3]")
def logs(scenario: "Scenario", words: list[str]) -> None:
    """role, term, commit index, and the log as terms, behind (index@term) where it is cut"""
    for node in _those(scenario, words):
        log = node.disk.open()
        terms = [str(log.term_at(index)) for index in range(log.first_index, log.last_index + 1)]
        base = [f"({log.base.index}@{log.base.term})"] if log.base.index else []
        line = f"n{node.id} {_state(node):27} log {' '.join(base + terms)}"
        scenario.lines.append(line.rstrip())


def _state(node: "Node") -> str:
    if node.replica is None:
        return f"down      term={node.disk.hard_state.term}"
    server = node.server
    role = "paused" if node.paused else server.role
    return f"{role:9} term={server.current_term} commit={server.commit_index}"


@word("jobs [n1 n3]")
def jobs(scenario: "Scenario", words: list[str]) -> None:
    """the jobs that each running node has applied, in their order, and their states"""
    for node in _those(scenario, words):
        if node.replica is not None:
            scenario.world.look(node)
            scenario.lines.append(f"n{node.id} holds {', '.join(_jobs(node)) or 'no job'}")


def _jobs(node: "Node") -> list[str]:
    page = node.reader.list(limit=MOST_JOBS)
    return [f"{job['task']} {job['state']}" for job in reversed(page["jobs"])]


@word("refusals")
def refusals(scenario: "Scenario", words: list[str]) -> None:
    """how often each node refused entries for lack of the one before them"""
    count(words, 0, 0)
    each = ", ".join(f"n{id} {count}" for id, count in sorted(scenario.refusals.items()))
    scenario.lines.append(f"{scenario.refusals.total()} refusals: {each}")


def _those(scenario: "Scenario", words: list[str]) -> list["Node"]:
    return scenario.nodes(words) or list(scenario.world.nodes.values())
