"""The commands of schedules, on a real node; and what they show."""

import json
import sys
from typing import Any

import pytest

import jobs  # noqa: F401  # its tasks are what can be scheduled
from glassraft.jobqueue import display_schedules
from glassraft.jobqueue.cli import main
from tests.conftest import MakeCluster


def test_schedules_are_added_shown_run_and_removed(
    make_cluster: MakeCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["jobs.py"])
    cluster = make_cluster(1)

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main(["schedules", *map(str, arguments), "--config", str(cluster.config.path)])
        written = capsys.readouterr()
        return status, written.out.strip(), written.err.strip()

    assert call("list") == (0, "no schedules", "")
    status, out, _ = call(
        *("add", "nightly", "primes", 1, 100, "--cron", "30 2 * * mon-fri", "--zone", "Europe/Berlin"),
        *("--queue", "slow", "--overlap", "skip"),
    )
    assert (status, out[:9]) == (0, "next due ")
    assert call("add", "often", "nap", 0.1, "--every", 3600)[0] == 0
    lines = call("list")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "nightly", "often"]
    assert "30 2 * * mon-fri (Europe/Berlin)" in lines[1]
    status, out, _ = call("run", "nightly")
    assert (status, out.split()[0]) == (0, "fired")
    job = out.split()[1]
    assert call("run", "nightly") == (2, f"skipped  job {job}, the last one, is ready", "")
    shown = call("show", "nightly")[1]
    assert "  args           [1, 100]" in shown
    assert "by hand" in shown
    assert shown.endswith(f"job {job}, the last one, is ready")
    assert json.loads(call("show", "nightly", "--json")[1])["last_job"] == job
    assert call("remove", "often") == (0, "often  removed", "")
    assert call("remove", "often") == (2, "", "jobs.py: there is no schedule 'often'")
    for arguments, complaint in (
        (("add", "x", "nap", "--cron", "61 * * * *"), "minute is from 0 to 59"),
        (("add", "x", "nap", "--cron", "* * * * *", "--zone", "Mars"), "knows no time zone 'Mars'"),
        (("add", "x", "naps", "--every", "5"), "there is no task 'naps'"),
    ):
        status, _, err = call(*arguments)
        assert (status, len(err.splitlines())) == (2, 1)
        assert complaint in err


SHOWN: dict[str, Any] = {
    "name": "s", "every_ms": 1_500, "overlap": "allow", "catch_up": "one", "job": {"task": "t", "delay_ms": 5},
    "due_ms": 1_790_000_000_000, "last_job": "c16j00", "history": [
        {"n": 1, "ms": 1_790_000_000_001, "due_ms": 1_790_000_000_000, "event": "fired", "job": "c16j00"},
        {"n": 2, "ms": 1_790_000_000_500, "event": "refused", "reason": "full"},
    ],
}  # fmt: skip


def test_what_is_shown_of_one() -> None:
    lines = display_schedules.schedule(SHOWN).splitlines()
    assert lines[0] == "s  every 1.5 s"
    assert "  delay          5" in lines
    assert [line.split()[-1] for line in lines[-2:]] == ["c16j00", "full"]
    assert "by hand" in lines[-1]


def test_one_whose_times_are_over() -> None:
    assert display_schedules.was_set({"version": 3, "due_ms": None}) == "next due never again"
