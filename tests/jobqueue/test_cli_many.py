"""The commands about many jobs: submit --from, list, export, watch, workers; and completion."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jobs  # noqa: F401  # its tasks are what is submitted
from glassraft.errors import BadArgument
from glassraft.jobqueue import display
from glassraft.jobqueue.cli import main, terminal
from glassraft.jobqueue.cli.completion import script
from glassraft.jobqueue.cli.from_file import read_jobs
from glassraft.jobqueue.cli.output import bar
from glassraft.jobqueue.cli.program import parser
from tests.conftest import MakeCluster


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command here: its status, what it printed, what it said on the error output."""
    monkeypatch.setattr(sys, "argv", ["jobs.py"])

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return status, written.out.strip(), written.err.strip()

    return call


def test_a_file_of_jobs_is_submitted_listed_and_exported(
    make_cluster: MakeCluster, call: Any, tmp_path: Path
) -> None:
    cluster = make_cluster(1)
    at = ("--cluster", cluster.config.path)
    file = tmp_path / "jobs.jsonl"
    lines = [{"task": "nap", "args": [0], "priority": number % 3} for number in range(1_200)]
    lines[7] |= {"queue": "own", "delay": 3_600}
    file.write_text("\n\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")

    status, out, err = call("submit", "--from", file, "--queue", "many", *at)
    assert (status, err) == (0, "")
    ids = out.splitlines()
    assert len(set(ids)) == 1_200
    assert call("submit", "--from", file, "--skip", 1_199, *at)[1].count("\n") == 0
    shown = json.loads(call("show", ids[7], "--json", *at)[1])
    assert (shown["queue"], shown["state"], shown["priority"]) == ("own", "scheduled", 1)

    assert call("list", "--queue", "own", *at)[1].splitlines()[1].startswith(ids[7])
    status, out, _ = call("list", "--queue", "many", "--limit", 1_100, "--json", *at)
    page = json.loads(out)
    assert len(page["jobs"]) == 1_100
    rest = json.loads(
        call("list", "--queue", "many", "--after", page["next"], "--limit", 500, "--json", *at)[1]
    )
    assert [job["id"] for job in (*page["jobs"], *rest["jobs"])] == [i for i in ids[::-1] if i != ids[7]]
    assert rest["next"] == ""
    assert call("list", "--older", "1h", *at)[1] == "no jobs"
    assert call("list", "--newer", "0s", *at)[1] == "no jobs"

    exported = [
        json.loads(line) for line in call("export", "--queue", "many", "--newer", "1h", *at)[1].splitlines()
    ]
    assert len(exported) == 1_199
    [full] = call("export", "--full", "--limit", 1, *at)[1].splitlines()
    assert json.loads(full)["history"]

    status, out, _ = call("watch", "--times", 2, "--every", 0.01, *at)
    assert (status, out.count("QUEUE"), out.count("no worker runs a job")) == (0, 2, 2)
    looks = call("watch", "--times", 2, "--every", 0.01, "--json", *at)[1].splitlines()
    assert [json.loads(look)["workers"] for look in looks] == [[], []]
    assert call("workers", *at) == (0, "no worker runs a job", "")

    cluster.supervisor.worker.start()
    status, out, _ = call("submit", "--from", file, "--skip", 1_199, "--wait", "--within", 60, *at)
    assert (status, out.split()[1:]) == (0, ["succeeded", "0"])
    timings = [line for line in call("show", out.split()[0], *at)[1].splitlines() if "timings" in line]
    assert " from submission to end" in timings[0]


@pytest.mark.parametrize(
    "line",
    [
        '{"task": "nap", "args": [1, 2, 3]}',
        '{"task": "map"}',
        '{"task": "nap", "args": 1}',
        "x",
        "[]",
        "{}",
        '{"task": "nap", "colour": 1}',
        '{"task": "nap", "delay": "1"}',
    ],
)
def test_a_wrong_line_is_named_before_anything_is_submitted(line: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text('{"task": "nap"}\n\n' + line, encoding="utf-8")
    with pytest.raises(BadArgument, match=r"jobs\.jsonl:3: "):
        read_jobs(str(file))


def test_a_bar() -> None:
    assert bar("submitted", 500, 1_000, 2.0) == f"[{'#' * 15:<30}] submitted 500 of 1000, 250/s, 2 s left  "
    assert bar("submitted", 0, 0, 0.0) == f"[{'#' * 30}] submitted 0 of 0, 0/s  "


def test_rates_are_differences_between_two_looks() -> None:
    def look(now_ms: int, submitted: int) -> dict[str, Any]:
        counts = {"q": {"submitted": submitted, "ready": 2}}
        settings = {"q": {"paused": True}}
        return {"queues": counts, "settings": settings, "oldest_ready_ms": {"q": 4_000}, "now_ms": now_ms}

    workers = [{"worker": "w", "running": 3, "queues": ["q"], "tasks": ["a", "b"]}]
    lines = display.watched(look(3_000, 25), look(1_000, 20), workers).splitlines()
    assert lines[3].split() == ["q", "(paused)", "0", "0", "2", *["0"] * 4, "2.5", "0.0", "0.0", "4", "s"]
    assert lines[-1].split() == ["w", "3", "q", "a,", "b"]


def test_a_list_fits_the_terminal() -> None:
    job = {"id": "a", "state": "ready", "queue": "q" * 60, "task": "t", "arguments": "", "attempt": 0}
    page = {"jobs": [job | {"submitted_ms": 0}], "next": ""}
    assert max(map(len, display.jobs(page, 70).splitlines())) == 70
    assert max(map(len, display.jobs(page).splitlines())) > 70


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["jobs.py", "wor"], {"worker", "workers"}),
        (["jobs.py", "queues", "pa"], {"pause"}),
        (["jobs.py", "list", "--state", "s"], {"scheduled", "succeeded"}),
        (["jobs.py", "list", "--sta"], {"--state", "--stale"}),
        (["jobs.py", "schedules", "add", "--cat"], {"--catch-up"}),
        (["jobs.py", "completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(words: list[str], completed: set[str], tmp_path: Path) -> None:
    if not shutil.which("bash"):
        pytest.skip("bash is missing")
    file = tmp_path / "completion"
    asked = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _jobs_py; echo ${{COMPREPLY[@]}}"
    file.write_text(f"{script('bash', 'jobs.py', parser())}\n{asked}\n", encoding="utf-8")
    done = subprocess.run(["bash", str(file)], capture_output=True, text=True, timeout=20, check=True)
    assert (set(done.stdout.split()), done.stderr) == (completed, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_every_command(shell: str) -> None:
    text = script(shell, "glassraft", parser())
    assert all(word in text for word in ("submit", "schedules", "pause", "state", "succeeded"))
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, timeout=20, check=True)


@pytest.mark.parametrize("has_rich", [True, False])
def test_colour_is_for_people_alone(
    has_rich: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "ID  STATE\na   dead " + "x" * 200
    terminal.write(text)
    assert capsys.readouterr().out == text + "\n"
    monkeypatch.setattr(terminal, "is_seen", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if has_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    terminal.write(text)
    out = capsys.readouterr().out
    assert ("\x1b[31mdead\x1b[0m" in out) == has_rich
    assert out.count("\n") == 2


def test_watch_goes_on_without_a_leader(make_cluster: MakeCluster, call: Any) -> None:
    cluster = make_cluster(3)
    for node in (1, 2):
        cluster.kill(node)
    at = ("--cluster", cluster.config.path, "--patience", 0.5)
    status, out, err = call("watch", "--times", 2, "--every", 0.01, *at)
    assert (status, out) == (0, "")
    assert [line.endswith("; still looking") for line in err.splitlines()] == [True, True]
    assert call("stats", *at)[0] == 3
