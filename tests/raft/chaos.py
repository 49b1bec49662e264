"""One seed, one run: delays, loss, doubling, reordering, partitions, crashes between any two effects.

`play(seed)` runs a cluster of 1 to 7 through some seconds of faults while `Properties` watches,
then stops the faults and expects it to elect, commit and agree. The same seed always plays the
same run. `python -m tests.raft.chaos FIRST COUNT` plays many and prints the seeds that fail.
"""

import argparse
import heapq
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Literal

from glassraft.raft.assertions import Assertions
from glassraft.raft.messages import AppendEntries, InstallSnapshot, Message
from glassraft.raft.ready import ChangeMembership, Note, Propose, Read, Settings, Transfer
from glassraft.raft.rules import Rules
from tests.raft.coups import COUPS
from tests.raft.properties import Broken, Properties
from tests.raft.world import Crash, Node, World

SIZES = (1, 2, 3, 3, 3, 4, 5, 5, 7)

SPARE = (0, 0, 1, 2, 3)
"""How many servers wait to be added."""

FAULTY_S = 5.0
"""How long faults go on, in simulated seconds: some twenty election timeouts."""

RESTART = 0.6
"""How likely an action that meets a node that is down starts it."""

CALM_S = 15.0
"""How long a cluster may take to agree again when they have stopped."""

BETWEEN_ACTIONS_S = 0.04
"""On average, from one thing done to the cluster to the next."""


@dataclass(frozen=True)
class Weather:
    """How bad it is: probabilities for each message and action, drawn anew for each seed."""

    loss: float
    doubled: float
    slow: float
    """Messages that take up to a second, so that they arrive in another term."""
    reported: float
    """Lost AppendEntries that the sender learns of."""
    crash: float
    cut: float
    lag: float
    change: float
    """Servers that are added and removed."""
    stillborn: float
    """Leaders that crash soon after their election, mostly unheard: so arise the logs of Figure 8."""

    @classmethod
    def draw(cls, random: Random) -> "Weather":
        """Each fault is absent in some seeds, so that one does not hide another."""

        def up_to(most: float) -> float:
            return random.choice((0.0, most / 4, most))

        return cls(
            loss=up_to(0.2),
            doubled=up_to(0.2),
            slow=up_to(0.15),
            reported=random.choice((0.0, 0.5, 1.0)),
            crash=up_to(0.15),
            cut=up_to(0.1),
            lag=up_to(0.1),
            change=up_to(0.3),
            stillborn=up_to(0.7),
        )


CALM = Weather(loss=0, doubled=0, slow=0, reported=1, crash=0, cut=0, lag=0, change=0, stillborn=0)


class Chaos(Properties):
    """The faults and the clients of one seed."""

    def __init__(
        self,
        seed: int,
        rules: Rules | None = None,
        assertions: Assertions | None = None,
        make_world: Callable[..., World] = World,
    ) -> None:
        super().__init__()
        self.random = random = Random(seed)
        self.weather = Weather.draw(random)
        self.proposals = 0
        self.reads = 0
        self.crash_after: dict[int, int] = {}
        self.lagging: dict[int, float] = {}
        """Until when what is sent to a node takes long."""
        self.unheard: set[int] = set()
        self.quiet_until = 0.0
        """Until when nothing else is done to the cluster (seconds)."""
        # Its own, so that what else a seed plays does not depend on it.
        manners = self.manners = Random(f"{seed} manners")
        self.plan: list[tuple[float, int, Callable[[], None]]] = []
        """What will be done at a time (seconds), soonest first."""
        self._plans = count()
        checks_quorum = manners.random() < 0.6
        self.transfer = manners.choice((0.0, 0.02, 0.1))
        """How likely an action asks a node to hand over."""
        habits = Random(f"{seed} habits")
        syncs_a_second = habits.choice((20, 20, 2))
        size = random.choice(SIZES)
        self.changes = 0
        has_leases = checks_quorum and manners.random() < 0.5
        self.coup = manners.choice((0.0, 0.1, 0.1)) if has_leases and size > 1 else 0.0
        """How likely an action aims at leases."""
        self.world = make_world(
            size,
            spare=random.choice(SPARE),
            seed=seed,
            settings=Settings(
                heartbeat_s=0.05,
                election_shortest_s=0.15,
                election_longest_s=0.3,
                batch_entries=random.choice((1, 1, 2, 512)),
                batch_bytes=random.choice((10, 1 << 20)),
                uncommitted_entries=random.choice((5, 10_000)),
                pre_vote=manners.random() < 0.6,
                check_quorum=checks_quorum,
                lease_reads=has_leases,
                kept_entries=habits.choice((2, 10_000)),
                kept_for_snapshot=habits.choice((8, 20_000)),
                compact_entries=habits.choice((1, 3)),
                chunk_bytes=habits.choice((150, 1 << 20)),
            ),
            rules=rules,
            assertions=assertions,
            watcher=self,
            tail_entries=random.choice((4, 10_000)),
            together_s=random.choice((0.0, 0.005, 0.05)),
            before_effect=self.before_effect,
            sync_s=lambda: habits.expovariate(syncs_a_second),
        )
        self.world.network.delays = self.delays
        for node in self.world.nodes.values():
            node.rate = random.choice((1.0, random.uniform(0.8, 1.25)))
            if self.world.settings.lease_reads:  # they trust the clocks, within bounds
                node.rate = 1 + (node.rate - 1) / 6

    # What the network does

    def delays(self, message: Message) -> Iterable[float]:
        """When each copy of a message arrives."""
        random, weather = self.random, self.weather
        if random.random() < weather.loss:
            return ()
        copies = 2 if random.random() < weather.doubled else 1
        return [self.delay(message) for _ in range(copies)]

    def delay(self, message: Message) -> float:
        """How long one copy takes (seconds)."""
        if self.lagging.get(message.receiver, 0.0) > self.world.clock:
            # A leader that checks its quorum would step down before later answers reach it.
            return self.random.uniform(0.4, 0.8) * (0.4 if self.world.settings.check_quorum else 1.0)
        if self.random.random() < self.weather.slow:
            return self.random.uniform(0, 1)
        return self.random.expovariate(200)

    def lost(self, message: Message) -> None:
        if (
            isinstance(message, AppendEntries | InstallSnapshot)
            and self.random.random() < self.weather.reported
        ):
            at = self.world.clock + self.random.expovariate(20)
            self.world.network.report_undelivered(message, at)

    # What is done to the cluster

    def before_effect(self, node: Node) -> None:
        """Crash before this effect, if it is time."""
        left = self.crash_after.get(node.id)
        if left is None:
            return
        if left:
            self.crash_after[node.id] = left - 1
        else:
            del self.crash_after[node.id]
            raise Crash

    def act(self) -> None:
        """A client or a fault."""
        if self.world.clock < self.quiet_until:
            return
        self.cut_off_laggards()
        if self.coup and self.manners.random() < self.coup:
            for leader in self._leaders()[:1]:
                return self.manners.choice(COUPS)(self, leader)
        random, weather = self.random, self.weather
        node = random.choice([*self.world.nodes.values(), *self._leaders()])
        fate = random.random()
        if node.server is None:
            if fate < RESTART:
                self.restart(node)
        elif fate < weather.crash / 2:
            self.world.crash(node.id)
        elif fate < weather.crash:
            self.crash_after.setdefault(node.id, random.randrange(12))
        elif fate < weather.crash + weather.cut:
            self.cut()
        elif fate < weather.crash + 1.5 * weather.cut:
            self.world.network.heal()
        elif fate < weather.crash + 1.5 * weather.cut + weather.lag:
            self.lag(node)
        elif fate > 1 - self.transfer:
            target = random.choice((None, *self.world.nodes))
            self.world.act(node.id, Transfer(f"transfer at {self.world.clock}", target))
        elif random.random() < weather.change:
            self.change(node)
        else:
            self.ask(node)

    def change(self, node: Node) -> None:
        """An operator asks a node to add or to remove a server; now and then two at once."""
        for _ in range(self.random.choice((1, 1, 2))):
            self.changes += 1
            change: Literal["add", "remove"] = self.random.choice(("add", "remove"))
            server = self.random.choice(list(self.world.nodes))
            self.world.act(node.id, ChangeMembership(f"m{self.changes}", change, server))

    def _leaders(self) -> list[Node]:
        """Clients mostly find those who believe that they lead: there may be more than one."""
        return [node for node in self.world.running if node.up.role == "leader"] * 3

    def ask(self, node: Node) -> None:
        """Clients ask a node, one or several at once."""
        events: list[Propose | Read] = []
        for _ in range(self.random.choice((1, 1, 2, 6))):
            if self.random.random() < 0.7:
                self.proposals += 1
                events.append(Propose(self.proposals, f"c{self.proposals}"))
            else:
                self.reads += 1
                ticket = f"r{self.reads}"
                self.asked(ticket)
                events.append(Read(ticket))
        self.world.act(node.id, *events)

    def cut(self) -> None:
        """Cut some links: one node, one direction, or the cluster in two; often a leader's."""
        ids = list(self.world.nodes)
        self.random.shuffle(ids)
        for node in self._leaders()[:1]:
            ids.remove(node.id)
            ids.insert(0, node.id)
        self.world.network.heal()
        how = self.random.randrange(3)
        if how == 0:
            self.world.network.cut(ids[:1], ids[1:])
        elif how == 1:
            self.world.network.cut(ids[:1], ids[1:], one_way=True)
        else:
            middle = self.random.randint(1, len(ids))
            self.world.network.cut(ids[:middle], ids[middle:])

    def lag(self, node: Node) -> None:
        """For a while everything reaches this node late; perhaps nobody hears of it then."""
        self.lagging[node.id] = self.world.clock + self.random.uniform(0.3, 1.0)

    def cut_off_laggards(self) -> None:
        """A node that hears late is not heard any longer: the others go on, and it knows nothing of it."""
        for id, until in self.lagging.items():
            if until > self.world.clock and self.random.random() < 0.2:
                self.world.network.cut([id], self.world.nodes, one_way=True)

    def noted(self, node: Node, note: Note) -> None:
        super().noted(node, note)
        is_elected = note.event == "role" and note.fields["role"] == "leader"
        if is_elected and self.random.random() < self.weather.stillborn:
            if self.random.random() < 0.6:
                self.world.network.cut([node.id], self.world.nodes, one_way=True)
                self.unheard.add(node.id)
            self.crash_after.setdefault(node.id, self.random.randrange(2, 24))

    def restart(self, node: Node) -> None:
        """Back again; the state machine may have lost the last that it had applied."""
        self.crash_after.pop(node.id, None)
        applied = len(node.applied)
        self.world.restart(
            node.id, applied=self.random.choice((applied, self.random.randint(node.synced, applied)))
        )

    def crashed(self, node: Node) -> None:
        self.crash_after.pop(node.id, None)
        if node.id in self.unheard:
            self.unheard.remove(node.id)
            self.world.network.heal()

    # The run

    def run(self) -> None:
        """Faults, then calm. Raises Broken."""
        self.storm()
        self.calm_down()

    def storm(self) -> None:
        """Clients and faults, for some simulated seconds."""
        world = self.world
        next_action = 0.0
        while world.clock < FAULTY_S:
            planned_at = self.plan[0][0] if self.plan else float("inf")
            if world.run_one(min(planned_at, next_action)):
                continue
            if planned_at < next_action:
                heapq.heappop(self.plan)[2]()
            else:
                self.act()
                next_action += self.random.expovariate(1 / BETWEEN_ACTIONS_S)

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do this in so many seconds, unless the faults have stopped by then."""
        heapq.heappush(self.plan, (self.world.clock + delay_s, next(self._plans), action))

    def calm_down(self) -> None:
        """Faults stop: a leader is elected, commits, and all come to agree (§5.2, §5.3)."""
        world = self.world
        self.weather = CALM
        self.crash_after.clear()
        self.lagging.clear()
        world.network.heal()
        for node in world.nodes.values():
            if node.server is None:
                self.restart(node)
        self.turn_off_strangers()
        deadline = world.clock + CALM_S
        while not self.agreed():
            if world.clock >= deadline:
                raise Broken(f"no agreement {CALM_S} s after the last fault: {self.describe()}")
            world.run(world.clock + 0.5)
            self.turn_off_strangers()
            for node in self._leaders()[:1]:
                world.propose(node.id, "are we agreed?")
        self.reads_are_answered()

    def agreed(self) -> bool:
        """All members have applied the same, something of the last term among it."""
        nodes = [self.world.nodes[id] for id in self.members()]
        if any(node.server is None for node in nodes):
            return False
        terms = {node.up.current_term for node in nodes}
        ends = {node.applied[-1] if node.applied else None for node in nodes}
        if len(terms) != 1 or len(ends) != 1:
            return False
        last = ends.pop()
        return last is not None and last.term == terms.pop() and last.command == "are we agreed?"

    def members(self) -> tuple[int, ...]:
        """Who belongs to the cluster, by the last configuration that was committed."""
        return (self.cluster or self.world.made_of).members

    def turn_off_strangers(self) -> None:
        """An operator ends the servers that were removed, and starts who belongs to the cluster.

        Where voters stand by their leader, those may go on: they disturb nobody (diss. §4.2.3).
        """
        members = self.members()
        settings = self.world.settings
        for node in self.world.nodes.values():
            if node.id not in members and not (settings.pre_vote and settings.check_quorum):
                self.world.crash(node.id)
            elif node.server is None:
                self.restart(node)

    def reads_are_answered(self) -> None:
        """In calm a read at the leader is answered."""
        before = self.answered_reads
        leader = max(self._leaders(), key=lambda node: node.up.current_term, default=None)
        if leader is None:
            raise Broken("nobody leads in calm")
        self.asked("last")
        self.world.read(leader.id, "last")
        self.world.run(self.world.clock + 1.0)
        if self.answered_reads == before:
            raise Broken("a read is not answered in calm")

    def describe(self) -> str:
        """Each node in a few words."""
        return "; ".join(
            f"n{node.id} {node.up.role} term {node.up.current_term} commit {node.up.commit_index} "
            f"log {node.up.log.last}"
            for node in self.world.running
        )


def play(
    seed: int,
    rules: Rules | None = None,
    assertions: Assertions | None = None,
    make_world: Callable[..., World] = World,
) -> Chaos:
    """Play one seed to its end. Whatever goes wrong is raised with the seed's number."""
    chaos = Chaos(seed, rules, assertions, make_world)
    try:
        chaos.run()
    except Exception as error:
        raise Broken(f"seed {seed}, at {chaos.world.clock:.3f} s: {error!r}") from error
    return chaos


def main(arguments: list[str]) -> int:
    """Play many seeds, one after the other; 1 if any fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.raft.chaos", description=main.__doc__)
    parser.add_argument("first", type=int, nargs="?", default=0, help="the first seed (default 0)")
    parser.add_argument("count", type=int, nargs="?", default=1000, help="how many (default 1000)")
    options = parser.parse_args(arguments)
    failed = 0
    for number in range(options.count):
        try:
            play(options.first + number)
        except Broken as broken:
            failed += 1
            print(broken, flush=True)
        done = number + 1
        if sys.stderr.isatty() or done % 500 == 0:
            print(
                f"\r{done:>7} of {options.count} seeds, {failed} failed", end="", file=sys.stderr, flush=True
            )
    print(f"{options.count} seeds from {options.first} on: {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
