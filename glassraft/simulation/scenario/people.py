"""Words about those who use the cluster: clients, workers and operators, and how they are answered.

A client's session and a worker's are made from their names. Nobody asks again by himself, as the
real ones do: a script says who does. Next: world.py, which answers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from glassraft.errors import BadArgument
from glassraft.jobqueue import commands
from glassraft.replica.arrivals import (
    Applied,
    Arrival,
    ChangeArrived,
    CommandArrived,
    ReadArrived,
    Result,
    TakeArrived,
    TransferArrived,
)
from glassraft.simulation.scenario.vocabulary import (
    ScenarioError,
    count,
    node_id,
    options,
    positive,
    whole,
    word,
)
from glassraft.simulation.workers import QUEUE

if TYPE_CHECKING:
    from glassraft.simulation.node import Node
    from glassraft.simulation.scenario.scenario import Scenario

AT_ONCE = {"base_ms": 0, "factor": 1_000, "cap_ms": 0}
"""A job that failed is ready again without a pause."""


@dataclass(slots=True)
class Person:
    """A client or a worker: its session, its last command, and the job that a worker holds."""

    name: str
    number: int = 0
    asked: tuple[str, str, str] = ("", "", "")
    """The operation, its arguments, and how it is told."""
    held: tuple[str, int] | None = None
    """A job's id and token."""

    @property
    def session(self) -> str:
        """32 hex digits, other ones for each name."""
        return sha256(self.name.encode()).hexdigest()[:32]


class Asked:
    """Who asked a node for something waits here; `person`: who remembers what a Take gave."""

    def __init__(self, scenario: "Scenario", node: "Node", what: str, person: Person | None = None) -> None:
        self._world = scenario.world
        self._node = node
        self._what = what
        self._person = person
        self._committed_before = scenario.world.checks.commit_index

    def settle(self, result: Result) -> None:
        """Called once, from within the node's turn."""
        self._world.answer(self._node, self._what, result, self._committed_before)
        if self._person is not None and isinstance(result, Applied) and result.outcome.answer:
            for job, token in result.outcome.answer["jobs"]:
                self._person.held = (job, token)


# Clients


@word("propose n1 a b")
def propose(scenario: "Scenario", words: list[str]) -> None:
    """clients submit the jobs a and b to n1, together, under no session"""
    count(words, 2)
    [node] = scenario.running(words[:1])
    jobs = [(name, _submit([name], {})) for name in words[1:]]
    scenario.world.act(
        node, [CommandArrived("Submit", arguments, Asked(scenario, node, name)) for name, arguments in jobs]
    )


@word("submit c1 n1 a [attempts=2]")
def submit(scenario: "Scenario", words: list[str]) -> None:
    """client c1 submits job a to n1, under its session"""
    count(words, 3)
    client = scenario.person(words[0])
    client.number += 1
    names = [each for each in words[2:] if "=" not in each]
    more = options(each for each in words[2:] if "=" in each)
    client.asked = ("Submit", _submit(names, more), "+".join(names))
    _ask_for(scenario, client, words[1])


@word("again c1 n2")
def again(scenario: "Scenario", words: list[str]) -> None:
    """c1 asks n2 for its last submission once more, under the same number"""
    count(words, 2, 2)
    client = scenario.person(words[0])
    if not client.number:
        raise ScenarioError(f"{client.name} has submitted nothing yet")
    _ask_for(scenario, client, words[1])


def _submit(names: list[str], more: dict[str, str]) -> str:
    job: dict[str, Any] = {"backoff": AT_ONCE}
    for key, value in more.items():
        if key != "attempts":
            raise ScenarioError(f"{key!r} is no option of a job; known is attempts")
        job["max_attempts"] = whole(value, "attempts")
    try:
        return commands.check_submit([{"task": name, **job} for name in names])
    except BadArgument as error:
        raise ScenarioError(str(error)) from None


def _ask_for(scenario: "Scenario", client: Person, at: str) -> None:
    [node] = scenario.running([at])
    op, arguments, told = client.asked
    number = client.number
    ticket = Asked(scenario, node, told)
    scenario.world.act(node, [CommandArrived(op, arguments, ticket, client.session, number, number)])


@word("read n1 r")
def read(scenario: "Scenario", words: list[str]) -> None:
    """a client asks n1 for a linearizable read, which is called r"""
    count(words, 2, 2)
    _ask(scenario, words[0], lambda node: ReadArrived(Asked(scenario, node, words[1])))


# Workers


@word("take w1 n1 [lease=2]")
def take(scenario: "Scenario", words: list[str]) -> None:
    """worker w1 asks n1 for a job, leased for so many seconds (2)"""
    count(words, 2, 3)
    worker = scenario.person(words[0])
    worker.number += 1
    more = options(words[2:])
    lease_s = positive(more.pop("lease", "2"), "a lease")
    if more:
        raise ScenarioError(f"{next(iter(more))!r} is no option of a Take; known is lease")
    arguments = commands.check_take(worker.name, [QUEUE], 1, int(lease_s * 1000))

    def arrival(node: "Node") -> TakeArrived:
        ticket = Asked(scenario, node, f"{worker.name}'s Take", worker)
        number = worker.number
        command = CommandArrived("Take", arguments, ticket, worker.session, number, number)
        return TakeArrived(command, (QUEUE,), 1, node.clock.monotonic())

    _ask(scenario, words[1], arrival)


@word("extend w1 n1")
def extend(scenario: "Scenario", words: list[str]) -> None:
    """w1 asks n1 for two more seconds for the job that it holds"""
    worker, job, token = _holder(scenario, words)
    _report(scenario, words, "Extend", commands.check_extend(worker.name, [[job, token]], 2_000))


@word("complete w1 n1")
def complete(scenario: "Scenario", words: list[str]) -> None:
    """w1 tells n1 that its job is done"""
    worker, job, token = _holder(scenario, words)
    _report(scenario, words, "Complete", commands.check_complete([[job, token, worker.name]]))


@word("fail w1 n1")
def fail(scenario: "Scenario", words: list[str]) -> None:
    """w1 tells n1 that its job failed"""
    _, job, token = _holder(scenario, words)
    _report(scenario, words, "Fail", commands.check_fail([[job, token, "it went wrong", "", True]]))


def _holder(scenario: "Scenario", words: list[str]) -> tuple[Person, str, int]:
    count(words, 2, 2)
    worker = scenario.person(words[0])
    if worker.held is None:
        raise ScenarioError(f"{worker.name} was given no job")
    return worker, *worker.held


def _report(scenario: "Scenario", words: list[str], op: str, arguments: str) -> None:
    """These need no session: the token makes them safe to repeat."""
    told = f"{words[0]}'s {op}"
    _ask(scenario, words[1], lambda node: CommandArrived(op, arguments, Asked(scenario, node, told)))


# Operators


@word("add n1 n4")
def add(scenario: "Scenario", words: list[str]) -> None:
    """an operator asks n1 to add n4"""
    _change(scenario, words, "add")


@word("remove n1 n4")
def remove(scenario: "Scenario", words: list[str]) -> None:
    """an operator asks n1 to remove n4"""
    _change(scenario, words, "remove")


def _change(scenario: "Scenario", words: list[str], change: Literal["add", "remove"]) -> None:
    count(words, 2, 2)
    [server] = scenario.nodes(words[1:])
    address = scenario.world.addresses[server.id] if change == "add" else None
    told = f"{change} {words[1]}"
    _ask(
        scenario,
        words[0],
        lambda node: ChangeArrived(change, server.id, Asked(scenario, node, told), address),
    )


@word("transfer n1 [n3]")
def transfer(scenario: "Scenario", words: list[str]) -> None:
    """an operator asks n1 to hand its lead over, to n3 or to whom it likes"""
    count(words, 1, 2)
    target = node_id(words[1]) if len(words) == 2 else None
    _ask(scenario, words[0], lambda node: TransferArrived(Asked(scenario, node, "the transfer"), target))


def _ask(scenario: "Scenario", at: str, arrival: "Callable[[Node], Arrival]") -> None:
    [node] = scenario.running([at])
    scenario.world.act(node, [arrival(node)])
