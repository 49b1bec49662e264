"""Results as rows, as lines, and as pictures."""

import csv
import math
import struct
import sys

import pytest

from glassraft.evaluation import plots
from glassraft.evaluation.analysis import MessageCount, Numbers, Percentiles, percentiles
from glassraft.evaluation.results import Point, Result, size, table, write_csv


def result(point: Point, jobs: int = 100) -> Result:
    numbers = Numbers(
        jobs=jobs,
        calls=jobs,
        refused={},
        duration_s=0.5,
        commit_ms=Percentiles(0.8, 1.2, 2.5, jobs),
        call_ms=Percentiles(1.0, 1.5, 3.0, jobs),
        messages={"AppendEntries": MessageCount(210, 200), "AppendEntriesReply": MessageCount(200, 199)},
        lost_why={"connection refused": 11},
        elections=1,
    )
    return Result(point, nodes=3, seed=7, acknowledged=jobs, numbers=numbers)


RESULTS = [
    result(Point("messages", 100, 64)),
    result(Point("messages", 100, 64, kill=True)),
    result(Point("payload", 50, 1024)),
]


def test_the_csv_has_a_row_a_run_with_units_in_its_names(tmp_path):
    write_csv(RESULTS, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert rows[1]["leader_killed"] == "1"
    assert (rows[0]["jobs_per_s"], rows[0]["commit_p50_ms"]) == ("200.0", "0.800")
    assert (rows[0]["AppendEntries_lost"], rows[0]["RequestVote_sent"], rows[0]["lost"]) == ("10", "0", "11")
    assert rows[2]["payload_kib_per_s"] == "200.0"


def test_the_table_names_each_run():
    text = table(RESULTS)
    assert "100 x 64 B, leader killed" in text
    assert "50 x 1 KiB" in text
    assert len({len(line) for line in text.splitlines()[:-1]}) == 1


def test_sizes_for_people():
    assert [size(count) for count in (16, 1024, 10240, 1500)] == ["16 B", "1 KiB", "10 KiB", "1500 B"]


@pytest.mark.parametrize("scenario", ["messages", "payload"])
def test_a_picture_is_drawn_at_readme_width(tmp_path, scenario):
    pytest.importorskip("matplotlib")
    path = tmp_path / "out.png"
    plots.draw(RESULTS, scenario, path)
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    assert 1200 <= width <= 2000
    assert height < width / 2


def test_a_run_in_which_nothing_was_committed_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    empty = Numbers(0, 0, {"no_quorum": 3}, 0.0, percentiles([]), percentiles([]), {}, {}, 0)
    nothing = Result(Point("messages", 10, 64), 3, 1, 0, empty)
    assert math.isnan(empty.jobs_per_s)
    plots.draw([nothing, RESULTS[0]], "messages", tmp_path / "out.png")
    write_csv([nothing], tmp_path / "out.csv")


def test_without_matplotlib_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plots.NoMatplotlib, match="pip install matplotlib"):
        plots.draw(RESULTS, "messages", tmp_path / "out.png")
