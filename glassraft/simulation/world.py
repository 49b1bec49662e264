"""The world of one run: the event loop, the nodes, their clients, and everybody who watches.

Nothing happens but by the agenda, in order of simulated time, and all chance comes from the seed:
the same arguments give the same run. Each party draws from a stream of its own, so that one fault
less changes little else. Next: run.py, which plays a world from beginning to end.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from threading import Event
from typing import Protocol

from glassraft.jobqueue.machine import Outcome
from glassraft.raft.configuration import Address, Configuration
from glassraft.raft.messages import Entry, Message
from glassraft.raft.reads import has_lease
from glassraft.raft.ready import Note
from glassraft.replica.environment import Watchers
from glassraft.simulation import faults
from glassraft.simulation.calls import Call
from glassraft.simulation.checks import Broken, Checks
from glassraft.simulation.clients import Client
from glassraft.simulation.clock import NodeClock, SimulatedTime
from glassraft.simulation.coups.coup import Coup
from glassraft.simulation.coverage import Coverage
from glassraft.simulation.history import History
from glassraft.simulation.network import Network
from glassraft.simulation.node import ArmedCut, Node
from glassraft.simulation.operators import Operator
from glassraft.simulation.parts import Parts
from glassraft.simulation.planner import Planner
from glassraft.simulation.queue_checks import QueueChecks
from glassraft.simulation.schedule import Fault
from glassraft.simulation.settings import MakeNode, Settings
from glassraft.simulation.situations import Situations
from glassraft.simulation.words import message_text, note_text
from glassraft.simulation.workers import Worker

Action = Callable[[], None]

ASKS_WHO_BELIEVES = 0.3
"""How often a client asks a node that takes itself for the leader, and not the one that others found."""


FIRST_PORT = 7_000
"""Of the addresses that machines have in name."""


class Listener(Protocol):
    """Whoever wants the run told in words: the transcript."""

    def __call__(self, at: float, text: str) -> None: ...


class NobodyWaits(Watchers):
    """The simulated clients ask again instead of waiting on a node."""

    def waiting_for(self, outcomes: Sequence[Outcome]) -> Sequence[Event]:
        """Nobody."""
        return ()

    def look_again(self) -> None:
        """Nobody looks."""
        return


NOBODY_WAITS = NobodyWaits()


class World:
    """One cluster and all around it."""

    def __init__(
        self,
        seed: object,
        settings: Settings,
        parts: Parts,
        make_node: MakeNode,
        record: Path | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.name = f"seed {seed}"
        self.settings = settings
        self.parts = parts
        self.record = record
        self.listener = listener
        self.founders = tuple(range(1, settings.nodes + 1))
        self.members = tuple(range(1, settings.nodes + settings.spares + 1))
        """All machines, even those that are not, or no longer, members of the cluster."""
        self.addresses: Mapping[int, Address] = {id: ("sim", FIRST_PORT + id) for id in self.members}
        self._seed = seed
        self._random = self.stream("world")
        self._client_random = self.stream("clients")
        self.time = SimulatedTime()
        self._agenda: list[tuple[float, int, Action]] = []
        self._order = count()
        self._to_undo: dict[int, Action] = {}
        self.steps = 0
        self.network = self._make_network(self.stream("network"))
        self.coverage = Coverage()
        self.situations = Situations(self)
        self.checks = self._make_checks()
        self.queue_checks = QueueChecks()
        self.history = History(self)
        self.operator = Operator(self)
        self.stillborn: list[Fault] = []
        self.receiver_cuts: list[ArmedCut] = []
        self.coup: Coup | None = None
        """The one that is under way."""
        self.all_is_calm = True
        self.clients_cut_until = 0.0
        """Until when (seconds) no client reaches a node while faults go on."""
        """No faults, for the time being or for good."""
        self.finished = False
        self.clients_leader: int | None = None
        """Whom clients take for the leader."""
        self.open_calls: dict[Call, None] = {}
        """In the order in which they were called."""
        self.nodes: dict[int, Node] = {}
        for id in self.members:
            self.nodes[id] = make_node(self, id, self._make_clock(id), self.stream(f"n{id}"))
        for node in self.nodes.values():
            node.start()
        self.clients = [
            Client(self, f"c{number}", self.stream(f"c{number}"), width, settings.client_gap_s)
            for number, width in enumerate(settings.client_widths, 1)
        ]
        self.planners = (
            [Planner(self, self.stream("planner"), settings.periodic)] if settings.periodic else []
        )
        self._workers_made = count(1)
        self.workers = [self._make_worker() for _ in range(settings.workers)]

    def stream(self, name: str) -> Random:
        """A source of chance for one party."""
        return Random(f"{self._seed} {name}")

    def _make_network(self, random: Random) -> Network:
        return Network(self, random)

    def _make_checks(self) -> Checks:
        return Checks(self)

    def _make_clock(self, id: int) -> NodeClock:
        random = self.stream(f"clock {id}")
        offset_ms = int(random.uniform(-0.5, 0.5) * self.settings.clocks_apart_s * 1000)
        return NodeClock(self.time, 1.0, offset_ms)

    def _make_worker(self) -> Worker:
        name = f"w{next(self._workers_made)}"
        return Worker(self, name, self.stream(name))

    # The agenda

    def at(self, time: float, action: Action) -> None:
        """Let this happen at that time."""
        heapq.heappush(self._agenda, (time, next(self._order), action))

    def after(self, delay_s: float, action: Action) -> None:
        """Let this happen after so long."""
        heapq.heappush(self._agenda, (self.time.now + delay_s, next(self._order), action))

    def until_calm(self, lasts_s: float, undo: Action) -> None:
        """Undo something after so long, unless everything heals before."""
        key = next(self._order)
        self._to_undo[key] = undo
        self.after(lasts_s, partial(self._undo, key))

    def _undo(self, key: int) -> None:
        undo = self._to_undo.pop(key, None)
        if undo is not None:
            undo()

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let everything happen that happens in so long, or until it is so; whether it came to be so."""
        end = self.time.now + seconds
        agenda = self._agenda
        while agenda and agenda[0][0] <= end:
            at, _, action = heapq.heappop(agenda)
            self.time.now = max(self.time.now, at)
            self.steps += 1
            action()
            if until is not None and until():
                return True
        self.time.now = end
        return until is not None and until()

    def tell(self, text: str) -> None:
        """A line for the transcript."""
        if self.listener is not None:
            self.listener(self.time.now, text)

    # Chance

    def chance(self, probability: float) -> bool:
        """True so often."""
        return self._random.random() < probability

    def gathers(self) -> bool:
        """Whether an arrival waits for others, to be stepped together."""
        return self._random.random() < self.settings.together

    def random_member(self) -> int:
        """One of the nodes, for a client that knows no leader."""
        return self._client_random.choice(self.members)

    def believed_leader(self) -> int | None:
        """Now and then a node that believes that it leads, which may be one that was deposed and not told."""
        if self._client_random.random() >= ASKS_WHO_BELIEVES:
            return None
        leaders = self.leaders
        return self._client_random.choice(leaders).id if leaders else None

    def client_delay_s(self) -> float:
        """How long a message between a client and a node takes."""
        return self._client_random.uniform(0.001, 0.008)

    def client_message_lost(self) -> bool:
        """Whether a message between a client and a node is lost: as often as one between nodes."""
        if self.all_is_calm:
            return False
        return (
            self.time.now < self.clients_cut_until or self._client_random.random() < self.settings.client_loss
        )

    # Nodes

    @property
    def running(self) -> list[Node]:
        """The nodes whose process runs, even if paused."""
        return [node for node in self.nodes.values() if node.replica is not None]

    @property
    def leaders(self) -> list[Node]:
        """The nodes that believe that they lead."""
        return [node for node in self.running if node.server.role == "leader"]

    def first_configuration(self, id: int) -> Configuration:
        """What a machine's disk is made with: the cluster's founders; nobody, where it is yet to be added."""
        return Configuration(self.founders if id in self.founders else ())

    @property
    def cluster(self) -> tuple[int, ...]:
        """The members by the newest leader's log; all founders where nobody leads."""
        newest = max(self.leaders, key=lambda node: node.server.current_term, default=None)
        return self.founders if newest is None else newest.server.members

    def voters(self, node: Node) -> tuple[int, ...]:
        """Who decides what this node's server may call committed."""
        return node.server.configuration.voters

    def watchers(self, node: Node) -> Watchers:
        """Those who wait at a node for jobs to be finished."""
        return NOBODY_WAITS

    def crash(self, node: Node, down_s: float, *, power: bool) -> None:
        """The process ends, and starts again after so long."""
        if node.replica is None or self.all_is_calm:  # the end of a turn came after that of the storm
            return
        if node.clock.busy_until > self.time.now:  # its turn goes on to then
            return self.at(node.clock.busy_until, partial(self.crash, node, down_s, power=power))
        self._ends(node, power)
        self.until_calm(down_s, partial(self.restart, node))

    def restart(self, node: Node) -> None:
        """Its process starts again, if it does not run."""
        if node.replica is None:
            node.start()

    def _ends(self, node: Node, power: bool) -> None:
        self.situations.ends(node, power)
        self.tell(f"n{node.id} {'loses its power' if power else 'is killed'}")
        node.stop(power=power)

    def node_cut(self, node: Node, cut: ArmedCut) -> None:
        """The process ends between two effects; `node_died` comes once its turn has been left."""
        self.situations.cut(node)
        self.tell(f"n{node.id} is cut before: {node.last_cut_at}")
        self._cut_with = cut

    def node_died(self, node: Node) -> None:
        """The turn was left: now the process is gone."""
        cut = self._cut_with
        self._ends(node, cut.power)
        self.until_calm(cut.down_s, partial(self.restart, node))

    # What nodes tell while they run

    def node_started(self, node: Node) -> None:
        """A process begins."""
        if node.life > 1:
            self.tell(
                f"n{node.id} starts again with term {node.disk.hard_state.term}, log {node.server.log.last}"
            )
        self.situations.started(node)
        self.checks.started(node)

    def node_sends(self, node: Node, message: Message) -> None:
        """A message goes out."""
        self.checks.sent(node, message)
        if self.listener is not None:
            self.tell(message_text(message))

    def node_noted(self, node: Node, note: Note) -> None:
        """A server noted what happened."""
        if self.listener is not None:
            text = note_text(note)
            if text is not None:
                self.tell(f"n{node.id} {text}")
        self.checks.noted(node, note)
        self.situations.noted(node, note)
        if note.event == "role" and note.fields["role"] == "leader":
            if self.stillborn:
                faults.stillborn_leader(self, node, self.stillborn.pop())
            node.effect("elected")
        elif (
            node.armed
            and note.event == "commit"
            and "holders" in note.fields
            and self._is_first_commit(node, note)
        ):
            node.effect("first_commit")

    def _is_first_commit(self, node: Node, note: Note) -> bool:
        return node.server.log.term_at(note.fields["was"]) != note.term

    def node_applied(self, node: Node, entry: Entry, outcome: Outcome) -> None:
        """A node applied an entry."""
        self.checks.applied(node, entry)
        self.queue_checks.applied(node, entry, outcome)
        self.situations.applied(entry, outcome)

    def chunk_comes(self, node: Node) -> None:
        """A node is about to write a chunk of a snapshot."""
        if self.receiver_cuts:
            node.armed.append(self.receiver_cuts.pop())
        node.effect("chunk")

    def node_installed(self, node: Node, applied_before: int) -> None:
        """A node went on from a snapshot: it must be what the others hold at its index."""
        self.checks.installed(node, applied_before)
        self.queue_checks.installed(node)

    def node_settled(self, node: Node) -> None:
        """A node's turn is over."""
        self.checks.settled(node)
        if self.coup is not None:
            self.coup.look()
        unanswered = node.uplink.unanswered()
        if unanswered:
            raise Broken(
                "Every request is answered", f"n{node.id} gives no answer to {unanswered[0].message}"
            )

    def read_answered(self, node: Node, committed_before: int) -> None:
        """A linearizable read was answered by this node; so much was committed when it was asked for."""
        self.checks.read(node, committed_before)
        self.coverage.saw("reads")
        if has_lease(node.server):
            self.coverage.saw("reads_under_a_lease")
        if self.network.cut_links:
            self.coverage.saw("reads_during_a_partition")

    # Faults

    def play(self, planned: Iterable[Fault]) -> None:
        """Let these faults come, each at its time from now."""
        self.all_is_calm = False
        for fault in planned:
            self.after(fault.at, partial(self._fault, fault))

    def _fault(self, fault: Fault) -> None:
        if self.all_is_calm:
            return
        self.tell(f"fault: {fault}")
        faults.carry_out(self, fault)

    def heal(self) -> None:
        """Everything that is wrong is put right, and nothing else goes wrong."""
        self.tell("everything heals")
        self.all_is_calm = True
        self.stillborn.clear()
        self.receiver_cuts.clear()
        if self.coup is not None:
            self.coup.end()
        undo, self._to_undo = list(self._to_undo.values()), {}
        for action in undo:
            action()
        self.network.heal()
        for node in self.nodes.values():
            node.armed.clear()
            node.save_s = 0.0
            node.queue_stands = False
            self.restart(node)
            node.resume()

    def replace_worker(self, which: int) -> None:
        """A worker dies, and another begins."""
        place = which % len(self.workers)
        if self.workers[place].held:
            self.coverage.saw("workers_died")
        self.workers[place].die()
        self.workers[place] = self._make_worker()
