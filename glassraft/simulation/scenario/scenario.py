"""Scenarios by hand: each line of a script does one thing, and what comes of it is written down.

Every state arises by the rules alone: no word sets a term, a vote or a log. After each line messages
are delivered, first sent first, until nothing is under way; time stands still, and timers run out
when the script says so. The words are in vocabulary.py and the modules that it names. Next:
transcript.py, which plays files of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    Message,
    RequestVote,
    TimeoutNow,
)
from glassraft.raft.ready import Note
from glassraft.replica.arrivals import Result
from glassraft.simulation.checks import Broken
from glassraft.simulation.node import Node
from glassraft.simulation.scenario import cluster, looking, messages, nodes, people
from glassraft.simulation.scenario.people import Person
from glassraft.simulation.scenario.texts import answer_text, message_text, note_text
from glassraft.simulation.scenario.vocabulary import WORDS, ScenarioError, node_id, one_of
from glassraft.simulation.scenario.world import ScenarioWorld

THEMES: Final = (cluster, nodes, messages, people, looking)
"""The modules of words, in the order of the help."""

WIDTH: Final = 34
"""Of what is written, in the help."""


def glossary() -> str:
    """All words, as the help shows them."""
    lines: list[str] = []
    for theme in THEMES:
        for each in WORDS.values():
            if each.does.__module__ == theme.__name__:
                lines += each.written[:-1]
                lines.append(f"{each.written[-1]:{WIDTH}} {each.meaning}")
    return "\n".join(lines)


class Scenario:
    """Carries out lines, and writes down in `lines` what comes of them.

    A message's term is written where it is not the receiver's, a leader's commit index where it is
    news to the receiver. `record`: a folder for the event files that real nodes write.
    """

    def __init__(self, record: Path | None = None) -> None:
        self.record = record
        self.lines: list[str] = []
        self.is_quiet = False
        self.shown: set[int] = set()
        """Among which nodes what happens is written down; among all, if empty."""
        self.refusals: Counter[int] = Counter()
        self._world: ScenarioWorld | None = None
        self._people: dict[str, Person] = {}
        self._broken: set[str] = set()

    def run(self, line: str) -> None:
        """One line of a script. Comments and empty lines do nothing.

        Raises ScenarioError where it cannot be carried out: what is wrong, and how the word is written.
        """
        words = line.partition("#")[0].split()
        if not words:
            return
        try:
            does = WORDS[one_of(words[0], WORDS, "word of a scenario")]
            does.does(self, words[1:])
            self.world.settle()
        except ScenarioError as error:
            known = WORDS.get(words[0])
            usage = f" (written: {'; '.join(known.written)})" if known else ""
            raise ScenarioError(f"{line.strip()!r}: {error}{usage}") from None

    # What words act on

    @property
    def world(self) -> ScenarioWorld:
        """The cluster and all around it."""
        if self._world is None:
            raise ScenarioError("there is no cluster yet: begin with cluster 3")
        return self._world

    def take_up(self, make_world: Callable[[], ScenarioWorld]) -> None:
        """Act on a new world from now on, among people whom it has not met."""
        if self.record is not None and self._world is not None:
            raise ScenarioError("a scenario that is recorded has one cluster: event files tell of one")
        self.close()
        self._world = make_world()
        self._people.clear()
        self._broken.clear()
        self.refusals.clear()

    def close(self) -> None:
        """Put the cluster away."""
        if self._world is not None:
            for node in self._world.nodes.values():
                node.close()

    def nodes(self, names: Sequence[str]) -> list[Node]:
        """The nodes of these names, up or down."""
        known = self.world.nodes
        for name in names:
            if node_id(name) not in known:
                raise ScenarioError(f"there is no {name}: the cluster has n1 to n{len(known)}")
        return [known[node_id(name)] for name in names]

    def running(self, names: Sequence[str]) -> list[Node]:
        """The nodes of these names, all of which must be up."""
        found = self.nodes(names)
        for node in found:
            if node.replica is None:
                raise ScenarioError(f"n{node.id} is down")
        return found

    def person(self, name: str) -> Person:
        """A client or a worker, known from its first word on."""
        return self._people.setdefault(name, Person(name))

    @contextmanager
    def silence(self) -> Iterator[None]:
        """What happens meanwhile is not written down."""
        was, self.is_quiet = self.is_quiet, True
        try:
            yield
        finally:
            self.is_quiet = was

    # What happens (world.Witness)

    def received(self, message: Message) -> None:
        """The receiver is about to step it."""
        if isinstance(message, AppendEntriesReply) and not message.success and message.conflict_index:
            self.refusals[message.sender] += 1
        waits = ", waits" if self.world.nodes[message.receiver].paused else ""
        self._write_message(message, waits)

    def lost(self, message: Message) -> None:
        """It reaches nobody."""
        self._write_message(message, ", lost")

    def held(self, message: Message) -> None:
        """It is kept back."""
        self._write_message(message, ", held")

    def noted(self, node: Node, note: Note) -> None:
        """A server noted what happened."""
        text = note_text(note)
        if text:
            self._write(f"n{node.id} {text}", node.id)

    def answered(self, node: Node, asked: str, result: Result) -> None:
        """Who asked is told."""
        self._write(f"n{node.id} {answer_text(asked, result)}", node.id)

    def ended(self, node: Node, why: str) -> None:
        """A process ended where it was to."""
        self._write(f"n{node.id} crashes {why}", node.id)

    def broke(self, broken: Broken) -> None:
        """A property does not hold. What follows from that is not told again, quiet or not."""
        if broken.property not in self._broken:
            self._broken.add(broken.property)
            self.lines.append(f"BROKEN {broken.property}: {broken.text}")

    def _write_message(self, message: Message, fate: str) -> None:
        text = message_text(message) + self._news(message) + fate
        self._write(text, message.sender, message.receiver)

    def _news(self, message: Message) -> str:
        receiver = self.world.nodes[message.receiver]
        if receiver.replica is None:
            return ""
        server, news = receiver.server, ""
        if isinstance(message, AppendEntries) and message.leader_commit > server.commit_index:
            news += f" commit={message.leader_commit}"
        if message.term != server.current_term:
            is_request = isinstance(message, RequestVote | AppendEntries | InstallSnapshot | TimeoutNow)
            news += f"{'' if is_request else ','} term={message.term}"
        return news

    def _write(self, line: str, *nodes: int) -> None:
        if not self.is_quiet and (not self.shown or self.shown.issuperset(nodes)):
            self.lines.append(line)
