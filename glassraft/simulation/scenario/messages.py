"""Words about messages: links that are cut, and messages that are held, released, dropped, doubled, turned around."""

from typing import TYPE_CHECKING

from glassraft.raft.messages import Message
from glassraft.simulation.scenario.network import Pick, every
from glassraft.simulation.scenario.texts import TEXTS
from glassraft.simulation.scenario.vocabulary import ScenarioError, count, one_of, word

if TYPE_CHECKING:
    from glassraft.simulation.scenario.scenario import Scenario

ANY = "*"


@word("cut n1", "cut n1 n2 | n3 n4 n5", "cut n1 -> n3")
def cut(scenario: "Scenario", words: list[str]) -> None:
    """lose what goes between these groups, or one and all others, or one way"""
    count(words, 1)
    network = scenario.world.network
    if "->" in words:
        sender, receiver = _ends(scenario, words)
        if sender is None or receiver is None:
            raise ScenarioError("a cut is between nodes with names, not *")
        return network.cut([(sender, receiver)])
    groups = [_ids(scenario, group.split()) for group in " ".join(words).split("|")]
    if len(groups) == 1:
        groups.append([id for id in scenario.world.nodes if id not in groups[0]])
    for position, group in enumerate(groups):
        for other in groups[position + 1 :]:
            network.cut([link for a in group for b in other for link in ((a, b), (b, a))])


@word("heal")
def heal(scenario: "Scenario", words: list[str]) -> None:
    """all links carry messages again"""
    count(words, 0, 0)
    scenario.world.network.heal()


@word("hold n1 -> n3 [Kind]")
def hold(scenario: "Scenario", words: list[str]) -> None:
    """keep such messages back from now on; * is any node"""
    count(words, 1)
    scenario.world.network.keep_back(" ".join(words), pick(scenario, words))


@word("release [n1 -> n3 [Kind]]")
def release(scenario: "Scenario", words: list[str]) -> None:
    """send what is held on its way, and hold such messages no longer"""
    network = scenario.world.network
    chosen = pick(scenario, words)
    for name in [" ".join(words)] if words else list(network.holding):
        network.let_go(name)
    network.release(chosen)


@word("drop [n1 -> n3 [Kind]]")
def drop(scenario: "Scenario", words: list[str]) -> None:
    """lose what is held"""
    with scenario.silence():
        scenario.world.network.drop(pick(scenario, words))


@word("duplicate [n1 -> n3 [Kind]]")
def duplicate(scenario: "Scenario", words: list[str]) -> None:
    """double what is held"""
    scenario.world.network.duplicate(pick(scenario, words))


@word("reorder [n1 -> n3 [Kind]]")
def reorder(scenario: "Scenario", words: list[str]) -> None:
    """turn what is held around: the last that was sent will arrive first"""
    scenario.world.network.reorder(pick(scenario, words))


def pick(scenario: "Scenario", words: list[str]) -> Pick:
    """`n1 -> n3 Kind` chooses messages; * is any node, no kind is every kind, nothing is everything."""
    if not words:
        return every
    sender, receiver = _ends(scenario, words)
    kinds = {kind.__name__ for kind in TEXTS}
    kind = one_of(words[3], sorted(kinds), "kind of message") if len(words) == 4 else None

    def chosen(message: Message) -> bool:
        return (
            sender in (None, message.sender)
            and receiver in (None, message.receiver)
            and kind in (None, type(message).__name__)
        )

    return chosen


def _ends(scenario: "Scenario", words: list[str]) -> tuple[int | None, int | None]:
    if len(words) not in (3, 4) or words[1] != "->":
        raise ScenarioError(
            f"{' '.join(words)!r} chooses no messages; write n1 -> n3, * -> n3 or n1 -> n3 Kind"
        )
    sender, receiver = (None if end == ANY else _ids(scenario, [end])[0] for end in (words[0], words[2]))
    return sender, receiver


def _ids(scenario: "Scenario", names: list[str]) -> list[int]:
    return [node.id for node in scenario.nodes(names)]
