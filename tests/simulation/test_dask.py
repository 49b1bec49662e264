"""Seeds on a Dask cluster: a local one where Dask is installed, and a clear error where it is not."""

import importlib.util
import sys

import pytest

from glassraft.simulation import __main__ as command
from glassraft.simulation.dask import NoDask, dask_cluster
from glassraft.simulation.explore import explore

has_dask = importlib.util.find_spec("distributed") is not None


@pytest.mark.skipif(not has_dask, reason="Dask is not installed: pip install 'dask[distributed]'")
def test_seeds_are_spread_over_a_local_cluster() -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = "dask://" + cluster.scheduler_address.removeprefix("tcp://")
        with dask_cluster(address) as pool:
            found = explore(0, 20, pool, 1, lambda done: None)
    assert pool.width == 2
    assert found.seeds == 20
    assert not found.failures


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NoDask, match="pip install"), dask_cluster("dask://localhost:1"):
        pass


def test_another_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seeds", "1", "--executor", "localhost:8786"]) == 2
    assert "dask://host:port" in capsys.readouterr().err
