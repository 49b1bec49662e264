"""Whole runs: the seeds hold, the same seed is the same run, and what a run can do wrong is noticed."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from glassraft.raft.assertions import NoAssertions
from glassraft.raft.log import Log
from glassraft.raft.messages import LogPosition
from glassraft.raft.rules import Rules
from glassraft.simulation.coverage import SITUATIONS
from glassraft.simulation.parts import Parts
from glassraft.simulation.run import plan_of, simulate
from glassraft.simulation.schedule import Fault, Storm

ROOT = Path(__file__).resolve().parents[2]

CHUNKS = 8
SEEDS = int(os.environ.get("GLASSRAFT_SEEDS", "40"))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_property_holds(chunk: int) -> None:
    for seed in range(chunk, SEEDS, CHUNKS):
        result = simulate(seed)
        assert result.failure is None, f"seed {seed} fails {result.failure}"
        assert result.simulated_s >= 8.0


@pytest.mark.parametrize("seed", [99, 199, 399])
def test_every_property_holds_on_real_files(seed: int) -> None:
    assert plan_of(seed).on_files
    result = simulate(seed)
    assert result.failure is None, f"seed {seed} fails {result.failure}"
    assert result.coverage["crashes"]


def test_what_seeds_pass_through_has_a_name() -> None:
    counts: Counter[str] = Counter()
    for seed in range(5):
        counts.update(simulate(seed).coverage)
    assert set(counts) <= set(SITUATIONS)
    assert counts["elections"] > 5
    assert counts["operations"] > 5 * 40


def test_same_seed_same_run() -> None:
    first, second = simulate(3), simulate(3)
    assert (first.steps, first.simulated_s, first.coverage) == (
        second.steps,
        second.simulated_s,
        second.coverage,
    )
    assert first.history == second.history


def record(seed: int, folder: Path, hash_seed: str) -> dict[str, bytes]:
    """The event files of a seed, written by a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "glassraft.simulation", "--seed", str(seed), "--record", str(folder)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.DEVNULL,
    )
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_event_files_are_the_same_to_the_byte(tmp_path: Path) -> None:
    first = record(5, tmp_path / "first", "1")
    second = record(5, tmp_path / "second", "2")
    settings = plan_of(5).settings
    assert len(first) == settings.nodes + settings.spares
    assert first == second


def test_recording_changes_nothing(tmp_path: Path) -> None:
    silent, recorded = simulate(6), simulate(6, record=tmp_path)
    assert (silent.steps, silent.history) == (recorded.steps, recorded.history)


class NoLogCheckOnVotes(Rules):
    """Any candidate's log will do."""

    def candidate_log_is_up_to_date(self, last: LogPosition, candidate: LogPosition) -> bool:
        return True


class PreviousEntryUnchecked(Rules):
    """Entries are taken over whatever came before them."""

    def log_holds_previous_entry(self, log: Log, prev_log: LogPosition) -> bool:
        return prev_log.index <= log.last_index


@pytest.mark.parametrize(
    "rules", [NoLogCheckOnVotes(), PreviousEntryUnchecked()], ids=lambda r: type(r).__name__
)
def test_a_broken_rule_is_seen_from_outside(rules: Rules) -> None:
    parts = Parts(rules=rules, assertions=NoAssertions())
    failures = (simulate(seed, parts=parts).failure for seed in range(200))
    assert next(failure for failure in failures if failure is not None).from_outside


def test_a_cluster_without_a_majority_is_noticed_and_served_again() -> None:
    down = Fault(0.5, "majority_down", lasts_s=1.0, power=True)
    result = simulate(8, schedule=(Storm(3.0, (down,)),))
    assert result.failure is None
    assert result.coverage["clusters_without_quorum"] == 1
    assert result.coverage["power_failures"] >= 2


def test_the_cluster_changes_its_members_and_the_leader_leaves() -> None:
    plans = ((seed, plan_of(seed).settings) for seed in range(100))
    seed = next(seed for seed, settings in plans if settings.spares and settings.raft.check_quorum)
    changes = (Fault(1.5, "add_server"), Fault(3.0, "remove_server", "leader"))
    result = simulate(seed, schedule=(Storm(5.0, changes),))
    assert result.failure is None
    assert result.coverage["servers_added"] == 1
    assert result.coverage["leaders_removed"] == 1


def test_a_node_that_was_away_comes_back_by_a_snapshot() -> None:
    settings = plan_of(4).settings
    short_log = replace(settings.raft, kept_entries=4, kept_for_snapshot=30, compact_entries=3)
    away = Fault(1.0, "crash", "n2", lasts_s=4.0, power=True)
    result = simulate(4, replace(settings, raft=short_log), schedule=(Storm(5.0, (away,)),))
    assert result.failure is None
    assert result.coverage["strides_compacted"]
    assert result.coverage["snapshots_installed"] == 1


def test_a_schedule_without_faults_loses_nothing() -> None:
    result = simulate(9, schedule=(Storm(2.0),))
    assert result.failure is None
    assert result.coverage["crashes"] == 0
    assert result.coverage["messages_lost"] == 0
