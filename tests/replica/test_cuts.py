"""Cut between any two effects, with real files: nothing acknowledged is lost, nothing is doubled, all agree."""

from pathlib import Path

import pytest

from glassraft.storage.raft_store import RaftStore
from tests.replica.world import Chances, Client, World

SEEDS = range(24)
BUSY_S = 5.0


@pytest.fixture(autouse=True)
def short_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raft file is opened at every start here: its write-ahead log grows by itself."""
    monkeypatch.setattr(RaftStore, "_lengthen_wal", lambda store: None)


def check(world: World, submitters: list[Client], workers: list[Client]) -> None:
    """What clients were told is what all nodes hold."""
    jobs = world.jobs(1)
    assert world.jobs(2) == world.jobs(3) == jobs
    submissions = [(args[0], args[1]) for _, _, args in jobs]
    assert len(set(submissions)) == len(submissions), "a submission is there twice"
    by_submission = {(args[0], args[1]): id for id, _, args in jobs}
    for client in submitters:
        for number, id in client.acknowledged.items():
            assert by_submission.get((client.session, number)) == id, "an acknowledged submission is lost"
        doubtful = {number for session, number in submissions if session == client.session}
        assert doubtful - set(client.acknowledged) <= {client.number}, (
            "only the one under way may be there beside"
        )
    states = {id: state for id, state, _ in jobs}
    for client in workers:
        assert {states[job] for job in client.completed} <= {"succeeded"}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_and_nothing_is_doubled(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path / "world", seed, Chances())
    try:
        submitters = [world.client("submit") for _ in range(3)]
        workers = [world.client("work") for _ in range(2)]
        world.client("read")
        world.run(BUSY_S)
        world.heal()
        check(world, submitters, workers)
        assert world.cuts >= 3
        assert sum(len(client.acknowledged) for client in submitters) > 10
    finally:
        world.close()


def test_nodes_come_back_by_snapshots_between_the_cuts(tmp_path: Path) -> None:
    """The runs above pass through compaction and installations, too."""
    compactions = installs = 0
    for seed in range(8):
        world = World(tmp_path / f"world{seed}", seed, Chances())
        try:
            for kind in ("submit", "submit", "work"):
                world.client(kind)
            world.run(BUSY_S)
            world.heal()
            compactions += world.compactions
            installs += world.installs
        finally:
            world.close()
        if installs >= 2:
            break
    assert compactions > 10
    assert installs >= 2


def test_without_trouble_the_same_world_gets_on(tmp_path: Path) -> None:
    """So that the checks above are about the cuts and not about a world in which little happens."""
    world = World(tmp_path / "world", 1, Chances(cut=0, lost=0))
    try:
        submitters = [world.client("submit") for _ in range(3)]
        workers = [world.client("work") for _ in range(2)]
        world.client("read")
        world.run(3.0)
        world.heal()
        check(world, submitters, workers)
        assert world.cuts == 0
        assert sum(len(client.acknowledged) for client in submitters) > 100
        assert sum(len(client.completed) for client in workers) > 50
        assert world.reads > 30
    finally:
        world.close()
