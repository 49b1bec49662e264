"""One node by hand: `python node.py` as a process, ended after the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glassraft.config import Config
from tests.live import Ports, write_config
from tests.node.hand import Hand

RunNode = Callable[..., Hand]


@pytest.fixture
def config(ports: Ports, tmp_path: Path) -> Config:
    """A cluster of one, with nothing started."""
    return write_config(tmp_path, ports.take(1))


@pytest.fixture
def run_node() -> Iterator[RunNode]:
    """`run_node(config, "--new")`: a process of node.py. Its standard input stays open until the test ends."""
    made: list[Hand] = []

    def run(config: Config, *options: str, **settings: object) -> Hand:
        hand = Hand(config, *options, **settings)  # type: ignore[arg-type]
        made.append(hand)
        return hand

    yield run
    for hand in made:
        hand.close()
