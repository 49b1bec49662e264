"""The footprint program, on a short history: it fills, starts and measures a real node."""

import sys

import pytest

from glassraft.evaluation import footprint


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's memory in /proc")
def test_a_short_history_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every job of the history has succeeded, as the node itself counts them."""
    monkeypatch.setattr(sys, "argv", ["footprint", "--jobs", "40"])
    assert footprint.main() == 0
    told = dict(line.rsplit("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert [value.strip() for key, value in told.items() if key.startswith("jobs")] == ["40"]
    assert [value.strip() for key, value in told.items() if key.startswith("log")] == ["121"]
