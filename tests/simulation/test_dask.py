"""Seeds on a Dask cluster: a local one where Dask is installed, and a clear error where it is not."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glassraft.simulation import __main__ as command
from glassraft.simulation.dask import NoDask, dask_cluster

ROOT = Path(__file__).resolve().parents[2]
has_dask = importlib.util.find_spec("distributed") is not None


ON_A_LOCAL_CLUSTER = """
import sys
from distributed import LocalCluster
from glassraft.simulation.__main__ import main

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = "dask://" + cluster.scheduler_address.removeprefix("tcp://")
        sys.exit(main(["--seeds", "20", "--executor", address]))
"""


@pytest.mark.skipif(not has_dask, reason="Dask is not installed: pip install 'dask[distributed]'")
def test_seeds_are_spread_over_a_local_cluster(tmp_path: Path) -> None:
    """In a process of its own, since Dask leaves threads behind."""
    program = tmp_path / "on_a_local_cluster.py"
    program.write_text(ON_A_LOCAL_CLUSTER)
    done = subprocess.run(
        [sys.executable, program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert "20 seeds in" in done.stdout
    assert "every property held" in done.stdout


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NoDask, match="pip install"), dask_cluster("dask://localhost:1"):
        pass


def test_another_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seeds", "1", "--executor", "localhost:8786"]) == 2
    assert "dask://host:port" in capsys.readouterr().err
