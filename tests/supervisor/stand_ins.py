"""Stand-ins for node.py: small scripts that serve, fail, hang or leave children behind."""

import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from glassraft.supervisor import Exit, Supervisor

SERVE = """
import sys
print("n1 serves 127.0.0.1:1 (pid 1)", flush=True)
sys.stdin.buffer.read()
"""


MakeSupervisor = Callable[..., Supervisor]


class Ends:
    """Collects what `on_exit` was told."""

    def __init__(self) -> None:
        self.list: list[Exit] = []

    def __call__(self, end: Exit) -> None:
        self.list.append(end)


def save(path: Path, script: str) -> Sequence[str]:
    path.write_text(textwrap.dedent(script), encoding="utf-8")
    return [sys.executable, "-S", str(path)]


def eventually(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for what another process is about to do."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
