"""§7: a follower that comes back by a snapshot catches up while the leader goes on committing at full rate."""

from dataclasses import replace

from glassraft.raft.ready import Installation, Settings, SnapshotMade, SnapshotVerified
from tests.raft.network import Work
from tests.raft.world import Node, Watcher, World

ENTRIES_A_SECOND = 5_000
BEAT_S = 0.01
"""So often clients hand over what came in since: a hundredth of a second's entries."""

DELAY_S = 0.005
"""On the way from one server to another: many times what a network in one room needs."""

MAKE_S = 1.0
CHECK_S = 4.0
"""How long a snapshot takes to be made, and to be checked: then the leader has 20,000 entries more."""


class Installs(Watcher):
    """Counts the snapshots that were installed."""

    def __init__(self) -> None:
        self.count = 0

    def installed(self, node: Node, installation: Installation) -> None:
        self.count += 1


class UnderLoad(World):
    """Three servers, of which n1 leads. Snapshots take their time, and entries come in all the while."""

    def __init__(self, settings: Settings) -> None:
        self.installs = Installs()
        super().__init__(3, settings=settings, watcher=self.installs)
        self.network.delays = lambda message: (DELAY_S,)
        self.run(1.0)
        [self.leader] = [node for node in self.running if node.up.role == "leader"]
        self.follower = next(node for node in self.running if node is not self.leader)
        self.proposed = 0

    def _report(self, node: Node, work: Work) -> None:
        takes_s = {SnapshotMade: MAKE_S, SnapshotVerified: CHECK_S}.get(type(work), 0.0)
        self.network.report(node.id, work, self.clock + takes_s)

    def go_on(self, seconds: float) -> None:
        """Entries come in for so long; the leader commits them as fast as they come."""
        for _ in range(round(seconds / BEAT_S)):
            first = self.proposed
            self.proposed += round(ENTRIES_A_SECOND * BEAT_S)
            self.propose(self.leader.id, *(f"c{number}" for number in range(first, self.proposed)))
            self.run(self.clock + BEAT_S)
            assert (
                self.leader.up.log.last_index - self.leader.up.commit_index <= 3 * ENTRIES_A_SECOND * BEAT_S
            )

    @property
    def gap(self) -> int:
        """How many committed entries the follower has not applied."""
        return self.leader.up.commit_index - self.follower.up.last_applied

    def come_back(self) -> None:
        """The follower is down until the log no longer goes back to its end; then it is started again."""
        self.crash(self.follower.id)
        self.go_on(4.0)
        assert self.leader.up.log.base.index > self.follower.disk.last.index, "what it lacks is compacted"
        self.restart(self.follower.id)


def test_a_follower_with_a_snapshot_catches_up_while_5000_entries_a_second_come_in() -> None:
    world = UnderLoad(Settings())
    world.come_back()
    assert world.gap >= 15_000
    world.go_on(MAKE_S + CHECK_S + 2.0)
    assert world.gap <= ENTRIES_A_SECOND * 0.1
    assert world.installs.count == 1
    assert world.leader.up.role == "leader", "nobody else was elected meanwhile"
    world.go_on(2.0)
    assert world.gap <= ENTRIES_A_SECOND * 0.1, "and it stays so"


def test_without_the_entries_that_follow_its_snapshot_it_would_be_chased_for_ever() -> None:
    """Why a leader keeps more than its ordinary tail for who gets a snapshot."""
    settings = Settings()
    world = UnderLoad(replace(settings, kept_for_snapshot=settings.kept_entries))
    world.come_back()
    world.go_on(3 * (MAKE_S + CHECK_S))
    assert world.installs.count == 0, "each is out of date before it is checked"
