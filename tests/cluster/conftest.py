"""cluster.py as a process of its own, ended after the test with all that it started."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from glassraft.config import Config
from tests.cluster.program import Program
from tests.live import Ports, write_config

MakeProgram = Callable[..., Program]
MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config(ports: Ports, tmp_path: Path) -> MakeConfig:
    """`make_config(3)`: a config.json for three nodes in the test's own folder."""

    def make(count: int = 3, **settings: object) -> Config:
        return write_config(tmp_path, ports.take(count), **settings)

    return make


@pytest.fixture
def run_cluster() -> Iterator[MakeProgram]:
    """`run_cluster(config, "--no-worker")`: cluster.py as a process, headless unless a `display` is given."""
    made: list[Program] = []

    def run(config: Config, *options: str, display: str = "") -> Program:
        program = Program(config, *([] if display else ["--headless"]), *options, display=display)
        made.append(program)
        return program

    yield run
    for program in made:
        left = program.descendants()
        program.close()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
