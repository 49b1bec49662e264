"""The programs on real clusters, with as little work as shows that they work."""

import csv
import json
import random

import pytest

from glassraft.evaluation import __main__ as program
from glassraft.evaluation import catch_up, endurance, latency, plots, scenarios
from glassraft.evaluation.audit import Promises, audit
from glassraft.evaluation.local_cluster import LocalCluster, free_ports
from glassraft.evaluation.results import Point

FEW = [Point("messages", 12, 64), Point("messages", 30, 64, kill=True), Point("payload", 6, 1024)]


@pytest.fixture
def few_points(monkeypatch):
    monkeypatch.setattr(scenarios, "points", lambda quick: FEW)


def test_points_of_both_comparisons_each_with_a_kill():
    for quick in (True, False):
        found = scenarios.points(quick)
        assert {point.scenario for point in found if point.kill} == {"messages", "payload"}
        assert len(found) == len(set(found))


@pytest.mark.parametrize("count", [0, 1, 16, 1000])
def test_a_payload_has_exactly_its_size_and_follows_from_the_seed(count):
    text = scenarios.payload(random.Random(1), count)
    assert len(text) == count
    assert text == scenarios.payload(random.Random(1), count)


def test_the_program_measures_writes_and_draws(few_points, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert program.main(["--quick", "--seed", "7", "--out", str(tmp_path / "new" / "folder")]) == 0
    with (tmp_path / "new" / "folder" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["acknowledged"]) for row in rows] == [12, 30, 6]
    for row in rows:
        assert int(row["sent"]) == int(row["received"]) + int(row["lost"])
        assert float(row["commit_p50_ms"]) > 0
        assert float(row["call_p50_ms"]) > 0
    assert int(rows[1]["lost"]) > 0
    assert int(rows[1]["elections"]) >= 2
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert names == ["evaluation.csv", "messages.png", "payload.png"]
    assert "30 x 64 B, leader killed" in capsys.readouterr().out


def test_without_matplotlib_the_csv_is_written_all_the_same(monkeypatch, tmp_path, capsys):
    def none() -> object:
        raise plots.NoMatplotlib("matplotlib is not installed")

    monkeypatch.setattr(scenarios, "points", lambda quick: FEW[:1])
    monkeypatch.setattr(plots, "_pyplot", none)
    assert program.main(["--out", str(tmp_path)]) == 1
    assert (tmp_path / "evaluation.csv").stat().st_size > 0
    assert "matplotlib is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("main", [program.main, endurance.main])
def test_fewer_nodes_than_survive_a_kill_are_refused(main, capsys):
    with pytest.raises(SystemExit):
        main(["--nodes", "2"])
    assert "--nodes 2" in capsys.readouterr().err


def test_endurance_keeps_its_promises_for_some_rounds(capsys):
    assert endurance.main(["--rounds", "2", "--nodes", "3", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "2 nodes killed with -9 and restarted" in out
    assert "every acknowledged job is there exactly once and has succeeded" in out


def test_a_broken_promise_is_told_and_ends_with_status_1(monkeypatch, capsys):
    class Lossy:
        leaders_killed = others_killed = 1
        promises = Promises(acknowledged={1: "a", 2: "b"})
        times_ms = (1.0, 2.0)

    found = audit(Lossy.promises, [{"id": "a", "args": [1], "state": "succeeded", "result": 1}])
    monkeypatch.setattr(endurance, "run", lambda rounds, nodes, seed: (Lossy, found))
    assert endurance.main([]) == 1
    assert "1 lost: 2" in capsys.readouterr().out


def test_latency_prints_every_figure_with_its_floor(monkeypatch, capsys):
    few = {"SEQUENTIAL": 5, "CONCURRENT": 32, "BATCH": 10, "BATCHES": 1, "FLOOR_SAMPLES": 5}
    for name, count in few.items():
        monkeypatch.setattr(latency, name, count)
    assert latency.main(["--runs", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["sqlite_commit_p50_ms"] > 0
    for each in ("with_event_files", "without_event_files"):
        assert all(value > 0 for value in figures[each].values())


def test_the_latency_table_compares_with_and_without_event_files():
    times = latency.percentiles([1.0, 2.0, 4.0])
    slow = latency.Figures(0.2, times, 2000.0, 10_000.0)
    fast = latency.Figures(0.2, times, 2200.0, 11_000.0)
    text = latency.report(latency.percentiles([0.3]), slow, fast)
    assert "2,000 submissions/s   2,200 submissions/s         +10 %" in text
    assert "floor: a bare SQLite commit, p50" in text


def test_a_node_catches_up_by_a_snapshot(monkeypatch, capsys):
    monkeypatch.setattr(catch_up, "BEFORE_S", 0.3)
    monkeypatch.setattr(catch_up, "AFTER_S", 0.1)
    with LocalCluster(3, limits={"kept_log_entries": 100, "kept_for_snapshot_entries": 5_000}) as cluster:
        catch_up.CatchUp(cluster, 1_000).run()
    said = capsys.readouterr().out
    assert "started until caught up" in said
    assert "worst pause meanwhile" in said


def test_the_worst_pause_is_the_longest_time_without_any_answer():
    answers = [catch_up.Submission(at - 0.03, at) for at in (1.0, 1.01, 1.2, 1.25)]
    assert catch_up.longest_pause_ms(answers) == pytest.approx(190)
    assert catch_up.longest_wait_ms(answers) == pytest.approx(30)
    assert catch_up.longest_pause_ms([]) == catch_up.longest_wait_ms([]) == 0


def test_a_cluster_leaves_nothing_behind():
    with LocalCluster(1) as cluster:
        folder = cluster.folder
        pid = cluster.supervisor.node(1).pid
        assert pid
        assert (folder / "logs" / "node-1.jsonl").exists()
    assert not folder.exists()
    assert cluster.supervisor.alive() == []


def test_free_ports_differ():
    assert len(set(free_ports(20))) == 20
