"""The command line, as people and scripts use it: answers, one line for each error, exit statuses."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jobs
from glassraft.jobqueue import display
from glassraft.jobqueue.cli import main, options
from glassraft.jobqueue.cli.program import parser
from tests.conftest import MakeCluster
from tests.live import Ports, write_config

ROOT = Path(jobs.__file__).parent


class Answer:
    """What a command answered."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out.strip(), err.strip()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command here."""
    monkeypatch.setattr(sys, "argv", ["jobs.py"])

    def call(*arguments: object) -> Answer:
        status = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Answer(status, written.out, written.err)

    return call


def test_jobs_go_the_whole_way(make_cluster: MakeCluster, call: Any, tmp_path: Path) -> None:
    cluster = make_cluster(3)
    at = ("--config", cluster.config.path)
    cluster.supervisor.worker.start()

    answer = call("submit", "primes", 1, 200000, "--wait", "--within", 60, *at)
    assert (answer.status, answer.out) == (0, "17984")

    text = tmp_path / "text"
    text.write_text("to be or not to be", encoding="utf-8")
    answer = call("submit", "word_count", text, "--kwargs", '{"top": 1}', "--priority", 5, *at)
    assert (answer.status, answer.err) == (0, "")
    job = answer.out
    assert json.loads(call("result", job, *at).out) == {"lines": 1, "words": 6, "most_common": [["to", 2]]}

    failed = call("submit", "flaky", 1, "--max-attempts", 1, "--wait", *at)
    assert failed.status == 1
    assert failed.err.splitlines()[-1].endswith(
        "is dead: RuntimeError: bad luck: this happens with a probability of 1"
    )

    napping = call("submit", "nap", 60, *at).out
    answer = call("wait", job, napping, "--within", 0.1, *at)
    assert (answer.status, answer.err) == (5, "jobs.py: 1 of 2 jobs have not finished; they go on")
    assert answer.out.startswith(f"{job}  succeeded")
    assert call("result", napping, "--within", 0.1, *at).status == 5

    listed = call("list", *at).out.splitlines()
    assert [line.split()[0] for line in listed[1:]][:1] == [napping]
    assert [
        each["id"] for each in json.loads(call("list", "--task", "word_count", "--json", *at).out)["jobs"]
    ] == [job]
    assert "no jobs" in call("list", "--state", "cancelled", *at).out
    shown = call("show", job, *at).out
    assert "completed  -> succeeded" in shown
    assert json.loads(call("show", job, "--json", *at).out)["state"] == "succeeded"
    assert json.loads(call("stats", "--json", *at).out)["states"]["succeeded"] == 2
    assert call("stats", "--stale", *at).out.splitlines()[0].split() == [
        "QUEUE",
        "RUNNING",
        "SUCCEEDED",
        "DEAD",
    ]

    missing = call("show", "c16j00", *at)
    assert call("purge", job, *at).out == f"{job}  purged"
    answer = call("retry", napping, "--attempts", 2, *at)
    assert (answer.status, answer.out) == (
        2,
        f"job {napping} is running, and only a dead or cancelled job can be tried again",
    )
    assert (missing.status, missing.err) == (2, "jobs.py: there is no job c16j00")

    cluster.supervisor.worker.stop(10.0)
    assert json.loads(call("show", napping, "--json", *at).out)["state"] == "ready"
    assert cluster.ends[-1].returncode == 0
    assert call("cancel", napping, *at).out == f"{napping}  cancelled"
    assert call("retry", napping, *at).out == f"{napping}  ready"
    assert call("update", napping, "--delay", 60, "--args", "[1]", *at).out == f"{napping}  scheduled"
    call("queues", "pause", "q", *at)
    shown = call("queues", "limit", "q", "--rate", "100/60", *at).out
    assert shown == "paused\nany number running\nat most 100 starts in 60 s"
    assert "paused, 100 starts in 60 s" in call("queues", *at).out
    lifted = call("queues", "limit", "q", "--rate", "none", "--max-running", 2, *at)
    assert lifted.out == "paused\nat most 2 running\nno rate"
    assert call("queues", "resume", "q", *at).out.startswith("not paused")
    assert call("queues", "limit", "q", "--rate", "fast", *at).status == 2
    assert call("queues", "limit", "q", *at).status == 2
    keyed = ("submit", "nap", 1, "--key", "k", "--unique-for", 5, *at)
    assert call(*keyed).out == call(*keyed).out
    refused = call(*keyed, "--on-conflict", "refuse")
    assert (refused.status, "is held by job" in refused.err) == (2, True)


def test_without_a_cluster(call: Any, ports: Ports, tmp_path: Path) -> None:
    config = write_config(tmp_path, ports.take(3))
    answer = call("submit", "primes", 1, 10, "--config", config.path)
    assert answer.status == 3
    assert answer.err.startswith("jobs.py: no node answers at 127.0.0.1:")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["submit", "prims", "1"], "there is no task 'prims' here; those known are collatz, "),
        (
            ["submit", "primes", "1"],
            "missing a required argument: 'stop'; it is called primes(start: int, stop: int)",
        ),
        (["submit", "primes", "[1", "2"], "an argument that begins like JSON is not JSON: '[1'"),
        (["submit", "primes", "1", "2", "--kwargs", "{"], "not JSON: '{'"),
        (["submit", "primes", "1", "2", "--kwargs", "[]"], "--kwargs takes a JSON object"),
        (["submit"], "submit takes a task with its arguments, or --from FILE.jsonl"),
        (
            ["submit", "primes", "1", "2", "--from", "jobs.jsonl"],
            "submit takes a task with its arguments, or",
        ),
        (["submit", "--from", "no-such-file"], "no-such-file cannot be read: "),
        (["queues", "limit", "q", "--max-running", "x"], "--max-running takes a whole number, or none"),
        (["queues", "limit", "q", "--rate", "5"], "--rate takes starts/seconds such as 100/60, or none"),
        (["list", "--limit", "0"], "--limit must be 1 or more, not 0"),
        (["watch", "--every", "0"], "--every must be more than 0 seconds"),
        (["list", "--config", "no-such-file"], "no-such-file: there is no such file"),
        (["worker", "--slots", "-1"], "a worker's slots must be"),
        (["worker", "--queues", "a,,b"], "queue must be 1 to 200 characters"),
    ],
)
def test_what_is_refused_before_anything_is_asked(call: Any, arguments: list[str], complaint: str) -> None:
    answer = call(*arguments)
    assert answer.status == 2
    assert answer.err.startswith(f"jobs.py: {complaint}")
    assert len(answer.err.splitlines()) == 1


def test_wrong_usage_is_one_line(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call("submit", "primes", "--delay", "soon")
    said = capsys.readouterr().err
    assert said.startswith("jobs.py submit: argument --delay: a time is seconds, or")
    assert said.count("\n") == 1


def test_wrong_usage_is_explained(call: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        call("frobnicate")
    with pytest.raises(SystemExit, match="2"):
        call("list", "--state", "gone")


def test_the_tasks_are_listed(call: Any) -> None:
    out = call("tasks").out
    assert "primes(start: int, stop: int) -> int\n    How many primes" in out
    assert "mandelbrot" in [each["task"] for each in json.loads(call("tasks", "--json").out)]


def test_help_names_the_exit_statuses() -> None:
    for arguments in (["--help"], ["submit", "--help"]):
        done = subprocess.run(
            [sys.executable, str(ROOT / "jobs.py"), *arguments], capture_output=True, text=True, check=True
        )
        assert "3    no cluster answers, or it has no quorum: nothing was done" in done.stdout


def test_durations() -> None:
    texts = [display.duration(ms) for ms in (0, 999, 1_000, 59_999, 60_000, 3_600_000, 200_000_000)]
    assert texts == ["0 ms", "999 ms", "1 s", "59 s", "1 min", "1 h", "2 d"]


def test_stats_add_up_several_queues() -> None:
    counted = {
        "queues": {"a": {"ready": 1, "submitted": 3}, "b": {"ready": 2, "dead": 1}},
        "states": {
            "waiting": 0,
            "scheduled": 0,
            "ready": 3,
            "running": 0,
            "succeeded": 0,
            "dead": 1,
            "cancelled": 0,
        },
        "oldest_ready_ms": {"a": 5_000},
    }
    lines = display.stats(counted).splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["QUEUE", "READY", "DEAD"],
        ["a", "1", "0"],
        ["b", "2", "1"],
        ["(all)", "3", "1"],
    ]
    assert lines[4] == "the oldest ready job of a has waited 5 s"


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("127.0.0.1:7401", [("127.0.0.1", 7401)]),
        ("a:1, b.example:2,[::1]:3", [("a", 1), ("b.example", 2), ("::1", 3)]),
        ("some/config.json", Path("some/config.json")),
        ("C:\\config.json", Path("C:\\config.json")),
        ("a:1,config.json", Path("a:1,config.json")),
    ],
)
def test_which_cluster_is_meant(text: str, nodes: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def meant(*arguments: str) -> object:
        return options.cluster_of(parser().parse_args(arguments))

    monkeypatch.delenv(options.CLUSTER_VARIABLE, raising=False)
    assert meant("stats") == options.DEFAULT_PATH
    assert meant("stats", "--cluster", text) == meant("--config", text, "stats") == nodes
    assert meant("--cluster", "other:1", "stats", "--cluster", text) == nodes
    monkeypatch.setenv(options.CLUSTER_VARIABLE, text)
    assert meant("stats") == nodes
    assert meant("stats", "--cluster", "said:1") == [("said", 1)]


def test_times() -> None:
    assert [options.seconds(text) for text in ("90", "1.5s", "10m", "2h", "7d")] == [
        90,
        1.5,
        600,
        7_200,
        604_800,
    ]
    assert options.instant("2026-12-24T18:00:00+00:00") == options.instant("1798135200") == 1_798_135_200
    for wrong in ("soon", "-1", "1 fortnight", "nan"):
        with pytest.raises(argparse.ArgumentTypeError):
            options.seconds(wrong)
        with pytest.raises(argparse.ArgumentTypeError):
            options.instant(wrong)
