"""A supervisor of three stand-in nodes, ended after the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from glassraft.config import Config, parse
from glassraft.supervisor import Supervisor
from tests.supervisor.stand_ins import SERVE, Ends, MakeSupervisor, save


@pytest.fixture
def config(tmp_path: Path) -> Config:
    nodes = ", ".join(f'{{"id": {i}, "host": "127.0.0.1", "port": {i}}}' for i in (1, 2, 3))
    return parse(f'{{"nodes": [{nodes}]}}', tmp_path / "config.json")


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def make_supervisor(config: Config, ends: Ends, tmp_path: Path) -> Iterator[MakeSupervisor]:
    """`make_supervisor(script)`: every node runs that script, with its id as argument."""
    made: list[Supervisor] = []

    def make(script: str = SERVE, worker: str = SERVE, **options: object) -> Supervisor:
        node = save(tmp_path / f"node{len(made)}.py", script)
        supervisor = Supervisor(
            config,
            node_command=lambda node_id: [*node, str(node_id)],
            worker_command=save(tmp_path / f"worker{len(made)}.py", worker),
            on_exit=ends,
            **options,  # type: ignore[arg-type]
        )
        made.append(supervisor)
        return supervisor

    yield make
    for supervisor in made:
        supervisor.kill_all()
        supervisor.close()
